"""The life of a stack: its first deployments and what may go wrong with them, settings that change,
and its end. The tests run in this order, over one environment; the last ones take it down.

What may go wrong with a deployment once a version serves is in `test_deployment_faults`.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import deployment_kit as kit
from tests.deployment_kit import BUCKET, IMAGE, NAME, Json, Site, poll
from tests.hosting_kit import archive

ACCOUNT = "123456789012"
# All that a list operation of a service answers: empty when the environment is gone.
LISTS = [
    ("s3", "list_buckets", "Buckets"),
    ("sqs", "list_queues", "QueueUrls"),
    ("sns", "list_topics", "Topics"),
    ("logs", "describe_log_groups", "logGroups"),
    ("cloudwatch", "describe_alarms", "MetricAlarms"),
    ("cloudwatch", "list_dashboards", "DashboardEntries"),
    ("events", "list_rules", "Rules"),
    ("scheduler", "list_schedules", "Schedules"),
    ("lambda", "list_functions", "Functions"),
    ("lambda", "list_layers", "Layers"),
    ("stepfunctions", "list_state_machines", "stateMachines"),
    ("iam", "list_roles", "Roles"),
    ("sagemaker", "list_endpoints", "Endpoints"),
    ("sagemaker", "list_endpoint_configs", "EndpointConfigs"),
    ("sagemaker", "list_models", "Models"),
    ("sagemaker", "list_model_package_groups", "ModelPackageGroupSummaryList"),
    ("sagemaker", "list_monitoring_schedules", "MonitoringScheduleSummaries"),
    ("sagemaker", "list_pipelines", "PipelineSummaries"),
]
SHARED_LOGS = {"/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"}  # of the account


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = kit.start(tmp_path_factory.mktemp("user"))
    yield site
    site.user.run("local", "down")


def assert_refused(site: Site, version: int, shown: Json, cause: str) -> None:
    assert shown["status"] == "FAILED"
    assert shown["reason"].startswith(f"Version {version} was not deployed: ")
    assert cause in shown["reason"]
    assert shown["reason"].endswith(". No version serves.")
    site.assert_nothing_serves()


# --- The first deployment: nothing serves, and one sentence says why ------------------------------


MODELS = {
    "does not load": (kit.DOES_NOT_LOAD, "did not pass the ping health check"),
    "starts too slowly": (kit.TOO_SLOW, "did not pass the ping health check"),
    "raises": (kit.RAISES, "The model behind 'scones-local' failed: out of ideas"),
    "three numbers": (kit.answering("[0.2, 0.3, 0.5]"), "expected two probabilities"),
    "NaN": (kit.answering("[float('nan'), 0.5]"), "expected two probabilities"),
    "the wrong class": (kit.answering("[0.1, 0.9]"), "says 0.900 for motorcycle"),
}


@pytest.mark.parametrize("fault", MODELS)
def test_a_model_that_is_no_good_leaves_nothing_behind(site: Site, fault: str) -> None:
    handler, cause = MODELS[fault]
    version = site.register(handler)
    assert_refused(site, version, site.deploy(version), cause)


def test_a_package_whose_archive_was_deleted_is_refused(site: Site) -> None:
    version = site.register()
    key = f"executions/scones-local-{version}/model/model.tar.gz"
    site.client("s3").delete_object(Bucket=BUCKET, Key=key)
    assert_refused(site, version, site.deploy(version), f"s3://{BUCKET}/{key}")


def test_a_package_that_names_no_archive_is_refused(site: Site) -> None:
    version = site.register(container={"Image": IMAGE})
    assert_refused(site, version, site.deploy(version), "names no model archive")


@pytest.mark.parametrize("packed", [b"no archive", archive(kit.GOOD)[:100]], ids=["text", "cut"])
def test_a_package_with_a_corrupt_archive_is_refused(site: Site, packed: bytes) -> None:
    version = site.register(packed=packed)
    assert_refused(site, version, site.deploy(version), "valid tar.gz archive")


def test_a_package_without_a_threshold_is_refused(site: Site) -> None:
    version = site.register(confidence_threshold="unknown")
    assert_refused(site, version, site.deploy(version), "confidence_threshold")


def test_a_first_deployment_goes_on_after_a_kill_and_the_version_serves(site: Site) -> None:
    version = site.register(kit.SLOW)
    site.decide(version)
    site.await_status("Creating")
    site.kill_and_restart()
    assert site.settle(version)["status"] == "SUCCEEDED"
    assert len(site.executions(version)) == 1
    site.assert_serves(version)


def test_the_endpoint_deleted_by_hand_is_made_again_by_the_next_approval(site: Site) -> None:
    sagemaker = site.client("sagemaker")
    (serving,) = (int(m.rpartition("v")[2]) for m in site.leftovers()[0])
    version = site.register()
    sagemaker.delete_monitoring_schedule(MonitoringScheduleName=kit.NAME)
    sagemaker.delete_endpoint(EndpointName=kit.NAME)
    poll(lambda: site.endpoint() is None)
    site.decide(serving, "Rejected")
    site.decide(version)
    assert site.settle(version)["status"] == "SUCCEEDED"
    site.assert_serves(version)


# --- Other settings -------------------------------------------------------------------------------


def update(site: Site, **changed: str) -> str:
    """Changes some of the stack's parameters; its status then."""
    cloudformation = site.client("cloudformation")
    stack = cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]
    given = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
    template = cloudformation.get_template(StackName=NAME)["TemplateBody"]
    cloudformation.create_change_set(
        StackName=NAME,
        ChangeSetName="by-hand",
        ChangeSetType="UPDATE",
        TemplateBody=template if isinstance(template, str) else json.dumps(template),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in {**given, **changed}.items()
        ],
    )
    cloudformation.execute_change_set(ChangeSetName="by-hand", StackName=NAME)
    found = cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]
    return str(found["StackStatus"])


def test_a_network_a_boundary_and_a_retention_reach_what_they_are_for(site: Site) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/company"
    site.client("iam").create_policy(
        PolicyName="company",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
            }
        ),
    )
    status = update(
        site,
        SubnetIds="subnet-12345678,subnet-23456789",
        SecurityGroupIds="sg-12345678",
        PermissionsBoundary=boundary,
        ExecutionRetentionDays="180",
        MonthlyBudget="0",
    )
    assert status == "UPDATE_COMPLETE"
    function = site.client("lambda").get_function_configuration(FunctionName=f"{NAME}-smokeTest")
    assert function["VpcConfig"]["SubnetIds"] == ["subnet-12345678", "subnet-23456789"]
    roles = site.client("iam").list_roles()["Roles"]
    bounded = [site.client("iam").get_role(RoleName=role["RoleName"])["Role"] for role in roles]
    found = {role["PermissionsBoundary"]["PermissionsBoundaryArn"] for role in bounded}
    assert found == {boundary}
    rules = site.client("s3").get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert {"Days": 180} in [rule.get("Expiration") for rule in rules]
    assert site.client("budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"] == []
    none = {"SubnetIds": "", "SecurityGroupIds": "", "PermissionsBoundary": ""}
    assert update(site, **none) == "UPDATE_COMPLETE"
    function = site.client("lambda").get_function_configuration(FunctionName=f"{NAME}-smokeTest")
    assert not function.get("VpcConfig", {}).get("SubnetIds")
    site.client("iam").delete_policy(PolicyArn=boundary)


# --- The end --------------------------------------------------------------------------------------


def test_destroy_asks_before_it_deletes_even_what_only_former_versions_hold(site: Site) -> None:
    command = site.user.run("destroy")
    assert command.exit_code == 1
    assert f"{BUCKET} holds objects" in command.out
    assert site.client("s3").head_bucket(Bucket=BUCKET)


def test_destroy_leaves_nothing_but_a_key_that_waits_for_its_end(site: Site) -> None:
    key, sagemaker = site.key_arn(), site.client("sagemaker")
    version = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/{NAME}/1"
    package = sagemaker.describe_model_package(ModelPackageName=version)
    [served] = package["InferenceSpecification"]["Containers"]
    container = {name: served[name] for name in ("Image", "ModelDataUrl")}
    sagemaker.create_model(ModelName="pipelines-a-CreateCandidate-b", PrimaryContainer=container)
    site.user.ok("destroy", "--yes")
    for service, operation, member in LISTS:
        answer: dict[str, Any] = getattr(site.client(service), operation)()
        left = answer.get(member, [])
        if service == "logs":
            left = [group for group in left if group["logGroupName"] not in SHARED_LOGS]
        assert left == [], f"{service} {operation}"
    assert site.client("iam").list_policies(Scope="Local")["Policies"] == []
    described = site.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    assert described["KeyState"] == "PendingDeletion"
    aliases = site.client("kms").list_aliases()["Aliases"]
    assert f"alias/{NAME}" not in [alias["AliasName"] for alias in aliases]


def test_what_was_destroyed_can_be_destroyed_again_and_deployed_again(site: Site) -> None:
    assert "is gone" in site.user.ok("destroy")
    site.user.ok("deploy")
    assert "is gone" in site.user.ok("destroy")
