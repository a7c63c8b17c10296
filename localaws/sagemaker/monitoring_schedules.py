"""Monitoring schedules as the API shows them: created, checked, described, stopped, deleted.

`localaws.monitoring` runs them. An endpoint cannot be deleted before its schedules
(`schedules_of`).

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMonitoringSchedule.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-schedule-expression.html
"""

import datetime

from localaws.context import Context
from localaws.errors import InUse, NotFound, NotImplementedHere, ValidationError
from localaws.monitoring import times
from localaws.monitoring.executions import Executions
from localaws.sagemaker.job_definitions import (
    DataQualityJobDefinitions,
    ModelMonitor,
    as_inline,
    require_endpoint,
)
from localaws.sagemaker.listing import as_time, page
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags
from localaws.store import Store

KIND = "monitoring-schedule"
_SUMMARY = (
    "MonitoringScheduleName",
    "MonitoringScheduleArn",
    "CreationTime",
    "LastModifiedTime",
    "MonitoringScheduleStatus",
    "EndpointName",
    "MonitoringType",
)


def schedules_of(store: Store, endpoint: str) -> list[str]:
    """The names of the schedules that monitor an endpoint."""
    found = (r for r in store.all(KIND) if r.get("EndpointName") == endpoint)
    return sorted(record["MonitoringScheduleName"] for record in found)


class MonitoringSchedules:
    """CreateMonitoringSchedule and its siblings."""

    def __init__(
        self, context: Context, definitions: DataQualityJobDefinitions, executions: Executions
    ) -> None:
        self._context, self._store, self._executions = context, context.store, executions
        self._definitions, self._tags = definitions, Tags(context)
        self._monitor = ModelMonitor(context.home)

    def create_monitoring_schedule(self, request: Request) -> Response:
        self._monitor.require()
        name, config = request["MonitoringScheduleName"], request["MonitoringScheduleConfig"]
        arn = self._arn(name)
        checked = self._checked(config)
        with self._store.transaction():
            if self._store.get(KIND, name):
                raise InUse(f"Monitoring schedule {arn} already exists.")
            now = self._context.now()
            record = {
                "MonitoringScheduleName": name,
                "MonitoringScheduleArn": arn,
                "MonitoringScheduleStatus": "Scheduled",
                "CreationTime": now,
                "LastModifiedTime": now,
                "_since": now,
                **checked,
            }
            self._store.put(KIND, name, record)
            self._tags.keep(arn, request.get("Tags"))
        return {"MonitoringScheduleArn": arn}

    def describe_monitoring_schedule(self, request: Request) -> Response:
        record = self._record(request["MonitoringScheduleName"])
        last = self._executions.last(record["MonitoringScheduleName"])
        shown = {name: value for name, value in record.items() if not name.startswith("_")}
        return {**shown, **({"LastMonitoringExecutionSummary": last} if last else {})}

    def update_monitoring_schedule(self, request: Request) -> Response:
        name = request["MonitoringScheduleName"]
        checked = self._checked(request["MonitoringScheduleConfig"])
        record = self._record(name)
        if checked["MonitoringType"] != record["MonitoringType"]:
            raise ValidationError("The MonitoringType of a schedule cannot be changed.")
        self._change(name, _since=self._context.now(), **checked)
        return {"MonitoringScheduleArn": record["MonitoringScheduleArn"]}

    def start_monitoring_schedule(self, request: Request) -> Response:
        """What was missed while it was stopped stays missed; a one-time run is not repeated."""
        record = self._record(request["MonitoringScheduleName"])
        since: datetime.datetime | None = record.get("_since")
        if record["MonitoringScheduleStatus"] == "Stopped" and not is_once(record):
            since = self._context.now()
        name = record["MonitoringScheduleName"]
        self._change(name, MonitoringScheduleStatus="Scheduled", _since=since)
        return {}

    def stop_monitoring_schedule(self, request: Request) -> Response:
        self._change(request["MonitoringScheduleName"], MonitoringScheduleStatus="Stopped")
        return {}

    def delete_monitoring_schedule(self, request: Request) -> Response:
        record = self._record(request["MonitoringScheduleName"])
        self._store.delete(KIND, record["MonitoringScheduleName"])
        self._tags.drop(record["MonitoringScheduleArn"])
        return {}

    def list_monitoring_schedules(self, request: Request) -> Response:
        records = [r for r in self._store.all(KIND) if _matches(r, request)]
        for record in records:
            record["Label"] = record["MonitoringScheduleName"]
            if request.get("SortBy") == "Status":
                record["Label"] = f"{record['MonitoringScheduleStatus']}/{record['Label']}"
        found, more = page(records, request, name="Label", default_size=10)
        return {"MonitoringScheduleSummaries": [_summary(record) for record in found], **more}

    def list_monitoring_executions(self, request: Request) -> Response:
        return self._executions.summaries(request)

    def definition(self, config: Response) -> Response:
        """What a MonitoringScheduleConfig runs, in the shape of a MonitoringJobDefinition.

        NotFound for a definition by name that is gone.
        """
        inline: Response | None = config.get("MonitoringJobDefinition")
        return inline or as_inline(self._definitions.find(config["MonitoringJobDefinitionName"]))

    def _change(self, name: str, **members: object) -> None:
        self._record(name)
        self._store.update(KIND, name, LastModifiedTime=self._context.now(), **members)

    def _checked(self, config: Response) -> Response:
        """The members of the record that come from a MonitoringScheduleConfig."""
        inline, name = (
            config.get("MonitoringJobDefinition"),
            config.get("MonitoringJobDefinitionName"),
        )
        if bool(inline) == bool(name):
            raise ValidationError(
                "Give either MonitoringJobDefinition or MonitoringJobDefinitionName."
            )
        kind = config.get("MonitoringType") or "DataQuality"
        if kind != "DataQuality":
            raise NotImplementedHere(f"localaws has no schedules of MonitoringType {kind}.")
        definition = self.definition(config)
        source = definition["MonitoringInputs"][0].get("EndpointInput")
        if not source:
            raise NotImplementedHere("localaws monitors endpoints, not a BatchTransformInput.")
        endpoint = source["EndpointName"]
        require_endpoint(self._context, endpoint)
        stopping = definition.get("StoppingCondition") or {}
        times.check(config.get("ScheduleConfig"), stopping.get("MaxRuntimeInSeconds", 0))
        return {
            "MonitoringScheduleConfig": config,
            "MonitoringType": kind,
            "EndpointName": endpoint,
        }

    def _arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"monitoring-schedule/{name.lower()}")

    def _record(self, name: str) -> Response:
        record = self._store.get(KIND, name)
        if record is None:
            raise NotFound(f"Monitoring schedule {self._arn(name)} does not exist.")
        return record


def is_once(record: Response) -> bool:
    """Whether it is a one-time schedule."""
    schedule = record["MonitoringScheduleConfig"]["ScheduleConfig"]
    return bool(schedule["ScheduleExpression"] == times.NOW)


def _matches(record: Response, request: Request) -> bool:
    wanted = {
        "EndpointName": record.get("EndpointName"),
        "StatusEquals": record["MonitoringScheduleStatus"],
        "MonitoringTypeEquals": record["MonitoringType"],
        "MonitoringJobDefinitionName": record["MonitoringScheduleConfig"].get(
            "MonitoringJobDefinitionName"
        ),
    }
    modified = record["LastModifiedTime"]
    after, before = (request.get(f"LastModifiedTime{end}") for end in ("After", "Before"))
    return (
        all(request.get(member) in (None, value) for member, value in wanted.items())
        and (after is None or modified >= as_time(after))
        and (before is None or modified <= as_time(before))
    )


def _summary(record: Response) -> Response:
    summary = {member: record[member] for member in _SUMMARY if member in record}
    name = record["MonitoringScheduleConfig"].get("MonitoringJobDefinitionName")
    return {**summary, **({"MonitoringJobDefinitionName": name} if name else {})}
