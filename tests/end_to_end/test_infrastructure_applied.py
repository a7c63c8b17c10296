"""The template at work: whatever people, jobs and functions keep is under the stack's key."""

import json

import pytest

from tests.archives import good_archive
from tests.deployment_kit import BUCKET, NAME, Site
from tests.end_to_end.conftest import User
from tests.end_to_end.test_faults import stage
from tests.hosting_kit import poll

ACCOUNT = "123456789012"
SHARED_LOGS = {"/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"}  # of the account


@pytest.fixture(scope="module")
def used(user: User, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An environment that has trained, deployed and answered."""
    folder = tmp_path_factory.mktemp("data")
    url = stage(user, good_archive(folder / "good.tar.gz", train=60))
    user.ok("pipeline", "start", "--wait", "--data-url", url, "-p", "Epochs=12")
    user.ok("models", "approve", "1", "--wait")
    user.ok("replay", "-n", "4")
    return Site(user)


def key_arn(site: Site) -> str:
    found = site.client("kms").describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]
    return str(found["Arn"])


def keys_of_objects(site: Site, prefix: str) -> set[str | None]:
    """With which key each object below a prefix is encrypted."""
    s3 = site.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    names = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {s3.head_object(Bucket=BUCKET, Key=name).get("SSEKMSKeyId") for name in names}


def test_the_buckets_default_is_the_stacks_key_and_plain_http_is_refused(used: Site) -> None:
    s3 = used.client("s3")
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == key_arn(used)
    assert rule["BucketKeyEnabled"] is True
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    code = f"{NAME.replace('local', 'local-code')}-{ACCOUNT}-us-east-1"
    for bucket in (BUCKET, code):
        (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("prefix", ["raw/", "code/", "executions/", "capture/"])
def test_what_people_jobs_and_the_capture_write_is_under_the_key(used: Site, prefix: str) -> None:
    poll(lambda: keys_of_objects(used, prefix), 60)
    assert keys_of_objects(used, prefix) == {key_arn(used)}


def test_jobs_have_encrypted_volumes_and_everything_that_bills_is_tagged(used: Site) -> None:
    sagemaker = used.client("sagemaker")
    (training,) = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    job = sagemaker.describe_training_job(TrainingJobName=training["TrainingJobName"])
    assert job["ResourceConfig"]["VolumeKmsKeyId"] == key_arn(used)
    assert job["OutputDataConfig"]["KmsKeyId"] == key_arn(used)
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


def test_queues_topic_logs_functions_and_workflows_use_the_key(used: Site) -> None:
    key = key_arn(used)
    sqs, topics = used.client("sqs"), used.client("sns").list_topics()["Topics"]
    for url in sqs.list_queues()["QueueUrls"]:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert found["KmsMasterKeyId"] == key
    (topic,) = (
        used.client("sns").get_topic_attributes(TopicArn=t["TopicArn"])["Attributes"]
        for t in topics
    )
    assert topic["KmsMasterKeyId"] == key
    groups = used.client("logs").describe_log_groups()["logGroups"]
    assert {g.get("kmsKeyId") for g in groups if g["logGroupName"] not in SHARED_LOGS} == {key}
    functions = used.client("lambda").list_functions()["Functions"]
    assert {function["KMSKeyArn"] for function in functions} == {key}
    states = used.client("stepfunctions")
    for machine in states.list_state_machines()["stateMachines"]:
        found = states.describe_state_machine(stateMachineArn=machine["stateMachineArn"])
        assert found["encryptionConfiguration"]["kmsKeyId"] == key


def test_the_budget_rings_the_topic(used: Site) -> None:
    budgets = used.client("budgets")
    budget = budgets.describe_budget(AccountId=ACCOUNT, BudgetName=NAME)["Budget"]
    assert budget["CostFilters"] == {"TagKeyValue": [f"user:stack${NAME}"]}
    notices = budgets.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName=NAME)
    kinds = {notice["NotificationType"] for notice in notices["Notifications"]}
    assert kinds == {"ACTUAL", "FORECASTED"}
