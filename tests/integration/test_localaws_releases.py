"""CodePipeline of the embedded AWS: from an S3 source through builds and an approval."""

import itertools
import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalAws
from tests.release_kit import bucket, policy, role, until, zipped

CHECK = """
version: 0.2
env: {exported-variables: [COLOUR]}
phases: {build: {commands: ['export COLOUR=$(cat colour)', 'test "$COLOUR" != red']}}
artifacts: {files: [buildspec.yml, colour]}
"""
DEPLOY = """
version: 0.2
env: {exported-variables: [SEEN]}
phases:
  build:
    commands:
      - export SEEN="$WHY $COLOUR $(cat colour) $CODEBUILD_INITIATOR"
      - |
        until [ -z "$GATE" ] || aws s3api head-object --bucket "$PLACE" --key "$GATE"
        do sleep 0.1; done
"""


class Releases:
    """A pipeline with a source, a check, an approval and a deployment, in a bucket of its own."""

    def __init__(
        self,
        aws: LocalAws,
        name: str,
        mode: str = "QUEUED",
        gate: str = "",  # a key that the deployment waits for
        stages: int = 5,
    ) -> None:
        self.aws, self.name, self.gate = aws, name, gate
        self.place = bucket(aws, f"{name}-place")
        self.pipelines, self.s3 = aws.client("codepipeline"), aws.client("s3")
        self.role = role(aws, name, "codepipeline.amazonaws.com")
        builder = role(aws, f"{name}-builds", "codebuild.amazonaws.com")
        for project, spec in (("check", CHECK), ("deploy", DEPLOY)):
            aws.client("codebuild").create_project(
                name=f"{name}-{project}",
                source={"type": "CODEPIPELINE", "buildspec": spec},
                artifacts={"type": "CODEPIPELINE"},
                environment={
                    "type": "LINUX_CONTAINER",
                    "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                    "computeType": "BUILD_GENERAL1_SMALL",
                },
                serviceRole=builder,
            )
        self.definition = self._definition(mode)
        del self.definition["stages"][stages:]
        self.pipelines.create_pipeline(pipeline=self.definition)
        until(lambda: [one["status"] for one in self.listed()] == ["Failed"])  # without a source

    def listed(self) -> Any:
        """Its executions, newest first."""
        answer = self.pipelines.list_pipeline_executions(pipelineName=self.name)
        return answer["pipelineExecutionSummaries"]

    def _definition(self, mode: str) -> dict[str, Any]:
        deploy_variables = [
            {"name": "WHY", "value": "#{variables.WHY}"},
            {"name": "COLOUR", "value": "#{check.COLOUR}"},
            {"name": "PLACE", "value": self.place},
            {"name": "GATE", "value": self.gate},
        ]
        source = {"S3Bucket": self.place, "S3ObjectKey": "source.zip"}
        return {
            "name": self.name,
            "roleArn": self.role,
            "pipelineType": "V2",
            "executionMode": mode,
            "artifactStore": {"type": "S3", "location": self.place},
            "variables": [{"name": "WHY", "defaultValue": "nothing"}],
            "stages": [
                stage("Source", action("Source", "S3", source, outputs="Sources")),
                stage(
                    "Check",
                    self._build(
                        "check", [], inputs="Sources", outputs="Checked", namespace="check"
                    ),
                ),
                stage("Deploy", self._build("deploy", deploy_variables, inputs="Checked")),
                stage("Approve", action("Approval", "Manual", {"CustomData": "look"})),
                stage("Announce", self._build("deploy", deploy_variables, inputs="Checked")),
            ],
        }

    def _build(self, project: str, variables: list[dict[str, str]], **more: str) -> Any:
        given = {
            "ProjectName": f"{self.name}-{project}",
            "EnvironmentVariables": json.dumps(variables),
        }
        return action("Build", "CodeBuild", given, **more)

    def put(self, colour: str) -> None:
        body = zipped(colour=colour, buildspec__yml="unused")
        self.s3.put_object(Bucket=self.place, Key="source.zip", Body=body)

    def start(self, token: str | None = None, **variables: str) -> str:
        given: dict[str, Any] = {"clientRequestToken": token} if token else {}
        if variables:
            given["variables"] = [{"name": k, "value": v} for k, v in variables.items()]
        answer = self.pipelines.start_pipeline_execution(name=self.name, **given)
        return str(answer["pipelineExecutionId"])

    def execution(self, identity: str) -> Any:
        answer = self.pipelines.get_pipeline_execution(
            pipelineName=self.name, pipelineExecutionId=identity
        )
        return answer["pipelineExecution"]

    def ended(self, identity: str, status: str) -> Any:
        over = ("Succeeded", "Failed", "Stopped", "Superseded")
        until(lambda: self.execution(identity)["status"] in over)
        found = self.execution(identity)
        assert found["status"] == status, found
        return found

    def stages(self) -> dict[str, str]:
        state = self.pipelines.get_pipeline_state(name=self.name)["stageStates"]
        return {s["stageName"]: s.get("latestExecution", {}).get("status", "") for s in state}

    def question(self) -> str:
        """The token of the approval that waits."""

        def look() -> Any:
            states = self.pipelines.get_pipeline_state(name=self.name)["stageStates"]
            (waiting,) = [s for s in states if s["stageName"] == "Approve"]
            return waiting["actionStates"][0].get("latestExecution", {}).get("token")

        return str(until(look))

    def answer(self, status: str, token: str, summary: str = "said so") -> None:
        self.pipelines.put_approval_result(
            pipelineName=self.name,
            stageName="Approve",
            actionName="Approval",
            result={"status": status, "summary": summary},
            token=token,
        )

    def actions(self, identity: str) -> dict[str, Any]:
        details = self.pipelines.list_action_executions(
            pipelineName=self.name, filter={"pipelineExecutionId": identity}
        )["actionExecutionDetails"]
        return {detail["stageName"]: detail for detail in details}


def stage(name: str, *actions: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "actions": list(actions)}


def action(
    category: str,
    provider: str,
    configuration: dict[str, str],
    *,
    inputs: str = "",
    outputs: str = "",
    namespace: str = "",
) -> dict[str, Any]:
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    made: dict[str, Any] = {"name": category, "actionTypeId": kind, "configuration": configuration}
    if inputs:
        made["inputArtifacts"] = [{"name": inputs}]
    if outputs:
        made["outputArtifacts"] = [{"name": outputs}]
    if namespace:
        made["namespace"] = namespace
    return made


@pytest.fixture(scope="module")
def releases(local_aws: LocalAws) -> Releases:
    return Releases(local_aws, "releases")


def test_one_artefact_goes_through_the_stages_and_waits_for_a_person(releases: Releases) -> None:
    releases.put("green")
    identity = releases.start(WHY="because")
    token = releases.question()
    releases.put("blue")  # a newer source is nothing to an execution that is under way
    assert releases.stages() == {
        "Source": "Succeeded",
        "Check": "Succeeded",
        "Deploy": "Succeeded",
        "Approve": "InProgress",
        "Announce": "",
    }
    releases.answer("Approved", token)
    found = releases.ended(identity, "Succeeded")
    assert found["variables"] == [{"name": "WHY", "resolvedValue": "because"}]
    actions = releases.actions(identity)
    seen = "because green green codepipeline/releases"
    assert actions["Deploy"]["output"]["outputVariables"] == {"SEEN": seen}
    assert actions["Announce"]["output"]["outputVariables"] == {"SEEN": seen}
    used = [actions[name]["input"]["inputArtifacts"] for name in ("Deploy", "Announce")]
    assert used[0] == used[1] == actions["Check"]["output"]["outputArtifacts"]
    (revision,) = found["artifactRevisions"]
    assert actions["Source"]["output"]["outputVariables"]["VersionId"] == revision["revisionId"]


def test_a_new_pipeline_starts_itself(releases: Releases) -> None:
    first = releases.listed()[-1]
    assert first["trigger"]["triggerType"] == "CreatePipeline"
    found = releases.execution(first["pipelineExecutionId"])
    assert found["variables"] == [{"name": "WHY", "resolvedValue": "nothing"}]
    assert "NoSuchKey" in releases.ended(first["pipelineExecutionId"], "Failed")["statusSummary"]


def test_a_new_version_of_the_source_starts_the_pipeline_by_a_rule(local_aws: LocalAws) -> None:
    made = Releases(local_aws, "told", stages=2)
    made.s3.put_bucket_notification_configuration(
        Bucket=made.place, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    detail = {"bucket": {"name": [made.place]}, "object": {"key": ["source.zip"]}}
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
    events, arn = local_aws.client("events"), "arn:aws:codepipeline:us-east-1:123456789012:told"
    events.put_rule(Name="told", EventPattern=json.dumps(pattern))
    starter = role(local_aws, "told-starter", "events.amazonaws.com")
    events.put_targets(Rule="told", Targets=[{"Id": "told", "Arn": arn, "RoleArn": starter}])
    made.s3.put_object(Bucket=made.place, Key="unrelated", Body=b"")
    made.put("green")
    until(lambda: len(made.listed()) == 2)
    made.ended(made.listed()[0]["pipelineExecutionId"], "Succeeded")
    (revision,) = made.listed()[0]["sourceRevisions"]
    current = made.s3.head_object(Bucket=made.place, Key="source.zip")["VersionId"]
    assert revision["revisionId"] == current
    local_aws.client("iam").delete_role_policy(RoleName="told-starter", PolicyName="all")
    dead = local_aws.client("sqs").create_queue(QueueName="told-dead")["QueueUrl"]
    letters = "arn:aws:sqs:us-east-1:123456789012:told-dead"
    let = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": letters}
    local_aws.client("sqs").set_queue_attributes(QueueUrl=dead, Attributes={"Policy": policy(let)})
    target = {"Id": "told", "Arn": arn, "RoleArn": starter, "DeadLetterConfig": {"Arn": letters}}
    events.put_targets(Rule="told", Targets=[target])
    made.put("blue")
    receive = local_aws.client("sqs").receive_message
    (letter,) = until(lambda: receive(QueueUrl=dead, MessageAttributeNames=["All"]).get("Messages"))
    said = letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
    assert "not authorized to perform: codepipeline:StartPipelineExecution" in said


def test_a_red_check_ends_the_release_before_anything_is_deployed(releases: Releases) -> None:
    releases.put("red")
    identity = releases.start()
    found = releases.ended(identity, "Failed")
    assert 'test "$COLOUR" != red. Reason: exit status 1' in found["statusSummary"]
    assert set(releases.actions(identity)) == {"Source", "Check"}
    details = releases.actions(identity)["Check"]["output"]["executionResult"]["errorDetails"]
    assert details["code"] == "JobFailed"


def test_a_rejection_ends_the_release_with_its_words(releases: Releases) -> None:
    releases.put("green")
    identity = releases.start()
    token = releases.question()
    releases.answer("Rejected", token, "not on a Friday")
    assert "not on a Friday" in releases.ended(identity, "Failed")["statusSummary"]
    assert "Announce" not in releases.actions(identity)
    with pytest.raises(ClientError, match="InvalidApprovalToken"):
        releases.answer("Approved", token)


def test_the_same_token_starts_one_execution_and_variables_are_checked(releases: Releases) -> None:
    releases.put("red")
    identity = releases.start(token="once")
    assert releases.start(token="once") == identity
    listed = releases.pipelines.list_pipeline_executions(pipelineName=releases.name)
    newest = listed["pipelineExecutionSummaries"][0]
    assert newest["pipelineExecutionId"] == identity
    assert newest["executionMode"] == "QUEUED"
    with pytest.raises(ClientError, match="has no variable HOW"):
        releases.start(HOW="so")
    releases.ended(identity, "Failed")


def test_queued_executions_pass_a_stage_in_the_order_of_their_start(local_aws: LocalAws) -> None:
    made = Releases(local_aws, "queued", gate="open", stages=3)
    made.put("green")
    first, second, third = (made.start(WHY=why) for why in "123")
    client = local_aws.client("codebuild")
    until(lambda: client.list_builds_for_project(projectName="queued-deploy")["ids"])
    until(lambda: made.stages()["Check"] == "Succeeded")
    made.s3.put_object(Bucket=made.place, Key="open")
    for identity in (first, second, third):
        made.ended(identity, "Succeeded")
    times = [made.actions(i)["Deploy"] for i in (first, second, third)]
    for earlier, later in itertools.pairwise(times):
        assert earlier["lastUpdateTime"] <= later["startTime"]


def test_a_newer_execution_supersedes_one_that_waits(local_aws: LocalAws) -> None:
    made = Releases(local_aws, "superseded", mode="SUPERSEDED", gate="open", stages=3)
    made.put("green")
    first = made.start()
    until(lambda: made.stages()["Deploy"] == "InProgress")
    second = made.start()
    until(lambda: len(made.actions(second)) == 2 and checked(made, second))
    third = made.start()
    found = made.ended(second, "Superseded")
    assert third in found["statusSummary"]
    made.s3.put_object(Bucket=made.place, Key="open")
    made.ended(first, "Succeeded")
    made.ended(third, "Succeeded")


def checked(made: Releases, identity: str) -> bool:
    return bool(made.actions(identity)["Check"]["status"] == "Succeeded")


def test_a_stop_abandons_the_build_or_the_question(releases: Releases) -> None:
    releases.put("green")
    identity = releases.start()
    releases.question()
    releases.pipelines.stop_pipeline_execution(
        pipelineName=releases.name, pipelineExecutionId=identity, reason="enough"
    )
    assert releases.ended(identity, "Stopped")["statusSummary"] == "enough"
    assert releases.actions(identity)["Approve"]["status"] == "Abandoned"
    with pytest.raises(ClientError, match="NotStoppable"):
        releases.pipelines.stop_pipeline_execution(
            pipelineName=releases.name, pipelineExecutionId=identity
        )


def test_a_role_that_cannot_be_assumed_fails_creation_and_a_later_execution(
    local_aws: LocalAws,
) -> None:
    made = Releases(local_aws, "roleless")
    made.put("green")
    stranger = role(local_aws, "releases-stranger", "lambda.amazonaws.com")
    definition = made.definition | {"name": "other", "roleArn": stranger}
    with pytest.raises(ClientError, match="not authorized to perform AssumeRole"):
        made.pipelines.create_pipeline(pipeline=definition)
    iam = local_aws.client("iam")
    iam.delete_role_policy(RoleName="roleless", PolicyName="all")
    iam.delete_role(RoleName="roleless")
    found = made.ended(made.start(), "Failed")
    assert "not authorized to perform AssumeRole" in found["statusSummary"]


def test_a_question_outlives_a_kill_of_the_server(fresh_local_aws: LocalAws) -> None:
    made = Releases(fresh_local_aws, "killed")
    made.put("green")
    identity = made.start()
    token = made.question()
    fresh_local_aws.kill()
    fresh_local_aws.start()
    assert made.question() == token
    made.answer("Approved", token)
    made.ended(identity, "Succeeded")


def test_what_is_not_there_is_refused_by_name(releases: Releases) -> None:
    connection = {"ConnectionArn": "c", "FullRepositoryId": "a/b", "BranchName": "main"}
    source = action("Source", "CodeStarSourceConnection", connection, outputs="Sources")
    polled = json.loads(json.dumps(releases.definition["stages"]))
    polled[0]["actions"][0]["configuration"]["PollForSourceChanges"] = "true"
    for changes, words in (
        ({"pipelineType": "V1"}, "type V1"),
        ({"executionMode": "PARALLEL"}, "PARALLEL"),
        ({"stages": [stage("S", source), *releases.definition["stages"][1:]]}, "CodeStarSource"),
        ({"stages": polled}, "PollForSourceChanges: let a rule of EventBridge start"),
    ):
        with pytest.raises(ClientError, match=words):
            releases.pipelines.create_pipeline(
                pipeline=releases.definition | {"name": "wrong"} | changes
            )
    with pytest.raises(ClientError, match="does not implement codepipeline:RetryStageExecution"):
        releases.pipelines.retry_stage_execution(
            pipelineName="x",
            stageName="y",
            pipelineExecutionId=str(uuid.UUID(int=0)),
            retryMode="FAILED_ACTIONS",
        )
