"""References, conditions, parameters, cache keys and retry policies of pipeline definitions."""

import datetime
from pathlib import Path
from typing import Any

import pytest

from localaws.errors import (
    ApiError,
    LimitExceeded,
    NotImplementedHere,
    ValidationError,
)
from localaws.pipelines import cache, retries
from pipeline_definition import caching, conditions, parameters, references
from pipeline_definition.retries import (
    CAPACITY_ERROR,
    INTERNAL_ERROR,
    RESOURCE_LIMIT,
    SERVICE_FAULT,
    RetryPolicy,
)
from pipeline_definition.step_types import STEP_TYPES
from tests.localaws_parts import Clock, make_context

PREPARED = {
    "ProcessingOutputConfig": {
        "Outputs": [
            {"OutputName": "test", "S3Output": {"S3Uri": "s3://b/test"}},
            {"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}},
        ]
    },
    "Environment": {"SEED": "7"},
    "CreationTime": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
}


@pytest.fixture
def scope() -> references.Scope:
    files = {("Prepare", "Report"): b'{"metrics": {"accuracy": [0.5, 0.91]}, "a.b": 1}'}
    return references.Scope(
        {"Epochs": 3, "Fast": True},
        {"PipelineExecutionId": "abc"},
        {"Prepare": PREPARED}.__getitem__,
        lambda step, name: files[step, name],
        {"s3://b/x.json": b'{"k": 1}'}.__getitem__,
    )


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"Get": "Parameters.Epochs"}, 3),
        ({"Get": "Execution.PipelineExecutionId"}, "abc"),
        ({"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs[0].OutputName"}, "test"),
        (
            {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"},
            "s3://b/train",
        ),
        ({"Get": "Steps.Prepare.Environment['SEED']"}, "7"),
        ({"Get": "Steps.Prepare.CreationTime"}, "2026-01-02T03:04:05.000Z"),
        ({"Std:Join": {"On": "/", "Values": ["s3:/", {"Get": "Parameters.Epochs"}]}}, "s3://3"),
        ({"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Fast"}]}}, "true"),
        (
            {
                "Std:JsonGet": {
                    "PropertyFile": {"Get": "Steps.Prepare.PropertyFiles.Report"},
                    "Path": "metrics.accuracy[1]",
                }
            },
            0.91,
        ),
        (
            {
                "Std:JsonGet": {
                    "PropertyFile": {"Get": "Steps.Prepare.PropertyFiles.Report"},
                    "Path": "['a.b']",
                }
            },
            1,
        ),
        ({"Std:JsonGet": {"S3Uri": "s3://b/x.json", "Path": "$.k"}}, 1),
        ([{"x": {"Get": "Parameters.Epochs"}}], [{"x": 3}]),
    ],
)
def test_a_reference_resolves_to_its_value(
    scope: references.Scope, reference: Any, value: Any
) -> None:
    assert scope.resolve(reference) == value


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ({"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['val'].S3Output"}, "'val'"),
        ({"Get": "Steps.Prepare.Environment.SEED.x"}, "'x'"),
        ({"Get": "Steps.Train.ModelArtifacts"}, "Steps.Train.ModelArtifacts"),
        (
            {
                "Std:JsonGet": {
                    "PropertyFile": {"Get": "Steps.Prepare.PropertyFiles.Report"},
                    "Path": "metrics.recall",
                }
            },
            "property file Report of step Prepare: there is no 'recall'",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_stopped(
    scope: references.Scope, reference: Any, words: str
) -> None:
    with pytest.raises(references.UnresolvedReference, match=words.replace("[", r"\[")):
        scope.resolve(reference)


def test_references_to_steps_are_found_inside_joins_and_property_files() -> None:
    value = {
        "a": [{"Std:Join": {"On": "", "Values": ["x", {"Get": "Steps.One.ProcessingJobName"}]}}],
        "b": {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Two.PropertyFiles.F"}, "Path": "p"}},
        "c": {"Get": "Parameters.P"},
    }
    assert references.step_names(value) == ["One", "Two"]


def _compare(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        (_compare("Equals", "a", "a"), True),
        (_compare("Equals", 1, 1.0), True),
        (_compare("GreaterThan", 2, 2), False),
        (_compare("GreaterThanOrEqualTo", 0.85, 0.85), True),
        (_compare("LessThan", 1, 2), True),
        (_compare("LessThanOrEqualTo", 3, 2), False),
        ({"Type": "In", "QueryValue": "a", "Values": ["a", "b"]}, True),
        ({"Type": "Not", "Condition": _compare("Equals", 1, 1)}, False),
        ({"Type": "Not", "Expression": _compare("Equals", 1, 2)}, True),
        ({"Type": "Or", "Conditions": [_compare("Equals", 1, 2), _compare("Equals", 1, 1)]}, True),
        (
            {"Type": "And", "Conditions": [_compare("Equals", 1, 2), _compare("Equals", 1, 1)]},
            False,
        ),
    ],
)
def test_a_condition_compares(condition: dict[str, Any], outcome: bool) -> None:
    assert conditions.problems(condition) == []
    assert conditions.holds(condition) is outcome


def test_a_text_and_a_number_have_no_order() -> None:
    with pytest.raises(conditions.IncomparableValues, match="'a' and 1 cannot be compared"):
        conditions.holds(_compare("LessThan", "a", 1))


def test_an_unknown_condition_is_named_even_inside_others() -> None:
    nested = {"Type": "Or", "Conditions": [{"Type": "Not", "Condition": {"Type": "Like"}}]}
    assert "'Like'" in conditions.problems(nested)[0]


PARAMETERS: dict[str, parameters.Parameter] = {
    str(item["Name"]): parameters.Parameter.read(item)
    for item in (
        {"Name": "Epochs", "Type": "Integer", "DefaultValue": 3},
        {"Name": "Rate", "Type": "Float", "DefaultValue": 0.1},
        {"Name": "Fast", "Type": "Boolean", "DefaultValue": False},
        {"Name": "Mode", "Type": "String", "EnumValues": ["a", "b"]},
    )
}


def test_parameters_take_their_type_from_the_definition_and_their_value_from_the_request() -> None:
    given = [{"Name": "Epochs", "Value": "5"}, {"Name": "Mode", "Value": "a"}]
    given.append({"Name": "Fast", "Value": "True"})
    assert parameters.values(PARAMETERS, given) == {
        "Epochs": 5,
        "Mode": "a",
        "Fast": True,
        "Rate": 0.1,
    }


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Epoch", "3", "Unknown parameter 'Epoch'"),
        ("Epochs", "3.5", "Unexpected type for parameter 'Epochs'. Expected Integer"),
        ("Fast", "yes", "Unexpected type for parameter 'Fast'. Expected Boolean"),
        ("Mode", "c", "not in its enum"),
        ("Mode", "", "too short"),
        ("Rate", "1", "Parameter 'Mode' is undefined"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name: str, value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parameters.values(PARAMETERS, [{"Name": name, "Value": value}])


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("P30D", datetime.timedelta(days=30)),
        ("p30d", datetime.timedelta(days=30)),
        ("T12H", datetime.timedelta(hours=12)),
        ("P4DT12H", datetime.timedelta(days=4, hours=12)),
        ("PT1M30S", datetime.timedelta(seconds=90)),
        ("P1Y2M", datetime.timedelta(days=365 + 60)),
    ],
)
def test_expire_after_is_read_as_the_sdk_documents_it(text: str, age: datetime.timedelta) -> None:
    assert caching.max_age({"Enabled": True, "ExpireAfter": text}) == age


@pytest.mark.parametrize("text", ["", "P", "30 days", "PT", "D30"])
def test_an_illegal_expire_after_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        caching.max_age({"Enabled": True, "ExpireAfter": text})


def test_the_cache_key_holds_what_a_job_computes_from_and_not_where_it_writes() -> None:
    kind = STEP_TYPES["Training"]
    one = {"HyperParameters": {"lr": "1"}, "OutputDataConfig": {"S3OutputPath": "s3://b/1"}}
    moved = {**one, "OutputDataConfig": {"S3OutputPath": "s3://b/2"}, "RoleArn": "other"}
    changed = {**one, "HyperParameters": {"lr": "2"}}
    assert cache.digest(kind, one) == cache.digest(kind, moved)
    assert cache.digest(kind, one) != cache.digest(kind, changed)


def test_a_cached_result_is_used_until_it_expires_or_its_outputs_change(tmp_path: Path) -> None:
    clock = Clock()
    context = make_context(tmp_path, clock)
    context.objects.write("b", "train/1.png", b"one")
    context.objects.write("b", "training/other.png", b"not ours")
    outputs = [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}}]
    source = {
        "Properties": {"ProcessingOutputConfig": {"Outputs": outputs}},
        "EndTime": clock.now(),
    }
    cache.remember(context, "key", source)
    day = {"Enabled": True, "ExpireAfter": "P1D"}
    assert cache.lookup(context, "other", day) is None
    assert cache.lookup(context, "key", day)
    context.objects.write("b", "training/other.png", b"changed")
    assert cache.lookup(context, "key", day), "a neighbour with the same first letters is no output"
    clock.advance(days=2)
    assert cache.lookup(context, "key", day) is None
    assert cache.lookup(context, "key", {"Enabled": True})
    context.objects.write("b", "train/1.png", b"two")
    assert cache.lookup(context, "key", {"Enabled": True}) is None


def test_a_retry_policy_waits_longer_each_time_and_gives_up() -> None:
    policy = RetryPolicy.read(
        {
            "ExceptionType": ["SageMaker.CAPACITY_ERROR"],
            "IntervalSeconds": 2,
            "BackoffRate": 3,
            "MaxAttempts": 3,
        }
    )
    assert [policy.delay(retries, elapsed=0) for retries in range(4)] == [2, 6, 18, None]


def test_a_retry_policy_gives_up_when_its_time_is_over() -> None:
    policy = RetryPolicy.read(
        {"ExceptionType": ["Step.THROTTLING"], "IntervalSeconds": 40, "ExpireAfterMin": 1}
    )
    assert policy.delay(0, elapsed=10) == 40
    assert policy.delay(1, elapsed=10) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"ExceptionType": ["Step.OTHER"], "MaxAttempts": 1}, "Step.OTHER"),
        ({"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 21}, "MaxAttempts"),
        ({"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 1, "ExpireAfterMin": 1}, "only one"),
    ],
)
def test_an_illegal_retry_policy_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RetryPolicy.read(body)


def test_failures_are_sorted_into_the_documented_exception_types() -> None:
    assert retries.exception_of_reason("InternalServerError: We …") == INTERNAL_ERROR
    assert retries.exception_of_reason("CapacityError: no machines") == CAPACITY_ERROR
    assert retries.exception_of_reason("AlgorithmError: bad data, exit code: 1") is None
    assert retries.exception_of_error(LimitExceeded("too many")) == RESOURCE_LIMIT
    assert retries.exception_of_error(ApiError("fault")) == SERVICE_FAULT
    assert retries.exception_of_error(ValidationError("bad")) is None
    assert retries.exception_of_error(NotImplementedHere("lacking")) is None
