"""Endpoints: the calls that create, change and delete them, and the rules for when.

A call checks the endpoint's state, notes what is wanted and returns; `endpoint_changes` does it.
An endpoint that changes refuses every other change, as on AWS.
Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html and its
siblings.
"""

import dataclasses
from typing import Any

from localaws.context import Context
from localaws.errors import NotImplementedHere, ValidationError
from localaws.hosting.deployment import AlarmStates, Plan
from localaws.hosting.live import Hosting
from localaws.hosting.spec import FleetSpec
from localaws.sagemaker.endpoint_changes import EndpointChanges
from localaws.sagemaker.endpoint_configs import EndpointConfigs
from localaws.sagemaker.endpoint_records import (
    DELETING,
    FAILED,
    IN_PROGRESS,
    UPDATING,
    EndpointRecords,
    Events,
)
from localaws.sagemaker.listing import as_time, page
from localaws.sagemaker.monitoring_schedules import schedules_of
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags

_SUMMARY = ("EndpointName", "CreationTime", "LastModifiedTime", "EndpointStatus")
_PROPERTIES = {"DesiredInstanceCount": "instances", "DesiredWeight": "weight"}


class Endpoints:
    """The operations on endpoints. `alarm_states` gives the states of the alarms that exist."""

    def __init__(
        self,
        context: Context,
        configs: EndpointConfigs,
        hosting: Hosting,
        events: Events,
        alarm_states: AlarmStates,
    ) -> None:
        self._context, self._store = context, context.store
        self._configs, self._hosting = configs, hosting
        self._alarm_states = alarm_states
        self._records = EndpointRecords(context, events)
        self._changes = EndpointChanges(self._records, hosting, alarm_states)
        self._tags = Tags(context)

    def create_endpoint(self, request: Request) -> Response:
        name = request["EndpointName"]
        spec = self._configs.fleet_spec(name, request["EndpointConfigName"])
        deployment = request.get("DeploymentConfig")
        self._plan(deployment, spec)
        with self._store.transaction():
            self._records.create(name, spec, deployment)
            self._tags.keep(self._records.arn(name), request.get("Tags"))
        self._records.announce(self._records.get(name))
        self._changes.create(name)
        return {"EndpointArn": self._records.arn(name)}

    def describe_endpoint(self, request: Request) -> Response:
        return self._records.describe(self._records.get(request["EndpointName"]))

    def list_endpoints(self, request: Request) -> Response:
        status = request.get("StatusEquals")
        after, before = (request.get(f"LastModifiedTime{end}") for end in ("After", "Before"))
        records = [
            {**record, "Label": record["EndpointName"]}
            for record in self._records.all()
            if status in (None, record["EndpointStatus"])
            and (after is None or record["LastModifiedTime"] >= as_time(after))
            and (before is None or record["LastModifiedTime"] <= as_time(before))
        ]
        if request.get("SortBy") == "Status":
            for record in records:
                record["Label"] = f"{record['EndpointStatus']}/{record['EndpointName']}"
        found, more = page(records, request, name="Label", default_size=10)
        endpoints = [
            {name: record[name] for name in _SUMMARY}
            | {"EndpointArn": self._records.arn(record["EndpointName"])}
            for record in found
        ]
        return {"Endpoints": endpoints, **more}

    def update_endpoint(self, request: Request) -> Response:
        name = request["EndpointName"]
        spec = self._configs.fleet_spec(name, request["EndpointConfigName"])
        with self._store.transaction():
            record = self._changeable(name)
            if request.get("RetainAllVariantProperties"):
                spec = _retaining(spec, record, request.get("ExcludeRetainedVariantProperties"))
            deployment = request.get("DeploymentConfig")
            if request.get("RetainDeploymentConfig"):
                if deployment:
                    raise ValidationError(
                        "Give either DeploymentConfig or RetainDeploymentConfig, not both."
                    )
                deployment = record.get("LastDeploymentConfig")
            self._plan(deployment, spec)
            record = self._begin(record, spec, deployment)
        self._records.announce(record)
        self._changes.update(name)
        return {"EndpointArn": self._records.arn(name)}

    def update_endpoint_weights_and_capacities(self, request: Request) -> Response:
        name = request["EndpointName"]
        with self._store.transaction():
            record = self._changeable(name)
            spec = FleetSpec.from_json(record["Fleet"])
            known = {variant.name for variant in spec.variants}
            changes: dict[str, Response] = {}
            for wanted in request["DesiredWeightsAndCapacities"]:
                if wanted["VariantName"] not in known:
                    raise ValidationError(
                        f'Could not find variant "{wanted["VariantName"]}" of endpoint '
                        f'"{self._records.arn(name)}".'
                    )
                if wanted.get("ServerlessUpdateConfig"):
                    raise NotImplementedHere("localaws has no ServerlessUpdateConfig.")
                changes[wanted["VariantName"]] = {
                    ours: wanted[theirs] for theirs, ours in _PROPERTIES.items() if theirs in wanted
                }
            record = self._begin(record, spec.with_variants(changes), None)
        self._records.announce(record)
        self._changes.resize(name)
        return {"EndpointArn": self._records.arn(name)}

    def delete_endpoint(self, request: Request) -> Response:
        name = request["EndpointName"]
        with self._store.transaction():
            self._require_idle(self._records.get(name))
            schedules = schedules_of(self._store, name)
            if schedules:
                raise ValidationError(
                    f'Cannot delete endpoint "{self._records.arn(name)}" because it has monitoring '
                    f"schedules: {', '.join(schedules)}. Delete them first."
                )
            record = self._store.update(
                "endpoint",
                name,
                EndpointStatus=DELETING,
                LastModifiedTime=self._context.now(),
            )
        self._records.announce(record)
        self._changes.delete(name)
        return {}

    def recover(self) -> None:
        """After a restart: see `endpoint_changes`."""
        self._changes.recover()

    def shutdown(self) -> None:
        self._hosting.shutdown()

    def _plan(self, deployment: Response | None, spec: FleetSpec) -> None:
        """Refuses a DeploymentConfig that does not fit, or that names an alarm that is not there:
        the deployment would never roll back."""
        alarms = list(Plan.of(deployment, spec).alarms)
        missing = sorted(set(alarms) - self._alarm_states(alarms).keys()) if alarms else []
        if missing:
            raise ValidationError(f"Could not find CloudWatch alarms: {', '.join(missing)}.")

    def _changeable(self, name: str) -> Response:
        record = self._records.get(name)
        self._require_idle(record)
        if record["EndpointStatus"] == FAILED:
            raise ValidationError(
                f'Cannot update failed endpoint "{self._records.arn(name)}". Delete it and create '
                "it again."
            )
        return record

    def _require_idle(self, record: Response) -> None:
        if record["EndpointStatus"] in IN_PROGRESS:
            arn = self._records.arn(record["EndpointName"])
            raise ValidationError(f'Cannot update in-progress endpoint "{arn}".')

    def _begin(self, record: Response, spec: FleetSpec, deployment: Response | None) -> Response:
        now = self._context.now()
        pending = {"Fleet": spec.to_json(), "DeploymentConfig": deployment, "StartTime": now}
        return self._store.update(
            "endpoint",
            record["EndpointName"],
            EndpointStatus=UPDATING,
            LastModifiedTime=now,
            FailureReason=None,
            Pending=pending,
        )


def _retaining(spec: FleetSpec, record: Response, excluded: list[Any] | None) -> FleetSpec:
    """The new fleet with the weights and instance counts that the old one has."""
    left_out = {item["VariantPropertyType"] for item in excluded or ()}
    kept = [ours for theirs, ours in _PROPERTIES.items() if theirs not in left_out]
    old = FleetSpec.from_json(record["Fleet"]).variants
    changes = {v.name: {member: dataclasses.asdict(v)[member] for member in kept} for v in old}
    return spec.with_variants(changes)
