"""When a schedule runs, and which span of time an execution looks at.

    NOW                 once; needs DataAnalysisStartTime and DataAnalysisEndTime
    cron(0 * ? * * *)   every hour, over the hour before
    cron(0 H ? * * *)   every day at H, over the 24 hours before
    cron(0 H/N ? * * *) every N hours counted from H, over the N hours before

Offsets (`-PT1H`, `-P1D`) count back from the scheduled time and replace the span before it.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-schedule-expression.html
"""

import datetime
import re
from typing import Any

from localaws.errors import ValidationError

Json = dict[str, Any]
Span = tuple[datetime.datetime, datetime.datetime]

NOW = "NOW"
_HOURLY = "cron(0 * ? * * *)"
_CRON = re.compile(r"cron\(0 (\*|(?:[01]\d|2[0-3]|\d))(?:/(0?[1-9]|1\d|2[0-4]))? \? \* \* \*\)")
_OFFSET = re.compile(r"-P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
_HOUR, _DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


def check(schedule: Json | None, max_runtime: int) -> None:
    """ValidationError for a ScheduleConfig that AWS refuses."""
    if schedule is None:
        raise ValidationError("MonitoringScheduleConfig needs a ScheduleConfig.")
    expression = schedule["ScheduleExpression"]
    if expression == NOW:
        _check_window(schedule)
    else:
        _cron(expression)
    if expression == _HOURLY and max_runtime > _HOUR.total_seconds():
        raise ValidationError(
            "MaxRuntimeInSeconds of an hourly schedule must be at most 3600 seconds."
        )


def last_due(expression: str, now: datetime.datetime) -> datetime.datetime:
    """The latest time, up to now, at which a cron expression is due."""
    start, hours = _cron(expression)
    due = now.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    while (due.hour - start) % hours:
        due -= _HOUR
    return due


def span(schedule: Json, source: Json, scheduled: datetime.datetime) -> Span:
    """From when to when an execution's data is: by the schedule's offsets, the input's, or neither.

    `source` is the EndpointInput. ValidationError when the offsets leave nothing.
    """
    for place, start, end in (
        (schedule, "DataAnalysisStartTime", "DataAnalysisEndTime"),
        (source, "StartTimeOffset", "EndTimeOffset"),
    ):
        if place.get(start) or place.get(end):
            first, last = place.get(start) or "-PT1H", place.get(end) or "-PT0H"
            if not _before(first) > _before(last):
                raise ValidationError(f"{start} {first} must lie before {end} {last}.")
            return scheduled - _before(first), scheduled - _before(last)
    _, hours = _cron(schedule["ScheduleExpression"])
    return scheduled - hours * _HOUR, scheduled


def hours_of(window: Span) -> list[datetime.datetime]:
    """The hours that a span touches, as data capture's folders count them."""
    hour = window[0].astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    found = []
    while hour < window[1]:
        found.append(hour)
        hour += _HOUR
    return found


def _cron(expression: str) -> tuple[int, int]:
    """The first hour, and the hours between two times."""
    match = _CRON.fullmatch(expression)
    if not match or (match[1] == "*" and match[2]):
        raise ValidationError(
            f"Invalid ScheduleExpression {expression!r}: use NOW, cron(0 * ? * * *), "
            "cron(0 [00-23] ? * * *) or cron(0 [00-23]/[01-24] ? * * *)."
        )
    if match[1] == "*":
        return 0, 1
    return int(match[1]), int(match[2] or 24)


def _check_window(schedule: Json) -> None:
    offsets = [schedule.get(f"DataAnalysis{end}Time") for end in ("Start", "End")]
    if None in offsets:
        raise ValidationError(
            "ScheduleExpression NOW needs DataAnalysisStartTime and DataAnalysisEndTime."
        )
    start, end = (_before(str(offset)) for offset in offsets)
    if not datetime.timedelta(0) < start - end <= _DAY:
        raise ValidationError(
            "DataAnalysisStartTime must lie before DataAnalysisEndTime, by at most 24 hours."
        )


def _before(offset: str) -> datetime.timedelta:
    match = _OFFSET.fullmatch(offset)
    if not match or not any(match.groups()):
        raise ValidationError(f"{offset!r} is not an offset like -PT1H.")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return datetime.timedelta(days=days, hours=hours, minutes=minutes)
