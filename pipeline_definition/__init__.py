"""A SageMaker pipeline definition: read, understood and checked, without running it.

In flows the JSON that the SDK makes (`definition.parse`); out flow its parameters and steps with
what each waits for, and every problem that can be known before anything runs (`check.problems`).
Two callers share it: `pipelines.check` looks at our own definition before it is submitted, and
`localaws` at every definition that it is sent, which it then runs.

    definition.py   the JSON → Definition: parameters, steps, branches, dependencies
    parameters.py   what an execution may be told, with types and defaults
    references.py   {"Get": …}, Std:Join, Std:JsonGet: found, and resolved
    conditions.py   the comparisons of a Condition step
    step_types.py   what each type of step calls, and what its cache compares
    retries.py, caching.py   the policies of a step
    check.py        all rules together

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines.html and
https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/.
"""
