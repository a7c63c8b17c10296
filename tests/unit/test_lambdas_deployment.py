"""The functions of the deployment: from the registry's event to a plan."""

import datetime
import json
from typing import Any

import pytest

from lambdas import (
    deployment,
    model_package_changed,
    plan_deployment,
    update_endpoint,
)
from lambdas.deployment import PackageUnfit
from lambdas.plan_deployment import Clients, Hosting, NoApprovedVersion
from tests.lambda_kit import (
    ALIAS,
    MACHINE,
    NOON,
    OPTIONS,
    PREFIX,
    described_alias,
    described_config,
    described_endpoint,
    described_model,
    described_package,
    described_workflow,
    event,
    missing,
    package_arn,
    serving,
    stubbed,
    workflow_version,
)

HOSTING = Hosting(
    bucket="data",
    endpoint_role_arn="arn:aws:iam::123456789012:role/endpoint",
    kms_key_arn="arn:aws:kms:eu-west-1:123456789012:key/k",
    instance_type="ml.m5.large",
    instance_count=2,
    capture_percent=100,
    canary_percent=50,
    bake_seconds=300,
    poll_seconds=15,
    alarms=("errors", "latency"),
    alias_arn=ALIAS,
    vpc=None,
    tags=[{"Key": "stack", "Value": "scones-test"}],
)
EXECUTION = MACHINE.replace(":stateMachine:", ":execution:") + ":v3-now"
LATER = NOON + datetime.timedelta(hours=1)


def running(name: str, started: datetime.datetime = NOON) -> dict[str, Any]:
    return {
        "executionArn": f"{EXECUTION.rpartition(':')[0]}:{name}",
        "stateMachineArn": MACHINE,
        "name": name,
        "status": "RUNNING",
        "startDate": started,
    }


def decided(name: str, status: str = "Approved") -> tuple[Any, str]:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("describe_model_package", described_package(status=status))
    return model_package_changed.decide(event(name), OPTIONS, MACHINE, sagemaker, None)


def test_an_approval_starts_one_execution_named_by_version_and_moment() -> None:
    package, _ = decided("model_package_approved")
    states, stub = stubbed("stepfunctions")
    name = "v3-20261122T120000123Z"
    given = event("deployment_input") | {"approved_at": "2026-11-22T12:00:00.123+00:00"}
    answer = {"executionArn": f"{EXECUTION}", "startDate": NOON}
    expected = {"stateMachineArn": MACHINE, "name": name, "input": json.dumps(given)}
    stub.add_response("start_execution", answer, expected)
    assert model_package_changed.start(package, OPTIONS, MACHINE, states)["started"]


def test_the_second_delivery_of_an_event_collides_and_is_dropped() -> None:
    package, _ = decided("model_package_approved")
    states, stub = stubbed("stepfunctions")
    stub.add_client_error("start_execution", "ExecutionAlreadyExists", "there")
    outcome = model_package_changed.start(package, OPTIONS, MACHINE, states)
    assert not outcome["started"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model_package_of_another_group", "group 'other-team'"),
        ("model_package_of_another_account", "account 210987654321"),
        ("model_package_metadata_changed", "did not change"),
    ],
)
def test_what_is_not_ours_to_decide_starts_nothing(name: str, reason: str) -> None:
    package, why = model_package_changed.decide(event(name), OPTIONS, MACHINE, None, None)
    assert package is None
    assert reason in why


def test_an_approval_that_was_taken_back_meanwhile_starts_nothing() -> None:
    package, why = decided("model_package_approved", "PendingManualApproval")
    assert package is None
    assert "PendingManualApproval now" in why


def test_a_deleted_package_starts_nothing() -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_client_error(
        "describe_model_package", "ValidationException", "ModelPackage arn does not exist."
    )
    given = event("model_package_approved")
    package, why = model_package_changed.decide(given, OPTIONS, MACHINE, sagemaker, None)
    assert package is None
    assert "not in the registry" in why


@pytest.mark.parametrize(("served", "starts"), [(3, True), (2, False)])
def test_a_rejection_starts_an_execution_only_when_that_version_serves(
    served: int, starts: bool
) -> None:
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("describe_model_package", described_package(status="Rejected"))
    serving(stub, served)
    states, states_stub = stubbed("stepfunctions")
    states_stub.add_response("list_executions", {"executions": []})
    given = event("model_package_rejected")
    package, _ = model_package_changed.decide(given, OPTIONS, MACHINE, sagemaker, states)
    assert (package is not None) is starts
    if package:
        name = model_package_changed.execution_name(package)
        assert name == "v3-rejected-20261122T120000123Z"


@pytest.mark.parametrize("given", [{}, {"detail": {}}, {"detail": None}])
def test_an_event_that_is_none_raises_so_that_it_ends_in_the_dead_letter_queue(given: Any) -> None:
    with pytest.raises(model_package_changed.InvalidEvent, match="ModelPackageArn"):
        model_package_changed.decide(given, OPTIONS, MACHINE, None, None)


def planned(
    stub_sagemaker: Any,
    executions: list[dict[str, Any]],
    stub_states: Any = None,
    ringing: tuple[str, ...] = (),
    **given: Any,
) -> Any:
    sagemaker, stub = stubbed("sagemaker")
    stub_sagemaker(stub)
    states, states_stub = stubbed("stepfunctions")
    states_stub.add_response("list_executions", {"executions": executions})
    if stub_states:
        stub_states(states_stub)
    cloudwatch, cloudwatch_stub = stubbed("cloudwatch")
    alarms = [
        {"AlarmName": name, "StateValue": "ALARM" if name in ringing else "OK"}
        for name in HOSTING.alarms
    ]
    cloudwatch_stub.add_response("describe_alarms", {"MetricAlarms": alarms})
    clients = Clients(sagemaker, states, cloudwatch)
    entry = event("deployment_input") | given
    return plan_deployment.plan(entry, EXECUTION, OPTIONS, HOSTING, clients)


def test_a_deployment_waits_for_the_older_one() -> None:
    older = running("v2-before", NOON - datetime.timedelta(minutes=5))
    plan = planned(lambda stub: None, [running("v3-now"), older])
    assert plan == {"action": "wait", "reason": "v2-before is at work.", "poll_seconds": 15}


@pytest.mark.parametrize("status", ["Creating", "Updating", "Deleting", "RollingBack"])
def test_a_deployment_waits_while_the_endpoint_is_busy(status: str) -> None:
    def stub(stub: Any) -> None:
        stub.add_response("describe_endpoint", described_endpoint("other", status))

    assert planned(stub, [running("v3-now")])["action"] == "wait"


def test_the_first_deployment_has_nothing_to_go_back_to() -> None:
    def stub(stub: Any) -> None:
        missing(stub, "describe_endpoint", "endpoint")
        stub.add_response("describe_model_package", described_package())

    plan = planned(stub, [running("v3-now"), running("v4-later", LATER)])
    assert plan["action"] == "deploy"
    assert plan["previous"] is None
    assert plan["model"]["PrimaryContainer"] == {"ModelPackageName": package_arn(3)}
    assert plan["model"]["EnableNetworkIsolation"] is True
    assert "VpcConfig" not in plan["model"]
    tagged = [plan["tags"], plan["model"]["Tags"], plan["endpoint_config"]["Tags"]]
    assert tagged == [HOSTING.tags] * 3
    assert plan["confidence_threshold"] == 0.83
    assert plan["test_images_url"].endswith("/executions/abc123/test/")
    name = plan["endpoint_config"]["EndpointConfigName"]
    assert name.startswith(f"{PREFIX}-v3-")
    assert deployment.is_ours(name, OPTIONS)
    assert len(json.dumps(plan)) < 20_000


def test_the_requests_are_what_sagemaker_takes() -> None:
    package = deployment.Package(package_arn(3), 3, "Approved", "", described_package())
    requests = plan_deployment.requests(package, OPTIONS, HOSTING)
    sagemaker, stub = stubbed("sagemaker")
    stub.add_response("create_model", {"ModelArn": "arn:aws:sagemaker:eu-west-1:1:model/m"})
    stub.add_response(
        "create_endpoint_config", {"EndpointConfigArn": "arn:aws:sagemaker:eu-west-1:1:e/c"}
    )
    stub.add_response("update_endpoint", {"EndpointArn": "arn:aws:sagemaker:eu-west-1:1:e/e"})
    plan = {"endpoint_name": PREFIX, **requests}
    update_endpoint.make_model(plan, sagemaker)
    assert update_endpoint.serve(plan, described_endpoint("old"), sagemaker)["started"]
    stub.assert_no_pending_responses()
    capture = requests["endpoint_config"]["DataCaptureConfig"]
    assert [option["CaptureMode"] for option in capture["CaptureOptions"]] == ["Input", "Output"]


def test_one_instance_has_no_canary_and_keeps_its_alarms() -> None:
    single = HOSTING.__class__(**{**vars(HOSTING), "instance_count": 1})
    one, two = (plan_deployment.deployment_config(h) for h in (single, HOSTING))
    routing = "TrafficRoutingConfiguration"
    assert one["BlueGreenUpdatePolicy"][routing]["Type"] == "ALL_AT_ONCE"
    assert two["BlueGreenUpdatePolicy"][routing]["Type"] == "CANARY"
    assert one["AutoRollbackConfiguration"] == two["AutoRollbackConfiguration"]


@pytest.mark.parametrize("status", ["Rejected", "PendingManualApproval"])
def test_a_version_that_is_not_approved_any_more_is_not_deployed(status: str) -> None:
    def stub(stub: Any) -> None:
        missing(stub, "describe_endpoint", "endpoint")
        stub.add_response("describe_model_package", described_package(status=status))

    plan = planned(stub, [running("v3-now")])
    assert plan["action"] == "nothing"
    assert f"is {status} now" in plan["reason"]


@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        ({"CustomerMetadataProperties": {}}, "confidence_threshold"),
        ({"ModelMetrics": {}}, "no evaluation"),
        ({"InferenceSpecification": {"Containers": [{"Image": "i"}]}}, "names no model archive"),
    ],
)
def test_a_version_without_threshold_evaluation_or_archive_is_refused(
    lacking: dict[str, Any], sentence: str
) -> None:
    def stub(stub: Any) -> None:
        missing(stub, "describe_endpoint", "endpoint")
        stub.add_response("describe_model_package", described_package(**lacking))

    with pytest.raises(PackageUnfit, match=sentence):
        planned(stub, [running("v3-now")])


@pytest.mark.parametrize(
    ("ringing", "watching"), [((), 2), (("latency",), 1), (("errors", "latency"), 0)]
)
def test_an_alarm_that_rings_before_the_canary_does_not_watch_it(
    ringing: tuple[str, ...], watching: int
) -> None:
    def stub(stub: Any) -> None:
        missing(stub, "describe_endpoint", "endpoint")
        stub.add_response("describe_model_package", described_package())

    plan = planned(stub, [running("v3-now")], ringing=ringing)
    config = plan["deployment_config"].get("AutoRollbackConfiguration", {"Alarms": []})
    assert len(config["Alarms"]) == watching
    assert all(name in plan["reason"] for name in ringing)


def rejected(approved: list[int], served: list[int]) -> Any:
    """Plans the rejection of version 3, which serves. Both lists are oldest first."""

    def stub(stub: Any) -> None:
        serving(stub, 3)
        stub.add_response("describe_model_package", described_package(3, "Rejected"))
        empty: dict[str, Any] = {"ModelPackageSummaryList": [], "NextToken": "more"}
        stub.add_response("list_model_packages", empty)  # a page may be empty and have a successor
        rows = [
            {
                "ModelPackageName": PREFIX,
                "ModelPackageArn": package_arn(version),
                "CreationTime": NOON,
                "ModelPackageStatus": "Completed",
            }
            for version in approved
        ]
        stub.add_response("list_model_packages", {"ModelPackageSummaryList": rows})
        chosen = max(set(approved) & set(served), default=1)
        expected = {"ModelPackageName": package_arn(chosen)}
        stub.add_response("describe_model_package", described_package(chosen), expected)

    def stub_states(stub: Any) -> None:
        numbered = list(enumerate(served, start=1))[::-1]
        published = [
            {"stateMachineVersionArn": workflow_version(number), "creationDate": NOON}
            for number, _ in numbered
        ]
        stub.add_response("list_state_machine_versions", {"stateMachineVersions": published})
        for number, version in numbered:
            stub.add_response("describe_state_machine", described_workflow(number, version))
        stub.add_response("describe_state_machine_alias", described_alias(len(served)))
        stub.add_response("describe_state_machine", described_workflow(len(served), served[-1]))

    return planned(stub, [running("v3-now")], stub_states, decision="Rejected")


def test_a_rejection_brings_back_the_newest_approved_version_that_served() -> None:
    plan = rejected(approved=[1, 2, 4], served=[1, 2, 3])
    assert plan["model_package_arn"] == package_arn(2)
    assert plan["previous"]["version"] == 3


def test_a_rejection_passes_over_approved_versions_that_never_served() -> None:
    plan = rejected(approved=[1, 2, 4], served=[1, 3])
    assert plan["model_package_arn"] == package_arn(1)


@pytest.mark.parametrize("approved", [[], [4]])
def test_a_rejection_with_nothing_before_it_alarms_and_changes_nothing(approved: list[int]) -> None:
    with pytest.raises(NoApprovedVersion, match="it keeps serving"):
        rejected(approved, served=[3])


def approved_while(served: int, proven: int | None, own: str, *ended: str) -> Any:
    """Plans version 3 while `served` is behind the endpoint and `proven` in the workflow."""
    execution = f"{EXECUTION.rpartition(':')[0]}:{own}"

    def stub_states(stub: Any) -> None:
        stub.add_response("list_executions", {"executions": [running(own)]})
        stub.add_response("list_executions", {"executions": [running(name) for name in ended]})
        if proven is None:
            stub.add_client_error("describe_state_machine_alias", "ResourceNotFound", "no alias")
            return
        stub.add_response("describe_state_machine_alias", described_alias(7))
        stub.add_response("describe_state_machine", described_workflow(7, proven))

    sagemaker, stub = stubbed("sagemaker")
    serving(stub, served)
    stub.add_response("describe_model_package", described_package())
    if proven not in (None, served):
        model = f"{PREFIX}-v{proven}"
        stub.add_response("describe_endpoint_config", described_config("config", model))
        stub.add_response("describe_model", described_model(model, int(proven or 0)))
    states, states_stub = stubbed("stepfunctions")
    stub_states(states_stub)
    cloudwatch, cloudwatch_stub = stubbed("cloudwatch")
    cloudwatch_stub.add_response("describe_alarms", {"MetricAlarms": []})
    clients = Clients(sagemaker, states, cloudwatch)
    given = event("deployment_input")
    return plan_deployment.plan(given, execution, OPTIONS, HOSTING, clients)


@pytest.mark.parametrize(
    ("served_since", "action"),
    [("v2-20261122T120001000Z", "nothing"), ("v2-20261122T115959000Z", "deploy")],
)
def test_an_approval_does_not_undo_a_later_one_however_late_its_event_comes(
    served_since: str, action: str
) -> None:
    plan = approved_while(2, 2, "v3-20261122T120000123Z", served_since, "v1-20261122T130000000Z")
    assert plan["action"] == action


def test_what_a_cut_off_deployment_left_is_nothing_to_go_back_to() -> None:
    own = "v3-20261122T120000123Z"
    plan = approved_while(3, 2, own)
    assert plan["previous"]["version"] == 2
    assert plan["previous"]["endpoint_config_name"].startswith(f"{PREFIX}-v2-")
    assert approved_while(3, None, own)["previous"] is None
    assert approved_while(3, 3, own)["previous"]["version"] == 3
