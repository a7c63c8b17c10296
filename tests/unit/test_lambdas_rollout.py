"""updateEndpoint, rollBackDeployment, cleanUpDeployment: what serves, and back."""

from typing import Any

import pytest

from lambdas import clean_up_deployment, roll_back_deployment, update_endpoint
from tests.lambda_kit import (
    NOON,
    OPTIONS,
    PREFIX,
    described_endpoint,
    event,
    missing,
    stubbed,
)

PLAN: dict[str, Any] = {
    "action": "deploy",
    "version": 3,
    "endpoint_name": PREFIX,
    "poll_seconds": 15,
    "model": {"ModelName": "m", "ExecutionRoleArn": "arn:aws:iam::123456789012:role/endpoint"},
    "endpoint_config": {
        "EndpointConfigName": "new",
        "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "m"}],
    },
    "deployment_config": {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}},
    "tags": [{"Key": "stack", "Value": PREFIX}],
    "previous": {"endpoint_config_name": "old", "version": 2, "workflow_version_arn": None},
}


def test_what_is_in_service_already_is_done_without_a_change() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("describe_endpoint", described_endpoint("new"))
    assert update_endpoint.advance(PLAN, {}, sagemaker)["done"]


def test_models_and_configurations_that_are_there_are_used() -> None:
    sagemaker, stub = stubbed("sagemaker")
    missing(stub, "describe_endpoint", "endpoint")
    stub.add_client_error("create_model", "ValidationException", "Cannot create already existing")
    stub.add_client_error(
        "create_endpoint_config", "ValidationException", "Cannot create already existing"
    )
    expected = {
        "EndpointName": PREFIX,
        "EndpointConfigName": "new",
        "DeploymentConfig": PLAN["deployment_config"],
        "Tags": PLAN["tags"],
    }
    stub.add_response("create_endpoint", {"EndpointArn": "arn:aws:sagemaker:e/e/e/e/e"}, expected)
    outcome = update_endpoint.advance(PLAN, {}, sagemaker)
    assert outcome == {"started": True, "done": False, "status": "Creating"}


def test_an_endpoint_that_became_busy_is_waited_for() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_client_error(
        "update_endpoint", "ValidationException", "Cannot update in-progress endpoint"
    )
    outcome = update_endpoint.serve(PLAN, described_endpoint("old"), sagemaker)
    assert outcome == {"started": False, "done": False, "status": "busy"}


def test_a_package_without_a_model_archive_is_refused_with_sagemakers_reason() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_client_error(
        "create_model", "ValidationException", "Could not find model data at s3://b/k."
    )
    with pytest.raises(update_endpoint.ModelRefused, match="s3://b/k"):
        update_endpoint.make_model(PLAN, sagemaker)


def test_an_update_that_sagemaker_took_back_fails_with_its_reason() -> None:
    sagemaker, stub = stubbed("sagemaker")
    reason = "Alarm errors went off."
    stub.add_response("describe_endpoint", described_endpoint("old", FailureReason=reason))
    with pytest.raises(update_endpoint.EndpointUpdateFailed, match="version 3: Alarm errors"):
        update_endpoint.advance(PLAN, {"started": True}, sagemaker)


def test_an_endpoint_whose_creation_failed_is_deleted_before_it_is_made_anew() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("describe_endpoint", described_endpoint("old", "Failed"))
    stub.add_response("delete_endpoint", {}, {"EndpointName": PREFIX})
    assert not update_endpoint.advance(PLAN, {}, sagemaker)["started"]


def test_the_endpoint_goes_back_all_at_once_and_without_alarms() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("describe_endpoint", described_endpoint("new"))
    expected = {
        "EndpointName": PREFIX,
        "EndpointConfigName": "old",
        "DeploymentConfig": roll_back_deployment._ALL_AT_ONCE,
    }
    stub.add_response("update_endpoint", {"EndpointArn": "arn:aws:sagemaker:e/e/e/e/e"}, expected)
    outcome = roll_back_deployment.advance(PLAN, 0, OPTIONS, sagemaker)
    assert outcome == {"done": False, "attempts": 1}


def test_a_failed_first_deployment_leaves_no_endpoint_and_no_schedule() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("describe_endpoint", described_endpoint("new", "Failed"))
    missing(stub, "delete_monitoring_schedule", "schedule")
    stub.add_response("delete_endpoint", {}, {"EndpointName": PREFIX})
    first = PLAN | {"previous": None}
    assert not roll_back_deployment.advance(first, 0, OPTIONS, sagemaker)["done"]
    missing(stub, "describe_endpoint", "endpoint")
    assert roll_back_deployment.advance(first, 1, OPTIONS, sagemaker)["done"]


def test_an_endpoint_deleted_by_hand_comes_back_with_what_served() -> None:
    sagemaker, stub = stubbed("sagemaker")
    missing(stub, "describe_endpoint", "endpoint")
    expected = {"EndpointName": PREFIX, "EndpointConfigName": "old", "Tags": PLAN["tags"]}
    stub.add_response("create_endpoint", {"EndpointArn": "arn:aws:sagemaker:e/e/e/e/e"}, expected)
    assert not roll_back_deployment.advance(PLAN, 0, OPTIONS, sagemaker)["done"]


def test_after_three_attempts_somebody_is_called() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("describe_endpoint", described_endpoint("new", FailureReason="No capacity."))
    with pytest.raises(roll_back_deployment.RollBackFailed, match="No capacity"):
        roll_back_deployment.advance(PLAN, 3, OPTIONS, sagemaker)


def test_a_deployment_that_touched_nothing_leaves_the_endpoint_alone() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("describe_endpoint", described_endpoint("busy", "Updating"))
    assert roll_back_deployment.advance(None, 0, OPTIONS, sagemaker)["done"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"Error": "X", "Cause": '{"errorMessage": "It broke.", "errorType": "X"}'}, "It broke"),
        ({"Error": "States.Timeout"}, "States.Timeout"),
        ({"Error": "X", "Cause": "plain text"}, "plain text"),
    ],
)
def test_one_sentence_says_what_failed_and_what_serves(error: dict[str, str], reason: str) -> None:
    given = event("deployment_input")
    text = roll_back_deployment.sentence(None, given, error, 2)
    assert text == f"Version 3 was not deployed: {reason}. Version 2 serves."


def test_only_what_a_deployment_made_and_nothing_uses_is_deleted() -> None:
    sagemaker, stub = stubbed("sagemaker")
    used, old = f"{PREFIX}-v3-0123abcd", f"{PREFIX}-v2-0123abcd"
    stub.add_response("describe_endpoint", described_endpoint(used))
    configs = [
        {
            "EndpointConfigName": name,
            "EndpointConfigArn": "arn:aws:sagemaker:e/e/e",
            "CreationTime": NOON,
        }
        for name in (used, old, f"{PREFIX}-v2-by-hand", f"x-{PREFIX}-v1-0123abcd")
    ]
    models = [
        {"ModelName": name, "ModelArn": "arn:aws:sagemaker:e/e/e/e", "CreationTime": NOON}
        for name in (f"{PREFIX}-v3", f"{PREFIX}-v2", f"{PREFIX}-vision")
    ]
    stub.add_response("list_endpoint_configs", {"EndpointConfigs": configs})
    stub.add_response("list_models", {"Models": models})
    stub.add_response("delete_endpoint_config", {}, {"EndpointConfigName": old})
    stub.add_response("delete_model", {}, {"ModelName": f"{PREFIX}-v2"})
    deleted = clean_up_deployment.clean_up(OPTIONS, sagemaker)
    assert deleted == {"endpoint_configs": [old], "models": [f"{PREFIX}-v2"]}
    stub.assert_no_pending_responses()
