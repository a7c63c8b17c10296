"""The embedded SageMaker Pipelines: it executes an uploaded definition, untouched.

A definition (JSON, version 2020-12-01) and the parameters of one execution flow in; jobs, models
and model packages come out, and a record of every step.

definition   reads the JSON into steps, the steps of a condition's branches beside the others
check        refuses what can be seen to fail before anything runs, in the service's words
parameters   the pipeline's parameters, and the typed values of an execution
references   finds and resolves `Get`, `Std:Join` and `Std:JsonGet`
conditions   compares
step_types   what each type calls, how its result is described, what its cache compares
steps        one handler a step type; a job step calls the component that also answers the API
cache        finds an earlier result of the same step with the same arguments
retries      says whether and when a failed step is tried again
records      what the store keeps of pipelines, versions, executions and steps
execution    the facts of one execution, and what its references resolve to
step_run     runs one step: its cached result, or its handler until it succeeds or gives up
engine       runs one execution: a finished step starts those that waited for it

Nothing polls. Each running step has a thread that waits for its job and then looks for the steps
that became ready, so between a step's end and the next one's start lie a few milliseconds. The
price is a thread a running step; an execution has at most fifty steps.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines.html and the definition's schema,
https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/.
"""
