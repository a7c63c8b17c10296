"""The rest of an environment's life, and its permissions taken away.

What the loop does not come to: the schedule's own job, a batch, a stop, the hours of the Scheduler,
a version that is taken back, and events that nobody can handle.
"""

import datetime
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from localaws.permissions.record import Entry
from localaws.permissions.usage import Permission
from tests.deployment_kit import BUCKET, NAME, Json
from tests.end_to_end.loop_kit import Life
from tests.hosting_kit import poll

MACHINES = f"arn:aws:states:us-east-1:123456789012:stateMachine:{NAME}"

# What this life does not reach: the policy's name in the template, the action or resource, and why
# it stays. Most of it only AWS asks for.
KEPT: dict[tuple[str, str], str] = {
    ("JobBasics", "logs:DescribeLogStreams"): "SageMaker looks for a job's stream with it",
    ("JobBasics", "cloudwatch:PutMetricData"): "the instances' metrics; localaws has no instances",
    ("JobBasics", "ecr:.*|arn:.*:ecr:.*"): "localaws pulls no images",
    (".*Basics", "xray:.*"): "localaws traces nothing",
    ("WorkflowBasics", "logs:.*"): "vended logs of state machines, which moto does not deliver",
    ("BatchRole", "events:.*"): "the rule by which Step Functions waits for `.sync`; moto polls",
    ("BatchRole", "states:(Stop|Redrive)Execution|arn:.*-batch\\*?"): "a batch that is stopped or"
    " redriven; a map's children are executions of their own on AWS, here a part of their parent's",
    ("BatchRole", "s3:(GetObject|ListMultipartUploadParts|AbortMultipartUpload)"): "ResultWriter's"
    " large results come in parts",
    (".*Role", ".*stateMachine:.*-inference:\\*"): "the service's reference names versions and"
    " aliases as resources, its guide the state machine with the qualifier as a condition key",
    ("PublishInferenceWorkflowRole", "iam:PassRole"): "UpdateStateMachine depends on it, also when"
    " the role stays as it is",
    (
        "PipelineRole",
        "sagemaker:(AddTags|.*Model|.*TransformJob)|arn:.*:(model|transform-job)/pipelines-.*",
    ): "training.algorithm: built-in; test_serving goes that way under these roles",
    (
        "PipelineRole",
        "sagemaker:.*HyperParameterTuningJob|arn:.*:hyper-parameter-tuning-job/.*",
    ): "nothing is tuned in this life; test_training_pipeline does, with them",
    ("EndpointRole", "s3:ListBucket"): "in SageMaker's list of permissions for CreateModel",
    ("JobBasics", "kms:CreateGrant"): "the instances' volumes, which localaws does not encrypt",
    (
        "(ModelPackageChanged|MonitoringHour|PlanDeployment|PublishInferenceWorkflow|QueueForReview"
        "|PublishMonitoring|RetrainingDay|StartMonitoring)Role|WorkflowBasics",
        "kms:.*",
    ): "messages in queues and definitions of workflows, which localaws does not encrypt",
    ("UpdateEndpointRole", "cloudwatch:DescribeAlarms"): "SageMaker looks at the canary's alarms"
    " for the caller",
    (
        "RollBackDeploymentRole",
        "sagemaker:(CreateEndpoint|AddTags)|states:CreateStateMachineAlias",
    ): "who deletes the endpoint or the alias during a deployment gets them back",
    ("UpdateEndpointRole", "sagemaker:DeleteEndpoint"): "an endpoint that failed is made anew",
    (
        "(MonitoringHour|RetrainingDay)Role",
        "sqs:SendMessage",
    ): "the schedule cannot call its function; one is made to fail so, after the record was read",
    ("RetrainingBuildRole", "logs:(CreateLogStream|PutLogEvents)"): "CodeBuild writes a build's log"
    " as its role; localaws writes it itself",
    ("RetrainingBuildRole", "s3:GetObjectVersion"): "CodeBuild's documentation has it in the role:"
    " sources are read by their version",
    ("RetrainingBuildRole", "sagemaker:ListModelPackages"): "while nothing serves, a new model is"
    " held against the version approved last",
    (
        "RetrainingRole",
        "s3:(GetBucketAcl|GetBucketLocation|GetObjectVersion|GetObject(Version)?Tagging)",
    ): "in CodePipeline's list of permissions for a source in S3",
    ("RetrainingRole", "s3:GetObject|kms:Decrypt"): "CodePipeline reads artefacts again, and writes"
    " large ones in parts; localaws hands on where they lie",
    ("(Plan|SmokeTest|PublishMonitoring).*", "s3:ListBucket"): "a missing object is told from a"
    " forbidden one",
}


def live_on(life: Life) -> None:
    """All of it, in about half a minute."""
    schedule_once(life)
    batch(life)
    stop_at_evaluate(life)
    for schedule, role in (("monitoring", "MonitoringHour"), ("retraining", "RetrainingDay")):
        hour(life, schedule, f"{role}Role")


def schedule_once(life: Life) -> None:
    """A run of the monitoring schedule's job, now."""
    sagemaker = life.client("sagemaker")
    own = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=NAME)
    now = {
        "ScheduleExpression": "NOW",
        "DataAnalysisStartTime": "-PT1H",
        "DataAnalysisEndTime": "-PT0H",
    }
    config, once = own["MonitoringScheduleConfig"] | {"ScheduleConfig": now}, f"{NAME}-once"
    sagemaker.create_monitoring_schedule(
        MonitoringScheduleName=once, MonitoringScheduleConfig=config
    )

    def ended() -> bool:
        last = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=once)
        execution = last.get("LastMonitoringExecutionSummary") or {}
        status = execution.get("MonitoringExecutionStatus", "Pending")
        return status not in ("Pending", "InProgress", "Stopping")

    poll(ended, 60)
    sagemaker.delete_monitoring_schedule(MonitoringScheduleName=once)


def batch(life: Life) -> None:
    """The batch workflow, and a picture that is not there."""
    life.site.put("classify/batch/one.png", life.site.image)
    job = {"s3_bucket": BUCKET, "s3_prefix": "classify/batch/"}
    assert execute(life, f"{MACHINES}-batch", job)["status"] == "SUCCEEDED"
    execute(life, f"{MACHINES}-inference:live", {"s3_bucket": BUCKET, "s3_key": "no.png"})


def execute(life: Life, machine: str, given: Json) -> Json:
    """Starts an execution and returns its description when it has ended."""
    states = life.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]

    def ended() -> Json | None:
        found: Json = states.describe_execution(executionArn=arn)
        return found if found["status"] != "RUNNING" else None

    return dict(poll(ended, 90))


def stop_at_evaluate(life: Life) -> None:
    """Stops an execution of the pipeline while it evaluates."""
    arn = life.user.ok("pipeline", "start", "-p", "Epochs=2").strip()
    poll(lambda: life.runs("Evaluate"), 120)
    sagemaker = life.client("sagemaker")
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="s" * 32)

    def status() -> str:
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return str(found["PipelineExecutionStatus"])

    poll(lambda: status() == "Stopped", 60)


def hour(life: Life, schedule: str, role: str) -> None:
    """EventBridge Scheduler's hour, a moment from now; a past one would never come."""
    scheduler, before = life.client("scheduler"), len(life.entries())
    own = scheduler.get_schedule(Name=f"{NAME}-{schedule}")
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=5)
    scheduler.update_schedule(
        Name=own["Name"],
        ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
        State="ENABLED",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=own["Target"],
    )
    poll(lambda: asked(life, role, before), 30)


def asked(life: Life, role: str, since: int = 0) -> list[Entry]:
    """What a role asked after so many entries."""
    return [entry for entry in life.entries()[since:] if f"/{NAME}-{role}-" in entry.principal]


@contextmanager
def without(life: Life, role: str, action: str) -> Iterator[None]:
    """A role's own policy lacks an action for a while."""
    iam, name = life.client("iam"), life.role(role)
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    document: Any = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]

    def put(statements: list[Json]) -> None:
        text = json.dumps({**document, "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text)

    def less(given: Any) -> list[str]:
        return [a for a in (given if isinstance(given, list) else [given]) if a != action]

    left = [{**s, "Action": less(s["Action"])} for s in document["Statement"]]
    kept = [statement for statement in left if statement["Action"]]
    assert kept != document["Statement"], f"{role} may not {action} anyway"
    put(kept or [{"Effect": "Deny", "Action": action, "Resource": "*"}])
    try:
        yield
    finally:
        put(document["Statement"])


def short(policy: str) -> str:
    """A policy's name in the template, of an ARN or of `role/policy`."""
    match = re.search(rf"{NAME}-([A-Za-z]+)-", policy)
    return match[1] if match else policy


def reason(permission: Permission) -> str | None:
    for (name, value), why in KEPT.items():
        if re.fullmatch(name, short(permission.policy)) and re.fullmatch(value, permission.value):
            return why
    return None
