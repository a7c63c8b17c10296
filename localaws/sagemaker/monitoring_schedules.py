"""Monitoring schedules as objects: created, checked, described, stopped, deleted.

What a schedule is for, running the analyzer, is not here yet: it stays `Scheduled` and its list of
executions is empty. An endpoint cannot be deleted before its schedules (`schedules_of`).

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMonitoringSchedule.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-schedule-expression.html
"""

import re

from localaws.context import Context
from localaws.errors import InUse, NotFound, NotImplementedHere, ValidationError
from localaws.sagemaker.job_definitions import (
    DataQualityJobDefinitions,
    ModelMonitor,
    require_endpoint,
)
from localaws.sagemaker.listing import as_time, page
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags
from localaws.store import Store

_KIND = "monitoring-schedule"
_CRON = re.compile(r"cron\(0 (\*|([01]\d|2[0-3]|\d)(/(0?[1-9]|1\d|2[0-4]))?) \? \* \* \*\)")
_HOURLY = "cron(0 * ? * * *)"
_OFFSET = re.compile(r"-P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
_HOUR, _DAY = 3600, 24 * 3600  # seconds
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
    found = (r for r in store.all(_KIND) if r.get("EndpointName") == endpoint)
    return sorted(record["MonitoringScheduleName"] for record in found)


class MonitoringSchedules:
    """CreateMonitoringSchedule and its siblings."""

    def __init__(self, context: Context, definitions: DataQualityJobDefinitions) -> None:
        self._context, self._store = context, context.store
        self._definitions, self._tags = definitions, Tags(context)
        self._monitor = ModelMonitor(context.home)

    def create_monitoring_schedule(self, request: Request) -> Response:
        self._monitor.require()
        name, config = request["MonitoringScheduleName"], request["MonitoringScheduleConfig"]
        arn = self._arn(name)
        checked = self._checked(config)
        with self._store.transaction():
            if self._store.get(_KIND, name):
                raise InUse(f"Monitoring schedule {arn} already exists.")
            now = self._context.now()
            record = {
                "MonitoringScheduleName": name,
                "MonitoringScheduleArn": arn,
                "MonitoringScheduleStatus": "Scheduled",
                "CreationTime": now,
                "LastModifiedTime": now,
                **checked,
            }
            self._store.put(_KIND, name, record)
            self._tags.keep(arn, request.get("Tags"))
        return {"MonitoringScheduleArn": arn}

    def describe_monitoring_schedule(self, request: Request) -> Response:
        return self._record(request["MonitoringScheduleName"])

    def update_monitoring_schedule(self, request: Request) -> Response:
        name = request["MonitoringScheduleName"]
        checked = self._checked(request["MonitoringScheduleConfig"])
        record = self._record(name)
        if checked["MonitoringType"] != record["MonitoringType"]:
            raise ValidationError("The MonitoringType of a schedule cannot be changed.")
        self._change(name, **checked)
        return {"MonitoringScheduleArn": record["MonitoringScheduleArn"]}

    def start_monitoring_schedule(self, request: Request) -> Response:
        self._change(request["MonitoringScheduleName"], MonitoringScheduleStatus="Scheduled")
        return {}

    def stop_monitoring_schedule(self, request: Request) -> Response:
        self._change(request["MonitoringScheduleName"], MonitoringScheduleStatus="Stopped")
        return {}

    def delete_monitoring_schedule(self, request: Request) -> Response:
        record = self._record(request["MonitoringScheduleName"])
        self._store.delete(_KIND, record["MonitoringScheduleName"])
        self._tags.drop(record["MonitoringScheduleArn"])
        return {}

    def list_monitoring_schedules(self, request: Request) -> Response:
        records = [r for r in self._store.all(_KIND) if _matches(r, request)]
        for record in records:
            record["Label"] = record["MonitoringScheduleName"]
            if request.get("SortBy") == "Status":
                record["Label"] = f"{record['MonitoringScheduleStatus']}/{record['Label']}"
        found, more = page(records, request, name="Label", default_size=10)
        return {"MonitoringScheduleSummaries": [_summary(record) for record in found], **more}

    def list_monitoring_executions(self, request: Request) -> Response:
        """Empty: nothing runs a schedule yet."""
        if request.get("MonitoringScheduleName"):
            self._record(request["MonitoringScheduleName"])
        return {"MonitoringExecutionSummaries": []}

    def _change(self, name: str, **members: object) -> None:
        self._record(name)
        self._store.update(_KIND, name, LastModifiedTime=self._context.now(), **members)

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
        if kind != "DataQuality" and name:
            raise NotImplementedHere(f"localaws has no job definitions of MonitoringType {kind}.")
        if inline:
            inputs = inline["MonitoringInputs"][0]
            stopping = inline.get("StoppingCondition") or {}
        else:
            definition = self._definitions.find(str(name))
            inputs = definition["DataQualityJobInput"]
            stopping = definition.get("StoppingCondition") or {}
        endpoint = (inputs.get("EndpointInput") or {}).get("EndpointName")
        if endpoint:
            require_endpoint(self._context, endpoint)
        _check_schedule(config.get("ScheduleConfig"), stopping.get("MaxRuntimeInSeconds", 0))
        return {
            "MonitoringScheduleConfig": config,
            "MonitoringType": kind,
            **({"EndpointName": endpoint} if endpoint else {}),
        }

    def _arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"monitoring-schedule/{name.lower()}")

    def _record(self, name: str) -> Response:
        record = self._store.get(_KIND, name)
        if record is None:
            raise NotFound(f"Monitoring schedule {self._arn(name)} does not exist.")
        return record


def _check_schedule(schedule: Response | None, max_runtime: int) -> None:
    if schedule is None:
        raise ValidationError("MonitoringScheduleConfig needs a ScheduleConfig.")
    expression = schedule["ScheduleExpression"]
    if expression == "NOW":
        _check_window(schedule)
    elif not _CRON.fullmatch(expression):
        raise ValidationError(
            f"Invalid ScheduleExpression {expression!r}: use NOW, cron(0 * ? * * *), "
            "cron(0 [00-23] ? * * *) or cron(0 [00-23]/[01-24] ? * * *)."
        )
    if expression == _HOURLY and max_runtime > _HOUR:
        raise ValidationError(
            "MaxRuntimeInSeconds of an hourly schedule must be at most 3600 seconds."
        )


def _check_window(schedule: Response) -> None:
    offsets = [schedule.get(f"DataAnalysis{end}Time") for end in ("Start", "End")]
    if None in offsets:
        raise ValidationError(
            "ScheduleExpression NOW needs DataAnalysisStartTime and DataAnalysisEndTime."
        )
    start, end = (_seconds_before(str(offset)) for offset in offsets)
    if not 0 < start - end <= _DAY:
        raise ValidationError(
            "DataAnalysisStartTime must lie before DataAnalysisEndTime, by at most 24 hours."
        )


def _seconds_before(offset: str) -> int:
    match = _OFFSET.fullmatch(offset)
    if not match or not any(match.groups()):
        raise ValidationError(f"{offset!r} is not an offset like -PT1H.")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return days * _DAY + hours * _HOUR + minutes * 60


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
