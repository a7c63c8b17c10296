"""What the events of executions and their steps tell.

https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html, its
samples "SageMaker Model Building Pipeline Execution (Step) Status Change". Times are text.
"""

import datetime
from typing import Any

from localaws.announcements import as_text

Json = dict[str, Any]

EXECUTION = "SageMaker Model Building Pipeline Execution Status Change"
STEP = "SageMaker Model Building Pipeline Execution Step Status Change"
_ENDED = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")


def of_execution(record: Json, previous: str | None) -> Json:
    """The detail for an execution that has a new status; the ARNs are the caller's to add."""
    status = record["PipelineExecutionStatus"]
    return _given(
        pipelineExecutionDisplayName=record["PipelineExecutionDisplayName"],
        pipelineExecutionDescription=record.get("PipelineExecutionDescription"),
        currentPipelineExecutionStatus=status,
        previousPipelineExecutionStatus=previous,
        executionStartTime=record["StartTime"],
        executionEndTime=record["LastModifiedTime"] if status in _ENDED else None,
    )


def of_step(record: Json, previous: str | None) -> Json:
    """The detail for a step that has a new status; the ARNs are the caller's to add."""
    metadata = {
        _small(kind): {_small(name): value for name, value in facts.items()}
        for kind, facts in (record.get("Metadata") or {}).items()
        if isinstance(facts, dict)
    }
    cached = record.get("CacheHitResult")
    return _given(
        metadata=metadata,
        stepName=record["StepName"],
        stepType=record.get("StepType"),
        stepStartTime=record.get("StartTime"),
        stepEndTime=record.get("EndTime"),
        currentStepStatus=record["StepStatus"],
        previousStepStatus=previous,
        failureReason=record.get("FailureReason"),
        cacheHitResult=cached and {_small(name): value for name, value in cached.items()},
    )


def _given(**members: Any) -> Json:
    return {
        name: as_text(value) if isinstance(value, datetime.datetime) else value
        for name, value in members.items()
        if value is not None
    }


def _small(name: str) -> str:
    return name[:1].lower() + name[1:]
