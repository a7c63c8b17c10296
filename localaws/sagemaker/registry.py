"""The Model Registry: groups of model packages, their versions and their approval.

A version is never changed in what it serves and its number is never given out again; what changes
is its approval, its life cycle and its notes. Each change sends the event "SageMaker Model Package
State Change", on which a deployment waits.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry.html; the event:
https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html.
"""

import datetime
import re
import uuid
from collections.abc import Callable
from typing import Any

from localaws.context import Context
from localaws.errors import Conflict, NotImplementedHere, ValidationError
from localaws.sagemaker.listing import page
from localaws.sagemaker.model_data import require_model_data
from localaws.sagemaker.model_package_groups import ModelPackageGroups
from localaws.sagemaker.service import Request, Response

PACKAGE = "model-package"
_TOKEN = "model-package-token"
# An event tells no more than AWS's does; large or internal members stay with Describe.
_EVENT_MEMBERS = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "InferenceSpecification",
    "ModelPackageStatus",
    "ModelPackageStatusDetails",
    "CertifyForMarketplace",
    "ModelApprovalStatus",
    "ApprovalDescription",
    "MetadataProperties",
    "ModelMetrics",
    "CustomerMetadataProperties",
    "DriftCheckBaselines",
    "ModelLifeCycle",
    "LastModifiedTime",
)
_SUMMARY_MEMBERS = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelLifeCycle",
    "ModelPackageRegistrationType",
)
_BATCH_MEMBERS = tuple(name for name in _SUMMARY_MEMBERS if name != "ModelLifeCycle")


class ModelRegistry(ModelPackageGroups):
    """The operations on model packages; those on their groups are inherited.

    `events` is called with each event, shaped as EventBridge delivers it.
    """

    def __init__(
        self, context: Context, events: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        super().__init__(context)
        self._events = events or (lambda event: None)

    def create_model_package(self, request: Request) -> Response:
        self._require_supported(request)
        containers = (request.get("InferenceSpecification") or {}).get("Containers", [])
        require_model_data(self._context.objects, containers)
        token = request.get("ClientToken")
        with self._store.transaction():
            known = self._store.get(_TOKEN, token) if token else None
            if known:
                return {"ModelPackageArn": known["ModelPackageArn"]}
            group = self._group_of_new_package(request["ModelPackageGroupName"])
            version = group["LastVersion"] + 1
            self._store.update("model-package-group", group["Key"], LastVersion=version)
            name = group["ModelPackageGroupName"]
            arn = self._context.arn("sagemaker", f"model-package/{name.lower()}/{version}")
            now = self._context.now()
            record = {
                "ModelApprovalStatus": "PendingManualApproval",
                "CertifyForMarketplace": False,
                "SkipModelValidation": "None",
                **{key: value for key, value in request.items() if key not in _NOT_KEPT},
                "ModelPackageGroupName": name,
                "ModelPackageVersion": version,
                "ModelPackageArn": arn,
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CreationTime": now,
                "LastModifiedTime": now,
                "CreatedBy": {},
            }
            self._store.put(PACKAGE, _key(name, version), record)
            if token:
                self._store.put(_TOKEN, token, {"ModelPackageArn": arn})
        self._announce(record, [])
        return {"ModelPackageArn": arn}

    def describe_model_package(self, request: Request) -> Response:
        record = self._package(request["ModelPackageName"])
        # The API requires a name of every package; a version's is its group's.
        return {"ModelPackageName": record["ModelPackageGroupName"], **record}

    def update_model_package(self, request: Request) -> Response:
        """Changes what may change, and announces it. An empty change is refused by AWS too."""
        replaceable = (
            "ModelApprovalStatus",
            "ApprovalDescription",
            "ModelPackageRegistrationType",
            "InferenceSpecification",
            "SourceUri",
            "ModelCard",
            "ModelLifeCycle",
        )
        with self._store.transaction():
            record = self._package(request["ModelPackageArn"])
            changes = {name: request[name] for name in replaceable if name in request}
            containers = (changes.get("InferenceSpecification") or {}).get("Containers", [])
            require_model_data(self._context.objects, containers)
            changes |= _changed_lists(record, request)
            if not changes:
                raise ValidationError("At least one member to update must be given.")
            key = _key(record["ModelPackageGroupName"], record["ModelPackageVersion"])
            stamp = {"LastModifiedTime": self._context.now(), "LastModifiedBy": {}}
            record = self._store.update(PACKAGE, key, **changes, **stamp)
        self._announce(record, list(changes))
        return {"ModelPackageArn": record["ModelPackageArn"]}

    def list_model_packages(self, request: Request) -> Response:
        """Without a group AWS lists unversioned packages, of which there are none here."""
        kind = request.get("ModelPackageType", "Unversioned")
        group = request.get("ModelPackageGroupName")
        records: list[Response] = []
        if group:
            records = self._store.all(PACKAGE, f"{self._group(group)['Key']}/")
        elif kind in ("Versioned", "Both"):
            records = self._store.all(PACKAGE)
        status = request.get("ModelApprovalStatus")
        found, more = page(
            [
                {**r, "Label": _label(r)}
                for r in records
                if status in (None, r["ModelApprovalStatus"])
            ],
            request,
            name="Label",
        )
        summaries = [_members(record, _SUMMARY_MEMBERS) for record in found]
        return {"ModelPackageSummaryList": summaries, **more}

    def delete_model_package(self, request: Request) -> Response:
        record = self._package(request["ModelPackageName"])
        self._store.delete(
            PACKAGE, _key(record["ModelPackageGroupName"], record["ModelPackageVersion"])
        )
        return {}

    def batch_describe_model_package(self, request: Request) -> Response:
        summaries, errors = {}, {}
        for arn in request["ModelPackageArnList"]:
            try:
                record = self._package(arn)
            except ValidationError as error:
                errors[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
                continue
            summary = _members(record, _BATCH_MEMBERS)
            specification = record.get("InferenceSpecification", {"Containers": []})
            summaries[arn] = {**summary, "InferenceSpecification": specification}
        return {
            "ModelPackageSummaries": summaries,
            "BatchDescribeModelPackageErrorMap": errors,
        }

    def _require_supported(self, request: Request) -> None:
        name, group = request.get("ModelPackageName"), request.get("ModelPackageGroupName")
        if name and group:
            raise ValidationError(
                "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
                "Cannot determine which one to use."
            )
        if not name and not group:
            raise ValidationError("Missing ARN: give a ModelPackageGroupName.")
        for member in _REFUSED:
            if request.get(member):
                raise NotImplementedHere(
                    f"localaws does not support {member} in CreateModelPackage; it registers "
                    "versions in a group."
                )
        if request.get("Tags"):
            raise ValidationError(
                "Tags cannot be given for a version; it uses those of its model package group."
            )

    def _group_of_new_package(self, name_or_arn: str) -> Response:
        try:
            return self._group(name_or_arn)
        except ValidationError:
            raise ValidationError("Model Package Group does not exist.") from None

    def _package(self, arn: str) -> Response:
        """A version's record, from its ARN or `<group>/<version>`."""
        match = re.fullmatch(r"(?:.*:model-package/)?([^/:]+)/(\d+)", arn)
        record = self._store.get(PACKAGE, _key(match[1], int(match[2]))) if match else None
        if record is None:
            full = arn if ":" in arn else self._context.arn("sagemaker", f"model-package/{arn}")
            raise ValidationError(f"ModelPackage {full} does not exist.")
        return record

    def _announce(self, record: Response, changed: list[str]) -> None:
        now = self._context.now()
        self._events(
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "SageMaker Model Package State Change",
                "source": "aws.sagemaker",
                "account": self._context.account,
                "time": _as_event_time(now),
                "region": self._context.region,
                "resources": [record["ModelPackageArn"]],
                "detail": {
                    **_plain(_members(record, _EVENT_MEMBERS)),
                    # The documentation spells this one field with a small letter.
                    "UpdatedModelPackageFields": [
                        "sourceUri" if name == "SourceUri" else name for name in changed
                    ],
                },
            }
        )


_NOT_KEPT = ("Tags", "ClientToken")
_REFUSED = (
    "ModelPackageName",
    "ValidationSpecification",
    "SourceAlgorithmSpecification",
    "CertifyForMarketplace",
    "ManagedStorageType",
)


def _key(group: str, version: int) -> str:
    return f"{group.lower()}/{version:09d}"


def _label(record: Response) -> str:
    return _key(record["ModelPackageGroupName"], record["ModelPackageVersion"])


def _members(record: Response, names: tuple[str, ...]) -> Response:
    return {name: record[name] for name in names if name in record}


def _changed_lists(record: Response, request: Request) -> Response:
    """The members of which an update changes only parts."""
    changes: Response = {}
    added = request.get("CustomerMetadataProperties") or {}
    removed = request.get("CustomerMetadataPropertiesToRemove") or []
    if added or removed:
        properties = {**record.get("CustomerMetadataProperties", {}), **added}
        changes["CustomerMetadataProperties"] = {
            name: value for name, value in properties.items() if name not in removed
        }
    specifications = request.get("AdditionalInferenceSpecificationsToAdd")
    if specifications:
        present = record.get("AdditionalInferenceSpecifications", [])
        taken = {item["Name"] for item in present}
        for item in specifications:
            if item["Name"] in taken:
                raise Conflict(f"An inference specification {item['Name']!r} is there already.")
        changes["AdditionalInferenceSpecifications"] = [*present, *specifications]
    return changes


def _as_event_time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(value: Any) -> Any:
    """A value as an event's JSON carries it: times as text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _as_event_time(value) if isinstance(value, datetime.datetime) else value
