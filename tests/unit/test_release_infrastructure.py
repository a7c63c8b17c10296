"""What the roles of the release pipeline's template may do: what CloudFormation needs, no more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint import decode  # type: ignore[import-untyped]  # ships no types
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]  # as above

INFRA = Path(__file__).resolve().parents[2] / "infra"
RELEASE: dict[str, Any] = decode.decode(str(INFRA / "cicd.yaml"))[0]["Resources"]
STACK: dict[str, Any] = decode.decode(str(INFRA / "scones.yaml"))[0]["Resources"]
STACK_ROLES = ["StagingStackRole", "ProductionStackRole"]

# What the types' handlers call for properties that infra/scones.yaml does not use.
NOT_USED = {
    *("codepipeline:DisableStageTransition", "codepipeline:EnableStageTransition"),
    *("codepipeline:StartPipelineExecution", "codestar-connections:PassConnection"),
    *("elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets"),
    *(
        "firehose:TagDeliveryStream",
        "logs:DeleteResourcePolicy",
        "logs:PutBearerTokenAuthentication",
    ),
    *("logs:PutDataProtectionPolicy", "logs:PutIndexPolicy", "logs:DeleteIndexPolicy"),
    *("logs:PutLogGroupDeletionProtection", "s3:REST.PUT.OBJECT", "iam:UpdateRoleDescription"),
    *("iam:AttachGroupPolicy", "iam:AttachUserPolicy"),
    *("iam:DetachGroupPolicy", "iam:DetachUserPolicy"),
    *("lambda:AssociateRuntimeAlias", "lambda:DeleteFunctionCodeSigningConfig"),
    *("lambda:GetCodeSigningConfig", "lambda:PassCapacityProvider"),
    *("lambda:PutFunctionCodeSigningConfig", "lambda:PutFunctionRecursionConfig"),
    *("lambda:PutFunctionScalingConfig", "lambda:PutRuntimeManagementConfig"),
    *("s3:CreateBucketMetadataTableConfiguration", "s3:DeleteBucketAnalyticsConfiguration"),
    *("s3:DeleteBucketCors", "s3:DeleteBucketEncryption", "s3:DeleteBucketLifecycle"),
    *("s3:DeleteBucketMetadataTableConfiguration", "s3:DeleteBucketMetricsConfiguration"),
    *("s3:DeleteBucketReplication", "s3:DeleteBucketWebsite", "s3:DeleteObject"),
    *("s3:PutAccelerateConfiguration", "s3:PutAnalyticsConfiguration", "s3:PutBucketAbac"),
    *("s3:PutBucketAcl", "s3:PutBucketCORS", "s3:PutBucketObjectLockConfiguration"),
    *("s3:PutBucketReplication", "s3:PutBucketWebsite", "s3:PutIntelligentTieringConfiguration"),
    *("s3:PutInventoryConfiguration", "s3:PutMetricsConfiguration", "s3:PutObjectAcl"),
    *("s3:PutObjectLockConfiguration", "s3:PutReplicationConfiguration"),
    *("s3:UpdateBucketMetadataAnnotationTableConfiguration",),
    *("s3:UpdateBucketMetadataInventoryTableConfiguration",),
    *("s3:UpdateBucketMetadataJournalTableConfiguration",),
    *("sagemaker:PutModelPackageGroupPolicy", "sns:PutDataProtectionPolicy"),
    *("sns:Subscribe", "sns:Unsubscribe"),
    # A boundary is the company's: who takes it off does so by hand.
    "iam:DeleteRolePermissionsBoundary",
}
# Needed all the same: CodeBuild's type has no handlers, and services ask on their caller's behalf.
MORE = {
    *("codebuild:BatchGetProjects", "codebuild:CreateProject", "codebuild:DeleteProject"),
    *("codebuild:UpdateProject", "iam:ListPolicyVersions", "lambda:GetFunctionConfiguration"),
    *("logs:GetLogDelivery", "logs:ListLogDeliveries"),  # where a workflow's logs go
    *("states:ValidateStateMachineDefinition",),
}
# Of the template's list of what takes no resource, as IAM's service reference has it.
TAKE_NO_RESOURCE = {
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets"),
    *(
        "ec2:DescribeVpcs",
        "kms:CreateKey",
        "kms:ListAliases",
        "logs:CreateLogDelivery",
        "logs:DescribeLogGroups",
    ),
    *("logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries"),
    *("logs:PutResourcePolicy", "states:ValidateStateMachineDefinition"),
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(role: str) -> Iterator[dict[str, Any]]:
    for policy in RELEASE[role]["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def allowed(role: str) -> set[str]:
    return {action for s in statements(role) for action in listed(s["Action"])}


def asked_for() -> set[str]:
    """What CloudFormation's registry says that making, changing and deleting the types takes."""
    found: set[str] = set()
    for kind in {resource["Type"] for resource in STACK.values()}:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        for name, handler in schema.get("handlers", {}).items():
            if name != "list":
                found |= set(handler.get("permissions", []))
    return {action for action in found if not action.startswith("s3tables:")}


@pytest.mark.parametrize("role", STACK_ROLES)
def test_the_stacks_role_may_do_what_the_types_of_the_template_need_and_no_more(role: str) -> None:
    needed = (asked_for() - NOT_USED) | MORE
    assert needed - allowed(role) == set(), "a deployment in an account would die on these"
    assert allowed(role) - needed == set(), "no type of the template needs these"


def test_what_is_named_as_not_used_is_asked_for_by_a_type() -> None:
    assert NOT_USED - asked_for() == set()


@pytest.mark.parametrize("role", STACK_ROLES)
def test_the_stacks_role_names_each_action_and_each_resource(role: str) -> None:
    for statement in statements(role):
        actions = listed(statement["Action"])
        assert not [action for action in actions if "*" in action], statement["Sid"]
        if statement["Resource"] == "*":
            assert set(actions) <= TAKE_NO_RESOURCE, statement["Sid"]


def test_staging_and_production_differ_in_their_names_alone() -> None:
    staging, production = (str(list(statements(role))) for role in STACK_ROLES)
    assert staging.replace("staging", "prod") == production


def test_a_source_in_s3_starts_the_release_and_nothing_polls_it() -> None:
    rule = RELEASE["SourceArrives"]["Properties"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": ["source/source.zip"]}
    (target,) = rule["Targets"]
    assert target["RoleArn"] == {"Fn::GetAtt": ["SourceArrivesRole", "Arn"]}
    assert allowed("SourceArrivesRole") == {"codepipeline:StartPipelineExecution"}
    bucket = RELEASE["Artefacts"]["Properties"]["NotificationConfiguration"]
    assert bucket == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    actions = RELEASE["Pipeline"]["Properties"]["Stages"][0]["Actions"][0]["Fn::If"]
    assert actions[2]["Configuration"]["PollForSourceChanges"] == "false"
