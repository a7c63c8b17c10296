"""SageMaker's wire format, and the tags of its resources."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

import service_model
from localaws import protocol
from localaws.context import Context
from localaws.errors import LimitExceeded, ValidationError
from localaws.sagemaker.tags import Tags
from localaws.store import Store


def operation(name: str) -> Any:
    return service_model.load("sagemaker").operation_model(name)


def parse(name: str, request: dict[str, Any]) -> dict[str, Any]:
    return protocol.parse(operation(name), json.dumps(request).encode())


def test_every_violation_is_counted_and_worded_as_the_service_does() -> None:
    with pytest.raises(ValidationError) as caught:
        parse("DescribeTrainingJob", {"TrainingJobName": "-" * 70})
    assert caught.value.message.startswith("2 validation errors detected: Value '-----")
    assert "less than or equal to 63; Value" in caught.value.message
    with pytest.raises(ValidationError, match=r"^1 validation error detected: Value at 'training"):
        parse("DescribeTrainingJob", {})


def test_a_body_that_is_no_json_object_is_refused() -> None:
    with pytest.raises(ValidationError, match="not JSON"):
        protocol.parse(operation("ListTrainingJobs"), b"{")
    with pytest.raises(ValidationError, match="not a JSON object"):
        protocol.parse(operation("ListTrainingJobs"), b"[]")


def test_times_arrive_as_aware_datetimes_and_tokens_are_filled_in() -> None:
    listed = parse("ListTrainingJobs", {"CreationTimeAfter": 1_700_000_000.5, "NameContains": None})
    assert listed == {
        "CreationTimeAfter": datetime.datetime(2023, 11, 14, 22, 13, 20, 500000, datetime.UTC)
    }
    started = parse("StartPipelineExecution", {"PipelineName": "p"})
    assert len(started["ClientRequestToken"]) >= 32


def test_an_answer_has_what_the_service_knows_and_times_in_seconds() -> None:
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    answer = {"ModelName": "m", "CreationTime": when, "Ours": 1, "ExecutionRoleArn": None}

    body = json.loads(protocol.serialize(operation("DescribeModel"), answer, strict=False))

    assert body == {"ModelName": "m", "CreationTime": 1767312000.0}
    with pytest.raises(KeyError, match="DescribeModel answers without such members: Ours"):
        protocol.serialize(operation("DescribeModel"), answer, strict=True)


class Nothing:
    """Stands where a context needs objects that nobody looks at."""


@pytest.fixture
def tags(tmp_path: Path) -> Tags:
    objects: Any = Nothing()
    return Tags(Context(home=tmp_path, store=Store(tmp_path / "records"), objects=objects))


ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"


def test_tags_are_added_replaced_listed_in_pages_and_deleted(tags: Tags) -> None:
    tags.keep(ARN, [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    tags.add_tags({"ResourceArn": ARN, "Tags": [{"Key": "a", "Value": "3"}]})

    first = tags.list_tags({"ResourceArn": ARN, "MaxResults": 1})
    rest = tags.list_tags({"ResourceArn": ARN, "NextToken": first["NextToken"]})
    tags.delete_tags({"ResourceArn": ARN, "TagKeys": ["a"]})

    assert first["Tags"] + rest["Tags"] == [{"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"}]
    assert "NextToken" not in rest
    assert tags.of(ARN) == [{"Key": "b", "Value": "2"}]
    tags.drop(ARN)
    assert tags.of(ARN) == []


def test_tags_have_the_limits_of_the_service(tags: Tags) -> None:
    with pytest.raises(ValidationError, match="start with 'aws:' are reserved: aws:x"):
        tags.keep(ARN, [{"Key": "aws:x", "Value": "1"}])
    with pytest.raises(LimitExceeded, match=r"can have 50 tags; .* would have 51"):
        tags.keep(ARN, [{"Key": str(n), "Value": ""} for n in range(51)])
    with pytest.raises(
        ValidationError, match="is not a SageMaker resource of account 123456789012"
    ):
        tags.list_tags({"ResourceArn": ARN.replace("123456789012", "210987654321")})
    assert tags.of(ARN) == []
