"""Monitoring schedules that run: each execution is a processing job over an endpoint's capture.

    schedule, its definition         `sagemaker.monitoring_schedules`, `sagemaker.job_definitions`
        │  `times`       when it is due, and which span of time it looks at
        ▼
    `clock`              starts the executions that are due
        │  `job_request` the capture of the window's hours, baseline and scripts as inputs; the
        ▼                contract's environment; the output below the scheduled hour
    processing job       `jobs/` runs what stands for the image: the analyzer, or the user's own
        │  `executions`  its end becomes the execution's status; its metric files are published
        ▼                (`metrics`)
    ListMonitoringExecutions, CloudWatch

What the account is charged with, the files and the statuses are Model Monitor's own; what a
container has to do is its "container contract" (byoc-contract-inputs, byoc-contract-outputs).
Data quality of endpoints only; other kinds of monitoring are refused by name.
"""
