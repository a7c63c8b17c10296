"""Stacks set what they say, say why they fail, and leave nothing half-made."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Name: {Type: String, Default: first}
  Days: {Type: Number, Default: 14}
Conditions:
  IsProd: !Equals [!Ref Name, prod]
Resources:
  Data:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: !Sub "${Name}-${AWS::AccountId}"
      VersioningConfiguration: {Status: Enabled}
      PublicAccessBlockConfiguration: {BlockPublicAcls: true, BlockPublicPolicy: true}
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - ServerSideEncryptionByDefault: {SSEAlgorithm: "aws:kms", KMSMasterKeyID: !Ref Key}
      LifecycleConfiguration:
        Rules: [{Id: old, Status: Enabled, Prefix: executions/, ExpirationInDays: !Ref Days}]
      Tags: [{Key: team, Value: bicycles}]
  DataPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Data
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Deny
            Principal: "*"
            Action: "s3:*"
            Resource: !Sub "${Data.Arn}/*"
            Condition: {Bool: {"aws:SecureTransport": "false"}}
  Shared:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: !Sub "${Data.Arn}/*"}]
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Sub "${Name}-role"
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - {Effect: Allow, Principal: {Service: sagemaker.amazonaws.com}, Action: "sts:AssumeRole"}
      ManagedPolicyArns: [!Ref Shared]
      Policies:
        - PolicyName: write
          PolicyDocument:
            Version: 2012-10-17
            Statement: [{Effect: Allow, Action: "s3:PutObject", Resource: !Sub "${Data.Arn}/*"}]
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "/${Name}", RetentionInDays: !Ref Days}
  Key:
    Type: AWS::KMS::Key
    Properties:
      EnableKeyRotation: true
      KeyPolicy:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
            Action: [kms:GenerateDataKey, kms:Decrypt]
            Resource: "*"
  KeyName:
    Type: AWS::KMS::Alias
    Properties: {AliasName: !Sub "alias/${Name}", TargetKeyId: !Ref Key}
  Models:
    Type: AWS::SageMaker::ModelPackageGroup
    Properties:
      ModelPackageGroupName: !Sub "${Name}-models"
      ModelPackageGroupDescription: all versions
      Tags: [{Key: team, Value: bicycles}]
  OnlyInProduction:
    Type: AWS::Kendra::Index
    Condition: IsProd
Outputs:
  Bucket: {Value: !Ref Data}
  RoleArn: {Value: !GetAtt Role.Arn, Export: {Name: !Sub "${Name}-role-arn"}}
  Group: {Value: !Ref Models}
  GroupArn: {Value: !GetAtt Models.ModelPackageGroupArn}
"""


class Stacks:
    """A stack of the template above under a name of its own."""

    def __init__(self, aws: Any, name: str) -> None:
        self.aws, self.name = aws, name
        self.client = aws.client("cloudformation")
        self.bucket = f"{name}-{aws.account}"

    def create(self, template: str = TEMPLATE, **parameters: str) -> dict[str, Any]:
        self.client.create_stack(
            StackName=self.name,
            TemplateBody=template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=self._parameters(parameters),
        )
        return self.describe()

    def update(self, template: str = TEMPLATE, **parameters: str) -> dict[str, Any]:
        self.client.update_stack(
            StackName=self.name,
            TemplateBody=template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=self._parameters(parameters),
        )
        return self.describe()

    def describe(self) -> dict[str, Any]:
        stack: dict[str, Any] = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        return stack

    def reasons(self) -> dict[str, str]:
        """Why each resource failed, by its logical name."""
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return {
            event["LogicalResourceId"]: event["ResourceStatusReason"]
            for event in events
            if event["ResourceStatus"].endswith("_FAILED")
        }

    def _parameters(self, given: dict[str, str]) -> list[dict[str, str]]:
        values = {"Name": self.name, **given}
        return [{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()]


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_a_stack_sets_every_property_that_it_names(local_aws: Any) -> None:
    stacks = Stacks(local_aws, "complete")
    stack = stacks.create()
    s3, iam = local_aws.client("s3"), local_aws.client("iam")

    assert stack["StackStatus"] == "CREATE_COMPLETE"
    told = outputs(stack)
    assert told["Bucket"] == stacks.bucket
    assert told["RoleArn"] == "arn:aws:iam::123456789012:role/complete-role"
    assert told["Group"] == told["GroupArn"]
    where = {"Bucket": stacks.bucket}
    assert s3.get_bucket_versioning(**where)["Status"] == "Enabled"
    assert s3.get_public_access_block(**where)["PublicAccessBlockConfiguration"]["BlockPublicAcls"]
    rule = s3.get_bucket_encryption(**where)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (rule,) = s3.get_bucket_lifecycle_configuration(**where)["Rules"]
    assert (rule["ID"], rule["Filter"], rule["Expiration"]) == (
        "old",
        {"Prefix": "executions/"},
        {"Days": 14},
    )
    assert s3.get_bucket_tagging(**where)["TagSet"] == [{"Key": "team", "Value": "bicycles"}]
    policy = json.loads(s3.get_bucket_policy(**where)["Policy"])
    assert policy["Statement"][0]["Resource"] == f"arn:aws:s3:::{stacks.bucket}/*"
    attached = iam.list_attached_role_policies(RoleName="complete-role")["AttachedPolicies"]
    assert attached[0]["PolicyName"].startswith("complete-Shared-")
    inline = iam.get_role_policy(RoleName="complete-role", PolicyName="write")
    assert inline["PolicyDocument"]["Statement"][0]["Action"] == "s3:PutObject"
    groups = local_aws.client("logs").describe_log_groups(logGroupNamePrefix="/complete")
    assert groups["logGroups"][0]["retentionInDays"] == 14
    kms = local_aws.client("kms")
    key = kms.describe_key(KeyId="alias/complete")["KeyMetadata"]["KeyId"]
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    sagemaker = local_aws.client("sagemaker")
    group = sagemaker.describe_model_package_group(ModelPackageGroupName="complete-models")
    assert group["ModelPackageGroupDescription"] == "all versions"
    tags = sagemaker.list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "bicycles"}]
    # The usual policy against plain HTTP does not lock the loopback out.
    s3.put_object(Bucket=stacks.bucket, Key="key", Body=b"content")
    assert s3.head_object(Bucket=stacks.bucket, Key="key")["ServerSideEncryption"] == "aws:kms"


def test_an_update_changes_what_changed_and_an_unchanged_one_is_refused(local_aws: Any) -> None:
    stacks = Stacks(local_aws, "changing")
    stacks.create()
    changed = TEMPLATE.replace("s3:PutObject", "s3:DeleteObject").replace(
        "ManagedPolicyArns: [!Ref Shared]", "Description: no more policies"
    )

    stack = stacks.update(changed, Days="30")

    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    iam = local_aws.client("iam")
    assert iam.list_attached_role_policies(RoleName="changing-role")["AttachedPolicies"] == []
    inline = iam.get_role_policy(RoleName="changing-role", PolicyName="write")
    assert inline["PolicyDocument"]["Statement"][0]["Action"] == "s3:DeleteObject"
    groups = local_aws.client("logs").describe_log_groups(logGroupNamePrefix="/changing")
    assert groups["logGroups"][0]["retentionInDays"] == 30
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update(changed, Days="30")


def test_an_update_may_bring_a_condition_of_its_own(local_aws: Any) -> None:
    stacks = Stacks(local_aws, "conditional")
    stacks.create()
    changed = TEMPLATE.replace(
        "Conditions:\n", "Conditions:\n  Kept: !Not [!Equals [!Ref Days, 0]]\n"
    ).replace("RetentionInDays: !Ref Days", "RetentionInDays: !If [Kept, 60, !Ref AWS::NoValue]")
    assert changed.count("Kept") == 2

    assert stacks.update(changed)["StackStatus"] == "UPDATE_COMPLETE"

    groups = local_aws.client("logs").describe_log_groups(logGroupNamePrefix="/conditional")
    assert groups["logGroups"][0]["retentionInDays"] == 60


def test_a_type_that_is_not_implemented_fails_the_stack_by_its_name(local_aws: Any) -> None:
    stacks = Stacks(local_aws, "prod")
    stack = stacks.create()

    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    sentence = "localaws does not implement AWS::Kendra::Index (OnlyInProduction)."
    assert sentence in stack["StackStatusReason"]
    assert stacks.reasons() == {"OnlyInProduction": sentence}
    assert "Outputs" not in stack
    buckets = local_aws.client("s3").list_buckets()["Buckets"]
    assert stacks.bucket not in [bucket["Name"] for bucket in buckets]


@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        (
            {"Type": "AWS::S3::Bucket", "Properties": {"WebsiteConfiguration": {}}},
            "localaws does not implement WebsiteConfiguration of AWS::S3::Bucket (It).",
        ),
        (
            {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointConfigName": "c"}},
            "localaws does not implement AWS::SageMaker::Endpoint (It).",
        ),
        (
            {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": TRUST,
                    "ManagedPolicyArns": ["arn:aws:iam::aws:policy/NoSuchPolicy"],
                },
            },
            "Policy arn:aws:iam::aws:policy/NoSuchPolicy does not exist or is not attachable.",
        ),
        (
            {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "no"}},
            "The specified bucket is not valid.",
        ),
    ],
)
def test_a_resource_that_cannot_be_made_rolls_the_stack_back_and_says_why(
    fresh_local_aws: Any, resource: dict[str, Any], sentence: str
) -> None:
    cloudformation = fresh_local_aws.client("cloudformation")
    template = {
        "Resources": {
            "First": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/first"}},
            "It": {**resource, "DependsOn": "First"},
        }
    }
    cloudformation.create_stack(StackName="failing", TemplateBody=json.dumps(template))

    (stack,) = cloudformation.describe_stacks(StackName="failing")["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert sentence in stack["StackStatusReason"]
    assert fresh_local_aws.client("logs").describe_log_groups()["logGroups"] == []
    assert fresh_local_aws.client("iam").list_roles()["Roles"] == []


def test_an_update_that_fails_is_rolled_back(local_aws: Any) -> None:
    stacks = Stacks(local_aws, "rolling")
    stacks.create()

    stack = stacks.update(TEMPLATE.replace('"${Name}-models"', '"${Name}-others"'), Days="60")

    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "cannot replace a resource, as a change of ModelPackageGroupName" in str(
        stacks.reasons()["Models"]
    )
    groups = local_aws.client("logs").describe_log_groups(logGroupNamePrefix="/rolling")
    assert groups["logGroups"][0]["retentionInDays"] == 14
    assert stacks.update(Days="90")["StackStatus"] == "UPDATE_COMPLETE"


def test_a_parameter_out_of_range_is_refused_and_leaves_no_stack(local_aws: Any) -> None:
    stacks = Stacks(local_aws, "ranged")
    narrow = TEMPLATE.replace("Default: 14}", "Default: 14, MinValue: 1, MaxValue: 30}")
    sentence = "Parameter 'Days' must be a number not greater than 30"

    with pytest.raises(ClientError, match=sentence):
        stacks.create(narrow, Days="31")
    with pytest.raises(ClientError, match="does not exist"):
        stacks.describe()
    stacks.create(narrow, Days="30")
    with pytest.raises(ClientError, match=sentence):
        stacks.update(narrow, Days="31")

    assert stacks.describe()["StackStatus"] == "CREATE_COMPLETE"


def test_what_outlives_a_stack_does_not_outlive_a_creation_that_failed(local_aws: Any) -> None:
    stacks = Stacks(local_aws, "retained")
    kept = TEMPLATE.replace(
        "    Type: AWS::S3::Bucket\n",
        "    Type: AWS::S3::Bucket\n    DeletionPolicy: RetainExceptOnCreate\n",
    )
    failing = kept.replace(
        'ModelPackageGroupName: !Sub "${Name}-models"', 'ModelPackageGroupName: "no such name!"'
    )

    assert stacks.create(failing)["StackStatus"] == "ROLLBACK_COMPLETE"
    buckets = [b["Name"] for b in local_aws.client("s3").list_buckets()["Buckets"]]
    assert stacks.bucket not in buckets
    stacks.client.delete_stack(StackName=stacks.name)
    assert stacks.create(kept)["StackStatus"] == "CREATE_COMPLETE"
    stacks.client.delete_stack(StackName=stacks.name)
    assert local_aws.client("s3").head_bucket(Bucket=stacks.bucket)


def test_a_stack_with_a_full_bucket_cannot_be_deleted_until_it_is_empty(local_aws: Any) -> None:
    stacks = Stacks(local_aws, "deleted")
    stack_id = stacks.create()["StackId"]
    s3, iam = local_aws.client("s3"), local_aws.client("iam")
    s3.put_object(Bucket=stacks.bucket, Key="key", Body=b"")

    stacks.client.delete_stack(StackName="deleted")

    stack = stacks.describe()
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert "The bucket you tried to delete is not empty" in stack["StackStatusReason"]
    for version in s3.list_object_versions(Bucket=stacks.bucket)["Versions"]:
        s3.delete_object(Bucket=stacks.bucket, Key="key", VersionId=version["VersionId"])
    stacks.client.delete_stack(StackName="deleted")
    described = stacks.client.describe_stacks(StackName=stack_id)["Stacks"][0]
    assert described["StackStatus"] == "DELETE_COMPLETE"
    assert stacks.bucket not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert "deleted-role" not in [role["RoleName"] for role in iam.list_roles()["Roles"]]
    policies = iam.list_policies(Scope="Local")["Policies"]
    assert not [policy for policy in policies if policy["PolicyName"].startswith("deleted-")]
    with pytest.raises(ClientError, match="does not exist"):
        local_aws.client("sagemaker").describe_model_package_group(
            ModelPackageGroupName="deleted-models"
        )


def test_the_aws_cli_deploys_changes_and_finds_nothing_to_change(
    local_aws: Any, tmp_path: Path
) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    command = [sys.executable, "-m", "awscli", "cloudformation", "deploy", "--stack-name", "by-cli"]
    command += ["--template-file", str(template), "--capabilities", "CAPABILITY_NAMED_IAM"]
    command += ["--no-fail-on-empty-changeset", "--parameter-overrides", "Name=by-cli"]

    def deploy(*more: str) -> str:
        done = subprocess.run(
            [*command, *more], env=local_aws.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "Successfully created/updated stack - by-cli" in deploy()
    assert "No changes to deploy. Stack by-cli is up to date" in deploy()
    assert "Successfully created/updated" in deploy("Days=21")
    stack = Stacks(local_aws, "by-cli").describe()
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert outputs(stack)["Bucket"] == f"by-cli-{local_aws.account}"


def test_a_stack_outlives_a_kill_and_can_be_updated_and_deleted(fresh_local_aws: Any) -> None:
    stacks = Stacks(fresh_local_aws, "lasting")
    before = stacks.create()
    time.sleep(2.1)  # a snapshot is due each second: this is the promise under test
    fresh_local_aws.kill()
    fresh_local_aws.start()

    assert outputs(stacks.describe()) == outputs(before)
    assert stacks.update(Days="3")["StackStatus"] == "UPDATE_COMPLETE"
    exports = stacks.client.list_exports()["Exports"]
    assert [export["Name"] for export in exports] == ["lasting-role-arn"]
    stacks.client.delete_stack(StackName="lasting")
    assert stacks.client.describe_stacks()["Stacks"] == []
    assert fresh_local_aws.client("iam").list_roles()["Roles"] == []


def test_a_state_machine_of_a_stack_can_be_run(local_aws: Any) -> None:
    definition = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": 7, "End": True}}}
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": "of-a-stack",
            "RoleArn": "arn:aws:iam::123456789012:role/any",
            "DefinitionString": json.dumps(definition),
        },
    }
    local_aws.client("cloudformation").create_stack(
        StackName="machine",
        TemplateBody=json.dumps(
            {"Resources": {"M": machine}, "Outputs": {"Arn": {"Value": {"Ref": "M"}}}}
        ),
    )
    (stack,) = local_aws.client("cloudformation").describe_stacks(StackName="machine")["Stacks"]
    states = local_aws.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=outputs(stack)["Arn"])["executionArn"]
    deadline = time.monotonic() + 10
    while (ended := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline
    assert ended["output"] == "7"


def test_a_template_is_data_and_runs_no_code(local_aws: Any, tmp_path: Path) -> None:
    target = tmp_path / "made by a template"
    template = f'Resources: !!python/object/apply:os.mkdir ["{target}"]\n'
    cloudformation = local_aws.client("cloudformation")
    cloudformation.create_stack(StackName="evil", TemplateBody=template)
    (stack,) = cloudformation.describe_stacks(StackName="evil")["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert not os.path.exists(target)
