"""What the operations of the smaller services need: a table each.

https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

from collections.abc import Iterator
from typing import Any

from localaws.permissions import sagemaker_actions
from localaws.permissions.actions import Keys, Need, NotKnown, Parameters, Place, Rule, every, table

_FUNCTION = "function:{FunctionName}"


def _qualified(given: Parameters) -> Keys:
    return {"lambda:principal": str(given["Principal"])} if "Principal" in given else {}


LAMBDA = table(
    "lambda",
    {
        "(List|Get)(Functions|LayerVersions|Layers|AccountSettings|EventSourceMappings)": "*",
        "(Create|List)EventSourceMappings?": "*",
        ".*EventSourceMapping": "event-source-mapping:{UUID}",
        "GetLayerVersionByArn": "{Arn}",
        "PublishLayerVersion|ListLayerVersions": "layer:{LayerName}",
        ".*LayerVersion.*": "layer:{LayerName}:{VersionNumber}",
        "TagResource|UntagResource|ListTags": "{Resource}",
        ".*": _FUNCTION,
    },
    renamed={
        "Invoke": "InvokeFunction",
        "InvokeAsync": "InvokeFunction",
        "InvokeWithResponseStream": "InvokeFunction",
    },
    passed_to="lambda.amazonaws.com",
    tag="TagResource",
    keys=_qualified,
)

_STATES = table(
    "states",
    {
        "CreateStateMachine": "stateMachine:{name}",
        "CreateActivity": "activity:{name}",
        "CreateStateMachineAlias|.*StateMachineAlias": "{stateMachineAliasArn}",
        "DeleteStateMachineVersion": "{stateMachineVersionArn}",
        "(Describe|Stop|Redrive).*Execution|GetExecutionHistory|DescribeStateMachineForExecution": (
            "{executionArn}"
        ),
        "ListMapRuns": "{executionArn}",
        "(Describe|Update)MapRun": "{mapRunArn}",
        "ListExecutions|(Start|StartSync)Execution|.*StateMachine(Aliases|Versions?)?": (
            "{stateMachineArn}"
        ),
        "TagResource|UntagResource|ListTagsForResource": "{resourceArn}",
        "ListStateMachines|ListActivities|ValidateStateMachineDefinition|SendTask.*": "*",
        ".*Activity.*": "{activityArn}",
    },
    passed_to="states.amazonaws.com",
    tag="TagResource",
)


def states(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
    """The resource is the state machine; a version or an alias is a condition key.

    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    given = dict(given)
    if operation == "CreateStateMachineAlias":
        routes = given.get("routingConfiguration") or [{}]
        machine = str(routes[0].get("stateMachineVersionArn", "*")).rpartition(":")[0]
        given["stateMachineAliasArn"] = f"{machine}:{given.get('name', '')}"
    for need in _STATES(place, operation, given):
        parts = need.resource.split(":")
        if len(parts) == 8 and parts[5] == "stateMachine":
            keys: Keys = {**need.keys, "states:statemachinequalifier": parts[7]}
            need = Need(need.action, ":".join(parts[:7]), keys)
        yield need
        if given.get("publish") and need.action.endswith("StateMachine"):
            yield Need("states:PublishStateMachineVersion", need.resource)


_EVENTS = table(
    "events",
    {
        "PutEvents": "event-bus/{EventBusName|default}",
        "(Put|Describe|Delete|Enable|Disable)Rule": "rule/{Name}",
        ".*Targets(ByRule)?": "rule/{Rule}",
        "TagResource|UntagResource|ListTagsForResource": "{ResourceARN}",
        "(Create|Describe|Update|Delete)EventBus": "event-bus/{Name|default}",
        "List.*|TestEventPattern": "*",
    },
    passed_to="events.amazonaws.com",
    tag="TagResource",
)


def events(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
    buses = every(given.get("Entries"), "EventBusName")
    yield from _EVENTS(place, operation, {**given, "EventBusName": buses} if buses else given)


SCHEDULER = table(
    "scheduler",
    {
        ".*ScheduleGroup": "schedule-group/{Name}",
        "(Create|Get|Update|Delete)Schedule": "schedule/{GroupName|default}/{Name}",
        "List.*": "*",
    },
    passed_to="scheduler.amazonaws.com",
)


def sqs(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
    name = given.get("QueueName") or str(given.get("QueueUrl", "*")).rpartition("/")[2]
    action = operation.removesuffix("Batch")
    yield Need(f"sqs:{action}", place.arn("sqs", "*" if operation == "ListQueues" else name))


SNS = table(
    "sns",
    {
        "CreateTopic": "{Name}",
        "List(Topics|Subscriptions)": "*",
        "(Tag|Untag)Resource|ListTagsForResource": "{ResourceArn}",
        "(Unsubscribe|.*Subscription.*)": "{SubscriptionArn}",
        "Publish": ("{TopicArn}", "{TargetArn}"),
        ".*": "{TopicArn}",
    },
    renamed={"PublishBatch": "Publish"},
)

_LOG_GROUPS = table(
    "logs",
    {
        "(Create|Put|Get|List|Update|Delete|Describe)(LogDeliver.*|ResourcePolic.*)": "*",
        "DescribeLogGroups": "log-group::log-stream:",
        "(Put|Get)LogEvents|DeleteLogStream": "log-group:{logGroupName}:log-stream:{logStreamName}",
        "TagResource|UntagResource|ListTagsForResource": "{resourceArn}",
        "(StartQuery|StopQuery|GetQueryResults)": "*",
        ".*": "log-group:{logGroupName}:log-stream:",
    },
)


def logs(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
    given = dict(given)
    group = str(given.get("logGroupIdentifier", ""))
    if group:
        given["logGroupName"] = group.partition(":log-group:")[2].removesuffix(":*") or group
    yield from _LOG_GROUPS(place, operation, given)


def _metric_keys(given: Parameters) -> Keys:
    return {"cloudwatch:namespace": str(given["Namespace"])} if "Namespace" in given else {}


_CLOUDWATCH = table(
    "cloudwatch",
    {
        "DescribeAlarms|DeleteAlarms|(Enable|Disable)AlarmActions": "alarm:{AlarmNames|*}",
        "Put(Metric|Composite)Alarm|SetAlarmState|DescribeAlarmHistory": "alarm:{AlarmName|*}",
        "PutMetricData|GetMetric(Data|Statistics)|ListMetrics|DescribeAlarmsForMetric": "*",
        "ListDashboards": "*",
    },
    keys=_metric_keys,
)


def cloudwatch(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
    if operation in ("PutDashboard", "GetDashboard"):
        name = f"dashboard/{given.get('DashboardName', '*')}"
        yield Need(f"cloudwatch:{operation}", place.arn("cloudwatch", name, region=False))
        return
    given = dict(given)
    listed = [v for k, v in given.items() if k.startswith("AlarmNames.member.")]
    if listed:
        given["AlarmNames"] = listed
    yield from _CLOUDWATCH(place, operation, given)


def iam(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
    """Roles, policies, users and instance profiles, below the path `/`."""
    kinds = {
        "RoleName": "role",
        "UserName": "user",
        "GroupName": "group",
        "InstanceProfileName": "instance-profile",
    }
    found = [f"{kind}/{given[name]}" for name, kind in kinds.items() if given.get(name)][:1]
    if given.get("PolicyArn") and not found:
        found = [str(given["PolicyArn"])]
    if operation == "CreatePolicy":
        found = [f"policy/{given.get('PolicyName', '*')}"]
    if not found and not operation.startswith(("List", "GetAccount")):
        raise NotKnown(f"iam:{operation}")
    keys: Keys = {}
    if given.get("PolicyArn"):
        keys["iam:policyarn"] = str(given["PolicyArn"])
    if given.get("PermissionsBoundary"):
        keys["iam:permissionsboundary"] = str(given["PermissionsBoundary"])
    for name in found or ["*"]:
        whole = name if name.startswith(("arn:", "*")) else place.arn("iam", name, region=False)
        yield Need(f"iam:{operation}", whole, keys)


def sts(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
    """GetCallerIdentity needs no permission, as AWS says."""
    if operation == "AssumeRole":
        keys: Keys = {"sts:rolesessionname": str(given.get("RoleSessionName", ""))}
        if given.get("ExternalId"):
            keys["sts:externalid"] = str(given["ExternalId"])
        yield Need("sts:AssumeRole", str(given.get("RoleArn", "*")), keys)
    elif operation in ("GetAccessKeyInfo", "DecodeAuthorizationMessage", "GetSessionToken"):
        yield Need(f"sts:{operation}", "*")
    elif operation != "GetCallerIdentity":
        raise NotKnown(f"sts:{operation}")


KMS = table(
    "kms",
    {
        "CreateKey|ListKeys|ListAliases|GenerateRandom": "*",
        "(Create|Update)Alias": ("{AliasName}", "key/{TargetKeyId}"),
        "DeleteAlias": "{AliasName}",
        ".*": "key/{KeyId}",
    },
)
CLOUDFORMATION = table(
    "cloudformation",
    {
        "(ValidateTemplate|ListStacks|DescribeAccountLimits|ListExports|ListImports)": "*",
        "GetTemplateSummary": ("stack/{StackName|*}/*",),
        ".*": "stack/{StackName|*}/*",
    },
    passed_to="cloudformation.amazonaws.com",
    tag="TagResource",
)
_PROJECTS = table(
    "codebuild",
    {
        "(Create|Update|Delete)Project": "project/{name}",
        "(StartBuild|ListBuildsForProject)": "project/{projectName}",
        "BatchGetProjects": "project/{names}",
        "BatchGetBuilds": "project/{ids}",
        "(StopBuild|RetryBuild)": "project/{id}",
        ".*Report.*": "project/*",
        "List.*": "*",
    },
    passed_to="codebuild.amazonaws.com",
)


def codebuild(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
    """A build is its project's, whose name is the first part of the build's id."""

    def project(build_id: Any) -> str:
        return str(build_id).rpartition("/")[2].partition(":")[0]

    given = dict(given)
    if isinstance(given.get("ids"), list):
        given["ids"] = sorted({project(build_id) for build_id in given["ids"]})
    if "id" in given:
        given["id"] = project(given["id"])
    yield from _PROJECTS(place, operation, given)


CODEPIPELINE = table(
    "codepipeline",
    {
        "(StartPipelineExecution|GetPipeline|DeletePipeline|GetPipelineState)": "{name}",
        "(.*PipelineExecution.*|PutApprovalResult|ListActionExecutions)": "{pipelineName}",
        "ListPipelines": "*",
    },
    passed_to="codepipeline.amazonaws.com",
)

# By the name in a signature.
RULES: dict[str, Rule] = {
    "sagemaker": sagemaker_actions.NEEDS,
    "lambda": LAMBDA,
    "states": states,
    "events": events,
    "scheduler": SCHEDULER,
    "sqs": sqs,
    "sns": SNS,
    "logs": logs,
    "monitoring": cloudwatch,
    "cloudwatch": cloudwatch,
    "iam": iam,
    "sts": sts,
    "kms": KMS,
    "cloudformation": CLOUDFORMATION,
    "codebuild": codebuild,
    "codepipeline": CODEPIPELINE,
}


def needs(place: Place, service: str, operation: str, given: Parameters) -> list[Need]:
    """What an operation needs. Raises NotKnown."""
    if service not in RULES:
        raise NotKnown(f"{service}:{operation}")
    return list(RULES[service](place, operation, given))
