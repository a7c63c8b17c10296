"""Every permission in `infra/scones.yaml` is needed, and none is missing.

An environment lives through everything once, under enforcement and with each decision recorded.
Then each permission of each role is taken away in turn, and what was recorded is asked again. A few
are really taken away, and the failure is looked at from outside.
"""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from localaws.permissions.usage import Permission, of_roles, unused
from tests.archives import good_archive
from tests.deployment_kit import BUCKET, NAME, Json
from tests.end_to_end.permissions_kit import MACHINES, Life, deny
from tests.hosting_kit import poll

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
    ("EndpointRole", "s3:ListBucket"): "in SageMaker's list of permissions for CreateModel",
    ("JobBasics", "kms:CreateGrant"): "the instances' volumes, which localaws does not encrypt",
    (
        "(ModelPackageChanged|MonitoringHour|PlanDeployment|PublishInferenceWorkflow|QueueForReview"
        "|PublishMonitoring|StartMonitoring)Role|WorkflowBasics",
        "kms:.*",
    ): "messages in queues and definitions of workflows, which localaws does not encrypt",
    ("Retraining(Day|Build)?Role", ".*"): "nothing retrains in this life; test_ci does, with them",
    ("RequestRetrainingRole", "codepipeline:StartPipelineExecution|sqs:SendMessage"): "as above",
    (
        "PipelineRole",
        "sagemaker:.*HyperParameterTuningJob|arn:.*:hyper-parameter-tuning-job/.*",
    ): "nothing is tuned in this life; test_training_pipeline does, with them",
    ("UpdateEndpointRole", "cloudwatch:DescribeAlarms"): "SageMaker looks at the canary's alarms"
    " for the caller",
    (
        "RollBackDeploymentRole",
        "sagemaker:(CreateEndpoint|AddTags)|states:CreateStateMachineAlias",
    ): "who deletes the endpoint or the alias during a deployment gets them back",
    ("UpdateEndpointRole", "sagemaker:DeleteEndpoint"): "an endpoint that failed is made anew",
    ("MonitoringHourRole", "sqs:SendMessage"): "the schedule cannot call its function: see below",
    ("(Plan|SmokeTest|PublishMonitoring).*", "s3:ListBucket"): "a missing object is told from a"
    " forbidden one",
}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    life = Life(tmp_path_factory.mktemp("life"))
    try:
        archive = tmp_path_factory.mktemp("data") / "good.tar.gz"
        life.live(good_archive(archive, train=60))
        yield life
    finally:
        life.user.run("local", "down")


def short(policy: str) -> str:
    """A policy's name in the template, of an ARN or of `role/policy`."""
    match = re.search(rf"{NAME}-([A-Za-z]+)-", policy)
    return match[1] if match else policy


def reason(permission: Permission) -> str | None:
    for (name, value), why in KEPT.items():
        if re.fullmatch(name, short(permission.policy)) and re.fullmatch(value, permission.value):
            return why
    return None


def test_no_role_asks_for_what_it_may_not(life: Life) -> None:
    refused = {
        (entry.principal, entry.action, entry.resource, entry.by)
        for entry in life.entries()
        if not entry.allowed
    }
    assert refused == set()


def test_without_any_one_permission_something_fails(life: Life) -> None:
    roles = of_roles(life.client("iam"), f"{NAME}-")
    assert len(roles) >= 24
    found = unused(roles, life.entries())
    told = sorted(
        f"{short(permission.policy)}: {permission.sid} {permission.value}"
        for permission in found
        if reason(permission) is None
    )
    assert told == [], "nothing fails without these: take them out of the template"


def test_a_permission_that_is_kept_for_a_reason_is_not_needed_here(life: Life) -> None:
    roles = of_roles(life.client("iam"), f"{NAME}-")
    found = unused(roles, life.entries())
    reasons = {reason(permission) for permission in found}
    assert {why for why in KEPT.values() if why not in reasons} == set(), "take these out"


def pipeline_reason(life: Life) -> str:
    """Why a training with another archive fails."""
    other = good_archive(life.user.folder / "third.tar.gz", train=58)
    url = life.user.ok("data", "stage", "--data", str(other)).splitlines()[-1]
    command = life.user.run("pipeline", "start", "--wait", "--data-url", url)
    assert command.exit_code == 1
    return command.err


def workflow_cause(life: Life) -> str:
    """Why the classification of a picture fails."""
    picture = {"s3_bucket": BUCKET, "s3_key": "executions/by-hand/test/bicycle.png"}
    ended = life.execute(f"{MACHINES}-inference:live", picture)
    assert ended["status"] == "FAILED"
    return json.dumps({name: ended.get(name) for name in ("error", "cause")})


def dead_letter(life: Life) -> str:
    """What the Scheduler leaves when it cannot call the function."""
    life.site.dead_letters()
    life.hour()
    sqs = life.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{NAME}-dead-letters")["QueueUrl"]

    def look() -> list[Json]:
        found: list[Json] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get(
            "Messages", []
        )
        return found

    (letter,) = poll(look, 30)
    return str(letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"])


@pytest.mark.parametrize(
    ("role", "action", "told"),
    [
        ("PipelineRole", "iam:PassRole", pipeline_reason),
        ("PrepareRole", "s3:GetObject", pipeline_reason),
        ("PrepareRole", "s3:PutObject", pipeline_reason),
        ("InferenceRole", "lambda:InvokeFunction", workflow_cause),
        ("ImageClassificationRole", "sagemaker:InvokeEndpoint", workflow_cause),
        ("MonitoringHourRole", "lambda:InvokeFunction", dead_letter),
    ],
)
def test_what_is_taken_away_fails_with_the_words_of_aws(
    life: Life, role: str, action: str, told: Callable[[Life], str]
) -> None:
    put_back = deny(life, role, action)
    try:
        sentence = told(life)
    finally:
        put_back()
    assert f"assumed-role/{NAME}-{role}-" in sentence
    assert f"is not authorized to perform: {action} on resource: " in sentence
