"""What a client put into the embedded AWS is there after a stop, and after `kill -9`."""

import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import boto3
import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest
from botocore.exceptions import BotoCoreError, ClientError

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
PASS = json.dumps({"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}})
WAIT = json.dumps({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 900, "End": True}}})
PART = 5 << 20  # bytes, the least that S3 allows


def eventually(action: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true answer of `action`; the test fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := action()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return answer


def stop_in_order(aws: Any) -> None:
    assert aws.stop() == 0


def kill_after_a_second(aws: Any) -> None:
    time.sleep(2.1)  # a snapshot is due each second: this is the promise under test
    aws.kill()


endings = pytest.mark.parametrize("end", [stop_in_order, kill_after_a_second])


@endings
def test_objects_keep_their_versions_metadata_tags_and_settings(
    fresh_local_aws: Any, end: Callable[[Any], None]
) -> None:
    s3 = fresh_local_aws.client("s3")
    s3.create_bucket(Bucket="data")
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    s3.put_bucket_policy(Bucket="data", Policy=policy)
    s3.put_bucket_tagging(Bucket="data", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    for number in range(3):
        s3.put_object(
            Bucket="data",
            Key="key",
            Body=str(number).encode(),
            Metadata={"with_underscore": str(number)},
            Tagging=f"number={number}",
            ContentType="text/plain",
        )
    s3.delete_object(Bucket="data", Key="key")

    end(fresh_local_aws)
    fresh_local_aws.start()

    listed = s3.list_object_versions(Bucket="data")
    assert listed["DeleteMarkers"][0]["IsLatest"]
    found = [
        s3.get_object(Bucket="data", Key="key", VersionId=version["VersionId"])
        for version in listed["Versions"]
    ]
    assert [body["Body"].read() for body in found] == [b"2", b"1", b"0"]
    assert found[0]["Metadata"] == {"with_underscore": "2"}
    assert found[0]["ContentType"] == "text/plain"
    tags = s3.get_object_tagging(
        Bucket="data", Key="key", VersionId=listed["Versions"][1]["VersionId"]
    )
    assert tags["TagSet"] == [{"Key": "number", "Value": "1"}]
    assert s3.get_bucket_policy(Bucket="data")["Policy"] == policy
    assert s3.get_bucket_tagging(Bucket="data")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_an_upload_in_parts_can_be_completed_after_a_kill(fresh_local_aws: Any) -> None:
    s3 = fresh_local_aws.client("s3")
    s3.create_bucket(Bucket="data")
    upload = s3.create_multipart_upload(Bucket="data", Key="big")["UploadId"]
    where = {"Bucket": "data", "Key": "big", "UploadId": upload}
    first = s3.upload_part(**where, PartNumber=1, Body=b"a" * PART)

    fresh_local_aws.kill()
    fresh_local_aws.start()

    second = s3.upload_part(**where, PartNumber=2, Body=b"b")
    parts = [{"PartNumber": 1, "ETag": first["ETag"]}, {"PartNumber": 2, "ETag": second["ETag"]}]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket="data", Key="big")["Body"].read() == b"a" * PART + b"b"
    assert s3.head_object(Bucket="data", Key="big")["ETag"].endswith('-2"')


@endings
def test_the_other_services_keep_what_they_were_given(
    fresh_local_aws: Any, end: Callable[[Any], None]
) -> None:
    client = fresh_local_aws.client
    role = client("iam").create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)["Role"]
    assumed = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")
    client("logs").create_log_group(logGroupName="/group")
    client("logs").create_log_stream(logGroupName="/group", logStreamName="stream")
    events = [{"timestamp": int(time.time() * 1000), "message": f"line {n}"} for n in range(500)]
    client("logs").put_log_events(logGroupName="/group", logStreamName="stream", logEvents=events)
    queue = client("sqs").create_queue(QueueName="queue")["QueueUrl"]
    client("sqs").send_message(QueueUrl=queue, MessageBody="hello")
    key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    signer = client("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    secret = client("kms").encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    client("ssm").put_parameter(Name="/name", Value="value", Type="String")
    states = client("stepfunctions")
    machines = [
        states.create_state_machine(name=name, roleArn=role["Arn"], definition=definition)
        for name, definition in (("quick", PASS), ("slow", WAIT))
    ]
    quick, slow = [
        states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        for machine in machines
    ]
    eventually(lambda: states.describe_execution(executionArn=quick)["status"] == "SUCCEEDED")

    end(fresh_local_aws)
    fresh_local_aws.start()

    assert client("iam").get_role(RoleName="worker")["Role"]["Arn"] == role["Arn"]
    keys = assumed["Credentials"]
    caller = boto3.client(
        "sts",
        endpoint_url=fresh_local_aws.endpoint_url,
        region_name=fresh_local_aws.region,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    ).get_caller_identity()
    assert caller["Arn"].endswith("assumed-role/worker/session")
    lines = client("logs").get_log_events(
        logGroupName="/group", logStreamName="stream", startFromHead=True
    )["events"]
    assert [line["message"] for line in lines] == [event["message"] for event in events]
    assert client("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "hello"
    assert client("kms").decrypt(CiphertextBlob=secret)["Plaintext"] == b"secret"
    assert client("kms").sign(
        KeyId=signer["KeyId"], Message=b"text", SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256"
    )["Signature"]
    assert client("ssm").get_parameter(Name="/name")["Parameter"]["Value"] == "value"
    history = states.get_execution_history(executionArn=quick)["events"]
    assert [event["type"] for event in history][-1] == "ExecutionSucceeded"
    assert states.describe_execution(executionArn=slow)["status"] == "RUNNING"


def test_a_stream_goes_on_after_a_restart_and_a_deleted_group_stays_deleted(
    fresh_local_aws: Any,
) -> None:
    logs = fresh_local_aws.client("logs")
    now = int(time.time() * 1000)

    def say(group: str, message: str) -> None:
        event = {"timestamp": now, "message": message}
        logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[event])

    for group in ("/kept", "/gone"):
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
        say(group, "before")
    fresh_local_aws.restart()
    say("/kept", "after")
    logs.delete_log_group(logGroupName="/gone")
    logs.create_log_group(logGroupName="/gone")
    fresh_local_aws.restart()

    found = logs.filter_log_events(logGroupName="/kept")["events"]
    assert [event["message"] for event in found] == ["before", "after"]
    assert len({event["eventId"] for event in found}) == 2
    assert logs.describe_log_streams(logGroupName="/gone")["logStreams"] == []


class Writer(threading.Thread):
    """Puts objects until told to stop, and notes when each was acknowledged."""

    def __init__(self, aws: Any, number: int) -> None:
        super().__init__(daemon=True)
        self._s3, self._number = aws.client("s3"), number
        self.acknowledged: dict[str, tuple[float, bytes]] = {}
        self.stopped = False

    def run(self) -> None:
        for count in itertools.count():
            if self.stopped:
                return
            # Some keys are written again and again, so that a kill may hit a replacement.
            key = f"{self._number}/{count if count % 2 else count % 16}"
            body = f"{key} {count} ".encode() * random.choice((1, 1000))
            with contextlib.suppress(BotoCoreError, ClientError):
                self._s3.put_object(Bucket="data", Key=key, Body=body, Metadata={"n": str(count)})
                self.acknowledged[key] = (time.monotonic(), body)


def test_every_acknowledged_object_survives_kills_at_random_moments(fresh_local_aws: Any) -> None:
    s3 = fresh_local_aws.client("s3")
    s3.create_bucket(Bucket="data")
    for round_number in range(3):
        writers = [Writer(fresh_local_aws, 2 * round_number + n) for n in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(random.uniform(0.2, 1.5))  # the moment of the kill is what varies
        fresh_local_aws.kill()
        for writer in writers:
            writer.stopped = True
            writer.join()

        fresh_local_aws.start()

        acknowledged = {k: v for writer in writers for k, v in writer.acknowledged.items()}
        assert acknowledged
        for key, (_, body) in acknowledged.items():
            found = s3.get_object(Bucket="data", Key=key)
            content = found["Body"].read()
            # The write after the last acknowledged one may have arrived too, but only whole.
            assert content == body or _is_whole(key, content, int(found["Metadata"]["n"]))
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="data")
    for item in (item for page in pages for item in page.get("Contents", [])):
        found = s3.get_object(Bucket="data", Key=item["Key"])
        assert _is_whole(item["Key"], found["Body"].read(), int(found["Metadata"]["n"]))


def _is_whole(key: str, content: bytes, count: int) -> bool:
    line = f"{key} {count} ".encode()
    return content in (line, line * 1000)


def test_what_is_older_than_a_second_survives_kills_at_random_moments(
    fresh_local_aws: Any,
) -> None:
    sqs = fresh_local_aws.client("sqs")
    for round_number in range(3):
        acknowledged: dict[str, float] = {}
        end = time.monotonic() + random.uniform(1.7, 2.7)
        for count in itertools.count():
            if time.monotonic() > end:
                break
            name = f"{round_number}-{count}"
            sqs.create_queue(QueueName=name)
            acknowledged[name] = time.monotonic()
        killed = time.monotonic()
        fresh_local_aws.kill()

        fresh_local_aws.start()

        # A second between two snapshots, and what one takes on a busy machine.
        old = [name for name, at in acknowledged.items() if killed - at > 1.5]
        assert old
        for name in old[-20:] + old[:5]:
            assert sqs.get_queue_url(QueueName=name)["QueueUrl"].endswith(name)


def test_a_large_archive_goes_up_and_down_without_filling_the_memory(
    fresh_local_aws: Any, tmp_path: Any
) -> None:
    source, target = tmp_path / "archive", tmp_path / "copy"
    with source.open("wb") as file:
        for _ in range(169):
            file.write(random.randbytes(1_000_000))
    s3 = fresh_local_aws.client("s3")
    s3.create_bucket(Bucket="data")
    process = psutil.Process(fresh_local_aws.pid)
    before, most = process.memory_info().rss, 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    s3.upload_file(str(source), "data", "archive")
    s3.download_file("data", "archive", str(target))
    s3.copy_object(Bucket="data", Key="again", CopySource={"Bucket": "data", "Key": "archive"})
    with source.open("rb") as file:
        s3.put_object(Bucket="data", Key="at once", Body=file)
    done.set()
    watcher.join()

    assert target.read_bytes() == source.read_bytes()
    assert s3.head_object(Bucket="data", Key="again")["ContentLength"] == 169_000_000
    middle = s3.get_object(Bucket="data", Key="at once", Range="bytes=100000000-100000009")
    assert middle["Body"].read() == source.read_bytes()[100_000_000:100_000_010]
    assert most - before < 100e6, f"{most / 1e6:.0f} MB, {before / 1e6:.0f} before"


def test_ten_thousand_log_lines_do_not_slow_the_snapshots_down(fresh_local_aws: Any) -> None:
    logs = fresh_local_aws.client("logs")
    logs.create_log_group(logGroupName="/job")
    logs.create_log_stream(logGroupName="/job", logStreamName="s")
    for batch in range(10):
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": f"{batch} {n} " + "x" * 80} for n in range(1000)]
        logs.put_log_events(logGroupName="/job", logStreamName="s", logEvents=events)
    written = eventually(lambda: (fresh_local_aws.home / "moto.sqlite-wal").stat().st_size)
    for number in range(3):
        fresh_local_aws.client("sqs").create_queue(QueueName=f"queue-{number}")
        time.sleep(1.1)  # one snapshot each

    grown = (fresh_local_aws.home / "moto.sqlite-wal").stat().st_size - written
    assert grown < 2e6, f"{grown} bytes for three small changes"
