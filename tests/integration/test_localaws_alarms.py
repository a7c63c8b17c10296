"""Alarms that change state and call their actions, as boto3 sees it."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalAws
from tests.functions_kit import invoke, make_function, make_queue, receive, until


def make_alarm(aws: LocalAws, name: str, **settings: Any) -> None:
    request = {
        "AlarmName": name,
        "Namespace": "Test",
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    aws.client("cloudwatch").put_metric_alarm(**{**request, **settings})


def state(aws: LocalAws, name: str) -> str:
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(alarms[0]["StateValue"])


def put(aws: LocalAws, name: str, value: float) -> None:
    data = {"MetricName": name, "Value": value}
    aws.client("cloudwatch").put_metric_data(Namespace="Test", MetricData=[data])


def test_an_alarm_goes_off_and_tells_its_topic_and_the_event_bus(local_aws: LocalAws) -> None:
    url, queue = make_queue(local_aws, "alarmed")
    events_url, events_queue = make_queue(local_aws, "alarm-events")
    sns, events = local_aws.client("sns"), local_aws.client("events")
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["loud"]}}
    events.put_rule(Name="alarms", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="alarms", Targets=[{"Id": "1", "Arn": events_queue}])

    make_alarm(local_aws, "loud", AlarmActions=[topic])
    assert state(local_aws, "loud") == "INSUFFICIENT_DATA"
    put(local_aws, "loud", 6)
    notice = json.loads(json.loads(receive(local_aws, url)["Body"])["Message"])
    assert (notice["AlarmName"], notice["NewStateValue"]) == ("loud", "ALARM")
    assert notice["OldStateValue"] == "INSUFFICIENT_DATA"
    assert notice["Trigger"]["Threshold"] == 5
    event = json.loads(receive(local_aws, events_url)["Body"])
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["detail"]["state"]["value"] == "ALARM"
    assert state(local_aws, "loud") == "ALARM"


def test_quiet_data_makes_an_alarm_ok(local_aws: LocalAws) -> None:
    make_alarm(local_aws, "quiet")
    put(local_aws, "quiet", 1)
    until(lambda: state(local_aws, "quiet") == "OK")


def test_without_data_the_setting_decides(local_aws: LocalAws) -> None:
    make_alarm(local_aws, "absent", TreatMissingData="notBreaching")
    make_alarm(local_aws, "gone", TreatMissingData="breaching")
    until(lambda: state(local_aws, "absent") == "OK")
    until(lambda: state(local_aws, "gone") == "ALARM")


def test_errors_of_a_function_are_a_metric(local_aws: LocalAws) -> None:
    make_function(local_aws, "erring", "def handler(e, c): raise ValueError(e)")
    make_alarm(
        local_aws,
        "erring",
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Dimensions=[{"Name": "FunctionName", "Value": "erring"}],
        Threshold=1,
    )
    for _ in range(2):
        invoke(local_aws, "erring")
    until(lambda: state(local_aws, "erring") == "ALARM")


def test_a_state_that_is_set_by_hand_calls_the_action(local_aws: LocalAws) -> None:
    url, queue = make_queue(local_aws, "by-hand")
    sns = local_aws.client("sns")
    topic = sns.create_topic(Name="by-hand")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    make_alarm(local_aws, "by-hand", AlarmActions=[topic])
    local_aws.client("cloudwatch").set_alarm_state(
        AlarmName="by-hand", StateValue="ALARM", StateReason="a drill"
    )
    notice = json.loads(json.loads(receive(local_aws, url)["Body"])["Message"])
    assert notice["NewStateReason"] == "a drill"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AlarmActions": ["arn:aws:automate:us-east-1:ec2:stop"]}, "the alarm action"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "the comparison"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    local_aws: LocalAws, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=f"does not implement {message}"):
        make_alarm(local_aws, "refused", **change)


def test_an_alarm_survives_a_restart(fresh_local_aws: LocalAws) -> None:
    aws = fresh_local_aws
    make_alarm(aws, "kept", TreatMissingData="ignore")
    put(aws, "kept", 9)
    until(lambda: state(aws, "kept") == "ALARM")
    aws.restart()
    assert state(aws, "kept") == "ALARM"
    put(aws, "kept", -20)
    until(lambda: state(aws, "kept") == "OK")
