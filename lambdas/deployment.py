"""What the functions of the deployment share: options, names, and reads of what is there.

Names derive from the package version (`scones-prod-v7`, `scones-prod-v7-<hash of the settings>`),
so whatever is done twice finds its work done.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from lambdas.log import Json

VARIANT = "AllTraffic"
BUSY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
_ARN = re.compile(
    r"arn:[a-z-]+:sagemaker:[a-z0-9-]+:(?P<account>\d{12}):model-package/(?P<group>[^/]+)/(?P<v>\d+)"
)


class PackageUnfit(Exception):
    """The package cannot be deployed: another group or account, not approved, incomplete."""


@dataclass(frozen=True)
class Options:
    """Whose deployments these are, from the functions' environment."""

    prefix: str
    endpoint_name: str
    group: str
    account: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Options":
        """Raises KeyError for a variable that the template forgot."""
        return cls(
            prefix=environment["PREFIX"],
            endpoint_name=environment["ENDPOINT_NAME"],
            group=environment["MODEL_PACKAGE_GROUP_NAME"],
            account=environment["ACCOUNT_ID"],
        )


@dataclass(frozen=True)
class Package:
    """A version of the model as the registry describes it now."""

    arn: str
    version: int
    status: str
    changed_at: str
    description: Json

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.description.get("CustomerMetadataProperties") or {})

    @property
    def evaluation_url(self) -> str | None:
        """The S3 address of its `evaluation.json`."""
        metrics = self.description.get("ModelMetrics") or {}
        statistics = (metrics.get("ModelQuality") or {}).get("Statistics") or {}
        url = statistics.get("S3Uri")
        return str(url) if url else None

    def require_archive(self) -> None:
        """PackageUnfit when no container names a model archive."""
        containers = (self.description.get("InferenceSpecification") or {}).get("Containers") or []
        if not any(container.get("ModelDataUrl") for container in containers):
            raise PackageUnfit(f"Version {self.version} names no model archive.")

    @property
    def confidence_threshold(self) -> float:
        """The threshold that evaluation chose. PackageUnfit when there is none."""
        try:
            return float(self.metadata["confidence_threshold"])
        except (KeyError, ValueError) as error:
            raise PackageUnfit(
                f"Version {self.version} carries no confidence_threshold in its metadata."
            ) from error


def owner(arn: str) -> tuple[str, str, int]:
    """Account, group and version of a package's ARN. PackageUnfit when it is none."""
    match = _ARN.fullmatch(arn)
    if not match:
        raise PackageUnfit(f"{arn!r} is not the ARN of a version in a model package group.")
    return match["account"], match["group"], int(match["v"])


def require_ours(arn: str, options: Options) -> None:
    """PackageUnfit for a package of another account or group."""
    account, group, _ = owner(arn)
    if account != options.account:
        raise PackageUnfit(f"{arn} belongs to account {account}, not to {options.account}.")
    if group.lower() != options.group.lower():
        raise PackageUnfit(f"{arn} belongs to group {group!r}, not to {options.group!r}.")


def package(arn: str, sagemaker: Any) -> Package:
    """The version as it is now. PackageUnfit when it is gone."""
    try:
        found = sagemaker.describe_model_package(ModelPackageName=arn)
    except ClientError as error:
        if not_found(error):
            raise PackageUnfit(f"{arn} is not in the registry any more.") from error
        raise
    changed = found.get("LastModifiedTime") or found["CreationTime"]
    return Package(
        arn=found["ModelPackageArn"],
        version=int(found["ModelPackageVersion"]),
        status=str(found.get("ModelApprovalStatus", "PendingManualApproval")),
        changed_at=changed.isoformat(timespec="milliseconds"),
        description=found,
    )


def approved_versions(group: str, sagemaker: Any) -> Iterator[Json]:
    """Summaries of the approved versions. A page may be empty and still have a successor."""
    request = {"ModelPackageGroupName": group, "ModelApprovalStatus": "Approved"}
    while True:
        page = sagemaker.list_model_packages(**request)
        yield from page["ModelPackageSummaryList"]
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def endpoint(name: str, sagemaker: Any) -> Json | None:
    """DescribeEndpoint's answer, or None when there is no endpoint."""
    return found_or_none(lambda: sagemaker.describe_endpoint(EndpointName=name))


def served_package_arn(endpoint_config_name: str, sagemaker: Any) -> str | None:
    """The package behind an endpoint configuration, by its model."""
    config = found_or_none(
        lambda: sagemaker.describe_endpoint_config(EndpointConfigName=endpoint_config_name)
    )
    if config is None:
        return None
    name = config["ProductionVariants"][0]["ModelName"]
    model = found_or_none(lambda: sagemaker.describe_model(ModelName=name))
    if model is None:
        return None
    containers = [model.get("PrimaryContainer"), *model.get("Containers", [])]
    return next((str(c["ModelPackageName"]) for c in containers if c), None)


def model_name(options: Options, version: int) -> str:
    return f"{options.prefix}-v{version}"


def is_ours(name: str, options: Options) -> bool:
    """Whether a model or an endpoint configuration was made by a deployment."""
    return re.fullmatch(rf"{re.escape(options.prefix)}-v\d+(-[0-9a-f]{{8}})?", name) is not None


def hash_of(settings: Json) -> str:
    """Eight hexadecimal digits that change with any of the settings."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def found_or_none(read: Callable[[], Json]) -> Json | None:
    try:
        return read()
    except ClientError as error:
        if not_found(error):
            return None
        raise


def not_found(error: ClientError) -> bool:
    """SageMaker has no code of its own for it: it is a validation error, or ResourceNotFound."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    missing = ("could not find", "does not exist", "cannot find", "not found")
    return code in ("ResourceNotFound", "ResourceNotFoundException") or (
        code == "ValidationException" and any(text in message.lower() for text in missing)
    )


def message_of(error: ClientError) -> str:
    return str(error.response["Error"]["Message"])
