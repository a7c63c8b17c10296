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
    "AWS::Budgets::Budget": _support("Budget NotificationsWithSubscribers"),
    "AWS::CloudWatch::Alarm": _support(
        "ActionsEnabled AlarmActions AlarmDescription ComparisonOperator DatapointsToAlarm"
        " Dimensions EvaluationPeriods ExtendedStatistic InsufficientDataActions MetricName"
        " Namespace OKActions Period Statistic Threshold TreatMissingData Unit",
        "AlarmName Tags",
    ),
    "AWS::CloudWatch::Dashboard": _support("DashboardBody", "DashboardName"),
    "AWS::CodeBuild::Project": _support(
        "Artifacts Cache Description EncryptionKey Environment LogsConfig QueuedTimeoutInMinutes"
        " ServiceRole Source TimeoutInMinutes VpcConfig Tags",
        "Name",
    ),
    "AWS::CodeBuild::ReportGroup": _support("", "Name Type ExportConfig DeleteReports Tags"),
    "AWS::CodePipeline::Pipeline": _support(
        "ArtifactStore ExecutionMode PipelineType RoleArn Stages Tags Triggers Variables", "Name"
    ),
    "AWS::Events::Rule": _support(
        "Description EventPattern RoleArn ScheduleExpression State Targets",
        "Name EventBusName Tags",
    ),
    "AWS::IAM::ManagedPolicy": _support(
        "PolicyDocument Roles", "ManagedPolicyName Path Description"
    ),
    "AWS::IAM::Policy": _support("PolicyDocument Roles", "PolicyName"),
    "AWS::IAM::Role": _support(
        "AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration"
        " PermissionsBoundary Policies Tags",
        "RoleName Path",
    ),
    "AWS::KMS::Alias": _support("TargetKeyId", "AliasName"),
    "AWS::KMS::Key": _support("Description Enabled EnableKeyRotation KeyPolicy Tags"),
    "AWS::Lambda::Alias": _support("Description FunctionVersion", "FunctionName Name"),
    "AWS::Lambda::EventInvokeConfig": _support(
        "DestinationConfig MaximumEventAgeInSeconds MaximumRetryAttempts", "FunctionName Qualifier"
    ),
    "AWS::Lambda::EventSourceMapping": _support(
        "BatchSize Enabled FunctionName FunctionResponseTypes MaximumBatchingWindowInSeconds"
        " ScalingConfig",
        "EventSourceArn",
    ),
    "AWS::Lambda::Function": _support(
        "Architectures Code DeadLetterConfig Description Environment EphemeralStorage Handler"
        " KmsKeyArn Layers LoggingConfig MemorySize ReservedConcurrentExecutions Role Runtime Tags"
        " Timeout TracingConfig VpcConfig",
        "FunctionName PackageType",
    ),
    "AWS::Lambda::LayerVersion": _support(
        "CompatibleArchitectures CompatibleRuntimes Content Description LicenseInfo", "LayerName"
    ),
    "AWS::Lambda::Permission": _support("Action Principal SourceAccount SourceArn", "FunctionName"),
    "AWS::Lambda::Version": _support("", "CodeSha256 Description FunctionName"),
    "AWS::Logs::LogGroup": _support("KmsKeyId RetentionInDays Tags", "LogGroupName"),
    "AWS::S3::Bucket": _support(
        "BucketEncryption LifecycleConfiguration NotificationConfiguration OwnershipControls"
        " PublicAccessBlockConfiguration Tags VersioningConfiguration",
        "BucketName",
    ),
    "AWS::S3::BucketPolicy": _support("PolicyDocument", "Bucket"),
    "AWS::SNS::Subscription": _support(
        "FilterPolicy FilterPolicyScope RawMessageDelivery RedrivePolicy",
        "Endpoint Protocol TopicArn",
    ),
    "AWS::SNS::TopicPolicy": _support("PolicyDocument", "Topics"),
    "AWS::SNS::Topic": _support("KmsMasterKeyId Subscription", "TopicName DisplayName"),
    "AWS::SQS::Queue": _support(
        "DelaySeconds KmsMasterKeyId MaximumMessageSize MessageRetentionPeriod"
        " ReceiveMessageWaitTimeSeconds RedrivePolicy SqsManagedSseEnabled VisibilityTimeout",
        "QueueName FifoQueue ContentBasedDeduplication Tags",
    ),
    "AWS::SQS::QueuePolicy": _support("PolicyDocument", "Queues"),
    "AWS::SSM::Parameter": _support("Description Type Value", "Name"),
    "AWS::SageMaker::ModelPackageGroup": _support(
        "", "ModelPackageGroupName ModelPackageGroupDescription ModelPackageGroupPolicy Tags"
    ),
    "AWS::Scheduler::Schedule": _support(
        "Description EndDate FlexibleTimeWindow KmsKeyArn ScheduleExpression"
        " ScheduleExpressionTimezone StartDate State Target",
        "GroupName Name",
    ),
    "AWS::Scheduler::ScheduleGroup": _support("", "Name Tags"),
    "AWS::StepFunctions::StateMachine": _support(
        "Definition DefinitionS3Location DefinitionString DefinitionSubstitutions"
        " EncryptionConfiguration LoggingConfiguration RoleArn TracingConfiguration",
        "StateMachineName StateMachineType Tags",
    ),
    "AWS::StepFunctions::StateMachineAlias": _support("Description RoutingConfiguration", "Name"),
    "AWS::StepFunctions::StateMachineVersion": _support(
        "Description StateMachineRevisionId", "StateMachineArn"
    ),
}

# The property that names the resource, of the types that `by_api` makes.
NAMES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeBuild::Project": "Name",
    "AWS::CodeBuild::ReportGroup": "Name",
    "AWS::CodePipeline::Pipeline": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
    "AWS::StepFunctions::StateMachineAlias": "Name",
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
