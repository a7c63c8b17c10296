"""What a company's account asks of the template, as sentences over the parsed file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint import decode  # type: ignore[import-untyped]  # ships no types

from lambdas.retraining import DECISIONS, RUNS
from pipelines.settings import load
from scones import labelled

TEMPLATE, _problems = decode.decode(
    str(Path(__file__).resolve().parents[2] / "infra" / "scones.yaml")
)
RESOURCES: dict[str, Any] = dict(TEMPLATE["Resources"])
KEY = {"Fn::GetAtt": ["Key", "Arn"]}
# Where each type says with which key it keeps what it keeps.
KEYS = {
    "AWS::CodeBuild::Project": ["EncryptionKey"],
    "AWS::CodePipeline::Pipeline": ["ArtifactStore", "EncryptionKey", "Id"],
    "AWS::Lambda::Function": ["KmsKeyArn"],
    "AWS::Logs::LogGroup": ["KmsKeyId"],
    "AWS::S3::Bucket": [
        *("BucketEncryption", "ServerSideEncryptionConfiguration", 0),
        *("ServerSideEncryptionByDefault", "KMSMasterKeyID"),
    ],
    "AWS::SNS::Topic": ["KmsMasterKeyId"],
    "AWS::SQS::Queue": ["KmsMasterKeyId"],
    "AWS::StepFunctions::StateMachine": ["EncryptionConfiguration", "KmsKeyId"],
}
# Settings, rules and names: none holds what a customer sent. A schedule's input is a time.
KEEPS_NOTHING = {
    *("AWS::Budgets::Budget", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"),
    *("AWS::Events::Rule", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::KMS::Alias"),
    *("AWS::KMS::Key", "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::LayerVersion"),
    *("AWS::Lambda::Permission", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"),
    *("AWS::SQS::QueuePolicy", "AWS::SageMaker::ModelPackageGroup", "AWS::Scheduler::Schedule"),
}
# What IAM's service reference lists without a resource type.
TAKE_NO_RESOURCE = {
    *("cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", "sagemaker:ListEndpointConfigs"),
    *("sagemaker:ListModelPackages", "sagemaker:ListModels", "logs:CreateLogDelivery"),
    *("logs:DeleteLogDelivery", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies"),
    *("logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy"),
    *("logs:UpdateLogDelivery", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
    *("xray:PutTelemetryRecords", "xray:PutTraceSegments", "ec2:DescribeDhcpOptions"),
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets"),
    *("ec2:DescribeVpcs",),
}


def of(*kinds: str) -> dict[str, Any]:
    """Properties by logical name."""
    return {n: r.get("Properties", {}) for n, r in RESOURCES.items() if r["Type"] in kinds}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(document: Any) -> Iterator[dict[str, Any]]:
    """Of a policy, those behind a condition among them."""
    for statement in document["Statement"]:
        yield statement["Fn::If"][1] if "Fn::If" in statement else statement


def policies(role: str) -> Iterator[dict[str, Any]]:
    """The statements of a role's own policies and of those of the template that it has."""
    properties = RESOURCES[role]["Properties"]
    for policy in properties.get("Policies", []):
        yield from statements(policy["PolicyDocument"])
    for reference in properties.get("ManagedPolicyArns", []):
        yield from statements(RESOURCES[reference["Ref"]]["Properties"]["PolicyDocument"])


def allowed(role: str) -> set[str]:
    return {action for s in policies(role) for action in listed(s["Action"])}


ROLES = sorted(of("AWS::IAM::Role"))


def test_whatever_keeps_something_keeps_it_under_the_stacks_key() -> None:
    assert {r["Type"] for r in RESOURCES.values()} <= KEYS.keys() | KEEPS_NOTHING
    for name, properties in of(*KEYS).items():
        value: Any = properties
        for step in KEYS[RESOURCES[name]["Type"]]:
            value = value[step]
        assert value == KEY, name


def test_the_key_turns_and_its_policy_names_every_action() -> None:
    properties = RESOURCES["Key"]["Properties"]
    assert properties["EnableKeyRotation"] is True
    found = list(statements(properties["KeyPolicy"]))
    for statement in found:
        assert statement["Effect"] == "Allow"
        assert statement["Principal"] != "*"
        assert not [action for action in listed(statement["Action"]) if "*" in action]
    grants = [s for s in found if "kms:CreateGrant" in listed(s["Action"])]
    assert [s["Condition"] for s in grants] == [{"Bool": {"kms:GrantIsForAWSResource": "true"}}]


def test_the_key_stays_as_long_as_the_data_that_it_protects() -> None:
    assert {RESOURCES[n]["DeletionPolicy"] for n in ("Bucket", "Key", "KeyAlias")} == {
        "RetainExceptOnCreate"
    }


@pytest.mark.parametrize("kind", ["S3::Bucket", "SQS::Queue", "SNS::Topic"])
def test_what_others_can_reach_refuses_plain_http(kind: str) -> None:
    closed = set()
    for properties in of(
        "AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"
    ).values():
        targets = [properties.get("Bucket"), *properties.get("Queues", [])]
        targets += properties.get("Topics", [])
        for statement in statements(properties["PolicyDocument"]):
            if statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}:
                assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
                closed |= {target["Ref"] for target in targets if target}
    assert of(f"AWS::{kind}").keys() <= closed


def test_the_bucket_can_give_back_what_was_overwritten_and_forgets_in_time() -> None:
    properties = RESOURCES["Bucket"]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert all(properties["PublicAccessBlockConfiguration"].values())
    rules = properties["LifecycleConfiguration"]["Rules"]
    rules = [rule["Fn::If"][1] if "Fn::If" in rule else rule for rule in rules]
    days = {rule["Id"]: rule.get("ExpirationInDays") for rule in rules}
    assert days["captured-requests"] == {"Ref": "CaptureRetentionDays"}
    assert days["executions"] == {"Ref": "ExecutionRetentionDays"}
    noncurrent = {"NoncurrentDays": {"Ref": "NoncurrentRetentionDays"}}
    assert noncurrent in [rule.get("NoncurrentVersionExpiration") for rule in rules]
    assert days["retraining-decisions"] == {"Ref": "DecisionRetentionDays"}


def test_labels_runs_and_data_never_end_by_their_age() -> None:
    """The newest set of labelled images may be old, and hold what is nowhere else any more."""
    rules = RESOURCES["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    rules = [rule["Fn::If"][1] if "Fn::If" in rule else rule for rule in rules]
    ending = {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}
    assert ending == {"capture/", "executions/", DECISIONS}
    for kept in (RUNS, labelled.PREFIX, labelled.NEWEST, "ground-truth/", "raw/"):
        assert not [prefix for prefix in ending if kept.startswith(prefix)], kept


def test_every_log_ends() -> None:
    for name, properties in of("AWS::Logs::LogGroup").items():
        assert properties["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name


@pytest.mark.parametrize("role", ROLES)
def test_no_role_exceeds_the_companys_boundary(role: str) -> None:
    boundary = RESOURCES[role]["Properties"]["PermissionsBoundary"]
    none = {"Ref": "AWS::NoValue"}
    assert boundary == {"Fn::If": ["Bounded", {"Ref": "PermissionsBoundary"}, none]}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_do_everything_or_to_everything(role: str) -> None:
    for statement in policies(role):
        actions = listed(statement["Action"])
        assert not [action for action in actions if "*" in action], statement["Sid"]
        if statement["Resource"] == "*":
            assert set(actions) <= TAKE_NO_RESOURCE, statement["Sid"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_moves_data_may_use_the_key_and_no_other_role_may(role: str) -> None:
    """Reading decrypts, writing asks for a data key; sending a message does both."""
    may = allowed(role)
    writes = {"s3:PutObject", "sqs:SendMessage", "sns:Publish", "states:UpdateStateMachine"} & may
    reads = {"s3:GetObject", "sqs:SendMessage", "states:DescribeStateMachine"} & may
    is_workflow = {"Ref": "WorkflowBasics"} in RESOURCES[role]["Properties"].get(
        "ManagedPolicyArns", []
    )
    assert ("kms:Decrypt" in may or "kms:GenerateDataKey" in may) == bool(
        reads or writes or is_workflow
    )
    assert not reads or "kms:Decrypt" in may
    assert not writes or "kms:GenerateDataKey" in may
    for statement in policies(role):
        if any(action.startswith("kms:") for action in listed(statement["Action"])):
            assert statement["Resource"] == KEY


def test_every_function_goes_into_the_vpc_when_there_is_one() -> None:
    for name, properties in of("AWS::Lambda::Function").items():
        condition, inside, outside = properties["VpcConfig"]["Fn::If"]
        assert (condition, outside) == ("InVpc", {"Ref": "AWS::NoValue"}), name
        assert inside["SubnetIds"] == {"Ref": "SubnetIds"}
    for name in ("FunctionBasics", "JobBasics"):
        document = RESOURCES[name]["Properties"]["PolicyDocument"]
        behind = [s["Fn::If"] for s in document["Statement"] if "Fn::If" in s]
        assert {condition for condition, *_ in behind} == {"InVpc"}


def test_retraining_builds_go_into_the_vpc_that_is_named_and_into_no_other() -> None:
    none = {"Ref": "AWS::NoValue"}
    inside = {name: {"Ref": name} for name in ("VpcId", "SecurityGroupIds")}
    inside["Subnets"] = {"Ref": "SubnetIds"}
    project = RESOURCES["RetrainingBuild"]["Properties"]
    assert project["VpcConfig"] == {"Fn::If": ["BuildsInVpc", inside, none]}
    document = RESOURCES["RetrainingBuildRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    behind = [s["Fn::If"] for s in document["Statement"] if "Fn::If" in s]
    assert {condition for condition, *_ in behind} == {"BuildsInVpc"}
    network = {"subnet/", "security-group/"}
    for _, statement, _ in behind:
        resources = {str(r) for r in listed(statement["Resource"])}
        if any(kind in resource for kind in network for resource in resources):
            assert "vpc/${VpcId}" in str(statement["Condition"]["ArnEquals"]["ec2:Vpc"])
    handed = [s for _, s, _ in behind if "ec2:CreateNetworkInterfacePermission" in s["Action"]]
    assert [s["Condition"] for s in handed] == [
        {"StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"}}
    ]


def test_every_alarm_and_the_budget_tell_somebody() -> None:
    for name, properties in of("AWS::CloudWatch::Alarm").items():
        assert {"Ref": "Topic"} in properties["AlarmActions"], name
    for notice in RESOURCES["Budget"]["Properties"]["NotificationsWithSubscribers"]:
        assert notice["Subscribers"] == [{"SubscriptionType": "SNS", "Address": {"Ref": "Topic"}}]


def test_everything_that_bills_says_who_pays() -> None:
    """A stack's tags reach what it makes; what functions make later gets the same by `TAGS`."""
    tags = load("prod").tags()
    assert tags == {
        "project": "scones",
        "environment": "prod",
        "stack": "scones-prod",
        "cost-centre": "scones",
    }
    for function in ("PlanDeployment", "CreateMonitoringSchedule"):
        variables = RESOURCES[function]["Properties"]["Environment"]["Variables"]
        keys = [pair.partition("=")[0] for pair in variables["TAGS"]["Fn::Sub"].split(",")]
        assert keys == list(tags)


def test_each_exception_from_checkov_stands_with_its_reason() -> None:
    for name, resource in RESOURCES.items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert skip["id"] in ("CKV_AWS_115", "CKV_AWS_116"), name
            assert len(skip["comment"]) > 30, name
