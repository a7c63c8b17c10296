"""smokeTest and createMonitoringSchedule: what a deployment proves and leaves behind."""

import io
from typing import Any

import pytest
from botocore.response import StreamingBody

from lambdas import create_monitoring_schedule as monitoring
from lambdas import smoke_test
from tests.lambda_kit import PREFIX, missing, stubbed

PLAN = {
    "endpoint_name": PREFIX,
    "evaluation_url": "s3://data/executions/a/evaluation/evaluation.json",
    "test_images_url": "s3://data/executions/a/test/",
}
PREDICTIONS = (
    b"path,label,p_bicycle,p_motorcycle\n"
    b"a.png,0,0.9,0.1\nb.png,0,0.8,0.2\nc.png,1,0.3,0.7\nd.png,1,0.2,0.8\n"
)
ENVIRONMENT = {
    "BUCKET_NAME": "data",
    "KMS_KEY_ARN": "arn:aws:kms:eu-west-1:123456789012:key/k",
    "MONITORING_INSTANCE_TYPE": "ml.m5.large",
    "ANALYZER_IMAGE_URI": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/analyzer",
    "MONITORING_ROLE_ARN": "arn:aws:iam::123456789012:role/monitoring",
    "MONITORING_CRON": "cron(0 * ? * * *)",
    "SUBNET_IDS": "subnet-1,subnet-2",
    "SECURITY_GROUP_IDS": "sg-1",
    "TAGS": "stack=scones-test,cost-centre=a=b",
    "PREPROCESSOR_URL": "s3://code/preprocessors/0/record_preprocessor.py",
}
BASELINES = {
    "ModelDataQuality": {
        "Statistics": {"S3Uri": "s3://data/executions/a/baseline/statistics.json"},
        "Constraints": {"S3Uri": "s3://data/executions/a/baseline/constraints.json"},
    }
}


def stream(content: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(content), len(content))


def compared(*answers: bytes) -> Any:
    """Smoke-tests with one image a class, a.png and c.png, and these answers of the endpoint."""
    s3, s3_stub = stubbed("s3")
    s3_stub.add_response("get_object", {"Body": stream(PREDICTIONS)})
    runtime, runtime_stub = stubbed("sagemaker-runtime")
    for name, answer in zip(("a.png", "c.png"), answers, strict=False):
        expected = {"Bucket": "data", "Key": f"executions/a/test/{name}"}
        s3_stub.add_response("get_object", {"Body": stream(b"png")}, expected)
        runtime_stub.add_response("invoke_endpoint", {"Body": stream(answer)})
    return smoke_test.compare(PLAN, 2, "v3-now", s3, runtime)


def test_both_classes_are_asked_and_small_differences_pass() -> None:
    assert compared(b"[0.91, 0.09]", b"[0.3, 0.7]") == {"images": 2, "largest_difference": 0.01}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"[0.1, 0.9]", r"a\.png: the endpoint says 0\.900 .* said 0\.100"),
        (b"[0.1, 0.2, 0.7]", "expected two probabilities"),
        (b"[NaN, NaN]", "expected two probabilities"),
    ],
)
def test_another_answer_than_the_evaluations_fails_the_deployment(
    answer: bytes, sentence: str
) -> None:
    with pytest.raises(smoke_test.SmokeTestFailed, match=sentence):
        compared(answer, b"[0.3, 0.7]")


def test_missing_predictions_are_named() -> None:
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", "NoSuchKey")
    with pytest.raises(smoke_test.SmokeTestFailed, match=r"predictions\.csv cannot be read"):
        smoke_test.expectations(PLAN["evaluation_url"], 2, s3)


def test_the_schedule_is_made_at_the_first_deployment() -> None:
    sagemaker, stub = stubbed("sagemaker")
    request = monitoring.schedule_request(PREFIX, BASELINES, ENVIRONMENT)
    arn = {"MonitoringScheduleArn": f"arn:aws:sagemaker:eu-west-1:1:monitoring-schedule/{PREFIX}"}
    missing(stub, "describe_monitoring_schedule", "schedule")
    stub.add_response("create_monitoring_schedule", arn, request)
    assert monitoring.ensure(request, sagemaker)["backend"] == "schedule"
    stub.assert_no_pending_responses()
    job = request["MonitoringScheduleConfig"]["MonitoringJobDefinition"]
    assert job["NetworkConfig"]["VpcConfig"]["Subnets"] == ["subnet-1", "subnet-2"]
    cluster = job["MonitoringResources"]["ClusterConfig"]
    assert cluster["VolumeKmsKeyId"] == ENVIRONMENT["KMS_KEY_ARN"]
    assert {"Key": "cost-centre", "Value": "a=b"} in request["Tags"]


def test_a_schedule_that_is_there_is_changed_and_keeps_its_tags() -> None:
    sagemaker, stub = stubbed("sagemaker")
    request = monitoring.schedule_request(PREFIX, BASELINES, ENVIRONMENT)
    arn = {"MonitoringScheduleArn": f"arn:aws:sagemaker:eu-west-1:1:monitoring-schedule/{PREFIX}"}
    there = {
        **arn,
        "MonitoringScheduleName": PREFIX,
        "MonitoringScheduleStatus": "Scheduled",
        "CreationTime": 0,
        "LastModifiedTime": 0,
        "MonitoringScheduleConfig": {},
    }
    stub.add_response("describe_monitoring_schedule", there)
    known = {key: value for key, value in request.items() if key != "Tags"}
    stub.add_response("update_monitoring_schedule", arn, known)
    assert monitoring.ensure(request, sagemaker)["backend"] == "schedule"
    stub.assert_no_pending_responses()


def test_an_account_without_schedules_is_deployed_to_all_the_same() -> None:
    sagemaker, stub = stubbed("sagemaker")
    missing(stub, "describe_monitoring_schedule", "schedule")
    refusal = "This operation is in maintenance mode and is not available to new customers."
    stub.add_client_error("create_monitoring_schedule", "ValidationException", refusal)
    outcome = monitoring.ensure(
        monitoring.schedule_request(PREFIX, BASELINES, ENVIRONMENT), sagemaker
    )
    assert (outcome["backend"], outcome["schedule_name"]) == ("processing", None)
