"""Monitoring schedules and data quality job definitions as objects."""

from pathlib import Path
from typing import Any

import pytest

from localaws.errors import InUse, NotFound, NotImplementedHere, ValidationError
from localaws.monitoring.executions import Executions
from localaws.sagemaker.job_definitions import MAINTENANCE, DataQualityJobDefinitions
from localaws.sagemaker.monitoring_schedules import MonitoringSchedules, schedules_of
from tests.localaws_parts import Clock, make_context

ROLE = "arn:aws:iam::123456789012:role/scones"
HOURLY = {"ScheduleExpression": "cron(0 * ? * * *)"}
ENDPOINT = {"EndpointInput": {"EndpointName": "ep", "LocalPath": "/opt/ml/processing/input"}}


def no_jobs(request: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError("nothing runs a job here")


class Account:
    def __init__(self, folder: Path) -> None:
        self.context = make_context(folder, Clock())
        self.context.store.put("endpoint", "ep", {"EndpointName": "ep"})
        self.definitions = DataQualityJobDefinitions(self.context)
        executions = Executions(self.context, no_jobs, lambda namespace, data: None)
        self.schedules = MonitoringSchedules(self.context, self.definitions, executions)

    def define(self, name: str = "definition", seconds: int = 1800) -> str:
        arn: str = self.definitions.create_data_quality_job_definition(
            {
                "JobDefinitionName": name,
                "DataQualityAppSpecification": {"ImageUri": "analyzer"},
                "DataQualityJobInput": ENDPOINT,
                "DataQualityJobOutputConfig": {"MonitoringOutputs": []},
                "JobResources": {},
                "RoleArn": ROLE,
                "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
            }
        )["JobDefinitionArn"]
        return arn

    def schedule(self, name: str = "hourly", when: dict[str, str] = HOURLY, **config: Any) -> None:
        config = config or {
            "MonitoringJobDefinitionName": "definition",
            "MonitoringType": "DataQuality",
        }
        self.schedules.create_monitoring_schedule(
            {
                "MonitoringScheduleName": name,
                "MonitoringScheduleConfig": {"ScheduleConfig": when, **config},
            }
        )

    def status(self, name: str = "hourly") -> str:
        described = self.schedules.describe_monitoring_schedule({"MonitoringScheduleName": name})
        return str(described["MonitoringScheduleStatus"])


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def test_a_schedule_by_name_of_its_definition_lives_and_ends(account: Account) -> None:
    account.define()
    account.schedule()
    name = {"MonitoringScheduleName": "hourly"}
    described = account.schedules.describe_monitoring_schedule(name)
    assert described["EndpointName"] == "ep"
    assert described["MonitoringType"] == "DataQuality"
    assert account.status() == "Scheduled"
    account.schedules.stop_monitoring_schedule(name)
    assert account.status() == "Stopped"
    account.schedules.start_monitoring_schedule(name)
    assert account.status() == "Scheduled"
    executions = account.schedules.list_monitoring_executions(name)
    assert executions == {"MonitoringExecutionSummaries": []}
    assert schedules_of(account.context.store, "ep") == ["hourly"]
    account.schedules.delete_monitoring_schedule(name)
    assert schedules_of(account.context.store, "ep") == []
    with pytest.raises(NotFound, match="does not exist"):
        account.status()


def test_a_schedule_may_carry_its_definition(account: Account) -> None:
    account.schedule(
        "inline", MonitoringJobDefinition={"MonitoringInputs": [ENDPOINT], "RoleArn": ROLE}
    )
    (listed,) = account.schedules.list_monitoring_schedules({"EndpointName": "ep"})[
        "MonitoringScheduleSummaries"
    ]
    assert listed["MonitoringScheduleName"] == "inline"


def test_an_update_changes_when_it_runs(account: Account) -> None:
    account.define()
    account.schedule()
    daily = {
        "ScheduleConfig": {"ScheduleExpression": "cron(0 7 ? * * *)"},
        "MonitoringJobDefinitionName": "definition",
        "MonitoringType": "DataQuality",
    }
    request = {"MonitoringScheduleName": "hourly", "MonitoringScheduleConfig": daily}
    account.schedules.update_monitoring_schedule(request)
    described = account.schedules.describe_monitoring_schedule(request)
    assert described["MonitoringScheduleConfig"] == daily


@pytest.mark.parametrize(
    "expression", ["cron(0 * ? * * *)", "cron(0 17 ? * * *)", "cron(0 00/06 ? * * *)"]
)
def test_the_documented_expressions_are_taken(account: Account, expression: str) -> None:
    account.define()
    account.schedule(when={"ScheduleExpression": expression})
    assert account.status() == "Scheduled"


@pytest.mark.parametrize(
    "expression",
    ["cron(0 2 * * ? *)", "cron(5 * ? * * *)", "cron(0 24 ? * * *)", "rate(1 hour)"],
)
def test_every_other_expression_is_refused(account: Account, expression: str) -> None:
    account.define()
    with pytest.raises(ValidationError, match="Invalid ScheduleExpression"):
        account.schedule(when={"ScheduleExpression": expression})


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("-PT1H", "-PT0H", None),
        ("-P1D", "-PT0H", None),
        ("-PT25H", "-PT0H", "by at most 24 hours"),
        ("-PT1H", "-PT2H", "must lie before"),
        ("yesterday", "-PT0H", "not an offset"),
        (None, None, "needs DataAnalysisStartTime"),
    ],
)
def test_now_needs_a_window_of_a_day_at_most(
    account: Account, start: str | None, end: str | None, message: str | None
) -> None:
    account.define()
    window = {"DataAnalysisStartTime": start, "DataAnalysisEndTime": end}
    when = {"ScheduleExpression": "NOW", **{k: v for k, v in window.items() if v}}
    if message is None:
        account.schedule(when=when)
        assert account.status() == "Scheduled"
    else:
        with pytest.raises(ValidationError, match=message):
            account.schedule(when=when)


def test_an_hourly_job_must_end_within_the_hour(account: Account) -> None:
    account.define(seconds=7200)
    with pytest.raises(ValidationError, match="at most 3600"):
        account.schedule()


def test_names_that_are_taken_or_missing_are_refused(account: Account) -> None:
    account.define()
    with pytest.raises(InUse, match="already exists"):
        account.define()
    account.schedule()
    with pytest.raises(InUse, match="already exists"):
        account.schedule()
    with pytest.raises(NotFound, match="does not exist"):
        account.schedule("other", MonitoringJobDefinitionName="none", MonitoringType="DataQuality")
    account.context.store.delete("endpoint", "ep")
    with pytest.raises(ValidationError, match="Could not find endpoint"):
        account.define("other")


def test_other_types_of_monitor_are_refused_by_name(account: Account) -> None:
    with pytest.raises(NotImplementedHere, match="ModelQuality"):
        account.schedule(MonitoringJobDefinitionName="x", MonitoringType="ModelQuality")


def test_a_definition_is_described_listed_and_deleted(account: Account) -> None:
    arn = account.define()
    name = {"JobDefinitionName": "definition"}
    assert account.definitions.describe_data_quality_job_definition(name)["JobDefinitionArn"] == arn
    (listed,) = account.definitions.list_data_quality_job_definitions({"EndpointName": "ep"})[
        "JobDefinitionSummaries"
    ]
    assert listed["EndpointName"] == "ep"
    account.definitions.delete_data_quality_job_definition(name)
    with pytest.raises(NotFound):
        account.definitions.describe_data_quality_job_definition(name)


def test_a_new_account_has_no_model_monitor(account: Account) -> None:
    account.define()
    switch = account.context.home / MAINTENANCE
    switch.touch()
    words = "in maintenance mode and is not available to new customers"
    with pytest.raises(ValidationError, match=words):
        account.schedule()
    with pytest.raises(ValidationError, match=words):
        account.define("other")
    switch.unlink()
    account.schedule()
    assert account.status() == "Scheduled"
