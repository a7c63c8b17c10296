"""Endpoints that serve: a model archive in processes, traffic led to them, what passes kept.

What flows in: an endpoint's configuration with its models (`spec`), and InvokeEndpoint requests.
What flows out: answers, capture records in S3, metrics in CloudWatch, lines in CloudWatch Logs.

    runtime       InvokeEndpoint: checks, errors as SageMaker words them
      └─ live     one endpoint: its fleet, a second one while it is updated, their shares
          ├─ fleet      the instances of one configuration, picked by the variants' weights
          │   └─ instance   one process in a sandbox (`localaws.jobs`), restarted when it dies
          │       └─ model_server   the program in it: `/ping`, `/invocations`, the model's handlers
          ├─ capture    data capture records, in SageMaker's layout
          └─ metrics    Invocations, errors and latencies, once a second
    batch         a batch transform: the same server's model in a job, over the objects of a prefix
    deployment    updates: shifts the traffic step by step, watches alarms, says when to roll back

A process is reached through a socket file in its own folder, so a model without network (network
isolation) can still be asked, and no port is taken. Each process dies with this one, also when it
is killed. Nothing here knows the API's requests; `localaws.sagemaker.endpoints` does.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html.
"""
