"""Endpoints through boto3: served, asked, captured, measured, updated, killed and brought back."""

import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from PIL import Image

from tests.conftest import LocalAws
from tests.functions_kit import make_queue
from tests.hosting_kit import archive, canary, capture_config, config_request, model_request, poll
from tests.roles import make_role

BUCKET = "served"


class Account:
    """A server process and its clients. `must_last` writes the role to the disk at once; a kill
    may otherwise take the last second of moto's services with it."""

    def __init__(self, home: Path, must_last: bool = False) -> None:
        self.aws = LocalAws(home)
        self.sagemaker = self.aws.client("sagemaker")
        self.runtime = self.aws.client("sagemaker-runtime")
        self.s3 = self.aws.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.role = make_role(self.aws, "endpoints")
        if must_last:
            self.aws.restart()

    def config(self, data: bytes, instances: int = 1, **members: Any) -> str:
        """A model and a configuration of this archive, both by the name that is returned."""
        name = f"n{uuid.uuid4().hex[:8]}"
        self.s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=data)
        request = model_request(name, self.role, f"s3://{BUCKET}/{name}.tar.gz")
        self.sagemaker.create_model(**request)
        self.sagemaker.create_endpoint_config(**config_request(name, name, instances, **members))
        return name

    def serve(self, data: bytes, instances: int = 1, **members: Any) -> str:
        """An endpoint that has settled, by its name."""
        name = self.config(data, instances, **members)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        self.settled(name)
        return name

    def settled(self, name: str) -> dict[str, Any]:
        """Describe, once nothing is under way."""

        def look() -> Any:
            described = self.sagemaker.describe_endpoint(EndpointName=name)
            return described if described["EndpointStatus"] in ("InService", "Failed") else None

        settled: dict[str, Any] = poll(look, 60)
        return settled

    def ask(self, name: str, body: bytes = b"abc", **members: Any) -> Any:
        request = {"EndpointName": name, "Body": body, "ContentType": "image/png", **members}
        return json.loads(self.runtime.invoke_endpoint(**request)["Body"].read())

    def captured(self, name: str) -> list[dict[str, Any]]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"capture/{name}/")
        return [
            json.loads(line)
            for item in listed.get("Contents", [])
            for line in self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"]
            .read()
            .splitlines()
        ]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CAPTURE": "1", "ANSWER": "2", "STARTUP": "20"}.items():
            patch.setenv(f"LOCALAWS_{name}_SECONDS", value)
        account = Account(tmp_path_factory.mktemp("endpoints"))
        yield account
        account.aws.stop()


@pytest.fixture(scope="module")
def endpoint(account: Account) -> str:
    capture = capture_config(f"s3://{BUCKET}/capture")
    return account.serve(archive(), DataCaptureConfig=capture)


def refusal(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    response: dict[str, Any] = caught.value.response
    return response


def refused(account: Account, endpoint: str, body: bytes, **members: str) -> dict[str, Any]:
    """The answer to a call that must not succeed."""
    invoke = account.runtime.invoke_endpoint
    request = {"EndpointName": endpoint, "Body": body, "ContentType": "image/png"}
    return refusal(invoke, **request, **members)


def instance_processes(aws: LocalAws) -> list[int]:
    """The model servers of this server, and what stands around them, by their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"model_server" in words and aws.endpoint_url.encode() in environment:
                found.append(int(entry.name))
    return found


# InvokeEndpoint


def test_an_endpoint_answers_with_its_variant_and_content_type(
    account: Account, endpoint: str
) -> None:
    answer = account.runtime.invoke_endpoint(
        EndpointName=endpoint, Body=b"abc", ContentType="image/png", Accept="application/json"
    )
    assert json.loads(answer["Body"].read()) == ["one", 3]
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_a_refused_body_is_a_model_error_with_the_containers_words(
    account: Account, endpoint: str
) -> None:
    told = refused(account, endpoint, b"bad")
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert told["Error"]["Code"] == "ModelError"
    assert told["OriginalStatusCode"] == 400
    assert told["OriginalMessage"] == "the body is not an image"
    assert told["Error"]["Message"].startswith(
        'Received client error (400) from primary with message "the body is not an image". See '
    )


def test_a_handler_that_raises_is_a_server_error_and_serving_goes_on(
    account: Account, endpoint: str
) -> None:
    told = refused(account, endpoint, b"fail")
    assert told["OriginalStatusCode"] == 500
    assert told["OriginalMessage"].startswith("out of ideas\nTraceback")
    assert account.ask(endpoint) == ["one", 3]


def test_a_model_that_takes_too_long_is_given_up(account: Account, endpoint: str) -> None:
    began = time.monotonic()
    told = refused(account, endpoint, b"sleep")
    assert time.monotonic() - began < 10
    assert "Your invocation timed out while waiting" in told["OriginalMessage"]


def test_a_process_that_dies_is_started_again(account: Account, endpoint: str) -> None:
    told = refused(account, endpoint, b"die")
    assert told["Error"]["Code"] == "ModelError"
    assert account.ask(endpoint) == ["one", 3]  # waits for the new process
    logs = account.aws.client("logs")
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["logStreamName"].startswith("AllTraffic/i-")
    lines = poll(
        lambda: [
            event["message"]
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"]
            )["events"]
            if "started again" in event["message"]
        ]
    )
    assert lines == ["The model server ended with exit status 3; it is started again."]


def test_a_body_may_have_six_mebibytes_and_no_byte_more(account: Account, endpoint: str) -> None:
    assert account.ask(endpoint, b"x" * 6_291_456) == ["one", 6_291_456]
    told = refused(account, endpoint, b"x" * 6_291_457)
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 413


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"InferenceId": "x" * 65}, "inferenceId"),
        ({"CustomAttributes": "x" * 1025}, "customAttributes"),
        ({"TargetVariant": "Other"}, "Variant Other of endpoint"),
        ({"TargetModel": "other.tar.gz"}, "localaws has no TargetModel"),
    ],
)
def test_what_the_service_refuses_never_reaches_the_model(
    account: Account, endpoint: str, members: dict[str, str], message: str
) -> None:
    assert message in refused(account, endpoint, b"abc", **members)["Error"]["Message"]


def test_an_endpoint_that_is_not_there_is_a_validation_error(account: Account) -> None:
    told = refusal(account.runtime.invoke_endpoint, EndpointName="nobody", Body=b"abc")
    assert told["Error"]["Code"] == "ValidationError"
    assert told["Error"]["Message"] == "Endpoint nobody of account 123456789012 not found."


def test_the_other_calls_of_the_runtime_are_refused_by_name(
    account: Account, endpoint: str
) -> None:
    told = refusal(
        account.runtime.invoke_endpoint_async, EndpointName=endpoint, InputLocation="s3://b/k"
    )
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 501


# Capture, metrics, events


def test_successful_calls_are_captured_with_their_ids(account: Account, endpoint: str) -> None:
    account.ask(endpoint, b"\x89PNG", InferenceId="picture-1", CustomAttributes="trace_id=7")
    refused(account, endpoint, b"bad", InferenceId="no")

    def mine() -> list[dict[str, Any]]:
        return [r for r in account.captured(endpoint) if "inferenceId" in r["eventMetadata"]]

    (record,) = poll(mine)
    assert record["captureData"]["endpointInput"] == {
        "observedContentType": "image/png",
        "mode": "INPUT",
        "data": "iVBORw==",
        "encoding": "BASE64",
    }
    assert record["captureData"]["endpointOutput"]["data"] == '["one",4]'
    assert record["captureData"]["endpointOutput"]["encoding"] == "JSON"
    assert record["eventMetadata"]["inferenceId"] == "picture-1"
    assert record["eventMetadata"]["customAttributes"] == ["trace_id=7"]
    assert record["eventVersion"] == "0"


def test_calls_errors_and_latencies_are_metrics(account: Account) -> None:
    name = account.serve(archive())
    for body in (b"abc", b"abc", b"bad", b"fail"):
        try:
            account.ask(name, body)
        except botocore.exceptions.ClientError:
            assert body in (b"bad", b"fail")
    cloudwatch = account.aws.client("cloudwatch")

    def total(metric: str, statistic: str = "Sum") -> float:
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": name},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            StartTime=time.time() - 600,
            EndTime=time.time() + 600,
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return float(sum(point[statistic] for point in found))

    poll(lambda: total("Invocations") == 4)
    assert total("Invocation4XXErrors") == 1
    assert total("Invocation5XXErrors") == 1
    assert 50 < total("ModelLatency", "Maximum") < 2_000_000  # microseconds
    assert total("OverheadLatency", "Maximum") > 0


def test_a_change_of_status_is_announced_in_upper_case(account: Account) -> None:
    sqs, events = account.aws.client("sqs"), account.aws.client("events")
    queue, arn = make_queue(account.aws, "endpoint-events")
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Endpoint State Change"],
        "detail": {"EndpointStatus": ["IN_SERVICE"]},
    }
    events.put_rule(Name="endpoints", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="endpoints", Targets=[{"Id": "queue", "Arn": arn}])
    name = account.serve(archive())
    (message,) = poll(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    event = json.loads(message["Body"])
    assert event["detail"]["EndpointName"] == name
    assert event["resources"] == [
        f"arn:aws:sagemaker:us-east-1:{account.aws.account}:endpoint/{name}"
    ]


# Updates and rollback


def test_an_alarm_during_a_canary_brings_the_old_model_back(account: Account) -> None:
    name = account.serve(archive(name="old"), 2)
    new = account.config(archive(name="new"), 2)
    cloudwatch = account.aws.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="too-many-errors",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": name},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "too-many-errors"}]}}
    account.sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=new,
        DeploymentConfig=canary(wait=3600, **rollback),
    )
    poll(lambda: ["new", 3] in [account.ask(name) for _ in range(10)])
    described = account.sagemaker.describe_endpoint(EndpointName=name)
    assert described["EndpointStatus"] == "Updating"
    assert described["PendingDeploymentSummary"]["EndpointConfigName"] == new

    def rolled_back() -> Any:  # said again and again, for an evaluation may say OK in between
        cloudwatch.set_alarm_state(
            AlarmName="too-many-errors", StateValue="ALARM", StateReason="the test says so"
        )
        described = account.sagemaker.describe_endpoint(EndpointName=name)
        return described if described["EndpointStatus"] == "InService" else None

    described = poll(rolled_back)
    assert described["EndpointConfigName"] == name
    assert "too-many-errors" in described["FailureReason"]
    assert [account.ask(name) for _ in range(10)] == [["old", 3]] * 10


def test_no_request_fails_while_the_model_is_replaced(account: Account) -> None:
    name = account.serve(archive(name="old"))
    new = account.config(archive(name="new"))
    account.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new)
    answers = [account.ask(name)]
    while account.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating":
        answers.append(account.ask(name))
    answers.append(account.ask(name))
    assert answers[0] == ["old", 3]
    assert answers[-1] == ["new", 3]
    assert answers == sorted(answers, reverse=True)  # old, then new, and never back


def test_a_container_that_never_answers_fails_after_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALAWS_STARTUP_SECONDS", "1")
    account = Account(tmp_path)
    try:
        name = account.serve(archive("import time\ntime.sleep(60)"))
        assert "did not pass the ping" in account.settled(name)["FailureReason"]
        assert instance_processes(account.aws) == []
    finally:
        account.aws.stop()


# Stops and kills


def test_what_was_in_service_is_in_service_after_a_kill_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    account = Account(tmp_path, must_last=True)
    try:
        capture = capture_config(f"s3://{BUCKET}/capture")
        name = account.serve(archive(), DataCaptureConfig=capture)
        for number in range(5):
            account.ask(name, InferenceId=f"number-{number}")
        assert instance_processes(account.aws)
        account.aws.kill()
        poll(lambda: instance_processes(account.aws) == [])
        account.aws.start()
        assert account.ask(name) == ["one", 3]
        assert account.settled(name)["EndpointStatus"] == "InService"
        ids = [record["eventMetadata"].get("inferenceId") for record in account.captured(name)]
        assert ids == [f"number-{number}" for number in range(5)]
    finally:
        account.aws.stop()
    assert instance_processes(account.aws) == []


def test_an_orderly_stop_writes_what_was_captured(tmp_path: Path) -> None:
    account = Account(tmp_path, must_last=True)
    try:
        capture = capture_config(f"s3://{BUCKET}/capture")
        name = account.serve(archive(), DataCaptureConfig=capture)
        account.ask(name)
        assert account.captured(name) == []  # a minute has not passed
        account.aws.restart()
        assert len(account.captured(name)) == 1
    finally:
        account.aws.stop()


def test_an_update_goes_on_after_a_kill_in_the_middle_of_it(tmp_path: Path) -> None:
    account = Account(tmp_path, must_last=True)
    try:
        name = account.serve(archive(name="old"), 2)
        new = account.config(archive(name="new"), 2)
        account.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=new, DeploymentConfig=canary(wait=4)
        )
        poll(lambda: ["new", 3] in [account.ask(name) for _ in range(10)])
        account.aws.kill()
        account.aws.start()
        described = account.settled(name)
        assert described["EndpointConfigName"] == new
        assert account.ask(name) == ["new", 3]
    finally:
        account.aws.stop()


def test_an_endpoint_that_was_being_created_is_created_after_a_kill(tmp_path: Path) -> None:
    account = Account(tmp_path, must_last=True)
    try:
        name = account.config(archive("import time\ntime.sleep(1)\n" + SLOW_START))
        account.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        account.aws.kill()
        account.aws.start()
        assert account.settled(name)["EndpointStatus"] == "InService"
        assert account.ask(name) == "up"
    finally:
        account.aws.stop()


SLOW_START = """
def model_fn(model_dir):
    return 0

def input_fn(body, content_type):
    return body

def predict_fn(data, model):
    return "up"
"""


# The project's own archive


def png(side: int = 48) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(packed, "PNG")
    return packed.getvalue()


@pytest.fixture(scope="module")
def project_archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A `model.tar.gz` as training leaves it, with an untrained network."""
    folder = tmp_path_factory.mktemp("model")
    # In a process of its own: the archive's code would otherwise be this process's.
    code = (
        "import sys; from pathlib import Path\n"
        "from localaws.jobs import archive as packer\n"
        "from steps.train import archive\nfrom steps.train.network import Network\n"
        "folder = Path(sys.argv[1]); model = folder / 'model'; model.mkdir()\n"
        "archive.write(model, Network(), {'temperature': 1.0, 'bias': 0.0})\n"
        "packer.write(model, folder / 'model.tar.gz')\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        check=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    return (folder / "model.tar.gz").read_bytes()


def test_the_projects_archive_serves_probabilities(
    account: Account, project_archive: bytes
) -> None:
    name = account.serve(project_archive)
    assert account.settled(name)["EndpointStatus"] == "InService"
    probabilities = account.ask(name, png())
    assert len(probabilities) == 2
    assert sum(probabilities) == pytest.approx(1.0)
    told = refused(account, name, png()[:60])
    assert told["OriginalStatusCode"] == 400
    assert told["OriginalMessage"].startswith("the body is not a whole PNG or JPEG image")
    account.sagemaker.delete_endpoint(EndpointName=name)


# Schedules


def test_an_endpoint_goes_after_its_schedule_and_not_before(account: Account) -> None:
    name = account.serve(archive())
    endpoint_input = {"EndpointName": name, "LocalPath": "/opt/ml/processing/input/endpoint"}
    output = {"S3Uri": f"s3://{BUCKET}/monitoring", "LocalPath": "/opt/ml/processing/output"}
    cluster = {"InstanceCount": 1, "InstanceType": "ml.t3.large", "VolumeSizeInGB": 5}
    account.sagemaker.create_data_quality_job_definition(
        JobDefinitionName=name,
        DataQualityAppSpecification={"ImageUri": "analyzer"},
        DataQualityJobInput={"EndpointInput": endpoint_input},
        DataQualityJobOutputConfig={"MonitoringOutputs": [{"S3Output": output}]},
        JobResources={"ClusterConfig": cluster},
        RoleArn=account.role,
    )
    schedule = {
        "MonitoringScheduleName": name,
        "MonitoringScheduleConfig": {
            "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
            "MonitoringJobDefinitionName": name,
            "MonitoringType": "DataQuality",
        },
    }
    switch = account.aws.home / "model-monitor-maintenance"
    switch.touch()
    told = refusal(account.sagemaker.create_monitoring_schedule, **schedule)
    switch.unlink()
    assert "maintenance mode" in told["Error"]["Message"]
    account.sagemaker.create_monitoring_schedule(**schedule)
    described = account.sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)
    assert described["MonitoringScheduleStatus"] == "Scheduled"
    assert (
        account.sagemaker.list_monitoring_executions(MonitoringScheduleName=name)[
            "MonitoringExecutionSummaries"
        ]
        == []
    )
    told = refusal(account.sagemaker.delete_endpoint, EndpointName=name)
    assert told["Error"]["Code"] == "ValidationException"
    account.sagemaker.delete_monitoring_schedule(MonitoringScheduleName=name)
    account.sagemaker.delete_endpoint(EndpointName=name)
