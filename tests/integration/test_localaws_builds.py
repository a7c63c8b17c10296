"""CodeBuild of the embedded AWS, as boto3 and the AWS CLI see it."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalAws
from tests.release_kit import bucket, role, until, zipped

SPEC = """
version: 0.2
env: {variables: {GREETING: hello, OWN: spec}, exported-variables: [SAID, WHO]}
phases:
  build:
    commands:
      - export SAID="$GREETING $OWN"
      - export WHO="$(aws sts get-caller-identity --query Arn --output text)"
      - mkdir -p out && echo "$SAID" > out/said.txt && cp junit.xml out/junit.xml
reports: {tests: {files: [junit.xml]}}
artifacts: {files: ['**/*'], base-directory: out}
"""
JUNIT = "<testsuite><testcase/><testcase><failure/></testcase></testsuite>"


@pytest.fixture(scope="module")
def place(local_aws: LocalAws) -> str:
    return bucket(local_aws, "builds-of-tests")


@pytest.fixture(scope="module")
def service_role(local_aws: LocalAws) -> str:
    return role(local_aws, "builds-of-tests", "codebuild.amazonaws.com")


def project(aws: LocalAws, name: str, place: str, service_role: str, spec: str, **more: Any) -> str:
    key = f"{name}/source.zip"
    body = zipped(buildspec__yml=spec, junit__xml=JUNIT)
    aws.client("s3").put_object(Bucket=place, Key=key, Body=body)
    request: dict[str, Any] = {
        "name": name,
        "source": {"type": "S3", "location": f"{place}/{key}"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
        "serviceRole": service_role,
    }
    aws.client("codebuild").create_project(**request | more)
    return name


def finished(aws: LocalAws, identity: str) -> Any:
    client = aws.client("codebuild")

    def look() -> Any:
        (build,) = client.batch_get_builds(ids=[identity])["builds"]
        return build if build["buildComplete"] else None

    return until(look)


def run(aws: LocalAws, name: str, **given: Any) -> Any:
    started = aws.client("codebuild").start_build(projectName=name, **given)["build"]
    return finished(aws, started["id"])


def phases(build: Any) -> dict[str, str]:
    return {p["phaseType"]: p.get("phaseStatus", "") for p in build["phases"]}


def reason(build: Any) -> str:
    return str(next(p for p in build["phases"] if p["phaseStatus"] == "FAILED")["contexts"][0])


def log(aws: LocalAws, build: Any) -> str:
    events = aws.client("logs").get_log_events(
        logGroupName=build["logs"]["groupName"],
        logStreamName=build["logs"]["streamName"],
        startFromHead=True,
    )["events"]
    return "\n".join(event["message"] for event in events)


def test_a_build_exports_reports_and_leaves_its_artifact(
    local_aws: LocalAws, place: str, service_role: str
) -> None:
    target = {"type": "S3", "location": place, "path": "out", "name": "a.zip", "packaging": "ZIP"}
    name = project(local_aws, "whole", place, service_role, SPEC, artifacts=target)
    given = [{"name": "OWN", "value": "caller"}]
    build = run(local_aws, name, environmentVariablesOverride=given)
    assert build["buildStatus"] == "SUCCEEDED", log(local_aws, build)
    exported = {v["name"]: v["value"] for v in build["exportedEnvironmentVariables"]}
    assert exported["SAID"] == "hello caller"
    assert ":assumed-role/builds-of-tests/AWSCodeBuild" in exported["WHO"]
    assert "Running command mkdir" in log(local_aws, build)
    assert local_aws.client("s3").head_object(Bucket=place, Key="out/a.zip")["ContentLength"]
    client = local_aws.client("codebuild")
    (report,) = client.batch_get_reports(reportArns=build["reportArns"])["reports"]
    assert report["testSummary"]["statusCounts"] == {"SUCCEEDED": 1, "FAILED": 1}
    assert report["reportGroupArn"].endswith("report-group/whole-tests")
    listed = client.list_reports_for_report_group(reportGroupArn=report["reportGroupArn"])
    assert listed["reports"] == [report["arn"]]
    assert client.list_builds_for_project(projectName=name)["ids"] == [build["id"]]
    order = ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD"]
    order += ["BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED"]
    assert list(phases(build)) == order


def test_a_red_command_ends_the_build_before_the_next_one(
    local_aws: LocalAws, place: str, service_role: str
) -> None:
    spec = "version: 0.2\nphases: {build: {commands: ['echo red; exit 3', 'echo deployed']}}"
    build = run(local_aws, project(local_aws, "red", place, service_role, spec))
    assert build["buildStatus"] == "FAILED"
    assert "exit status 3" in reason(build)
    assert "\ndeployed" not in log(local_aws, build)


def test_two_builds_at_once_do_not_see_each_other(
    local_aws: LocalAws, place: str, service_role: str
) -> None:
    spec = """
version: 0.2
env: {exported-variables: [FOUND]}
phases:
  build:
    commands:
      - test ! -e mine && echo "$WHO" > mine
      - aws s3api put-object --bucket builds-of-tests --key "meet/$WHO" >/dev/null
      - until aws s3api head-object --bucket builds-of-tests --key "meet/$OTHER"; do sleep 0.1; done
      - export FOUND="$(cat mine) $CODEBUILD_BUILD_NUMBER"
"""
    name = project(local_aws, "twice", place, service_role, spec)
    client = local_aws.client("codebuild")
    started = [
        client.start_build(
            projectName=name,
            environmentVariablesOverride=[
                {"name": "WHO", "value": who},
                {"name": "OTHER", "value": other},
            ],
        )["build"]["id"]
        for who, other in (("a", "b"), ("b", "a"))
    ]
    builds = [finished(local_aws, identity) for identity in started]
    assert [b["buildStatus"] for b in builds] == ["SUCCEEDED"] * 2, log(local_aws, builds[0])
    found = [b["exportedEnvironmentVariables"][0]["value"] for b in builds]
    assert found == ["a 1", "b 2"]


def test_a_role_that_cannot_be_assumed_fails_the_project_and_a_later_build(
    local_aws: LocalAws, place: str
) -> None:
    spec = "version: 0.2\nphases: {build: {commands: [echo ran]}}"
    stranger = role(local_aws, "builds-stranger", "lambda.amazonaws.com")
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole") as refused:
        project(local_aws, "stranger", place, stranger, spec)
    assert refused.value.response["Error"]["Code"] == "InvalidInputException"

    fleeting = role(local_aws, "builds-fleeting", "codebuild.amazonaws.com")
    name = project(local_aws, "fleeting", place, fleeting, spec)
    iam = local_aws.client("iam")
    iam.delete_role_policy(RoleName="builds-fleeting", PolicyName="all")
    iam.delete_role(RoleName="builds-fleeting")
    build = run(local_aws, name)
    assert build["buildStatus"] == "FAILED"
    assert phases(build)["PROVISIONING"] == "FAILED"
    assert "sts:AssumeRole" in reason(build)
    assert "BUILD" not in phases(build)


def test_a_stop_ends_the_build_soon(local_aws: LocalAws, place: str, service_role: str) -> None:
    spec = "version: 0.2\nphases: {build: {commands: [sleep 300, echo after]}}"
    name = project(local_aws, "stopped", place, service_role, spec)
    client = local_aws.client("codebuild")
    identity = client.start_build(projectName=name)["build"]["id"]
    until(lambda: client.batch_get_builds(ids=[identity])["builds"][0]["currentPhase"] == "BUILD")
    began = time.monotonic()
    client.stop_build(id=identity)
    build = finished(local_aws, identity)
    assert build["buildStatus"] == "STOPPED"
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("body", "phase", "words"),
    [
        (b"no zip", "DOWNLOAD_SOURCE", "not a zip"),
        (zipped(other="x"), "DOWNLOAD_SOURCE", "buildspec.yml does not exist"),
        (zipped(buildspec__yml="version: 0.2\nbatch: {}"), "DOWNLOAD_SOURCE", "batch"),
        (zipped(**{"../out": "x"}), "DOWNLOAD_SOURCE", "'../out' is not taken"),
    ],
)
def test_a_bad_source_fails_with_its_reason(
    body: bytes, phase: str, words: str, local_aws: LocalAws, place: str, service_role: str
) -> None:
    name = project(local_aws, f"bad-{abs(hash(words))}", place, service_role, SPEC)
    local_aws.client("s3").put_object(Bucket=place, Key="bad.zip", Body=body)
    build = run(local_aws, name, sourceLocationOverride=f"{place}/bad.zip")
    assert phases(build)[phase] == "FAILED"
    assert words in reason(build)


def test_what_is_not_there_is_refused_by_name(
    local_aws: LocalAws, place: str, service_role: str
) -> None:
    for wrong, words in (
        ({"source": {"type": "GITHUB", "location": "x"}}, "GITHUB"),
        ({"concurrentBuildLimit": 1}, "concurrentBuildLimit"),
    ):
        with pytest.raises(ClientError, match=words):
            project(local_aws, "wrong", place, service_role, SPEC, **wrong)
    with pytest.raises(ClientError, match="localaws does not implement codebuild:StartBuildBatch"):
        local_aws.client("codebuild").start_build_batch(projectName="wrong")


def test_a_build_that_a_kill_of_the_server_interrupts_is_a_fault(
    fresh_local_aws: LocalAws,
) -> None:
    where = bucket(fresh_local_aws, "killed")
    may = role(fresh_local_aws, "killed", "codebuild.amazonaws.com")
    spec = "version: 0.2\nphases: {build: {commands: [sleep 2]}}"
    name = project(fresh_local_aws, "killed", where, may, spec)
    client = fresh_local_aws.client("codebuild")
    identity = client.start_build(projectName=name)["build"]["id"]
    until(lambda: client.batch_get_builds(ids=[identity])["builds"][0]["currentPhase"] == "BUILD")
    fresh_local_aws.kill()
    fresh_local_aws.start()
    build = finished(fresh_local_aws, identity)
    assert build["buildStatus"] == "FAULT"
    assert not (fresh_local_aws.home / "builds").exists()
