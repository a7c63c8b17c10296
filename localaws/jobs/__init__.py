"""Runs one SageMaker job as a process of this machine, as SageMaker runs it in a container.

In goes a `JobSpec` (what a CreateProcessingJob or CreateTrainingJob request asks for, in plain
terms); out come objects in S3, lines in CloudWatch Logs, and an `Outcome`. The stages, and who does
each:

    Starting      the job's folder, its Python environment       `python_environment`
    Downloading   S3 inputs to their local paths                 `channels`
    Training or   the program, in a private root, watched for    `sandbox`, `launch`, `program`
    Processing    its end, its limits and a stop; its output     `volume`, `logs`
    Uploading     results to S3, the model as one archive        `channels`, `archive`

`runner` keeps the jobs that run, one thread each; `records` and `checks` are what both kinds of job
share in the API: names, states, lists, waiting, rules. `images` says which program stands for a
container image, `script_mode` what a framework's training image does without an entrypoint, and
`environment` which variables a program starts with. Nothing here knows HTTP; S3 and Logs
are reached in-process, because a job with ten thousand small inputs should spend its time on the
job.
"""
