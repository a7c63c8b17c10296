"""Approve a version, and it serves: through the command line, read from the outside.

The tests run in this order, over one environment; the last ones replace what serves.
"""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.settings import load
from tests.archives import good_archive
from tests.deployment_kit import BUCKET, NAME, Site
from tests.end_to_end.conftest import User
from tests.end_to_end.test_faults import stage, wait_until
from tests.end_to_end.test_training_pipeline import built_in, evaluation, submit
from tests.hosting_kit import poll

ACCOUNT = "123456789012"
SHARED_LOGS = {"/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"}  # of the account


@pytest.fixture(scope="module")
def serving(user: User, tmp_path_factory: pytest.TempPathFactory) -> User:
    """A user whose version 1 was trained, approved and deployed."""
    folder = tmp_path_factory.mktemp("data")
    url = stage(user, good_archive(folder / "good.tar.gz", train=60))
    user.ok("pipeline", "start", "--wait", "--data-url", url, "-p", "Epochs=12")
    out = user.ok("models", "approve", "1", "--wait")
    assert "SmokeTest" in out
    assert "SUCCEEDED" in out
    return user


def test_the_approved_version_serves_with_capture_a_schedule_and_the_alias_on_it(
    serving: User,
) -> None:
    endpoint = serving.run("endpoints", "show", "--json").json
    assert (endpoint["status"], endpoint["version"]) == ("InService", 1)
    assert endpoint["capture"].endswith("/capture")
    schedules = serving.client("sagemaker").list_monitoring_schedules(EndpointName="scones-local")
    assert len(schedules["MonitoringScheduleSummaries"]) == 1
    states = serving.client("stepfunctions")
    machines = {
        m["name"]: m["stateMachineArn"] for m in states.list_state_machines()["stateMachines"]
    }
    aliases = states.list_state_machine_aliases(stateMachineArn=machines["scones-local-inference"])
    assert aliases["stateMachineAliases"][0]["stateMachineAliasArn"].endswith(":live")


def test_test_images_of_both_classes_are_told_apart(serving: User) -> None:
    outcome = serving.run("replay", "-n", "8", "--balanced", "--json").json
    assert outcome["executions"] == 8 == outcome["succeeded"] + outcome["low_confidence"]
    assert set(outcome["by_class"]) == {"bicycle", "motorcycle"}


def test_files_with_odd_names_are_classified_and_no_image_is_an_error_of_its_own(
    serving: User, tmp_path: Path
) -> None:
    photo = tmp_path / "mein Fahrrad ü.png"
    Image.new("RGB", (640, 480), (40, 90, 160)).save(photo)
    text = tmp_path / "text.png"
    text.write_text("not an image")
    command = serving.run("classify", str(photo), str(text), "--json")
    assert command.exit_code == 1
    by_name = {Path(answer["image"]).name.split("-", 1)[1]: answer for answer in command.json}
    assert by_name[photo.name]["verdict"] in ("sure", "low confidence")
    assert by_name["text.png"]["error"] == "NotAnImage"


def test_the_endpoint_is_measured_with_ever_more_clients_within_the_limit(serving: User) -> None:
    arguments = ("benchmark", "endpoint", "--clients", "1,4", "--seconds", "1", "--limit", "200")
    measured = serving.run(*arguments, "--json").json
    assert (measured["endpoint"], measured["version"]) == ("scones-local", 1)
    assert 0 < sum(level["requests"] for level in measured["levels"]) <= 200
    for level in measured["levels"]:
        assert level["errors"] == {}
        assert 0 < level["p50_ms"] <= level["p90_ms"] <= level["p99_ms"]
        assert level["per_second"] > 0
    shown = serving.ok(*arguments)
    assert "at most 200 requests in all" in shown
    assert shown.splitlines()[-1].split()[-1] == "none"  # the table's last column: errors


def test_several_images_in_one_request_are_answered_with_a_line_each(serving: User) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), (40, 90, 160)).save(picture, "PNG")
    line = json.dumps({"image": base64.b64encode(picture.getvalue()).decode()})
    answer = serving.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="scones-local", ContentType="application/jsonlines", Body=f"{line}\n{line}\n"
    )
    assert answer["ContentType"] == "application/jsonlines"
    first, second = map(json.loads, answer["Body"].read().splitlines())
    assert first == pytest.approx(second)
    assert sum(first) == pytest.approx(1)


# --- What people, jobs and functions keep is under the stack's key --------------------------------


@pytest.fixture(scope="module")
def site(serving: User) -> Site:
    return Site(serving)


def keys_of_objects(site: Site, prefix: str) -> set[str | None]:
    """With which key each object below a prefix is encrypted."""
    s3 = site.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    names = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {s3.head_object(Bucket=BUCKET, Key=name).get("SSEKMSKeyId") for name in names}


def test_the_buckets_default_is_the_stacks_key_and_plain_http_is_refused(site: Site) -> None:
    s3 = site.client("s3")
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == site.key_arn()
    assert rule["BucketKeyEnabled"] is True
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    code = f"{NAME.replace('local', 'local-code')}-{ACCOUNT}-us-east-1"
    for bucket in (BUCKET, code):
        (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("prefix", ["raw/", "code/", "executions/", "capture/"])
def test_what_people_jobs_and_the_capture_write_is_under_the_key(site: Site, prefix: str) -> None:
    poll(lambda: keys_of_objects(site, prefix), 60)
    assert keys_of_objects(site, prefix) == {site.key_arn()}


def test_jobs_have_encrypted_volumes_and_everything_that_bills_is_tagged(site: Site) -> None:
    sagemaker = site.client("sagemaker")
    (training,) = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    job = sagemaker.describe_training_job(TrainingJobName=training["TrainingJobName"])
    assert job["ResourceConfig"]["VolumeKmsKeyId"] == site.key_arn()
    assert job["OutputDataConfig"]["KmsKeyId"] == site.key_arn()
    arns = [
        sagemaker.describe_endpoint(EndpointName=NAME)["EndpointArn"],
        sagemaker.list_models()["Models"][0]["ModelArn"],
        sagemaker.list_monitoring_schedules()["MonitoringScheduleSummaries"][0][
            "MonitoringScheduleArn"
        ],
        sagemaker.describe_pipeline(PipelineName=f"{NAME}-training")["PipelineArn"],
    ]
    for arn in arns:
        tags = {t["Key"]: t["Value"] for t in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        assert (tags["stack"], tags["cost-centre"]) == (NAME, "scones"), arn


def test_queues_topic_logs_functions_and_workflows_use_the_key(site: Site) -> None:
    key = site.key_arn()
    sqs, topics = site.client("sqs"), site.client("sns").list_topics()["Topics"]
    for url in sqs.list_queues()["QueueUrls"]:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert found["KmsMasterKeyId"] == key
    (topic,) = (
        site.client("sns").get_topic_attributes(TopicArn=t["TopicArn"])["Attributes"]
        for t in topics
    )
    assert topic["KmsMasterKeyId"] == key
    groups = site.client("logs").describe_log_groups()["logGroups"]
    assert {g.get("kmsKeyId") for g in groups if g["logGroupName"] not in SHARED_LOGS} == {key}
    functions = site.client("lambda").list_functions()["Functions"]
    assert {function["KMSKeyArn"] for function in functions} == {key}
    states = site.client("stepfunctions")
    for machine in states.list_state_machines()["stateMachines"]:
        found = states.describe_state_machine(stateMachineArn=machine["stateMachineArn"])
        assert found["encryptionConfiguration"]["kmsKeyId"] == key


def test_the_budget_rings_the_topic(site: Site) -> None:
    budgets = site.client("budgets")
    budget = budgets.describe_budget(AccountId=ACCOUNT, BudgetName=NAME)["Budget"]
    assert budget["CostFilters"] == {"TagKeyValue": [f"user:stack${NAME}"]}
    notices = budgets.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName=NAME)
    kinds = {notice["NotificationType"] for notice in notices["Notifications"]}
    assert kinds == {"ACTUAL", "FORECASTED"}


# --- Other versions -------------------------------------------------------------------------------


def test_the_approval_event_twice_deploys_once(serving: User) -> None:
    before = deployments(serving)
    package = serving.client("sagemaker").list_model_packages(ModelPackageGroupName="scones-local")[
        "ModelPackageSummaryList"
    ][0]
    event = {
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "detail": {
            "ModelPackageGroupName": "scones-local",
            "ModelPackageArn": package["ModelPackageArn"],
            "ModelApprovalStatus": "Approved",
        },
    }
    functions = serving.client("lambda")
    for _ in range(5):
        answer = functions.invoke(
            FunctionName="scones-local-modelPackageChanged", Payload=json.dumps(event)
        )
        assert "FunctionError" not in answer
    assert deployments(serving) == before


def test_the_rejection_of_the_only_version_keeps_it_serving_and_says_so(serving: User) -> None:
    serving.ok("models", "reject", "1", "--reason", "a test")
    wait_until(lambda: deployments(serving)[0]["status"] == "FAILED", 120)
    shown = serving.run("deployments", "show", "--json").json
    assert "no version approved before it is left; it keeps serving" in shown["reason"]
    assert serving.run("endpoints", "show", "--json").json["status"] == "InService"


def test_the_built_in_algorithm_goes_the_whole_way(
    serving: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained, asked by a transform, registered, approved, served in place of the other, asked."""
    url = stage(serving, good_archive(tmp_path / "built-in.tar.gz", train=60))
    submit(serving, built_in(load("local")), monkeypatch)
    steps = run_pipeline(serving, url)
    assert {name for name, step in steps.items() if step["status"] != "Succeeded"} == set()
    assert {"CreateCandidate", "AskTest", "AskValidation", "Register"} < steps.keys()
    arn = steps["Register"]["model_package_arn"]
    package = serving.client("sagemaker").describe_model_package(ModelPackageName=arn)
    [container] = package["InferenceSpecification"]["Containers"]
    assert "/image-classification:" in container["Image"]
    assert package["CustomerMetadataProperties"]["algorithm"] == "built-in"

    version = str(package["ModelPackageVersion"])
    assert "SUCCEEDED" in serving.ok("models", "approve", version, "--wait")  # after a smoke test
    assert str(serving.run("endpoints", "show", "--json").json["version"]) == version
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (640, 480), (40, 90, 160)).save(photo)
    [answer] = serving.run("classify", str(photo), "--json").json
    assert answer["verdict"] in ("sure", "low confidence")
    assert 0.5 <= answer["confidence"] <= 1

    again = run_pipeline(serving, url)  # now it is held against itself, by what it answered
    report = evaluation(serving, again["Evaluate"]["job_arn"])
    assert report["production"]["model_package_arn"] == arn
    assert report["accuracy_drop"] == 0
    assert again["Train"]["cached"]


def run_pipeline(user: User, url: str) -> dict[str, dict[str, Any]]:
    """The steps of an execution that succeeded, by name."""
    quick = ("-p", "Epochs=8", "-p", "LearningRate=0.05", "-p", "MiniBatchSize=16")
    command = user.run("pipeline", "start", "--wait", "--json", "--data-url", url, *quick)
    assert command.exit_code == 0, command.out + command.err
    return {step["name"]: step for step in command.json["steps"]}


def deployments(user: User) -> list[Any]:
    return list(user.run("deployments", "list", "--json").json)
