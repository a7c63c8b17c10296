"""AWS on one machine: one process on one loopback port, for every client of AWS.

boto3, the AWS CLI, the SageMaker SDK and the code inside jobs come through `AWS_ENDPOINT_URL`:

    gateway      reads from a request's signature which service it is for and who asks
      ├─ permissions/           IAM: everyone but the administrator may do what policies allow;
      │                         jobs, functions, workflows and rules act with their own roles
      ├─ protocol, sagemaker/   SageMaker: checked against the service model, then really done:
      │                         jobs/ runs programs, pipelines/ executes definitions, hosting/
      │                         serves models behind endpoints and captures what they say,
      │                         monitoring/ runs the analyzer over that on a schedule
      ├─ builds/, releases/     CodeBuild: runs a buildspec; CodePipeline: from source to production
      ├─ functions/             Lambda: the deployed zip under AWS's own runtime client;
      │  delivery/, alarms/     events to their targets, schedules, alarms that change state
      └─ moto_side/             everything else: moto, with a memory that outlasts the process;
                                cloudformation/ makes its stacks do what they say
    server       puts the parts together and owns the process; `control` starts and stops it

Components share a `context`: the account, the region, the `store` of their records, the `objects`
of S3, the time. State lives below one folder (`home`): our records in `records.sqlite`, moto's in
`moto.sqlite`, the bytes of objects in `objects/`. Each finished call of ours and each S3 object is
on its way to the disk when the call returns; the rest of moto follows within a second. So after
`kill -9` at any moment the next start finds everything, at worst less the last second.

What is not implemented is refused by its name (501); nothing is pretended. The port belongs to
loopback and answers to local names only; whoever may open it may do everything, as on AWS the
account's administrator, whose keys `scones local env` gives. A request that a role's key signs is
held to that role's policies.
"""
