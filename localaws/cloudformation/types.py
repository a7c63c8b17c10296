"""The resource types that stacks may hold, and the properties that are really set."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Support:
    """`fixed` properties name the physical resource: changing one would need another resource."""

    properties: frozenset[str]
    fixed: frozenset[str] = field(default_factory=frozenset)


def _support(properties: str, fixed: str = "") -> Support:
    names = frozenset(fixed.split())
    return Support(names | frozenset(properties.split()), names)


SUPPORTED: dict[str, Support] = {
    "AWS::Events::Rule": _support(
        "Description EventPattern ScheduleExpression State Targets", "Name"
    ),
    "AWS::IAM::ManagedPolicy": _support(
        "PolicyDocument Roles", "ManagedPolicyName Path Description"
    ),
    "AWS::IAM::Policy": _support("PolicyDocument Roles", "PolicyName"),
    "AWS::IAM::Role": _support(
        "AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration Policies Tags",
        "RoleName Path",
    ),
    "AWS::KMS::Alias": _support("TargetKeyId", "AliasName"),
    "AWS::KMS::Key": _support("Description Enabled EnableKeyRotation KeyPolicy Tags"),
    "AWS::Logs::LogGroup": _support("RetentionInDays Tags", "LogGroupName KmsKeyId"),
    "AWS::S3::Bucket": _support(
        "BucketEncryption LifecycleConfiguration OwnershipControls PublicAccessBlockConfiguration"
        " Tags VersioningConfiguration",
        "BucketName",
    ),
    "AWS::S3::BucketPolicy": _support("PolicyDocument", "Bucket"),
    "AWS::SNS::Topic": _support("Subscription", "TopicName DisplayName KmsMasterKeyId"),
    "AWS::SQS::Queue": _support(
        "DelaySeconds KmsMasterKeyId MaximumMessageSize MessageRetentionPeriod"
        " ReceiveMessageWaitTimeSeconds RedrivePolicy SqsManagedSseEnabled VisibilityTimeout",
        "QueueName FifoQueue ContentBasedDeduplication Tags",
    ),
    "AWS::SSM::Parameter": _support("Description Type Value", "Name"),
    "AWS::SageMaker::ModelPackageGroup": _support(
        "", "ModelPackageGroupName ModelPackageGroupDescription ModelPackageGroupPolicy Tags"
    ),
    "AWS::StepFunctions::StateMachine": _support(
        "DefinitionString RoleArn", "StateMachineName Tags"
    ),
}


def unsupported(logical_id: str, resource: dict[str, Any]) -> str | None:
    """What localaws lacks for a resource of a template, as a sentence; None when it has it all."""
    kind = resource["Type"]
    support = SUPPORTED.get(kind)
    if support is None:
        return f"localaws does not implement {kind} ({logical_id})."
    unknown = sorted((resource.get("Properties") or {}).keys() - support.properties)
    if unknown:
        names = ", ".join(unknown)
        return f"localaws does not implement {names} of {kind} ({logical_id})."
    return None


def needs_another(kind: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The changed properties that the same physical resource cannot take."""
    return sorted(name for name in SUPPORTED[kind].fixed if old.get(name) != new.get(name))
