"""Traffic is watched in an account that Model Monitor refuses: read by what is left behind."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.archives import good_archive
from tests.end_to_end.conftest import User
from tests.end_to_end.test_faults import stage, wait_until

SENT = 60


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose version 1 serves, after 60 requests with images that are too dark."""
    user = User(tmp_path_factory.mktemp("watched"))
    user.environment["LOCALAWS_CAPTURE_SECONDS"] = "1"
    user.ok("local", "up")
    (user.home / "model-monitor-maintenance").touch()
    user.ok("deploy")
    user.ok("pipeline", "upsert")
    url = stage(user, good_archive(tmp_path_factory.mktemp("data") / "good.tar.gz", train=60))
    user.ok("pipeline", "start", "--wait", "--data-url", url, "-p", "Epochs=12")
    user.ok("models", "approve", "1", "--wait")
    user.ok("replay", "-n", str(SENT), "--balanced", "--disturb", "darker")
    wait_until(lambda: len(captured(user)) >= SENT, 60)
    yield user
    user.run("local", "down")


def bucket(user: User) -> Any:
    account = user.client("sts").get_caller_identity()["Account"]
    return f"scones-local-{account}-us-east-1"


def captured(user: User) -> list[Any]:
    """The captured records, without those of the smoke test (it calls with ids of its own)."""
    s3 = user.client("s3")
    listed = s3.list_objects_v2(Bucket=bucket(user), Prefix="capture/").get("Contents", [])
    bodies = [s3.get_object(Bucket=bucket(user), Key=item["Key"])["Body"].read() for item in listed]
    records = [json.loads(line) for body in bodies for line in body.splitlines()]
    return [r for r in records if "smoke" not in r["eventMetadata"].get("inferenceId", "")]


def call(user: User, event: Any) -> Any:
    """What `startMonitoring` answers to an event of the Scheduler."""
    answer = user.client("lambda").invoke(
        FunctionName="scones-local-startMonitoring", Payload=json.dumps(event)
    )
    assert "FunctionError" not in answer
    return json.load(answer["Payload"])


def test_an_account_without_schedules_serves_all_the_same(watched: User) -> None:
    assert watched.run("endpoints", "show", "--json").json["status"] == "InService"
    schedules = watched.client("sagemaker").list_monitoring_schedules()
    assert schedules["MonitoringScheduleSummaries"] == []


def test_a_run_at_once_finds_what_is_wrong_and_the_alarm_rings(watched: User) -> None:
    found = watched.run("monitor", "run", "--now", "--json").json
    assert found["records"] >= SENT
    assert "brightness" in {violation["feature_name"] for violation in found["violations"]}
    s3, folder = watched.client("s3"), found["url"].partition(f"{bucket(watched)}/")[2]
    listed = s3.list_objects_v2(Bucket=bucket(watched), Prefix=f"{folder}/")["Contents"]
    names = {item["Key"].removeprefix(f"{folder}/") for item in listed}
    assert {"statistics.json", "constraints.json", "constraint_violations.json"} <= names
    cloudwatch = watched.client("cloudwatch")
    wait_until(
        lambda: (
            cloudwatch.describe_alarms(AlarmNames=["scones-local-drift"])["MetricAlarms"][0][
                "StateValue"
            ]
            == "ALARM"
        ),
        90,
    )
    assert watched.run("monitor", "show", "--json").json["violations"] == found["violations"]


def test_the_schedulers_hour_is_looked_at_once_however_often_it_is_told(watched: User) -> None:
    # The hour of the traffic: this one, unless it has ended meanwhile.
    seen = max(record["eventMetadata"]["inferenceTime"] for record in captured(watched))
    moment = datetime.fromisoformat(seen)
    event = {"time": (moment + timedelta(hours=1)).isoformat()}
    first = call(watched, event)
    assert first["started"], first
    assert call(watched, event)["execution_arn"] == first["execution_arn"]
    hour = (moment + timedelta(hours=1)).strftime("%Y/%m/%d/%H")
    assert first["output_url"].endswith(f"/monitoring/scones-local/scones-local/{hour}")
    ended = watched.run("pipeline", "watch", first["execution_arn"], "--json")
    assert ended.json["status"] == "Succeeded"
    analyses = watched.run("monitor", "list", "--json").json
    assert first["output_url"] in {analysis["url"] for analysis in analyses}


def test_labels_show_how_good_the_answers_were(watched: User) -> None:
    answers = {
        record["eventMetadata"]["inferenceId"]: json.loads(
            record["captureData"]["endpointOutput"]["data"]
        )
        for record in captured(watched)
    }
    few = list(answers.items())[:4]  # one more would start a retraining
    for inference_id, (bicycle, motorcycle) in few:
        wrong = "motorcycle" if bicycle > motorcycle else "bicycle"
        watched.ok("label", inference_id, wrong)
    quality = watched.run("monitor", "run", "--now", "--json").json["quality"]
    assert quality["records"] == len(few)
    assert quality["figures"]["accuracy"] == 0
    assert "accuracy" in {violation["metric_name"] for violation in quality["violations"]}


def test_a_window_without_traffic_names_the_prefix_and_the_hours(watched: User) -> None:
    command = watched.run(
        "monitor", "run", "--start", "2020-02-29T10:00", "--end", "2020-02-29T11:00"
    )
    assert command.exit_code == 2
    assert f"s3://{bucket(watched)}/capture/scones-local/AllTraffic/" in command.err
    assert "2020/02/29/10" in command.err


def test_the_report_shows_the_window(watched: User, tmp_path: Path) -> None:
    path = watched.ok("report", "--out", str(tmp_path)).strip()
    page = Path(path).read_text(encoding="utf-8")
    assert "scones-local" in page
    assert "brightness" in page
