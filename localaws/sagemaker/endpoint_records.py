"""What is kept of an endpoint, how Describe shows it, and the events that its changes send.

A record holds the specification of the fleet that serves (`Fleet`), and while it changes the one
that comes (`Pending`), so that the next start of the server can go on from either.
"""

import datetime
import logging
import re
import uuid
from collections.abc import Callable
from typing import Any

from localaws.context import Context
from localaws.errors import ValidationError
from localaws.hosting.spec import FleetSpec, VariantSpec
from localaws.sagemaker.service import Response
from localaws.sagemaker.tags import Tags

log = logging.getLogger(__name__)

KIND = "endpoint"
CREATING, UPDATING, ROLLING_BACK = "Creating", "Updating", "RollingBack"
IN_SERVICE, FAILED, DELETING = "InService", "Failed", "Deleting"
IN_PROGRESS = frozenset({CREATING, UPDATING, ROLLING_BACK, DELETING, "SystemUpdating"})
_LONGEST_REASON = 1024  # characters, the API's limit

Events = Callable[[dict[str, Any]], None]


class EndpointRecords:
    """The endpoints' records; each change of status is announced."""

    def __init__(self, context: Context, events: Events) -> None:
        self._context, self._store, self._events = context, context.store, events
        self._tags = Tags(context)

    def arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"endpoint/{name.lower()}")

    def get(self, name: str) -> Response:
        """The record. ValidationError when there is none."""
        record = self._store.get(KIND, name)
        if record is None:
            raise ValidationError(f'Could not find endpoint "{self.arn(name)}".')
        return record

    def all(self) -> list[Response]:
        return self._store.all(KIND)

    def create(self, name: str, spec: FleetSpec, deployment: Response | None) -> None:
        """ValidationError when the name is taken. The caller announces it."""
        now = self._context.now()
        if self._store.get(KIND, name):
            raise ValidationError(f'Cannot create already existing endpoint "{self.arn(name)}".')
        record = {
            "EndpointName": name,
            "EndpointConfigName": spec.config,
            "EndpointStatus": CREATING,
            "CreationTime": now,
            "LastModifiedTime": now,
            "Fleet": spec.to_json(),
            "LastDeploymentConfig": deployment,
        }
        self._store.put(KIND, name, record)

    def change(self, name: str, status: str, **members: Any) -> Response:
        """Sets the status and other members, and announces it."""
        reason = members.get("FailureReason")
        if reason:
            members["FailureReason"] = reason[:_LONGEST_REASON]
        record = self._store.update(
            KIND,
            name,
            EndpointStatus=status,
            LastModifiedTime=self._context.now(),
            **members,
        )
        self.announce(record)
        return record

    def note(self, name: str, status: str, message: str) -> None:
        """What a deployment does now: VariantStatus in Describe, and an event."""
        with self._store.transaction():
            record = self.get(name)
            pending = record.get("Pending")
            if not pending:
                return
            now = self._context.now()
            pending["Status"] = {"Status": status, "StatusMessage": message, "StartTime": now}
            self._store.put(KIND, name, record)
        self._send("SageMaker Endpoint Deployment State Change", record, self._summary(pending))

    def delete(self, name: str) -> None:
        self._store.delete(KIND, name)
        self._tags.drop(self.arn(name))

    def announce(self, record: Response) -> None:
        self._send("SageMaker Endpoint State Change", record, None)

    def describe(self, record: Response) -> Response:
        """The record as DescribeEndpoint shows it."""
        shown = {
            key: record[key]
            for key in (
                "EndpointName",
                "EndpointConfigName",
                "EndpointStatus",
                "CreationTime",
                "LastModifiedTime",
                "FailureReason",
                "LastDeploymentConfig",
            )
            if record.get(key)
        }
        shown["EndpointArn"] = self.arn(record["EndpointName"])
        spec = FleetSpec.from_json(record["Fleet"])
        if record["EndpointStatus"] not in (CREATING, FAILED):
            created = record["CreationTime"]
            shown["ProductionVariants"] = [_variant(v, created) for v in spec.variants]
        if spec.capture:
            shown["DataCaptureConfig"] = _capture(spec.capture)
        if record.get("Pending"):
            shown["PendingDeploymentSummary"] = self._summary(record["Pending"])
        return shown

    def _summary(self, pending: Response) -> Response:
        spec = FleetSpec.from_json(pending["Fleet"])
        variants = [_variant(v, pending["StartTime"]) for v in spec.variants]
        if pending.get("Status"):
            variants = [{**variant, "VariantStatus": [pending["Status"]]} for variant in variants]
        return {
            "EndpointConfigName": spec.config,
            "StartTime": pending["StartTime"],
            "ProductionVariants": variants,
        }

    def _send(self, kind: str, record: Response, summary: Response | None) -> None:
        shown = self.describe(record)
        names = ("EndpointName", "EndpointArn", "EndpointConfigName", "FailureReason")
        detail: Response = {name: shown[name] for name in names if name in shown}
        spec = FleetSpec.from_json(record["Fleet"])
        detail |= {
            "ProductionVariants": [
                {
                    "VariantName": variant.name,
                    "DesiredWeight": variant.weight,
                    "DesiredInstanceCount": variant.instances,
                }
                for variant in spec.variants
            ],
            # Upper case with underscores, unlike the API.
            "EndpointStatus": _upper_snake(record["EndpointStatus"]),
            "CreationTime": record["CreationTime"],
            "LastModifiedTime": record["LastModifiedTime"],
            "Tags": {tag["Key"]: tag["Value"] for tag in self._tags.of(shown["EndpointArn"])},
        }
        if summary:
            detail["PendingDeploymentSummary"] = summary
        self._deliver(
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": kind,
                "source": "aws.sagemaker",
                "account": self._context.account,
                "time": self._context.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": self._context.region,
                "resources": [shown["EndpointArn"]],
                "detail": _with_milliseconds(detail),
            }
        )

    def _deliver(self, event: dict[str, Any]) -> None:
        try:
            self._events(event)
        except Exception:  # a rule's broken target must not end a deployment
            log.exception("the event %s was not delivered", event["detail-type"])


def _variant(variant: VariantSpec, resolved: datetime.datetime) -> Response:
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.image, "ResolutionTime": resolved}],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": variant.instances,
        "DesiredInstanceCount": variant.instances,
    }


def _capture(settings: Response) -> Response:
    enabled = settings.get("EnableCapture", True)
    summary = {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": settings["InitialSamplingPercentage"],
        "DestinationS3Uri": settings["DestinationS3Uri"],
        "KmsKeyId": settings.get("KmsKeyId"),
    }
    return {key: value for key, value in summary.items() if value is not None}


def _upper_snake(status: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", status).upper()


def _with_milliseconds(value: Any) -> Any:
    """Times as the endpoint events carry them: milliseconds since 1970."""
    if isinstance(value, dict):
        return {key: _with_milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_milliseconds(item) for item in value]
    return int(value.timestamp() * 1000) if isinstance(value, datetime.datetime) else value
