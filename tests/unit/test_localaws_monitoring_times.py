"""When schedules are due, and which span of time their executions look at."""

import datetime

import pytest

from localaws.errors import ValidationError
from localaws.monitoring import times

HOURLY, DAILY, EVERY_SIX = "cron(0 * ? * * *)", "cron(0 17 ? * * *)", "cron(0 05/6 ? * * *)"


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("expression", "now", "due"),
    [
        (HOURLY, "2026-03-01T10:00:00", "2026-03-01T10:00:00"),
        (HOURLY, "2026-03-01T10:59:59", "2026-03-01T10:00:00"),
        (DAILY, "2026-03-01T16:59:59", "2026-02-28T17:00:00"),
        (DAILY, "2026-03-01T17:00:00", "2026-03-01T17:00:00"),
        (EVERY_SIX, "2026-03-01T04:30:00", "2026-02-28T23:00:00"),
        (EVERY_SIX, "2026-03-01T11:30:00", "2026-03-01T11:00:00"),
        ("cron(0 17/12 ? * * *)", "2026-03-01T06:00:00", "2026-03-01T05:00:00"),
    ],
)
def test_a_cron_expression_is_due_at_its_hours(expression: str, now: str, due: str) -> None:
    assert times.last_due(expression, at(now)) == at(due)


@pytest.mark.parametrize(("expression", "hours"), [(HOURLY, 1), (DAILY, 24), (EVERY_SIX, 6)])
def test_without_offsets_an_execution_looks_back_to_the_one_before(
    expression: str, hours: int
) -> None:
    scheduled = at("2026-03-01T17:00:00")
    span = times.span({"ScheduleExpression": expression}, {}, scheduled)
    assert span == (scheduled - datetime.timedelta(hours=hours), scheduled)


def test_offsets_of_the_schedule_go_before_those_of_the_input() -> None:
    scheduled = at("2026-03-09T10:30:00")
    schedule = {"ScheduleExpression": times.NOW}
    source = {"StartTimeOffset": "-P8D", "EndTimeOffset": "-P7D"}
    assert times.span({**schedule}, source, scheduled) == (
        at("2026-03-01T10:30:00"),
        at("2026-03-02T10:30:00"),
    )
    schedule |= {"DataAnalysisStartTime": "-PT2H", "DataAnalysisEndTime": "-PT30M"}
    assert times.span(schedule, source, scheduled) == (
        at("2026-03-09T08:30:00"),
        at("2026-03-09T10:00:00"),
    )


def test_offsets_that_leave_nothing_are_refused() -> None:
    source = {"StartTimeOffset": "-P1D", "EndTimeOffset": "-P1D"}
    with pytest.raises(ValidationError, match="StartTimeOffset -P1D must lie before"):
        times.span({"ScheduleExpression": HOURLY}, source, at("2026-03-09T10:00:00"))


def test_every_hour_that_a_span_touches_counts() -> None:
    window = at("2026-02-28T23:30:00"), at("2026-03-01T01:00:00")
    assert times.hours_of(window) == [at("2026-02-28T23:00:00"), at("2026-03-01T00:00:00")]
