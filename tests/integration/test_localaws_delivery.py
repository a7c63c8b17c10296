"""Events, schedules and messages that reach their targets, as boto3 sees it."""

import datetime
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalAws
from tests.functions_kit import (
    invoke,
    make_function,
    make_queue,
    make_role,
    receive,
    until,
)

# Answers what it was given by a message to the queue that its variable names.
TELL = """
import boto3, json, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))
"""
PASS = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})


def telling(aws: LocalAws, name: str) -> tuple[str, str]:
    """The ARN of a function, and the URL of the queue to which it tells its events."""
    url, _ = make_queue(aws, f"{name}-told")
    arn = make_function(aws, name, TELL, Environment={"Variables": {"QUEUE": url}})
    for service in ("events", "sns"):
        aws.client("lambda").add_permission(
            FunctionName=name,
            StatementId=service,
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
        )
    return arn, url


def make_rule(aws: LocalAws, name: str, target: dict[str, Any], **rule: Any) -> None:
    pattern = {"EventPattern": json.dumps({"source": [f"test.{name}"]})}
    aws.client("events").put_rule(Name=name, **(rule or pattern))
    aws.client("events").put_targets(Rule=name, Targets=[{"Id": "1", **target}])


def put_event(aws: LocalAws, name: str, detail: dict[str, Any]) -> None:
    entry = {"Source": f"test.{name}", "DetailType": "Test", "Detail": json.dumps(detail)}
    answer = aws.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0


def test_a_function_gets_the_whole_event(local_aws: LocalAws) -> None:
    arn, url = telling(local_aws, "whole")
    make_rule(local_aws, "whole", {"Arn": arn})
    put_event(local_aws, "whole", {"a": [1, "ü"]})
    event = json.loads(receive(local_aws, url)["Body"])
    assert (event["source"], event["detail-type"]) == ("test.whole", "Test")
    assert event["detail"] == {"a": [1, "ü"]}
    assert datetime.datetime.fromisoformat(event["time"]).tzinfo is not None
    assert event["region"] == local_aws.region
    assert "ingestion-time" not in event


def test_a_function_gets_what_the_transformer_makes(local_aws: LocalAws) -> None:
    arn, url = telling(local_aws, "transformed")
    transformer = {
        "InputPathsMap": {
            "name": "$.detail.name",
            "list": "$.detail.list",
            "kind": "$.detail-type",
        },
        "InputTemplate": '{"text": "<kind>: <name>", "list": <list>,'
        ' "rule": <aws.events.rule-arn>}',
    }
    make_rule(local_aws, "transformed", {"Arn": arn, "InputTransformer": transformer})
    put_event(local_aws, "transformed", {"name": 'a "quoted" name', "list": [1, {"b": None}]})
    event = json.loads(receive(local_aws, url)["Body"])
    assert event["text"] == 'Test: a "quoted" name'
    assert event["list"] == [1, {"b": None}]
    assert event["rule"].endswith(":rule/transformed")


def test_a_state_machine_is_started_with_a_part_of_the_event(local_aws: LocalAws) -> None:
    client = local_aws.client("stepfunctions")
    role = make_role(local_aws, "function")
    arn = client.create_state_machine(name="started", definition=PASS, roleArn=role)[
        "stateMachineArn"
    ]
    make_rule(local_aws, "started", {"Arn": arn, "RoleArn": role, "InputPath": "$.detail"})
    put_event(local_aws, "started", {"n": 5})
    found = until(lambda: client.list_executions(stateMachineArn=arn)["executions"])
    assert len(found) == 1
    described = client.describe_execution(executionArn=found[0]["executionArn"])
    assert json.loads(described["input"]) == {"n": 5}


def test_a_queue_gets_an_event_once(local_aws: LocalAws) -> None:
    url, arn = make_queue(local_aws, "once")
    make_rule(local_aws, "once", {"Arn": arn})
    put_event(local_aws, "once", {"n": 1})
    put_event(local_aws, "once", {"n": 2})
    numbers = [json.loads(receive(local_aws, url)["Body"])["detail"]["n"] for _ in range(2)]
    assert sorted(numbers) == [1, 2]
    assert "Messages" not in local_aws.client("sqs").receive_message(QueueUrl=url)


def test_a_disabled_rule_and_another_source_deliver_nothing(local_aws: LocalAws) -> None:
    url, arn = make_queue(local_aws, "silent")
    make_rule(local_aws, "silent", {"Arn": arn})
    put_event(local_aws, "loud", {})
    local_aws.client("events").disable_rule(Name="silent")
    put_event(local_aws, "silent", {})
    local_aws.client("events").enable_rule(Name="silent")
    put_event(local_aws, "silent", {"last": True})
    assert json.loads(receive(local_aws, url)["Body"])["detail"] == {"last": True}
    assert "Messages" not in local_aws.client("sqs").receive_message(QueueUrl=url)


def test_an_event_that_nobody_takes_lies_in_the_dead_letter_queue(local_aws: LocalAws) -> None:
    url, dead = make_queue(local_aws, "undelivered")
    missing = f"arn:aws:lambda:{local_aws.region}:{local_aws.account}:function:missing"
    make_rule(local_aws, "lost", {"Arn": missing, "DeadLetterConfig": {"Arn": dead}})
    put_event(local_aws, "lost", {"n": 3})
    message = receive(local_aws, url)
    assert json.loads(message["Body"])["detail"] == {"n": 3}
    attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "ResourceNotFoundException"
    assert "Function not found" in attributes["ERROR_MESSAGE"]
    assert attributes["TARGET_ARN"] == missing
    assert attributes["RULE_ARN"].endswith(":rule/lost")


def test_a_schedule_starts_its_target_at_its_time(local_aws: LocalAws) -> None:
    url, arn = make_queue(local_aws, "scheduled")
    scheduler, role = local_aws.client("scheduler"), make_role(local_aws, "function")
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=4)
    scheduler.create_schedule(
        Name="once",
        ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={"Arn": arn, "RoleArn": role, "Input": '{"n": 4}'},
    )
    assert json.loads(receive(local_aws, url)["Body"]) == {"n": 4}
    until(lambda: not scheduler.list_schedules()["Schedules"])


def test_a_topic_calls_a_function_that_its_filter_lets_through(local_aws: LocalAws) -> None:
    arn, url = telling(local_aws, "subscribed")
    sns = local_aws.client("sns")
    topic = sns.create_topic(Name="news")["TopicArn"]
    subscription = sns.subscribe(
        TopicArn=topic, Protocol="lambda", Endpoint=arn, ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    sns.set_subscription_attributes(
        SubscriptionArn=subscription,
        AttributeName="FilterPolicy",
        AttributeValue='{"kind": ["good"]}',
    )
    for kind in ("bad", "good"):
        value = {"DataType": "String", "StringValue": kind}
        sns.publish(TopicArn=topic, Message=kind, Subject="s", MessageAttributes={"kind": value})
    record = json.loads(receive(local_aws, url)["Body"])["Records"][0]
    assert record["EventSource"] == "aws:sns"
    assert (record["Sns"]["Message"], record["Sns"]["Subject"]) == ("good", "s")


def test_a_queue_calls_a_function_and_keeps_what_fails(local_aws: LocalAws) -> None:
    dead_url, dead = make_queue(local_aws, "poison")
    redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 2})
    url, source = make_queue(local_aws, "work", VisibilityTimeout="1", RedrivePolicy=redrive)
    code = """
def handler(event, context):
    bad = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in bad]}
"""
    make_function(local_aws, "works", code, Timeout=1)
    client = local_aws.client("lambda")
    mapping = client.create_event_source_mapping(
        EventSourceArn=source,
        FunctionName="works",
        BatchSize=5,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    sqs = local_aws.client("sqs")
    for body in ("good", "bad", "good"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    assert receive(local_aws, dead_url)["Body"] == "bad"
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def empty() -> bool:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return set(found.values()) == {"0"}

    until(empty)
    client.delete_event_source_mapping(UUID=mapping["UUID"])
    assert client.list_event_source_mappings(EventSourceArn=source)["EventSourceMappings"] == []


def test_a_mapping_of_a_stream_or_to_nobody_is_refused(local_aws: LocalAws) -> None:
    client = local_aws.client("lambda")
    _, source = make_queue(local_aws, "unmapped")
    with pytest.raises(ClientError, match="Function not found"):
        client.create_event_source_mapping(EventSourceArn=source, FunctionName="nobody")
    stream = f"arn:aws:kinesis:{local_aws.region}:{local_aws.account}:stream/s"
    with pytest.raises(ClientError, match="polls SQS queues only"):
        client.create_event_source_mapping(EventSourceArn=stream, FunctionName="nobody")


def test_an_event_survives_a_kill_between_put_and_delivery(fresh_local_aws: LocalAws) -> None:
    aws = fresh_local_aws
    arn, url = telling(aws, "slow")
    make_rule(aws, "slow", {"Arn": arn})
    invoke(aws, "slow", {"warm": True})
    assert json.loads(receive(aws, url)["Body"]) == {"warm": True}
    aws.restart()  # so that the rule, the role and the queue are on the disk
    put_event(aws, "slow", {"n": 9})
    aws.kill()
    aws.start()
    assert json.loads(receive(aws, url)["Body"])["detail"] == {"n": 9}
