"""Schedules that run: real processing jobs over captured files, on a clock that the test moves."""

import dataclasses
import datetime
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.hosting.spec import FleetSpec, VariantSpec
from localaws.jobs.job import SERVER_STOPPED
from localaws.monitoring.clock import DELAY, Clock
from localaws.monitoring.executions import KIND, Executions
from localaws.sagemaker.job_definitions import DataQualityJobDefinitions
from localaws.sagemaker.monitoring_schedules import MonitoringSchedules
from tests.unit.job_kit import ROLE, Machine, eventually

Json = dict[str, Any]

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/own-monitor:1"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
LOCAL = "/opt/ml/processing/input/endpoint"
START = datetime.datetime(2026, 3, 1, 9, 30, tzinfo=datetime.UTC)
HOURLY = {"ScheduleExpression": "cron(0 * ? * * *)"}

# A container of the user's own: says what it was given, and ends as the file in its window says.
OWN = """
import json, os, pathlib, time
files = sorted(str(p) for p in pathlib.Path(os.environ["dataset_source"]).rglob("*.jsonl"))
told = {"files": files, "env": dict(os.environ)}
pathlib.Path(os.environ["output_path"], "told.json").write_text(json.dumps(told))
text = pathlib.Path(files[0]).read_text()
metrics = pathlib.Path("/opt/ml/output/metrics/cloudwatch")
metrics.mkdir(parents=True)
line = {"MetricName": "feature_non_null_a", "Value": 3, "Timestamp": "2026-03-01T10:00:00Z",
        "Dimensions": [{"Name": "Endpoint", "Value": "ep"}]}
(metrics / "one.jsonl").write_text(json.dumps(line) + "\\nno metric\\n")
if "wait" in text:
    time.sleep(60)
if "fail" in text:
    raise SystemExit("out of ideas")
words = "with no violations" if "clean" in text else "with 2 violations"
kind = "Completed" if "clean" in text else "CompletedWithViolations"
pathlib.Path("/opt/ml/output/message").write_text(f"{kind}: Job completed successfully {words}.")
"""


class Account:
    """An endpoint with capture, its schedules, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.time = START
        self.put: list[tuple[str, list[Json]]] = []
        self.context = dataclasses.replace(self.machine.context, now=lambda: self.time)
        variant = VariantSpec("v", "m", "i", None, False, {}, ROLE, True, 1.0, 1, 1.0)
        capture = {
            "DestinationS3Uri": "s3://data/capture/",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        }
        fleet = FleetSpec("ep", "c", (variant,), capture)
        self.context.store.put("endpoint", "ep", {"EndpointName": "ep", "Fleet": fleet.to_json()})
        self.definitions = DataQualityJobDefinitions(self.context)
        self.executions = Executions(
            self.context,
            self.machine.processing.create_processing_job,
            lambda namespace, data: self.put.append((namespace, data)),
        )
        self.schedules = MonitoringSchedules(self.context, self.definitions, self.executions)
        self.clock = Clock(self.context, self.schedules, self.executions)

    def define(self, image: str = IMAGE, **app: Any) -> None:
        entrypoint = {"ContainerEntrypoint": ["python3", "-c", OWN]} if image == IMAGE else {}
        self.definitions.create_data_quality_job_definition(
            {
                "JobDefinitionName": "definition",
                "DataQualityAppSpecification": {"ImageUri": image, **entrypoint, **app},
                "DataQualityJobInput": {
                    "EndpointInput": {"EndpointName": "ep", "LocalPath": LOCAL}
                },
                "DataQualityJobOutputConfig": outputs(),
                "JobResources": {"ClusterConfig": cluster()},
                "RoleArn": ROLE,
            }
        )

    def schedule(self, when: Json = HOURLY, name: str = "s", **config: Any) -> None:
        config = config or {"MonitoringJobDefinitionName": "definition"}
        self.schedules.create_monitoring_schedule(
            {
                "MonitoringScheduleName": name,
                "MonitoringScheduleConfig": {"ScheduleConfig": when, **config},
            }
        )

    def capture(self, hour: str, text: str = "clean") -> None:
        self.machine.put(f"capture/ep/v/2026/03/01/{hour}/05-00-000-x.jsonl", text)

    def look_at(self, hour: int, minute: int = 0, second: int = 0) -> None:
        """The clock looks at this time of the first day."""
        self.time = START.replace(hour=hour, minute=minute, second=second)
        self.clock.look()

    def all(self, **filters: Any) -> list[Json]:
        answer = self.schedules.list_monitoring_executions(filters)
        found: list[Json] = answer["MonitoringExecutionSummaries"]
        return found

    def ended(self) -> Json:
        """The only execution, once it is over."""
        over = ("Completed", "CompletedWithViolations", "Failed", "Stopped")
        eventually(lambda: self.all()[0]["MonitoringExecutionStatus"] in over, "it ends")
        (found,) = self.all()
        return found

    def told(self, hour: str) -> Json:
        told: Json = json.loads(self.machine.get(f"monitoring/ep/s/2026/03/01/{hour}/told.json"))
        return told


def cluster() -> Json:
    return {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}


def outputs() -> Json:
    target = {"S3Uri": "s3://data/monitoring/", "LocalPath": "/opt/ml/processing/output"}
    return {"MonitoringOutputs": [{"S3Output": target}]}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path)
    yield made
    made.machine.close()


def test_an_hour_of_capture_is_analyzed_a_little_after_the_hour(account: Account) -> None:
    account.define(Environment={"mine": "1"})
    account.schedule()
    account.capture("09")
    account.capture("10", "of another hour")
    account.look_at(10, 0, 59)
    assert account.all() == []  # the capture of 9:59 may still be on its way
    account.look_at(10, 1, 30)
    account.look_at(10, 1, 31)
    ended = account.ended()
    assert ended["MonitoringExecutionStatus"] == "Completed"
    assert ended["ScheduledTime"] == START.replace(hour=10, minute=0)
    job = ended["ProcessingJobArn"].rpartition("/")[2]
    assert job.startswith("model-monitoring-202603011000-")
    told = account.told("10")
    assert told["files"] == [f"{LOCAL}/ep/v/2026/03/01/09/05-00-000-x.jsonl"]
    halves = {"captureIndexNames": ["endpointInput", "endpointOutput"]}
    assert json.loads(told["env"]["dataset_format"]) == {"sagemakerCaptureJson": halves}
    wanted = {
        "dataset_source": LOCAL,
        "output_path": "/opt/ml/processing/output",
        "start_time": "2026-03-01T09:00:00Z",
        "end_time": "2026-03-01T10:00:00Z",
        "metric_time": "2026-03-01T10:00:00Z",
        "publish_cloudwatch_metrics": "Enabled",
        "sagemaker_endpoint_name": "ep",
        "sagemaker_monitoring_schedule_name": "s",
        "mine": "1",
    }
    assert {name: told["env"].get(name) for name in wanted} == wanted
    described = account.machine.processing.describe_processing_job({"ProcessingJobName": job})
    assert described["MonitoringScheduleArn"].endswith(":monitoring-schedule/s")


def test_the_exit_message_decides_about_violations_and_describe_shows_the_last(
    account: Account,
) -> None:
    account.define()
    account.schedule()
    account.capture("09", "dark")
    account.look_at(10, 2)
    assert account.ended()["MonitoringExecutionStatus"] == "CompletedWithViolations"
    name = {"MonitoringScheduleName": "s"}
    last = account.schedules.describe_monitoring_schedule(name)["LastMonitoringExecutionSummary"]
    assert last["MonitoringExecutionStatus"] == "CompletedWithViolations"


def test_metric_files_are_published_once_and_a_broken_line_is_left_out(account: Account) -> None:
    account.define()
    account.schedule()
    account.capture("09")
    account.look_at(10, 2)
    account.ended()
    account.clock.look()
    ((namespace, data),) = account.put
    assert namespace == "aws/sagemaker/Endpoints/data-metrics"
    assert data == [
        {
            "MetricName": "feature_non_null_a",
            "Value": 3.0,
            "Timestamp": datetime.datetime(2026, 3, 1, 10, tzinfo=datetime.UTC),
            "Dimensions": [{"Name": "Endpoint", "Value": "ep"}],
        }
    ]


def test_a_job_that_fails_says_why_in_its_execution(account: Account) -> None:
    account.define()
    account.schedule()
    account.capture("09", "fail")
    account.look_at(10, 2)
    ended = account.ended()
    assert ended["MonitoringExecutionStatus"] == "Failed"
    assert ended["FailureReason"].startswith("AlgorithmError")
    assert account.put == []


def test_an_empty_window_says_which_prefix_and_hours_it_looked_at(account: Account) -> None:
    account.define()
    account.schedule()
    account.capture("10")
    account.look_at(10, 2)
    ended = account.ended()
    assert ended["MonitoringExecutionStatus"] == "Failed"
    assert ended["FailureReason"] == (
        "Job inputs had no data: nothing below s3://data/capture/ep/ of variant v in 2026/03/01/09"
    )
    assert "ProcessingJobArn" not in ended


def test_a_one_time_schedule_runs_at_once_and_only_once(account: Account) -> None:
    account.define()
    window = {"DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H"}
    account.schedule({"ScheduleExpression": "NOW", **window})
    account.capture("08")
    account.capture("09")
    account.clock.look()
    name = {"MonitoringScheduleName": "s"}
    account.schedules.stop_monitoring_schedule(name)
    account.schedules.start_monitoring_schedule(name)
    account.look_at(11)
    account.ended()
    told = account.told("09")
    assert len(told["files"]) == 2  # both hours that the window touches
    assert told["env"]["start_time"] == "2026-03-01T08:30:00Z"
    assert told["env"]["end_time"] == "2026-03-01T09:30:00Z"


def test_a_definition_may_stand_in_the_schedule_with_baseline_and_scripts(
    account: Account,
) -> None:
    account.machine.put("baseline/c.json", "{}")
    account.machine.put("baseline/s.json", "{}")
    account.machine.put("code/pre.py", "")
    app = {
        "ImageUri": IMAGE,
        "ContainerEntrypoint": ["python3", "-c", OWN],
        "RecordPreprocessorSourceUri": "s3://data/code/pre.py",
    }
    account.schedule(
        MonitoringJobDefinition={
            "BaselineConfig": {
                "ConstraintsResource": {"S3Uri": "s3://data/baseline/c.json"},
                "StatisticsResource": {"S3Uri": "s3://data/baseline/s.json"},
            },
            "MonitoringInputs": [{"EndpointInput": {"EndpointName": "ep", "LocalPath": LOCAL}}],
            "MonitoringOutputConfig": outputs(),
            "MonitoringResources": {"ClusterConfig": cluster()},
            "MonitoringAppSpecification": app,
            "RoleArn": ROLE,
        }
    )
    account.capture("09")
    account.look_at(10, 2)
    assert account.ended()["MonitoringExecutionStatus"] == "Completed"
    told = account.told("10")["env"]
    assert told["baseline_constraints"] == "/opt/ml/processing/baseline/constraints/c.json"
    assert told["baseline_statistics"] == "/opt/ml/processing/baseline/stats/s.json"
    assert told["record_preprocessor_script"] == "/opt/ml/processing/code/preprocessing/pre.py"


def drop_endpoint(account: Account) -> None:
    account.context.store.delete("endpoint", "ep")


def drop_definition(account: Account) -> None:
    name = {"JobDefinitionName": "definition"}
    account.definitions.delete_data_quality_job_definition(name)


@pytest.mark.parametrize(
    ("drop", "reason"),
    [(drop_endpoint, "endpoint ep does not exist"), (drop_definition, "Job definition .* does")],
)
def test_what_was_deleted_meanwhile_is_named_by_the_failed_execution(
    account: Account, drop: Callable[[Account], None], reason: str
) -> None:
    account.define()
    account.schedule()
    account.capture("09")
    drop(account)
    account.look_at(10, 2)
    ended = account.ended()
    assert ended["MonitoringExecutionStatus"] == "Failed"
    assert re.search(reason, ended["FailureReason"])


def test_a_stopped_schedule_does_not_run_and_does_not_catch_up(account: Account) -> None:
    account.define()
    account.schedule()
    account.capture("09")
    name = {"MonitoringScheduleName": "s"}
    account.schedules.stop_monitoring_schedule(name)
    account.look_at(10, 2)
    account.schedules.start_monitoring_schedule(name)
    account.look_at(10, 3)
    assert account.all() == []
    account.look_at(11, 2)
    assert len(account.all()) == 1


def test_what_was_due_while_the_server_was_down_is_made_good_for_twenty_minutes(
    account: Account,
) -> None:
    account.define()
    account.schedule()
    account.look_at(12, 21)
    assert account.all() == []
    account.look_at(13, 19)
    (made_good,) = account.all()
    assert made_good["ScheduledTime"].hour == 13
    assert datetime.timedelta(0) < DELAY < datetime.timedelta(minutes=20)


def test_an_execution_that_ran_when_the_server_ended_is_failed_and_the_schedule_goes_on(
    account: Account,
) -> None:
    account.define()
    account.schedule()
    account.capture("09", "wait")
    account.look_at(10, 2)
    eventually(lambda: account.all()[0]["MonitoringExecutionStatus"] == "InProgress", "it runs")
    account.machine.runner.shutdown()
    account.executions.recover()
    (execution,) = account.all()
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert execution["FailureReason"] == SERVER_STOPPED
    account.look_at(11, 2)
    assert len(account.all()) == 2


def test_an_execution_without_a_job_is_failed_after_a_restart(account: Account) -> None:
    account.define()
    account.schedule()
    schedule = account.context.store.get("monitoring-schedule", "s")
    assert schedule is not None
    account.executions.begin(schedule, START)
    account.executions.recover()
    (execution,) = account.all()
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert "before this execution had a job" in execution["FailureReason"]


def test_executions_are_filtered_sorted_and_paged(account: Account) -> None:
    account.define()
    account.schedule()
    for hour in (10, 11, 12):
        account.look_at(hour, 2)
    scheduled = [execution["ScheduledTime"].hour for execution in account.all()]
    assert scheduled == [12, 11, 10]
    eleven = START.replace(hour=11, minute=0)
    assert len(account.all(ScheduledTimeAfter=eleven)) == 2
    assert len(account.all(ScheduledTimeBefore=eleven)) == 2
    assert len(account.all(StatusEquals="Failed")) == 3
    assert account.all(StatusEquals="Completed") == []
    assert account.all(EndpointName="other") == []
    assert account.all(MonitoringScheduleName="other") == []
    assert len(account.all(MonitoringJobDefinitionName="definition")) == 3
    ascending = account.all(SortBy="ScheduledTime", SortOrder="Ascending", MaxResults=2)
    assert [execution["ScheduledTime"].hour for execution in ascending] == [10, 11]
    assert len(account.context.store.all(KIND)) == 3


def test_a_stopped_job_is_a_stopped_execution(account: Account) -> None:
    account.define()
    account.schedule()
    account.capture("09", "wait")
    account.look_at(10, 2)
    job = account.all()[0]["ProcessingJobArn"].rpartition("/")[2]
    account.machine.processing.stop_processing_job({"ProcessingJobName": job})
    assert account.ended()["MonitoringExecutionStatus"] == "Stopped"


def test_the_analyzer_image_runs_the_projects_analyzer(account: Account) -> None:
    account.define(ANALYZER, Environment={"publish_cloudwatch_metrics": "Disabled"})
    account.schedule()
    for minute in range(3):
        half = {"mode": "INPUT", "encoding": "CSV", "data": f"1.5,{minute}"}
        event = {"eventId": str(minute), "inferenceTime": f"2026-03-01T09:0{minute}:00Z"}
        line = {
            "captureData": {
                "endpointInput": {"observedContentType": "text/csv", **half},
                "endpointOutput": {
                    "observedContentType": "text/csv",
                    **half,
                    "mode": "OUTPUT",
                    "data": "0.25",
                },
            },
            "eventMetadata": event,
            "eventVersion": "0",
        }
        key = f"capture/ep/v/2026/03/01/09/0{minute}-00-000-x.jsonl"
        account.machine.put(key, json.dumps(line) + "\n")
    account.look_at(10, 2)
    ended = account.ended()
    assert ended["MonitoringExecutionStatus"] == "Completed", ended
    text = account.machine.get("monitoring/ep/s/2026/03/01/10/statistics.json")
    statistics = json.loads(text)
    assert statistics["dataset"]["item_count"] == 3
    assert len(statistics["features"]) == 3
