"""A stack with every resource type of events, functions, alarms and state machines."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalAws
from tests.functions_kit import invoke, packed, receive, until

_ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]},
                    "Action": "sts:AssumeRole",
                }
            ],
        },
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"],
    },
}
_CODE = "import os\ndef handler(event, context): return [os.environ['COLOUR'], event]"
_PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": {"w": "${Word}"}, "End": True}}}


def get(resource: str, attribute: str = "Arn") -> dict[str, Any]:
    return {"Fn::GetAtt": [resource, attribute]}


def ref(resource: str) -> dict[str, str]:
    return {"Ref": resource}


def allow(action: str, service: str, resource: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def template(colour: str = "red", threshold: int = 1, layer: str = "layer.zip") -> dict[str, Any]:
    resources: dict[str, tuple[str, dict[str, Any]]] = {
        "Layer": (
            "Lambda::LayerVersion",
            {"LayerName": "tools", "Content": {"S3Bucket": "stack-code", "S3Key": layer}},
        ),
        "Function": (
            "Lambda::Function",
            {
                "FunctionName": "stacked",
                "Runtime": "python3.11",
                "Handler": "app.handler",
                "Role": get("Role"),
                "Code": {"S3Bucket": "stack-code", "S3Key": "app.zip"},
                "Timeout": "7",
                "Environment": {"Variables": {"COLOUR": colour}},
                "Layers": [ref("Layer")],
                "DeadLetterConfig": {"TargetArn": get("Dead")},
                "Tags": [{"Key": "a", "Value": "b"}],
            },
        ),
        "Inline": (
            "Lambda::Function",
            {
                "Runtime": "python3.11",
                "Handler": "index.handler",
                "Role": get("Role"),
                "Code": {"ZipFile": "def handler(event, context): return 'inline'"},
            },
        ),
        "Permission": (
            "Lambda::Permission",
            {
                "FunctionName": ref("Function"),
                "Action": "lambda:InvokeFunction",
                "Principal": "events.amazonaws.com",
                "SourceArn": get("Rule"),
            },
        ),
        "Invocations": (
            "Lambda::EventInvokeConfig",
            {"FunctionName": ref("Function"), "Qualifier": "$LATEST", "MaximumRetryAttempts": "1"},
        ),
        "Mapping": (
            "Lambda::EventSourceMapping",
            {"FunctionName": ref("Function"), "EventSourceArn": get("Work"), "BatchSize": 5},
        ),
        "Work": ("SQS::Queue", {"QueueName": "stack-work"}),
        "Dead": ("SQS::Queue", {"QueueName": "stack-dead"}),
        "QueuePolicy": (
            "SQS::QueuePolicy",
            {
                "Queues": [ref("Dead")],
                "PolicyDocument": allow("sqs:SendMessage", "events.amazonaws.com", get("Dead")),
            },
        ),
        "Rule": (
            "Events::Rule",
            {
                "EventPattern": {"source": ["test.stack"]},
                "Targets": [{"Id": "dead", "Arn": get("Dead"), "InputPath": "$.detail"}],
            },
        ),
        "Topic": ("SNS::Topic", {"TopicName": "stack-topic"}),
        "TopicPolicy": (
            "SNS::TopicPolicy",
            {
                "Topics": [ref("Topic")],
                "PolicyDocument": allow("sns:Publish", "cloudwatch.amazonaws.com", ref("Topic")),
            },
        ),
        "Subscription": (
            "SNS::Subscription",
            {
                "TopicArn": ref("Topic"),
                "Protocol": "sqs",
                "Endpoint": get("Dead"),
                "RawMessageDelivery": True,
            },
        ),
        "Alarm": (
            "CloudWatch::Alarm",
            {
                "AlarmName": "stack-alarm",
                "Namespace": "Test",
                "MetricName": "Stack",
                "Statistic": "Sum",
                "Period": "60",
                "EvaluationPeriods": 1,
                "Threshold": threshold,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": [ref("Topic")],
            },
        ),
        "Dashboard": (
            "CloudWatch::Dashboard",
            {"DashboardName": "stack-board", "DashboardBody": '{"widgets": []}'},
        ),
        "Schedule": (
            "Scheduler::Schedule",
            {
                "Name": "stack-schedule",
                "ScheduleExpression": "rate(1 hour)",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {"Arn": get("Function"), "RoleArn": get("Role"), "Input": "{}"},
            },
        ),
        "Logs": ("Logs::LogGroup", {"LogGroupName": "/stack/states", "RetentionInDays": 7}),
        "Machine": (
            "StepFunctions::StateMachine",
            {
                "StateMachineName": "stack-machine",
                "DefinitionString": json.dumps(_PASS),
                "DefinitionSubstitutions": {"Word": colour},
                "RoleArn": get("Role"),
                "LoggingConfiguration": {
                    "Level": "ERROR",
                    "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": get("Logs")}}],
                },
                "TracingConfiguration": {"Enabled": True},
            },
        ),
        "Version": ("StepFunctions::StateMachineVersion", {"StateMachineArn": ref("Machine")}),
        "Alias": (
            "StepFunctions::StateMachineAlias",
            {
                "Name": "live",
                "RoutingConfiguration": [{"StateMachineVersionArn": ref("Version"), "Weight": 100}],
            },
        ),
    }
    made = {
        name: {"Type": f"AWS::{kind}", "Properties": properties}
        for name, (kind, properties) in resources.items()
    }
    outputs = {
        "FunctionArn": {"Value": get("Function")},
        "Inline": {"Value": ref("Inline")},
        "Machine": {"Value": ref("Machine")},
        "Layer": {"Value": ref("Layer")},
        "Alias": {"Value": get("Alias")},
        "Alarm": {"Value": get("Alarm")},
        "Schedule": {"Value": get("Schedule")},
    }
    return {"Resources": {"Role": _ROLE, **made}, "Outputs": outputs}


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
        TemplateBody=json.dumps(template()),
        Capabilities=["CAPABILITY_IAM"],
    )
    outputs = outputs_of(local_aws, "CREATE_COMPLETE")
    _check_created(local_aws, outputs)
    cloudformation.update_stack(
        StackName="all-types",
        TemplateBody=json.dumps(template("blue", 5, "layer2.zip")),
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
