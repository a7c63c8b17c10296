"""A stack with every resource type of events, functions, alarms and state machines."""

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalAws
from tests.functions_kit import invoke, packed, receive, until

_CODE = "import os\ndef handler(event, context): return [os.environ['COLOUR'], event]"
_TEMPLATE = Path(__file__).parents[1] / "events" / "stacks" / "all_types.yaml"


def template(colour: str = "red", threshold: int = 1, layer: str = "layer.zip") -> str:
    text = _TEMPLATE.read_text("utf-8").replace("{colour}", colour).replace("{layer}", layer)
    return text.replace("{threshold}", str(threshold))


@pytest.fixture(scope="module")
def code(local_aws: LocalAws) -> None:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="stack-code")
    s3.put_object(Bucket="stack-code", Key="app.zip", Body=packed(app=_CODE))
    s3.put_object(Bucket="stack-code", Key="layer.zip", Body=packed(python__tool="X = 1"))
    s3.put_object(Bucket="stack-code", Key="layer2.zip", Body=packed(python__tool="X = 2"))


def outputs_of(aws: LocalAws, status: str) -> dict[str, str]:
    stack = aws.client("cloudformation").describe_stacks(StackName="all-types")["Stacks"][0]
    assert stack["StackStatus"] == status, stack.get("StackStatusReason")
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_a_stack_makes_changes_and_deletes_all_types(local_aws: LocalAws, code: None) -> None:
    cloudformation = local_aws.client("cloudformation")
    cloudformation.create_stack(
        StackName="all-types",
        TemplateBody=template(),
        Capabilities=["CAPABILITY_IAM"],
    )
    outputs = outputs_of(local_aws, "CREATE_COMPLETE")
    _check_created(local_aws, outputs)
    cloudformation.update_stack(
        StackName="all-types",
        TemplateBody=template("blue", 5, "layer2.zip"),
        Capabilities=["CAPABILITY_IAM"],
    )
    changed = outputs_of(local_aws, "UPDATE_COMPLETE")
    _check_changed(local_aws, changed)
    assert changed["Layer"] != outputs["Layer"]
    cloudformation.delete_stack(StackName="all-types")
    _check_deleted(local_aws)


def _check_created(aws: LocalAws, outputs: dict[str, str]) -> None:
    assert invoke(aws, "stacked", {"n": 1})[0] == ["red", {"n": 1}]
    assert invoke(aws, outputs["Inline"])[0] == "inline"
    client = aws.client("lambda")
    settings = client.get_function_configuration(FunctionName="stacked")
    assert (settings["Timeout"], settings["FunctionArn"]) == (7, outputs["FunctionArn"])
    assert settings["Layers"][0]["Arn"] == outputs["Layer"]
    assert "events.amazonaws.com" in client.get_policy(FunctionName="stacked")["Policy"]
    config = client.get_function_event_invoke_config(FunctionName="stacked")
    assert config["MaximumRetryAttempts"] == 1
    states = aws.client("stepfunctions")
    machine = states.describe_state_machine(stateMachineArn=outputs["Machine"])
    assert json.loads(machine["definition"])["States"]["P"]["Result"]["w"] == "red"
    assert machine["loggingConfiguration"]["level"] == "ERROR"
    assert machine["tracingConfiguration"] == {"enabled": True}
    alias = states.describe_state_machine_alias(stateMachineAliasArn=outputs["Alias"])
    assert alias["routingConfiguration"][0]["stateMachineVersionArn"] == f"{outputs['Machine']}:1"
    started = states.start_execution(stateMachineArn=outputs["Alias"])["executionArn"]
    until(lambda: states.describe_execution(executionArn=started).get("output") == '{"w": "red"}')
    scheduler = aws.client("scheduler")
    assert scheduler.get_schedule(Name="stack-schedule")["Arn"] == outputs["Schedule"]
    assert aws.client("cloudwatch").get_dashboard(DashboardName="stack-board")["DashboardBody"]
    aws.client("events").put_events(
        Entries=[{"Source": "test.stack", "DetailType": "T", "Detail": '{"n": 2}'}]
    )
    dead = aws.client("sqs").get_queue_url(QueueName="stack-dead")["QueueUrl"]
    assert json.loads(receive(aws, dead)["Body"]) == {"n": 2}
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=dead, AttributeNames=["Policy"])
    assert "events.amazonaws.com" in attributes["Attributes"]["Policy"]
    topic = f"arn:aws:sns:{aws.region}:{aws.account}:stack-topic"
    aws.client("sns").publish(TopicArn=topic, Message="raw")
    assert receive(aws, dead)["Body"] == "raw"


def _check_changed(aws: LocalAws, outputs: dict[str, str]) -> None:
    assert invoke(aws, "stacked", {"n": 1})[0] == ["blue", {"n": 1}]
    layers = aws.client("lambda").get_function_configuration(FunctionName="stacked")["Layers"]
    assert layers[0]["Arn"] == outputs["Layer"]
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=["stack-alarm"])["MetricAlarms"]
    assert alarms[0]["Threshold"] == 5
    machine = aws.client("stepfunctions").describe_state_machine(stateMachineArn=outputs["Machine"])
    assert json.loads(machine["definition"])["States"]["P"]["Result"]["w"] == "blue"


def _check_deleted(aws: LocalAws) -> None:
    stacks = aws.client("cloudformation").list_stacks(StackStatusFilter=["DELETE_COMPLETE"])
    assert "all-types" in [stack["StackName"] for stack in stacks["StackSummaries"]]
    with pytest.raises(ClientError, match="Function not found"):
        invoke(aws, "stacked")
    client = aws.client("lambda")
    assert client.list_layer_versions(LayerName="tools")["LayerVersions"] == []
    assert aws.client("scheduler").list_schedules()["Schedules"] == []
    assert not aws.client("cloudwatch").describe_alarms(AlarmNames=["stack-alarm"])["MetricAlarms"]
    machines = aws.client("stepfunctions").list_state_machines()["stateMachines"]
    assert "stack-machine" not in [machine["name"] for machine in machines]
    rules = aws.client("events").list_rules()["Rules"]
    assert [rule["Name"] for rule in rules if rule["Name"].startswith("all-types")] == []
    urls = aws.client("sqs").list_queues(QueueNamePrefix="stack-").get("QueueUrls", [])
    assert urls == []


def test_a_target_that_cannot_be_called_fails_the_stack_by_name(local_aws: LocalAws) -> None:
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {"source": ["x"]},
            "Targets": [{"Id": "1", "Arn": "arn:aws:kinesis:us-east-1:123456789012:stream/s"}],
        },
    }
    client = local_aws.client("cloudformation")
    client.create_stack(
        StackName="no-target", TemplateBody=json.dumps({"Resources": {"Rule": rule}})
    )
    stack = client.describe_stacks(StackName="no-target")["Stacks"][0]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "localaws does not deliver to kinesis" in stack["StackStatusReason"]
