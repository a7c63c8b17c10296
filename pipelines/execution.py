"""One execution of a pipeline: start it, see where it is, stop it.

The service is asked again and again, as there is nothing to subscribe to; clients, the wait and the
interval are passed in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

FINAL = frozenset({"Succeeded", "Failed", "Stopped"})
# Where each kind of job logs: the group, and how its streams begin after the job's name.
_LOGS = {
    "processing-job": ("/aws/sagemaker/ProcessingJobs", "/"),
    "training-job": ("/aws/sagemaker/TrainingJobs", "/"),
    "transform-job": ("/aws/sagemaker/TransformJobs", "/"),
    "hyper-parameter-tuning-job": ("/aws/sagemaker/TrainingJobs", "-"),  # its trials'
}


class ExecutionError(Exception):
    """An execution or pipeline that cannot be had, in one sentence."""


@dataclass(frozen=True)
class Step:
    """One step of an execution, as far as it has come."""

    name: str
    status: str
    started: datetime | None
    ended: datetime | None
    cached: bool
    failure_reason: str
    job_arn: str
    model_package_arn: str

    def seconds(self, now: datetime) -> float:
        """How long it ran, or has run by `now`."""
        return ((self.ended or now) - self.started).total_seconds() if self.started else 0.0


@dataclass(frozen=True)
class Execution:
    """An execution with its steps in the order in which they started."""

    arn: str
    status: str
    failure_reason: str
    started: datetime
    ended: datetime | None
    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    @property
    def finished(self) -> bool:
        return self.status in FINAL

    def seconds(self, now: datetime) -> float:
        return ((self.ended or now) - self.started).total_seconds()


def start(pipeline_name: str, parameters: dict[str, Any], sagemaker: Any) -> str:
    """Starts the pipeline and returns the execution's ARN. Raises ExecutionError."""
    try:
        answer = sagemaker.start_pipeline_execution(
            PipelineName=pipeline_name,
            PipelineParameters=[
                {"Name": name, "Value": str(value)} for name, value in parameters.items()
            ],
        )
    except ClientError as error:
        message = error.response["Error"]["Message"]
        raise ExecutionError(f"Pipeline {pipeline_name!r} was not started: {message}") from error
    return str(answer["PipelineExecutionArn"])


def describe(execution_arn: str, sagemaker: Any) -> Execution:
    """Where the execution is now. Raises ExecutionError when there is none of that ARN."""
    try:
        answer = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn)
    except ClientError as error:
        raise ExecutionError(f"{execution_arn}: {error.response['Error']['Message']}") from error
    status = answer["PipelineExecutionStatus"]
    return Execution(
        arn=execution_arn,
        status=status,
        failure_reason=answer.get("FailureReason", ""),
        started=answer["CreationTime"],
        ended=answer["LastModifiedTime"] if status in FINAL else None,
        steps=tuple(_steps(execution_arn, sagemaker)),
    )


def watch(
    execution_arn: str,
    sagemaker: Any,
    *,
    wait: Callable[[float], None],
    interval: float,
    on_change: Callable[[Execution], None] = lambda execution: None,
) -> Execution:
    """Follows the execution to its end; calls `on_change` after every look, changed or not."""
    while True:
        execution = describe(execution_arn, sagemaker)
        on_change(execution)
        if execution.finished:
            return execution
        wait(interval)


def stop(execution_arn: str, sagemaker: Any) -> None:
    """Asks the execution to stop; one that has ended is left as it is."""
    if not describe(execution_arn, sagemaker).finished:
        sagemaker.stop_pipeline_execution(PipelineExecutionArn=execution_arn)


def executions(pipeline_name: str, sagemaker: Any) -> Iterator[dict[str, Any]]:
    """The executions of a pipeline, newest first, as ListPipelineExecutions tells them."""
    paginator = sagemaker.get_paginator("list_pipeline_executions")
    try:
        for page in paginator.paginate(PipelineName=pipeline_name, SortOrder="Descending"):
            yield from page["PipelineExecutionSummaries"]
    except ClientError as error:
        message = error.response["Error"]["Message"]
        raise ExecutionError(f"Pipeline {pipeline_name!r}: {message}") from error


def last_log_line(job_arn: str, logs: Any) -> str:
    """The newest line that a job has logged, or nothing while it has logged none."""
    kind, _, name = job_arn.rsplit(":", 1)[-1].partition("/")
    if kind not in _LOGS:
        return ""
    group, then = _LOGS[kind]
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}{then}")
        events = [
            event
            for stream in streams["logStreams"]
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], limit=1
            )["events"]
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return ""  # the group is made with the first job's first line
        raise
    newest = max(events, key=lambda event: event["timestamp"], default={"message": ""})
    return str(newest["message"]).strip()


def _steps(execution_arn: str, sagemaker: Any) -> Iterator[Step]:
    paginator = sagemaker.get_paginator("list_pipeline_execution_steps")
    pages = paginator.paginate(PipelineExecutionArn=execution_arn, SortOrder="Ascending")
    found = [_step(row) for page in pages for row in page["PipelineExecutionSteps"]]
    never = datetime.max.replace(tzinfo=UTC)
    return iter(sorted(found, key=lambda step: step.started or never))


def _step(row: dict[str, Any]) -> Step:
    metadata = row.get("Metadata", {})
    kinds = ("ProcessingJob", "TrainingJob", "TransformJob", "TuningJob")
    job: dict[str, str] = next((metadata[kind] for kind in kinds if kind in metadata), {})
    return Step(
        name=row["StepName"],
        status=row["StepStatus"],
        started=row.get("StartTime"),
        ended=row.get("EndTime"),
        cached="CacheHitResult" in row,
        failure_reason=row.get("FailureReason", ""),
        job_arn=job.get("Arn", ""),
        model_package_arn=metadata.get("RegisterModel", {}).get("Arn", ""),
    )
