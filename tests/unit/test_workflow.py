"""The state machines: valid, complete, and in step with the functions and the template."""

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint import decode  # type: ignore[import-untyped]  # ships no types
from cfnlint.api import lint_all  # type: ignore[import-untyped]  # ships no types
from moto import mock_aws
from statelint.linter import Linter  # type: ignore[import-untyped]  # ships no types

from workflow import publish, render

NAMES = ("inference", "batch", "deployment")
ROOT = Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::123456789012:role/workflow"


def rendered(name: str) -> str:
    values = {
        p: f"arn:aws:lambda:eu-west-1:123456789012:function:{p}" for p in render.placeholders(name)
    }
    return render.render(name, {**values, "Partition": "aws", "ConfidenceThreshold": "0.8"})


def template() -> dict[str, Any]:
    found, problems = decode.decode(str(ROOT / "infra" / "scones.yaml"))
    assert not problems
    return dict(found)


def states_of(name: str) -> dict[str, Any]:
    return dict(json.loads(render.source(name))["States"])


@pytest.mark.parametrize("name", NAMES)
def test_the_definition_passes_statelint(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(rendered(name))
    assert Linter.validate(str(path)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_definition_passes_cfn_lints_schema(name: str) -> None:
    properties = {"RoleArn": ROLE, "Definition": json.loads(rendered(name))}
    resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    found = lint_all(json.dumps({"Resources": {"Machine": resource}}))
    assert [str(problem) for problem in found if problem.rule.id[0] in "EW"] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_template_fills_every_placeholder_and_no_other(name: str) -> None:
    machine = template()["Resources"][name.capitalize()]["Properties"]
    assert set(machine["DefinitionSubstitutions"]) == render.placeholders(name)


def caught(name: str, state: str) -> set[str]:
    return {
        error for catch in states_of(name)[state]["Catch"] for error in catch["ErrorEquals"]
    } - {"States.ALL"}


@pytest.mark.parametrize(
    ("state", "module"),
    [
        ("SerializeImageData", "serialize_image_data"),
        ("ImageClassification", "image_classification"),
        ("FilterLowInferenceConfidence", "filter_low_inference_confidence"),
    ],
)
def test_every_error_of_a_function_is_caught_by_its_name_and_has_a_failure(
    state: str, module: str
) -> None:
    loaded = importlib.import_module(f"lambdas.{module}")
    raised = {
        name
        for name, value in inspect.getmembers(loaded, inspect.isclass)
        if issubclass(value, Exception) and value.__module__ == loaded.__name__
    }
    assert caught("inference", state) == raised
    fails = {n: s for n, s in states_of("inference").items() if s["Type"] == "Fail"}
    assert all(fails[name]["Error"] == name for name in raised)
    choices = states_of("inference")["WhichError"]["Choices"]
    assert raised <= {choice["StringEquals"] for choice in choices}


def retried(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "Retry":
                yield from (error for retry in item for error in retry["ErrorEquals"])
            yield from retried(item)
    elif isinstance(value, list):
        for item in value:
            yield from retried(item)


def test_an_image_is_retried_only_for_what_can_pass_on_a_second_try() -> None:
    own = {error for error in retried(states_of("inference")) if not error.startswith("Lambda.")}
    assert own == {"EndpointNotReady"}
    assert not {"Lambda.Unknown", "States.ALL"} & set(retried(states_of("inference")))


def test_whatever_fails_in_a_deployment_is_rolled_back() -> None:
    states = states_of("deployment")
    before = ["PlanDeployment", "UpdateEndpoint", "SmokeTest", "CreateMonitoringSchedule"]
    for name in [*before, "PublishInferenceWorkflow"]:
        (catch,) = states[name]["Catch"]
        assert (catch["ErrorEquals"], catch["Next"]) == (["States.ALL"], "RollBack")


def test_the_batch_is_bounded_and_writes_one_manifest() -> None:
    batch = states_of("batch")["ClassifyPrefix"]
    assert batch["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    assert {"MaxConcurrencyPath", "ToleratedFailurePercentagePath", "ResultWriter"} <= batch.keys()


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(render.DefinitionError, match=r"batch\.asl\.json: .*BucketName"):
        render.render("batch", {"Partition": "aws", "InferenceAliasArn": "arn:x"})


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ({"A": {"Type": "Pass", "Next": "B"}}, "no state 'B'"),
        ({"A": {"Type": "Succeed"}, "B": {"Type": "Succeed"}}, "nothing leads to the state 'B'"),
        ({"A": {"Type": "Task", "Resource": "lambda", "End": True}}, "'A' has the resource"),
    ],
)
def test_a_definition_with_a_hole_is_refused(states: dict[str, Any], sentence: str) -> None:
    with pytest.raises(render.DefinitionError, match=sentence):
        render.check({"StartAt": "A", "States": states}, "x")


def test_the_published_workflow_carries_what_belongs_to_the_version() -> None:
    stack = {name: f"arn:aws:lambda:x:1:function:{name}" for name in render.FROM_STACK}
    definition = json.loads(
        render.inference(
            endpoint_name="scones-prod",
            model_package_arn="arn:of:3",
            confidence_threshold=0.8345678901234567,
            stack=stack,
        )
    )
    given = definition["States"]["FilterLowInferenceConfidence"]["Parameters"]
    assert float(given["threshold"]) == 0.8345678901234567
    asked = definition["States"]["ImageClassification"]["Parameters"]
    assert (asked["endpoint_name"], asked["model_package_arn"]) == ("scones-prod", "arn:of:3")
    assert not re.search(r"\$\{", json.dumps(definition))


@mock_aws
def test_publishing_moves_the_alias_and_going_back_moves_it_back() -> None:
    states = boto3.client("stepfunctions", region_name="eu-west-1")
    arn = states.create_state_machine(
        name="inference", definition=rendered("inference"), roleArn=ROLE
    )["stateMachineArn"]
    first = publish.publish(rendered("inference"), "version 1", arn, states)
    changed = json.loads(rendered("inference")) | {"Comment": "another"}
    second = publish.publish(json.dumps(changed), "version 2", arn, states)

    def points_at() -> str:
        alias = states.describe_state_machine_alias(stateMachineAliasArn=publish.alias_of(arn))
        return str(alias["routingConfiguration"][0]["stateMachineVersionArn"])

    assert first["workflow_version_arn"] != second["workflow_version_arn"] == points_at()
    publish.move_alias(first["workflow_version_arn"], states)
    assert points_at() == first["workflow_version_arn"]
