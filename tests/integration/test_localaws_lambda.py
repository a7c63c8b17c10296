"""Lambda as boto3 sees it: real code, run by AWS's runtime client, against a real server."""

import base64
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalAws
from tests.functions_kit import (
    invoke,
    make_function,
    make_queue,
    make_role,
    packed,
    receive,
    until,
)

CODE = """
import json, os, sys, time, logging
started = time.time()
class NotToday(Exception): pass
def handler(event, context):
    print("got", event)
    if event.get("raise"): raise NotToday("no, not today")
    if event.get("exit"): os._exit(3)
    time.sleep(event.get("sleep", 0))
    return {"event": event, "pid": os.getpid(), "started": started, "name": context.function_name,
            "version": context.function_version, "arn": context.invoked_function_arn,
            "id": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
            "variable": os.environ.get("COLOUR"), "folder": os.getcwd()}
"""


@pytest.fixture(scope="module")
def worker(local_aws: LocalAws) -> str:
    make_function(local_aws, "worker", CODE, Environment={"Variables": {"COLOUR": "red"}})
    return "worker"


def test_a_function_runs_the_code_of_its_zip(local_aws: LocalAws, worker: str) -> None:
    answer, error = invoke(local_aws, worker, {"a": ["ü", 1]})
    assert error is None
    assert answer["event"] == {"a": ["ü", 1]}
    assert (answer["name"], answer["version"], answer["variable"]) == ("worker", "$LATEST", "red")
    assert answer["folder"] == "/var/task"
    assert 5_000 < answer["left"] <= 10_000


def test_a_function_is_called_by_each_form_of_its_name(local_aws: LocalAws, worker: str) -> None:
    account, region = local_aws.account, local_aws.region
    arn = f"arn:aws:lambda:{region}:{account}:function:worker"
    for name in ("worker", arn, f"{account}:function:worker", f"{arn}:$LATEST", "worker:$LATEST"):
        assert invoke(local_aws, name)[1] is None
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        invoke(local_aws, "nobody")


def test_a_warm_process_is_used_again(local_aws: LocalAws) -> None:
    make_function(local_aws, "warm", CODE)
    starts = {invoke(local_aws, "warm")[0]["started"] for _ in range(5)}
    assert len(starts) == 1


def test_an_exception_becomes_the_error_json_of_aws(local_aws: LocalAws, worker: str) -> None:
    answer, error = invoke(local_aws, worker, {"raise": True})
    assert error == "Unhandled"
    assert (answer["errorType"], answer["errorMessage"]) == ("NotToday", "no, not today")
    assert "/var/task/app.py" in answer["stackTrace"][0]


def test_a_process_that_ends_is_an_error_and_is_replaced(local_aws: LocalAws, worker: str) -> None:
    answer, error = invoke(local_aws, worker, {"exit": True})
    assert error == "Unhandled"
    assert answer["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in answer["errorMessage"]
    assert invoke(local_aws, worker)[1] is None


def test_a_function_that_is_too_slow_times_out(local_aws: LocalAws) -> None:
    make_function(local_aws, "slow", CODE, Timeout=1)
    answer, error = invoke(local_aws, "slow", {"sleep": 30})
    assert error == "Unhandled"
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert invoke(local_aws, "slow")[1] is None


def test_a_module_that_cannot_be_loaded_says_why(local_aws: LocalAws) -> None:
    make_function(local_aws, "broken", "import a_module_that_nobody_has")
    answer, error = invoke(local_aws, "broken")
    assert error == "Unhandled"
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert "a_module_that_nobody_has" in answer["errorMessage"]
    local_aws.client("lambda").update_function_code(FunctionName="broken", ZipFile=packed(app=CODE))
    assert invoke(local_aws, "broken")[1] is None


def test_a_function_sees_the_runtime_and_nothing_of_this_project(local_aws: LocalAws) -> None:
    code = """
import importlib.util, boto3, os
def handler(event, context):
    found = [n for n in ("localaws", "scones", "numpy", "moto") if importlib.util.find_spec(n)]
    who = boto3.client("sts").get_caller_identity()["Arn"]
    try:
        open("/var/task/x", "w")
    except OSError as error:
        written = error.strerror
    open("/tmp/made-by-the-function", "w").close()
    return [found, who, written]
"""
    make_function(local_aws, "looks", code)
    answer, error = invoke(local_aws, "looks")
    assert error is None, answer
    found, who, written = answer
    assert found == []
    assert who == f"arn:aws:sts::{local_aws.account}:assumed-role/function/looks"
    assert written == "Read-only file system"


def test_an_update_replaces_code_and_settings(local_aws: LocalAws) -> None:
    code = "import os\ndef handler(event, context): return [1, os.environ.get('AB')]"
    make_function(local_aws, "changing", code)
    assert invoke(local_aws, "changing")[0] == [1, None]
    client = local_aws.client("lambda")
    client.update_function_configuration(
        FunctionName="changing", Environment={"Variables": {"AB": "b"}}
    )
    assert invoke(local_aws, "changing")[0] == [1, "b"]
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="code")
    s3.put_object(Bucket="code", Key="two.zip", Body=packed(app=code.replace("[1", "[2")))
    client.update_function_code(FunctionName="changing", S3Bucket="code", S3Key="two.zip")
    assert invoke(local_aws, "changing")[0] == [2, "b"]


def test_a_layer_is_found_below_opt(local_aws: LocalAws) -> None:
    client = local_aws.client("lambda")
    layers = [
        client.publish_layer_version(
            LayerName=name, Content={"ZipFile": packed(python__tool=f"WORD = {name!r}", **more)}
        )["LayerVersionArn"]
        for name, more in (("one", {"python__first": "X = 1"}), ("two", {}))
    ]
    code = "import tool, first\ndef handler(event, context): return [tool.WORD, tool.__file__]"
    make_function(local_aws, "layered", code, Layers=layers)
    assert invoke(local_aws, "layered")[0] == ["two", "/opt/python/tool.py"]
    listed = client.get_function_configuration(FunctionName="layered")["Layers"]
    assert [layer["Arn"] for layer in listed] == layers
    with pytest.raises(ClientError, match="does not exist"):
        client.update_function_configuration(FunctionName="layered", Layers=[f"{layers[0]}9"])


def test_twenty_at_once_are_all_answered_by_at_most_ten_processes(local_aws: LocalAws) -> None:
    make_function(local_aws, "busy", CODE, Timeout=30)

    def one(number: int) -> tuple[Any, str | None]:
        return invoke(local_aws, "busy", {"number": number, "sleep": 0.1})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(one, range(20)))
    assert [error for _, error in answers] == [None] * 20
    assert sorted(answer["event"]["number"] for answer, _ in answers) == list(range(20))
    assert len({answer["id"] for answer, _ in answers}) == 20
    assert 2 <= len({answer["started"] for answer, _ in answers}) <= 10


def test_reserved_concurrency_refuses_what_is_over_it(local_aws: LocalAws) -> None:
    make_function(local_aws, "reserved", CODE)
    local_aws.client("lambda").put_function_concurrency(
        FunctionName="reserved", ReservedConcurrentExecutions=0
    )
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        invoke(local_aws, "reserved")


def test_the_log_has_the_lines_of_the_platform(local_aws: LocalAws) -> None:
    make_function(local_aws, "logging", CODE)
    answer = local_aws.client("lambda").invoke(
        FunctionName="logging", Payload=b'{"x": 1}', LogType="Tail"
    )
    number = json.loads(answer["Payload"].read())["id"]
    tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert tail[0] == f"START RequestId: {number} Version: $LATEST"
    assert tail[1] == "got {'x': 1}"
    assert tail[2] == f"END RequestId: {number}"
    assert tail[3].startswith(f"REPORT RequestId: {number}\tDuration: ")
    logs = local_aws.client("logs")

    def lines() -> list[str]:
        if not logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/logging")["logGroups"]:
            return []  # it is made with the first lines, a moment after the answer
        found = logs.filter_log_events(logGroupName="/aws/lambda/logging")["events"]
        return [event["message"] for event in found if "REPORT" in event["message"]]

    assert until(lines) == [tail[3]]


def test_versions_and_aliases_keep_what_they_were(local_aws: LocalAws) -> None:
    client = local_aws.client("lambda")
    make_function(local_aws, "numbered", "def handler(e, c): return 'old'")
    first = client.publish_version(FunctionName="numbered")["Version"]
    assert client.publish_version(FunctionName="numbered")["Version"] == first == "1"
    client.create_alias(FunctionName="numbered", Name="live", FunctionVersion=first)
    new = packed(app="def handler(e, c): return 'new'")
    client.update_function_code(FunctionName="numbered", ZipFile=new)
    assert invoke(local_aws, "numbered")[0] == "new"
    assert invoke(local_aws, "numbered", Qualifier="live")[0] == "old"
    second = client.publish_version(FunctionName="numbered")["Version"]
    client.update_alias(FunctionName="numbered", Name="live", FunctionVersion=second)
    assert invoke(local_aws, "numbered:live")[0] == "new"
    with pytest.raises(ClientError, match="ResourceConflictException"):
        client.delete_function(FunctionName="numbered", Qualifier=second)


def test_an_asynchronous_failure_is_tried_three_times_and_then_buried(local_aws: LocalAws) -> None:
    failed_url, failed = make_queue(local_aws, "failed")
    dead_url, dead = make_queue(local_aws, "dead")
    make_function(local_aws, "fails", CODE, DeadLetterConfig={"TargetArn": dead})
    client = local_aws.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName="fails", DestinationConfig={"OnFailure": {"Destination": failed}}
    )
    answer = client.invoke(FunctionName="fails", InvocationType="Event", Payload=b'{"raise": true}')
    assert answer["StatusCode"] == 202
    report = json.loads(receive(local_aws, failed_url)["Body"])
    assert report["requestContext"]["condition"] == "RetriesExhausted"
    assert report["requestContext"]["approximateInvokeCount"] == 3
    assert report["requestPayload"] == {"raise": True}
    assert report["responsePayload"]["errorType"] == "NotToday"
    message = receive(local_aws, dead_url)
    assert json.loads(message["Body"]) == {"raise": True}
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "no, not today"


def test_permissions_make_a_policy(local_aws: LocalAws, worker: str) -> None:
    client = local_aws.client("lambda")
    client.add_permission(
        FunctionName=worker,
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn="arn:aws:events:us-east-1:123456789012:rule/r",
    )
    policy = json.loads(client.get_policy(FunctionName=worker)["Policy"])
    assert policy["Statement"][0]["Principal"] == {"Service": "events.amazonaws.com"}
    client.remove_permission(FunctionName=worker, StatementId="events")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_policy(FunctionName=worker)


def test_the_code_can_be_downloaded_again(local_aws: LocalAws, worker: str) -> None:
    found = local_aws.client("lambda").get_function(FunctionName=worker)
    with urllib.request.urlopen(found["Code"]["Location"]) as answer:
        assert answer.read() == packed(app=CODE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Runtime": "nodejs22.x"}, "does not implement the runtime nodejs22.x"),
        ({"Role": "arn:aws:iam::123456789012:role/nobody"}, "cannot be assumed by Lambda"),
        ({"Code": {"ZipFile": b"no zip"}}, "Could not unzip"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "reserved keys"),
        ({"Timeout": 901}, "less than or equal to 900"),
        ({"PackageType": "Image", "Code": {"ImageUri": "i"}}, "container images"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "does not implement SnapStart"),
    ],
)
def test_what_cannot_run_is_refused(
    local_aws: LocalAws, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        make_function(local_aws, "refused", CODE, **change)


def test_an_operation_that_is_missing_is_refused_by_name(local_aws: LocalAws) -> None:
    with pytest.raises(ClientError, match="does not implement lambda:CreateFunctionUrlConfig"):
        local_aws.client("lambda").create_function_url_config(FunctionName="x", AuthType="NONE")


@pytest.mark.parametrize("kind", ["optimised", "arn"])
def test_step_functions_catch_the_class_of_an_exception(
    local_aws: LocalAws, worker: str, kind: str
) -> None:
    arn = f"arn:aws:lambda:{local_aws.region}:{local_aws.account}:function:{worker}"
    call: dict[str, Any] = {"Resource": arn}
    if kind == "optimised":
        parameters = {"FunctionName": arn, "Payload.$": "$"}
        call = {"Resource": "arn:aws:states:::lambda:invoke", "Parameters": parameters}
    states = {
        "Call": {
            "Type": "Task",
            **call,
            "Catch": [{"ErrorEquals": ["NotToday"], "Next": "Caught"}],
            "End": True,
        },
        "Caught": {"Type": "Fail", "Error": "CAUGHT"},
    }
    client = local_aws.client("stepfunctions")
    machine = client.create_state_machine(
        name=f"calls-{kind}",
        definition=json.dumps({"StartAt": "Call", "States": states}),
        roleArn=make_role(local_aws, "function"),
    )["stateMachineArn"]

    def run(event: dict[str, Any]) -> dict[str, Any]:
        execution = client.start_execution(stateMachineArn=machine, input=json.dumps(event))

        def ended() -> Any:
            found = client.describe_execution(executionArn=execution["executionArn"])
            return found if found["status"] != "RUNNING" else None

        return dict(until(ended))

    assert run({"x": 1})["status"] == "SUCCEEDED"
    failed = run({"raise": True})
    assert (failed["status"], failed["error"]) == ("FAILED", "CAUGHT")


def test_functions_survive_a_kill_and_their_processes_do_not(fresh_local_aws: LocalAws) -> None:
    aws = fresh_local_aws
    make_function(aws, "kept", CODE, Tags={"a": "b"})
    invoke(aws, "kept")
    children = psutil.Process(aws.pid).children(recursive=True)
    assert any("awslambdaric" in " ".join(child.cmdline()) for child in children)
    aws.restart()  # in order, so that moto's role is there; the kill comes next
    invoke(aws, "kept")
    children = psutil.Process(aws.pid).children(recursive=True)
    aws.kill()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    aws.start()
    assert invoke(aws, "kept", {"n": 1})[0]["event"] == {"n": 1}
    found = aws.client("lambda").get_function(FunctionName="kept")
    assert found["Tags"] == {"a": "b"}
    aws.client("lambda").delete_function(FunctionName="kept")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        invoke(aws, "kept")


def test_an_asynchronous_invocation_survives_a_kill(
    fresh_local_aws: LocalAws, tmp_path: Path
) -> None:
    aws = fresh_local_aws
    url, arn = make_queue(aws, "done")
    make_function(aws, "later", "import time\ndef handler(e, c): time.sleep(1); return e")
    client = aws.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName="later", DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    aws.restart()  # so that the queue and the role are on the disk
    client.invoke(FunctionName="later", InvocationType="Event", Payload=b'{"n": 7}')
    aws.kill()
    aws.start()
    report = json.loads(receive(aws, url)["Body"])
    assert report["responsePayload"] == {"n": 7}
