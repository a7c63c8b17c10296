"""Executions that run while localaws is stopped, or killed, go on when it is back."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import LocalAws
from tests.functions_kit import make_function, make_role, until

Json = dict[str, Any]

SLOW = "import time\ndef handler(event, context): time.sleep(6); return event"
LIMIT = 8  # seconds
WAIT: Json = {"Type": "Wait", "Seconds": 4}
WAIT_LONG: Json = {"Type": "Wait", "Seconds": 900, "End": True}
INNER: Json = {"StartAt": "Inner", "States": {"Inner": WAIT_LONG}}


def definitions(function: str) -> dict[str, Json]:
    """A machine for each way in which an execution can be at work."""
    call = {"Type": "Task", "Resource": function, "End": True}
    caught = {**call, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}]}
    return {
        "waits": {
            "StartAt": "First",
            "States": {
                "First": {"Type": "Pass", "Result": {"from": "First"}, "Next": "Wait"},
                "Wait": {**WAIT, "Next": "Last"},
                "Last": {"Type": "Pass", "End": True},
            },
        },
        "calls": {"StartAt": "Call", "States": {"Call": caught, "Failed": {"Type": "Fail"}}},
        "stopped": {"StartAt": "Call", "States": {"Call": call}},
        "limited": {
            "StartAt": "Wait",
            "TimeoutSeconds": LIMIT,
            "States": {"Wait": WAIT_LONG},
        },
        "mapped": {
            "StartAt": "Each",
            "States": {"Each": {"Type": "Map", "ItemsPath": "$.n", "Iterator": INNER, "End": True}},
        },
        "express": {"StartAt": "Wait", "States": {"Wait": WAIT_LONG}},
    }


class Executions:
    """One execution of each machine, and what is read of it."""

    def __init__(self, aws: LocalAws) -> None:
        self.states = aws.client("stepfunctions")
        role = make_role(aws, "machine")
        self.arns, self.started = {}, {}
        for name, definition in definitions(make_function(aws, "slow", SLOW)).items():
            machine = self.states.create_state_machine(
                name=name,
                roleArn=role,
                definition=json.dumps(definition),
                type="EXPRESS" if name == "express" else "STANDARD",
            )
            begun = self.states.start_execution(
                stateMachineArn=machine["stateMachineArn"], name="one", input='{"n": [1]}'
            )
            self.arns[name], self.started[name] = begun["executionArn"], begun["startDate"]

    def show(self, name: str) -> Json:
        return dict(self.states.describe_execution(executionArn=self.arns[name]))

    def ended(self, name: str) -> Json:
        until(lambda: self.show(name)["status"] != "RUNNING")
        return self.show(name)

    def history(self, name: str) -> list[Json]:
        found = self.states.get_execution_history(executionArn=self.arns[name])
        return list(found["events"])

    def types(self, name: str) -> list[str]:
        return [event["type"] for event in self.history(name)]


def stop_in_order(aws: LocalAws) -> None:
    assert aws.stop() == 0


def kill(aws: LocalAws) -> None:
    time.sleep(2.1)  # a snapshot is due each second: this is the promise under test
    aws.kill()


@pytest.fixture(scope="module", params=[stop_in_order, kill])
def after(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Executions]:
    """The executions, after the server was away."""
    end: Callable[[LocalAws], None] = request.param
    aws = LocalAws(tmp_path_factory.mktemp("local-aws"))
    executions = Executions(aws)
    for name in ("mapped", "waits"):
        until(lambda name=name: "WaitStateEntered" in executions.types(name))
    executions.states.stop_execution(executionArn=executions.arns["stopped"])
    end(aws)
    aws.start()
    yield executions
    aws.stop()


def test_an_execution_goes_on_in_the_state_in_which_it_was(after: Executions) -> None:
    shown = after.ended("waits")
    assert shown["status"] == "SUCCEEDED"
    assert (shown["name"], shown["startDate"]) == ("one", after.started["waits"])
    assert json.loads(shown["output"]) == {"from": "First"}


def test_its_history_goes_on_too(after: Executions) -> None:
    after.ended("waits")
    history = after.history("waits")
    assert [event["id"] for event in history] == [*range(1, len(history) + 1)]
    assert after.types("waits") == [
        *("ExecutionStarted", "PassStateEntered", "PassStateExited", "WaitStateEntered"),
        *("WaitStateEntered", "WaitStateExited", "PassStateEntered", "PassStateExited"),
        "ExecutionSucceeded",
    ]


def test_a_task_in_flight_is_called_again_and_has_not_failed(after: Executions) -> None:
    assert after.ended("calls")["status"] == "SUCCEEDED"
    types = after.types("calls")
    assert types.count("TaskStateEntered") == 2
    assert types.count("LambdaFunctionSucceeded") == 1
    assert "LambdaFunctionFailed" not in types


def test_an_execution_that_was_stopped_does_not_go_on(after: Executions) -> None:
    assert after.show("stopped")["status"] == "ABORTED"


def test_the_time_limit_counts_from_the_start(after: Executions) -> None:
    assert after.ended("limited")["status"] == "TIMED_OUT"
    ended = after.history("limited")[-1]
    assert ended["type"] == "ExecutionTimedOut"
    assert (ended["timestamp"] - after.started["limited"]).total_seconds() < LIMIT + 2


def test_what_cannot_go_on_has_failed_and_says_why(after: Executions) -> None:
    assert after.show("mapped")["cause"] == (
        "localaws was stopped while the execution was in the Map state 'Each'; start it again."
    )
    assert after.show("express")["cause"] == (
        "localaws was stopped while the Express execution was running; start it again."
    )
    for name in ("mapped", "express"):
        shown = after.show(name)
        assert (shown["status"], shown["error"]) == ("FAILED", "LocalAws.Restarted")
