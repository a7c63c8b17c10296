"""What the state-change events of jobs tell.

https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html, its
samples for training, processing and transform jobs. Times are milliseconds since 1970, and text in
the one of a transform job. In inputs and outputs of a processing job the values of enums are in
capitals, unlike in the API; states are not.
"""

import datetime
from typing import Any

from localaws.announcements import as_milliseconds, as_text, upper_snake
from localaws.store import Record

Json = dict[str, Any]

_BOTH = ("CreationTime", "LastModifiedTime", "FailureReason")
_TRAINING = (
    "TrainingJobName",
    "TrainingJobArn",
    "TrainingJobStatus",
    "SecondaryStatus",
    "AlgorithmSpecification",
    "RoleArn",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "TrainingStartTime",
    "TrainingEndTime",
    "SecondaryStatusTransitions",
    *_BOTH,
)
_PROCESSING = (
    "ProcessingJobName",
    "ProcessingJobArn",
    "ProcessingJobStatus",
    "ProcessingResources",
    "StoppingCondition",
    "AppSpecification",
    "RoleArn",
    "ProcessingStartTime",
    "ProcessingEndTime",
    *_BOTH,
)
_TRANSFORM = (
    "TransformJobName",
    "TransformJobArn",
    "TransformJobStatus",
    "ModelName",
    "BatchStrategy",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "TransformStartTime",
    "TransformEndTime",
    *_BOTH,
)


def training(record: Record) -> Json:
    """The detail of "SageMaker Training Job State Change"."""
    detail = {name: record[name] for name in _TRAINING if name in record}
    for name in ("HyperParameters", "VpcConfig"):
        detail[name] = record.get(name) or {}
    detail["InputDataConfig"] = record.get("InputDataConfig") or []
    detail["Tags"] = {tag["Key"]: tag["Value"] for tag in record.get("Tags") or []}
    told: Json = as_milliseconds(detail)
    return told


def processing(record: Record) -> Json:
    """The detail of "SageMaker Processing Job State Change". It has no exit message."""
    detail = {name: record[name] for name in _PROCESSING if name in record}
    for name in ("NetworkConfig", "ExperimentConfig"):
        detail[name] = record.get(name) or {}
    detail["ProcessingInputs"] = [_capital(item) for item in record.get("ProcessingInputs") or []]
    outputs = record.get("ProcessingOutputConfig") or {"Outputs": []}
    capital = [_capital(item) for item in outputs.get("Outputs") or []]
    detail["ProcessingOutputConfig"] = {**outputs, "Outputs": capital}
    told: Json = as_milliseconds(detail)
    return told


def transform(record: Record) -> Json:
    """The detail of "SageMaker Transform Job State Change"."""
    detail = {
        name: as_text(value) if isinstance(value, datetime.datetime) else value
        for name, value in record.items()
        if name in _TRANSFORM
    }
    return {**detail, "Tags": {tag["Key"]: tag["Value"] for tag in record.get("Tags") or []}}


def _capital(item: Json) -> Json:
    """An input or output; FullyReplicated is FULLYREPLICATED in AWS's sample, without a line."""
    shown = dict(item)
    for side in ("S3Input", "S3Output"):
        if side in item:
            shown[side] = {
                name: upper_snake(value) if name in ("S3DataType", "S3UploadMode") else value
                for name, value in item[side].items()
            }
            for name in ("S3InputMode", "S3DataDistributionType", "S3CompressionType"):
                if name in shown[side]:
                    shown[side][name] = shown[side][name].upper()
    return shown


DETAILS = {"Training": training, "Processing": processing, "Transform": transform}
