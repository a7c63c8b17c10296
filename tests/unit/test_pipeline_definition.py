"""What is wrong with a definition can be said before anything runs."""

import json
from typing import Any

import pytest

from pipeline_definition.definition import parse
from pipelines.check import DefinitionError, check
from tests.pipelines_kit import definition, processing, training

Json = dict[str, Any]

REPORT = {"PropertyFileName": "Report", "OutputName": "data", "FilePath": "report.json"}


def _check(body: Any) -> None:
    check(body if isinstance(body, str) else json.dumps(body))


def _condition(left: Any, if_steps: list[Json] | None = None) -> Json:
    conditions = [{"Type": "GreaterThan", "LeftValue": left, "RightValue": 0.5}]
    return {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {"Conditions": conditions, "IfSteps": if_steps or [], "ElseSteps": []},
    }


def _accuracy(step: str = "Evaluate", name: str = "Report") -> Json:
    file = {"Get": f"Steps.{step}.PropertyFiles.{name}"}
    return {"Std:JsonGet": {"PropertyFile": file, "Path": "accuracy"}}


def test_a_whole_pipeline_passes() -> None:
    data = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['data'].S3Output.S3Uri"}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": data}}
    channels = [{"ChannelName": "train", "DataSource": source}]
    _check(
        definition(
            processing("Prepare"),
            training("Train", arguments={"InputDataConfig": channels}),
            processing("Evaluate", PropertyFiles=[REPORT], DependsOn=["Train"]),
            _condition(_accuracy(), [processing("Publish")]),
            {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}},
        )
    )


def test_the_dependencies_are_those_of_references_branches_and_depends_on() -> None:
    parsed = parse(
        json.dumps(
            definition(
                processing("Evaluate", PropertyFiles=[REPORT]),
                _condition(_accuracy(), [processing("Publish")]),
                processing(
                    "Notify", DependsOn=[{"Step": "Evaluate", "Trigger": "Failed"}, "Publish"]
                ),
            )
        )
    )
    assert parsed.steps["Gate"].after == {"Evaluate": "Completed"}
    assert parsed.steps["Publish"].after == {"Gate": "Completed"}
    assert parsed.steps["Notify"].after == {"Evaluate": "Failed", "Publish": "Completed"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "It is not JSON"),
        ("[]", "Expecting start of Json Object"),
        ({"Version": "2019-01-01", "Steps": []}, "Invalid Version '2019-01-01'"),
        (definition(), "at least one step"),
        (definition(processing("A"), processing("A")), "Step names must be unique; 'A'"),
        (
            definition(processing("A"), _condition(1, [processing("A")])),
            "Step names must be unique; 'A'",
        ),
        (definition({**processing("A"), "Type": "Cooking"}), "unknown step type 'Cooking'"),
        (definition(processing("bad name")), "the step name 'bad name' does not match"),
        (definition(*[processing(f"S{n}") for n in range(51)]), "at most 50 steps"),
        (definition(processing("A", DependsOn=["B"])), "depends on step 'B', which is not"),
        (
            definition(processing("A", DependsOn=["B"]), processing("B", DependsOn=["A"])),
            "in a circle: A → B → A",
        ),
        (
            definition(processing("A", arguments={"Environment": {"X": {"Get": "Parameters.P"}}})),
            "parameter 'P', which the pipeline does not define",
        ),
        (
            definition(processing("A", arguments={"Environment": {"X": {"Get": "Execution.Id"}}})),
            "Execution.Id, which is not an execution variable",
        ),
        (
            definition(
                training("T"),
                processing(
                    "A",
                    arguments={"Environment": {"X": {"Get": "Steps.T.ModelArtifact.S3Uri"}}},
                ),
            ),
            "a Training step has no property 'ModelArtifact.S3Uri'",
        ),
        (
            definition(processing("Evaluate"), _condition(_accuracy())),
            "'Steps.Evaluate.PropertyFiles.Report' is not defined",
        ),
        (
            definition(
                processing("Evaluate", PropertyFiles=[{**REPORT, "OutputName": "other"}]),
                _condition(_accuracy()),
            ),
            "lies in output 'other', which step 'Evaluate' does not have",
        ),
        (
            definition(training("T", arguments={"HyperParameters": {"epochs": 3}})),
            "hyperParameters",
        ),
        (definition(training("T", arguments={"Epochs": 3})), "epochs"),
        (
            definition(processing("A", CacheConfig={"Enabled": True, "ExpireAfter": "soon"})),
            "CacheConfig: ExpireAfter 'soon'",
        ),
        (
            definition(processing("A", RetryPolicies=[{"ExceptionType": ["Bad"]}])),
            "RetryPolicies: ExceptionType",
        ),
        (
            definition(
                processing("A", arguments={"Environment": {"X": {"Get": "Parameters.N"}}}),
                parameters=[{"Name": "N", "Type": "Integer", "DefaultValue": 3}],
            ),
            "Member must be a string",
        ),
        (
            definition(
                processing("A"),
                parameters=[{"Name": "N", "Type": "Integer", "DefaultValue": "three"}],
            ),
            "'three', which is no Integer",
        ),
    ],
)
def test_what_can_be_seen_to_fail_is_refused_and_named(body: Any, words: str) -> None:
    with pytest.raises(DefinitionError) as refusal:
        _check(body)
    assert words in str(refusal.value)


def test_a_step_type_that_it_does_not_know_inside_out_is_left_to_aws() -> None:
    _check(definition({"Name": "Score", "Type": "QualityCheck", "Arguments": {}}))


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(DefinitionError) as refusal:
        _check(definition(processing("A", DependsOn=["B"]), processing("C", DependsOn=["D"])))
    assert "Step 'A'" in str(refusal.value)
    assert "Step 'C'" in str(refusal.value)
