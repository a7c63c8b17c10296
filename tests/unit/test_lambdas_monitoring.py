"""startMonitoring and publishMonitoring: from an hour to a run, from a run's files to metrics."""

import datetime
import io
import json
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY

from lambdas import baseline, publish_monitoring, start_monitoring
from lambdas.start_monitoring import LATE, SPILL, InvalidWindow, window_of
from monitoring.window import Window
from tests.lambda_kit import (
    PREFIX,
    described_config,
    described_endpoint,
    described_model,
    described_package,
    event,
    missing,
    stubbed,
)

BUCKET = "scones-prod-123456789012-eu-west-1"
ENVIRONMENT = {
    "ENDPOINT_NAME": PREFIX,
    "BUCKET_NAME": BUCKET,
    "MONITORING_PIPELINE_NAME": f"{PREFIX}-monitoring",
}
FOLDER = f"monitoring/{PREFIX}/{PREFIX}/2026/11/22/12"
HOUR = Window(
    datetime.datetime(2026, 11, 22, 11, tzinfo=datetime.UTC),
    datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC),
)

# A file that began just before the window may hold records of it.
HOURS = ["2026/11/22/10", "2026/11/22/11"]


def file(name: str) -> dict[str, str]:
    return {"ContentType": "application/json", "S3Uri": f"s3://{BUCKET}/executions/a/{name}"}


BASELINES = {
    "ModelDataQuality": {
        "Statistics": file("baseline/statistics.json"),
        "Constraints": file("baseline/constraints.json"),
    },
    "ModelQuality": {"Constraints": file("evaluation/constraints.json")},
}


def serving(stub: Any, **more: Any) -> None:
    """The endpoint serves version 3, which was registered with `more`."""
    config, model = f"{PREFIX}-v3-0123abcd", f"{PREFIX}-v3"
    stub.add_response("describe_endpoint", described_endpoint(config))
    stub.add_response("describe_endpoint_config", described_config(config, model))
    stub.add_response("describe_model", described_model(model, 3))
    stub.add_response("describe_model_package", described_package(3, **more))


def listed(stub: Any, prefix: str, *keys: str) -> None:
    contents = [{"Key": key, "Size": 10} for key in keys]
    expected = {"Bucket": BUCKET, "Prefix": prefix}
    stub.add_response("list_objects_v2", {"Contents": contents}, expected)


def test_the_schedulers_event_means_the_whole_hour_before() -> None:
    assert window_of(event("monitoring_hour")) == HOUR


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"start": "2026-11-22T12:00:00Z"},
        {"start": "noon", "end": "2026-11-22T12:00:00Z"},
        {"start": "2026-11-22T12:00:00Z", "end": "2026-11-22T12:00:00Z"},
    ],
)
def test_an_event_without_a_window_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidWindow):
        window_of(wrong)


def test_a_window_becomes_an_execution_over_exactly_its_files() -> None:
    sagemaker, stub = stubbed("sagemaker")
    serving(stub, DriftCheckBaselines=BASELINES)
    s3, s3_stub = stubbed("s3")
    captured = f"capture/{PREFIX}/AllTraffic/2026/11/22"
    listed(s3_stub, f"{captured}/10/")
    listed(s3_stub, f"{captured}/11/", f"{captured}/11/00-01-002-a.jsonl")
    listed(s3_stub, "ground-truth/2026/11/22/11/", "ground-truth/2026/11/22/11/labels.jsonl")
    week = Window(HOUR.start - LATE - SPILL, HOUR.start).prefixes()
    for hour in week:
        before = f"capture/{PREFIX}/AllTraffic/{hour}/"
        listed(s3_stub, before, *([f"{before}b.jsonl"] if hour == week[1] else []))
    manifests: list[Any] = []
    for _ in range(3):
        s3_stub.add_response(
            "put_object", {}, {"Bucket": BUCKET, "Key": ANY, "Body": ANY, "ContentType": ANY}
        )
    s3.meta.events.register(
        "before-parameter-build.s3.PutObject", lambda params, **_: manifests.append(params)
    )
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:pipeline/{PREFIX}-monitoring/execution/e"
    started: list[Any] = []
    sagemaker.meta.events.register(
        "before-parameter-build.sagemaker.StartPipelineExecution",
        lambda params, **_: started.append(params),
    )
    stub.add_response("start_pipeline_execution", {"PipelineExecutionArn": arn})
    outcome = start_monitoring.start(HOUR, FOLDER, ENVIRONMENT, sagemaker, s3)
    assert outcome["execution_arn"] == arn
    given = {p["Name"]: p["Value"] for p in started[0]["PipelineParameters"]}
    assert (given["StartTime"], given["EndTime"]) == (
        "2026-11-22T11:00:00Z",
        "2026-11-22T12:00:00Z",
    )
    assert given["OutputUrl"] == f"s3://{BUCKET}/{FOLDER}"
    assert given["Labels"] == "1"
    assert json.load(manifests[0]["Body"]) == [
        {"prefix": f"s3://{BUCKET}/capture/"},
        f"{PREFIX}/AllTraffic/2026/11/22/11/00-01-002-a.jsonl",
    ]
    _, *answered = json.load(manifests[1]["Body"])
    assert answered == [
        f"{PREFIX}/AllTraffic/2026/11/15/11/b.jsonl",
        f"{PREFIX}/AllTraffic/2026/11/22/11/00-01-002-a.jsonl",
    ], "labels come late: the week before is asked for their images"


def test_a_window_without_a_file_starts_nothing_and_names_prefix_and_hours() -> None:
    sagemaker, stub = stubbed("sagemaker")
    serving(stub, DriftCheckBaselines=BASELINES)
    s3, s3_stub = stubbed("s3")
    for hour in HOURS:
        listed(s3_stub, f"capture/{PREFIX}/AllTraffic/{hour}/")
    listed(s3_stub, "ground-truth/2026/11/22/11/")
    outcome = start_monitoring.start(HOUR, FOLDER, ENVIRONMENT, sagemaker, s3)
    assert not outcome["started"]
    assert f"s3://{BUCKET}/capture/{PREFIX}/AllTraffic/" in outcome["reason"]
    assert "2026/11/22/11" in outcome["reason"]


def test_where_the_account_has_a_schedule_only_labels_are_a_reason_to_start() -> None:
    sagemaker, stub = stubbed("sagemaker")
    serving(stub, DriftCheckBaselines=BASELINES)
    s3, s3_stub = stubbed("s3")
    for hour in HOURS:
        prefix = f"capture/{PREFIX}/AllTraffic/{hour}/"
        listed(s3_stub, prefix, f"{prefix}a.jsonl")
    listed(s3_stub, "ground-truth/2026/11/22/11/")
    outcome = start_monitoring.start(HOUR, FOLDER, ENVIRONMENT, sagemaker, s3, features=False)
    assert not outcome["started"]
    assert "own schedule looks at the features" in outcome["reason"]


def test_without_an_endpoint_or_a_baseline_the_reason_is_a_sentence() -> None:
    sagemaker, stub = stubbed("sagemaker")
    missing(stub, "describe_endpoint", "endpoint")
    with pytest.raises(baseline.NoBaseline, match="does not serve; approve a version first"):
        baseline.of_endpoint(PREFIX, sagemaker)
    serving(stub)
    with pytest.raises(baseline.NoBaseline, match="Version 3 was registered without a baseline"):
        baseline.of_endpoint(PREFIX, sagemaker)


def test_an_endpoint_without_a_schedule_has_none() -> None:
    sagemaker, stub = stubbed("sagemaker")
    missing(stub, "describe_monitoring_schedule", "schedule")
    assert not start_monitoring.has_schedule(PREFIX, sagemaker)


def numbers(name: str, *levels: list[float]) -> dict[str, Any]:
    """A feature as statistics.json has it; an item of level i stands for 2^i values."""
    sketch = {"parameters": {"c": 0.64, "k": 2048.0}, "data": list(levels)}
    distribution = {"kll": {"buckets": [], "sketch": sketch}}
    return {"name": name, "numerical_statistics": {"distribution": distribution}}


def categories(name: str, **counts: int) -> dict[str, Any]:
    buckets = [{"value": value, "count": count} for value, count in counts.items()]
    return {
        "name": name,
        "string_statistics": {"distribution": {"categorical": {"buckets": buckets}}},
    }


def test_the_drift_of_a_number_is_the_robust_distance_of_the_distributions() -> None:
    low, high = [float(i) for i in range(500)], [float(i) for i in range(250, 750)]
    # Half of the one lies below all of the other; 1.8 * sqrt(1000 / 250000) is chance's part.
    found = publish_monitoring.drift(numbers("x", low), numbers("x", high))
    assert found == pytest.approx(0.5 - 1.8 * (1000 / 250_000) ** 0.5)


def test_an_item_of_a_higher_level_counts_for_more() -> None:
    twice = numbers("x", [], [float(i) for i in range(250)])
    once = numbers("x", [float(i // 2) for i in range(500)])
    assert publish_monitoring.drift(twice, once) == 0.0
    assert publish_monitoring.drift(twice, numbers("x", [900.0] * 500)) == pytest.approx(
        1 - 1.8 * (1000 / 250_000) ** 0.5
    )


def test_the_drift_of_a_class_is_the_largest_difference_of_two_shares() -> None:
    found = publish_monitoring.drift(
        categories("c", bicycle=900, motorcycle=100), categories("c", bicycle=500, motorcycle=500)
    )
    assert found == pytest.approx(0.4 - 1.8 * (2000 / 1_000_000) ** 0.5)
    assert publish_monitoring.drift(categories("c", bicycle=1), numbers("c", [1.0])) is None


def test_an_analysis_becomes_records_violations_and_a_drift_a_feature() -> None:
    statistics = {"dataset": {"item_count": 500}, "features": [numbers("brightness", [1.0] * 500)]}
    against = {"features": [numbers("brightness", [0.0] * 500)]}
    found = publish_monitoring.metrics(statistics, [{"feature_name": "brightness"}], against)
    assert found["records"] == 500
    assert found["violations"] == 1
    assert found["feature_baseline_drift_brightness"] > 0.8


def test_the_figures_of_model_quality_are_published_and_nan_is_not() -> None:
    metrics = {
        "confusion_matrix": {"0": {"0": 1, "1": 0}},
        "accuracy": {"value": 0.93, "standard_deviation": "NaN"},
        "auc": {"value": float("nan")},
    }
    statistics = {"dataset": {"item_count": 30}, "binary_classification_metrics": metrics}
    assert publish_monitoring.metrics(statistics, [], None) == {
        "records": 30.0,
        "accuracy": 0.93,
        "quality_violations": 0.0,
    }


def test_metrics_carry_the_endpoints_name() -> None:
    cloudwatch, stub = stubbed("cloudwatch")
    expected = {
        "Namespace": "Scones",
        "MetricData": [
            {
                "MetricName": "violations",
                "Dimensions": [{"Name": "EndpointName", "Value": PREFIX}],
                "Value": 2.0,
                "Unit": "None",
            }
        ],
    }
    stub.add_response("put_metric_data", {}, expected)
    publish_monitoring.publish({"violations": 2.0}, "Scones", PREFIX, cloudwatch)
    stub.assert_no_pending_responses()


def test_a_file_that_is_not_there_yet_is_none_and_a_refusal_is_not() -> None:
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", "NoSuchKey")
    assert publish_monitoring.read(s3, "s3://b/k") is None
    stub.add_client_error("get_object", "AccessDenied")
    with pytest.raises(Exception, match="AccessDenied"):
        publish_monitoring.read(s3, "s3://b/k")
    body = StreamingBody(io.BytesIO(b'{"a": 1}'), 8)
    stub.add_response("get_object", {"Body": body}, {"Bucket": "b", "Key": "k/l"})
    assert publish_monitoring.read(s3, "s3://b/k/l") == {"a": 1}
