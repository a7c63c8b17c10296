"""The model registry: the versions of a group, their approval, and which one is in production."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

APPROVED, REJECTED = "Approved", "Rejected"


class RegistryError(Exception):
    """A version or group that is not there, with what to try."""


@dataclass(frozen=True)
class ModelPackage:
    """One registered version: `description` is the whole answer of DescribeModelPackage."""

    arn: str
    version: int
    approval_status: str
    description: dict[str, Any]

    @property
    def metadata(self) -> dict[str, str]:
        """What the pipeline said of it: dataset, accuracy, threshold, execution, commit."""
        return dict(self.description.get("CustomerMetadataProperties", {}))

    @property
    def model_data_url(self) -> str:
        """The S3 address of its `model.tar.gz`."""
        return str(self.description["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])

    @property
    def comparison_url(self) -> str:
        """What Evaluate is given of it: its archive, or, where only the algorithm's own image can
        open that, the table of its answers to the test images."""
        if self.metadata.get("algorithm") != "built-in":
            return self.model_data_url
        quality = self.description["ModelMetrics"]["ModelQuality"]
        evaluation = str(quality["Statistics"]["S3Uri"])
        return evaluation.rpartition("/")[0] + "/predictions.csv"

    @property
    def accuracy(self) -> str:
        """The test accuracy together with what it was measured on, as it may be shown."""
        value = self.metadata.get("accuracy")
        dataset = self.metadata.get("dataset_name", "unknown data")
        return f"{float(value):.3f} on {dataset}" if value else "not measured"


def versions(group: str, sagemaker: Any, **filters: Any) -> Iterator[ModelPackage]:
    """The versions of a group, newest first. RegistryError when there is no such group.

    A page may be empty and still have a successor, so this follows the token, not the rows.
    """
    request = {
        "ModelPackageGroupName": group,
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        **filters,
    }
    while True:
        try:
            page = sagemaker.list_model_packages(**request)
        except ClientError as error:
            raise RegistryError(f"Group {group!r}: {error.response['Error']['Message']}") from error
        for summary in page["ModelPackageSummaryList"]:
            yield describe(summary["ModelPackageArn"], sagemaker)
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def describe(model_package_arn: str, sagemaker: Any) -> ModelPackage:
    """One version by its ARN. RegistryError when it is not there."""
    try:
        answer = sagemaker.describe_model_package(ModelPackageName=model_package_arn)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        raise RegistryError(f"{model_package_arn}: {message}") from error
    answer.pop("ResponseMetadata", None)
    return ModelPackage(
        arn=answer["ModelPackageArn"],
        version=answer["ModelPackageVersion"],
        approval_status=answer["ModelApprovalStatus"],
        description=answer,
    )


def find(group: str, version: int, sagemaker: Any) -> ModelPackage:
    """Version `version` of the group. RegistryError names the versions that there are."""
    there = list(versions(group, sagemaker))
    for package in there:
        if package.version == version:
            return package
    known = ", ".join(str(package.version) for package in there) or "none yet"
    raise RegistryError(f"Group {group!r} has no version {version}; its versions: {known}.")


def in_production(group: str, endpoint_name: str, sagemaker: Any) -> ModelPackage | None:
    """The version that a new one is held against: the one that serves.

    An approval does not make it so: its deployment may have failed, or an older version may have
    been approved again. Before anything serves it is the newest approved version, or None.
    """
    arn = served(endpoint_name, sagemaker)
    if arn is not None:
        return describe(arn, sagemaker)
    approved = versions(group, sagemaker, ModelApprovalStatus=APPROVED)
    return max(approved, key=lambda package: package.version, default=None)


def served(endpoint_name: str, sagemaker: Any) -> str | None:
    """The ARN of the package behind the endpoint; None while there is no endpoint."""
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=endpoint_name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":  # could not find endpoint
            return None
        raise
    return package_of(endpoint["EndpointConfigName"], sagemaker)


def package_of(endpoint_config_name: str, sagemaker: Any) -> str | None:
    """The ARN of the package that an endpoint configuration serves."""
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint_config_name)
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    containers = model.get("Containers") or [model.get("PrimaryContainer", {})]
    name = containers[0].get("ModelPackageName")
    return str(name) if name else None


def decide(package: ModelPackage, status: str, reason: str, sagemaker: Any) -> ModelPackage:
    """Approves or rejects a version; the same decision again changes nothing."""
    if package.approval_status != status:
        sagemaker.update_model_package(
            ModelPackageArn=package.arn,
            ModelApprovalStatus=status,
            **({"ApprovalDescription": reason} if reason else {}),
        )
    return describe(package.arn, sagemaker)
