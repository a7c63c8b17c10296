"""The build on this machine, and the release pipeline from a commit to production.

What the builds test is one quick module, since they must not run the suite in itself; the data is
small and the training short. The retraining pipeline of the stack is in `test_loop`.
"""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scones import source
from scones.package import archive
from tests.end_to_end.conftest import ROOT, User
from tests.release_kit import until

QUICK = "-p Epochs=1 -p AccuracyThreshold=0"
TESTS = "tests/unit/test_settings.py"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose embedded AWS runs and holds nothing."""
    user = User(tmp_path_factory.mktemp("builder"))
    user.ok("local", "up")
    yield user
    user.run("local", "down")


def ci(user: User, **variables: str) -> Any:
    given = [f"--env-var={name}={value}" for name, value in variables.items()]
    return user.run("ci", *given, timeout=600)


def test_a_red_test_ends_the_build_before_anything_is_deployed(builder: User) -> None:
    red = ci(builder, SCONES_STEPS="tests deploy train", SCONES_TESTS="tests/no_such_test.py")
    assert red.exit_code == 1
    assert "The build ended as FAILED. BUILD: Error while executing command" in red.err
    assert "exit status 2" in red.err
    assert builder.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_ctrl_c_ends_the_build_and_what_it_started(builder: User, tmp_path: Path) -> None:
    (tmp_path / "buildspec.yml").write_text(
        f"version: 0.2\nphases: {{build: {{commands: ['echo $$ > {tmp_path}/pid; sleep 600']}}}}"
    )
    process = builder.start("ci", f"--buildspec={tmp_path}/buildspec.yml")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "STOPPED" in out
    shell = Path("/proc") / (tmp_path / "pid").read_text().strip()
    assert not shell.exists()


def test_the_build_deploys_trains_and_exports_what_it_made(
    builder: User, small_archive: Path
) -> None:
    built = ci(
        builder,
        SCONES_STEPS="tests deploy train",
        SCONES_TESTS=TESTS,
        SCONES_DATA=str(small_archive),
        SCONES_START_OPTIONS=QUICK,
    )
    assert built.exit_code == 0, built.out + built.err
    assert re.search(r"\b[1-9]\d* SUCCEEDED", built.out), built.out  # of the tests' report
    arn = exported(built.out, "MODEL_PACKAGE_ARN")
    package = builder.client("sagemaker").describe_model_package(ModelPackageName=arn)
    metadata = package["CustomerMetadataProperties"]
    assert metadata["trigger"] == "release"
    assert metadata["git_commit"] == source.commit(ROOT)
    assert metadata["execution_id"] in exported(built.out, "PIPELINE_EXECUTION_ARN")


def exported(out: str, name: str) -> str:
    return next(line.partition("=")[2] for line in out.splitlines() if line.startswith(f"{name}="))


def followed(user: User, pipeline: str, identity: str, seconds: float) -> Any:
    client = user.client("codepipeline")

    def look() -> Any:
        found = client.get_pipeline_execution(pipelineName=pipeline, pipelineExecutionId=identity)[
            "pipelineExecution"
        ]
        return found if found["status"] != "InProgress" else None

    return until(look, seconds)


def test_a_commit_goes_through_staging_and_a_persons_approval_to_production(
    builder: User, small_archive: Path
) -> None:
    bucket = release_stack(builder, small_archive)
    builder.client("s3").put_object(
        Bucket=bucket, Key="source/source.zip", Body=archive(source.files(ROOT))
    )
    client = builder.client("codepipeline")
    identity = told_by_the_source(client)
    token = until(lambda: question(client, identity), 300)
    assert stacks(builder) >= {"scones-staging"}
    assert "scones-prod" not in stacks(builder)
    client.put_approval_result(
        pipelineName="scones-release",
        stageName="Approval",
        actionName="Approval",
        result={"status": "Approved", "summary": "as staging shows"},
        token=token,
    )
    ended = followed(builder, "scones-release", identity, 300)
    assert ended["status"] == "Succeeded", ended.get("statusSummary")
    assert stacks(builder) >= {"scones-staging", "scones-prod"}
    actions = client.list_action_executions(
        pipelineName="scones-release", filter={"pipelineExecutionId": identity}
    )["actionExecutionDetails"]
    by_stage = {action["stageName"]: action for action in actions}
    released = [by_stage[name]["input"]["inputArtifacts"] for name in ("Staging", "Production")]
    assert released[0] == released[1] == by_stage["Check"]["output"]["outputArtifacts"]
    for stage, group in (("Staging", "scones-staging"), ("Production", "scones-prod")):
        arn = by_stage[stage]["output"]["outputVariables"]["MODEL_PACKAGE_ARN"]
        assert f":model-package/{group}/" in arn
        package = builder.client("sagemaker").describe_model_package(ModelPackageName=arn)
        assert package["CustomerMetadataProperties"]["git_commit"] == source.commit(ROOT)


def told_by_the_source(client: Any) -> str:
    """The execution that the new source has started; the one before it began with the pipeline."""

    def look() -> Any:
        listed = client.list_pipeline_executions(pipelineName="scones-release")
        found = listed["pipelineExecutionSummaries"]
        return found if len(found) > 1 else None

    newest, first = until(look, 30)
    assert (first["trigger"]["triggerType"], first["status"]) == ("CreatePipeline", "Failed")
    return str(newest["pipelineExecutionId"])


def question(client: Any, identity: str) -> str | None:
    """The token of the approval; an execution that failed before it says why."""
    found = client.get_pipeline_execution(
        pipelineName="scones-release", pipelineExecutionId=identity
    )["pipelineExecution"]
    assert found["status"] == "InProgress", found.get("statusSummary")
    states = client.get_pipeline_state(name="scones-release")["stageStates"]
    (approval,) = [state for state in states if state["stageName"] == "Approval"]
    token: str | None = approval["actionStates"][0].get("latestExecution", {}).get("token")
    return token


def stacks(user: User) -> set[str]:
    found = user.client("cloudformation").list_stacks()["StackSummaries"]
    return {stack["StackName"] for stack in found}


def release_stack(user: User, data: Path) -> str:
    """Deploys infra/cicd.yaml with S3 as its source; returns the bucket of the artefacts."""
    given = {
        "SourceKind": "s3",
        "CheckSteps": "tests",
        "Tests": TESTS,
        "DataSource": str(data),
        "StartOptions": QUICK,
    }
    client = user.client("cloudformation")
    client.create_stack(
        StackName="scones-release",
        TemplateBody=(ROOT / "infra" / "cicd.yaml").read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
    )

    def look() -> Any:
        (stack,) = client.describe_stacks(StackName="scones-release")["Stacks"]
        return stack if not stack["StackStatus"].endswith("_IN_PROGRESS") else None

    stack = until(look, 120)
    events = client.describe_stack_events(StackName="scones-release")["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    assert stack["StackStatus"] == "CREATE_COMPLETE", json.dumps(failed[-1:], default=str)
    return next(o["OutputValue"] for o in stack["Outputs"] if o["OutputKey"] == "ArtefactBucket")
