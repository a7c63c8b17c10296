"""Alarms, labels and people ask for a retraining, through the stack's own rules and function.

CodePipeline is a double that speaks its protocol and counts starts; all else is as a user has it.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lambdas.retraining import DECISIONS
from tests.end_to_end.conftest import User
from tests.end_to_end.test_faults import wait_until

Json = dict[str, Any]
BUCKET = "scones-local-123456789012-us-east-1"
FUNCTION = "scones-local-requestRetraining"
LABELS_RULE = "scones-local-labels-written"


class CodePipeline:
    """The two operations that requestRetraining calls; what was started runs until `finish`."""

    def __init__(self) -> None:
        self.started: dict[str, Json] = {}
        self._finished = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                body = json.dumps(owner.answer(operation, request)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, operation: str, request: Json) -> Json:
        if operation == "StartPipelineExecution":
            self.started.setdefault(request["clientRequestToken"], request)
            return {"pipelineExecutionId": f"run-{len(self.started)}"}
        assert operation == "ListPipelineExecutions"
        states = ["Succeeded"] * self._finished
        states += ["InProgress"] * (len(self.started) - self._finished)
        summaries = [
            {"pipelineExecutionId": f"run-{number}", "status": state}
            for number, state in enumerate(states, 1)
        ]
        return {"pipelineExecutionSummaries": summaries}

    def finish(self) -> None:
        self._finished = len(self.started)


@pytest.fixture(scope="module")
def codepipeline() -> Iterator[CodePipeline]:
    double = CodePipeline()
    yield double
    double.server.shutdown()


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, codepipeline: CodePipeline) -> Iterator[User]:
    """A user with a stack; nothing is trained, and labels ask for nothing yet."""
    user = User(tmp_path_factory.mktemp("retraining"))
    user.ok("local", "up")
    user.ok("deploy")
    functions = user.client("lambda")
    found = functions.get_function_configuration(FunctionName=FUNCTION)["Environment"]
    found["Variables"]["AWS_ENDPOINT_URL_CODEPIPELINE"] = codepipeline.url
    functions.update_function_configuration(FunctionName=FUNCTION, Environment=found)
    user.client("events").disable_rule(Name=LABELS_RULE)
    yield user
    user.run("local", "down")


def log(user: User) -> str:
    """What the function wrote."""
    found = user.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{FUNCTION}")
    return "\n".join(event["message"] for event in found["events"])


def await_decisions(user: User, count: int, trigger: str) -> None:
    """Waits for so many of a trigger. By one listing a look: the functions want the processor."""
    s3 = user.client("s3")

    def there() -> bool:
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=DECISIONS).get("Contents", [])
        return sum(f"-{trigger}-" in item["Key"] for item in listed) >= count

    try:
        wait_until(there, 240)  # what fails is tried again after one minute and two more
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log(user)}") from None


def test_an_alarm_that_flaps_twenty_times_starts_one_retraining(
    user: User, codepipeline: CodePipeline
) -> None:
    for number in range(5):
        user.ok("label", f"flap-{number}", "bicycle")
    cloudwatch = user.client("cloudwatch")
    for _ in range(20):
        for state in ("ALARM", "OK"):
            cloudwatch.set_alarm_state(
                AlarmName="scones-local-drift", StateValue=state, StateReason="a drill"
            )
    await_decisions(user, 20, "drift")
    found = user.run("retraining", "list", "--json", "-n", "50").json
    assert len(found) == 20
    assert {row["trigger"] for row in found} == {"drift"}
    assert [row["decision"] for row in found].count("started") == 1
    assert all(row["reason"] for row in found)
    (started,) = codepipeline.started.values()
    assert started["name"] == "scones-local-retraining"
    assert started["variables"][0] == {"name": "TRIGGER", "value": "drift"}
    assert user.client("sqs").get_queue_attributes(
        QueueUrl=user.client("sqs").get_queue_url(QueueName="scones-local-dead-letters")[
            "QueueUrl"
        ],
        AttributeNames=["ApproximateNumberOfMessages"],
    )["Attributes"] == {"ApproximateNumberOfMessages": "0"}


def test_a_label_and_a_person_ask_in_the_same_place(user: User, codepipeline: CodePipeline) -> None:
    user.client("events").enable_rule(Name=LABELS_RULE)
    codepipeline.finish()
    before = len(codepipeline.started)
    user.ok("label", "another", "bicycle")
    await_decisions(user, 1, "labels")
    (newest,) = user.run("retraining", "list", "--json", "-n", "1").json
    assert newest["trigger"] == "labels"
    assert "the next may at" in newest["reason"]
    refused = user.run("retraining", "start")
    assert refused.exit_code == 1
    assert "the next may at" in refused.err
    forced = user.run("retraining", "start", "--force", "--json")
    assert forced.json["decision"] == "started"
    assert len(codepipeline.started) == before + 1
    shown = user.run("retraining", "show", forced.json["event_id"], "--json").json
    assert shown == forced.json
    assert user.run("retraining", "show", "nothing").exit_code == 2
