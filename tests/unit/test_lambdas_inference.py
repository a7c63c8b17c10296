"""imageClassification, filterLowInferenceConfidence, queueForReview."""

import base64
import io
import json
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody

from lambdas import filter_low_inference_confidence as confidence
from lambdas import image_classification as classification
from lambdas import queue_for_review as review
from tests.lambda_kit import CONTEXT, event, stubbed

CALL = {"endpoint_name": "scones-prod", "model_package_arn": "arn:of:3"}
STATE = {
    "s3_bucket": "images",
    "s3_key": "a.png",
    "image_data": base64.b64encode(b"pixels").decode(),
    "content_type": "image/png",
    "operator": "dock 4",
}


def answered(body: bytes) -> Any:
    runtime, stub = stubbed("sagemaker-runtime")
    stream = StreamingBody(io.BytesIO(body), len(body))
    stub.add_response("invoke_endpoint", {"Body": stream, "ContentType": "application/json"})
    return runtime


def test_the_answer_carries_class_confidence_and_the_version_that_gave_it() -> None:
    state = classification.classify(STATE, CALL, "run-1", answered(b"[0.1, 0.9]"))
    assert state == {
        "s3_bucket": "images",
        "s3_key": "a.png",
        "image_data": "",
        "operator": "dock 4",
        "inferences": [0.1, 0.9],
        "predicted_class": "motorcycle",
        "confidence": 0.9,
        "inference_id": state["inference_id"],
        "model_package_arn": "arn:of:3",
    }


def test_a_retry_has_the_same_inference_id_and_another_execution_another() -> None:
    def id_of(execution: str, **more: str) -> str:
        state = classification.classify({**STATE, **more}, CALL, execution, answered(b"[1, 0]"))
        return str(state["inference_id"])

    assert id_of("run-1") == id_of("run-1") != id_of("run-2")
    assert id_of("run-1", inference_id="the-callers") == "the-callers"


@pytest.mark.parametrize(
    "body",
    [b"[0.2, 0.3, 0.5]", b"[NaN, 0.5]", b"[1.5, -0.5]", b"[0.2, 0.2]", b'{"a": 1}', b"<html>", b""],
)
def test_a_nonsense_answer_is_an_error_and_never_a_class(body: bytes) -> None:
    with pytest.raises(classification.NonsenseAnswer, match="scones-prod"):
        classification.classify(STATE, CALL, "run-1", answered(body))


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ModelError", 400, classification.ImageRefused),
        ("ModelError", 500, classification.ModelFailed),
        ("ModelError", 503, classification.EndpointNotReady),
        ("ModelNotReadyException", 429, classification.EndpointNotReady),
        ("ServiceUnavailable", 503, classification.EndpointNotReady),
        ("ThrottlingException", 400, classification.EndpointNotReady),
        ("ValidationError", 400, classification.EndpointNotFound),
        ("AccessDeniedException", 403, classification.EndpointFailed),
    ],
)
def test_only_what_can_pass_on_a_second_try_is_called_not_ready(
    code: str, status: int, error: type[Exception]
) -> None:
    runtime, stub = stubbed("sagemaker-runtime")
    fields = {"OriginalStatusCode": status} if code == "ModelError" else None
    stub.add_client_error("invoke_endpoint", code, "it said so", modeled_fields=fields)
    with pytest.raises(error, match="it said so"):
        classification.classify(STATE, CALL, "run-1", runtime)


def test_of_what_a_failing_model_says_the_first_line_is_told() -> None:
    runtime, stub = stubbed("sagemaker-runtime")
    said = "out of ideas\nTraceback (most recent call last):\n  File …"
    fields = {"OriginalStatusCode": 500, "OriginalMessage": said}
    stub.add_client_error("invoke_endpoint", "ModelError", "long", modeled_fields=fields)
    with pytest.raises(classification.ModelFailed, match=r"failed: out of ideas$"):
        classification.classify(STATE, CALL, "run-1", runtime)


@pytest.mark.parametrize("image_data", ["", "not base64!", None])
def test_a_state_without_an_image_is_refused(image_data: Any) -> None:
    with pytest.raises(classification.InvalidInput, match="image_data"):
        classification.classify({**STATE, "image_data": image_data}, CALL, "run-1", None)


def metrics_counted() -> int:
    cloudwatch = boto3.client("cloudwatch", region_name="us-east-1")
    found = cloudwatch.list_metrics(Namespace="Scones", MetricName="LowConfidence")["Metrics"]
    return len(found)


def test_below_the_versions_threshold_the_originals_error_is_raised(aws: None) -> None:
    with pytest.raises(confidence.THRESHOLD_CONFIDENCE_NOT_MET, match=r"0\.6123 for bicycle") as e:
        confidence.handler(event("classified"), CONTEXT)
    assert type(e.value).__name__ == "THRESHOLD_CONFIDENCE_NOT_MET"
    assert metrics_counted() == 1


@pytest.mark.parametrize("threshold", ["0.6", "0.6123"])
def test_at_or_above_the_threshold_the_state_goes_on_as_it_is(aws: None, threshold: str) -> None:
    given = event("classified") | {"threshold": threshold}
    assert confidence.handler(given, CONTEXT) == given["state"]


def test_a_metric_that_cannot_be_counted_stops_no_answer() -> None:
    cloudwatch, stub = stubbed("cloudwatch")
    stub.add_client_error("put_metric_data", "AccessDenied", "no")
    assert "AccessDenied" in str(confidence.count(True, "scones-prod", cloudwatch))


@pytest.mark.parametrize("threshold", [None, "high"])
def test_a_workflow_without_a_threshold_is_refused(threshold: Any) -> None:
    with pytest.raises(confidence.InvalidInput, match="must be numbers"):
        confidence.check({"confidence": 0.9}, threshold)


def test_the_review_record_lies_in_the_bucket_and_in_the_queue(
    aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, sqs = (boto3.client(name, region_name="us-east-1") for name in ("s3", "sqs"))
    s3.create_bucket(Bucket="data")
    queue = sqs.create_queue(QueueName="review")["QueueUrl"]
    monkeypatch.setenv("BUCKET_NAME", "data")
    monkeypatch.setenv("REVIEW_QUEUE_URL", queue)
    key = review.handler(event("classified"), CONTEXT)["review_key"]
    kept = json.loads(s3.get_object(Bucket="data", Key=key)["Body"].read())
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert kept == json.loads(message["Body"])
    assert kept["inferences"] == [0.6123, 0.3877]
    assert kept["execution"] == "morning-run-17"
    assert key == f"review/{kept['inference_id']}.json"
