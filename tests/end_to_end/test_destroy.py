"""A stack whose settings change, and its end: destroy asks, and leaves nothing behind.

The tests run in this order, over one environment with an endpoint: the last ones take it down.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployment_kit import BUCKET, NAME, Site, start

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
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An environment whose version 1 serves; nothing was trained for it."""
    site = start(tmp_path_factory.mktemp("destroyed"))
    site.deploy(site.register())
    site.assert_serves(1)
    yield site
    site.user.run("local", "down")


def key_arn(site: Site) -> str:
    found = site.client("kms").describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]
    return str(found["Arn"])


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


def test_a_network_a_boundary_and_a_retention_reach_what_they_are_for(used: Site) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/company"
    used.client("iam").create_policy(
        PolicyName="company",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
            }
        ),
    )
    status = update(
        used,
        SubnetIds="subnet-12345678,subnet-23456789",
        SecurityGroupIds="sg-12345678",
        PermissionsBoundary=boundary,
        ExecutionRetentionDays="180",
        MonthlyBudget="0",
    )
    assert status == "UPDATE_COMPLETE"
    function = used.client("lambda").get_function_configuration(FunctionName=f"{NAME}-smokeTest")
    assert function["VpcConfig"]["SubnetIds"] == ["subnet-12345678", "subnet-23456789"]
    roles = used.client("iam").list_roles()["Roles"]
    bounded = [used.client("iam").get_role(RoleName=role["RoleName"])["Role"] for role in roles]
    found = {role["PermissionsBoundary"]["PermissionsBoundaryArn"] for role in bounded}
    assert found == {boundary}
    rules = used.client("s3").get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert {"Days": 180} in [rule.get("Expiration") for rule in rules]
    assert used.client("budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"] == []
    none = {"SubnetIds": "", "SecurityGroupIds": "", "PermissionsBoundary": ""}
    assert update(used, **none) == "UPDATE_COMPLETE"
    function = used.client("lambda").get_function_configuration(FunctionName=f"{NAME}-smokeTest")
    assert not function.get("VpcConfig", {}).get("SubnetIds")
    used.client("iam").delete_policy(PolicyArn=boundary)


def test_destroy_asks_before_it_deletes_even_what_only_former_versions_hold(used: Site) -> None:
    command = used.user.run("destroy")
    assert command.exit_code == 1
    assert f"{BUCKET} holds objects" in command.out
    assert used.client("s3").head_bucket(Bucket=BUCKET)


def test_destroy_leaves_nothing_but_a_key_that_waits_for_its_end(used: Site) -> None:
    key, sagemaker = key_arn(used), used.client("sagemaker")
    version = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/{NAME}/1"
    package = sagemaker.describe_model_package(ModelPackageName=version)
    [served] = package["InferenceSpecification"]["Containers"]
    container = {name: served[name] for name in ("Image", "ModelDataUrl")}
    sagemaker.create_model(ModelName="pipelines-a-CreateCandidate-b", PrimaryContainer=container)
    used.user.ok("destroy", "--yes")
    for service, operation, member in LISTS:
        answer: dict[str, Any] = getattr(used.client(service), operation)()
        left = answer.get(member, [])
        if service == "logs":
            left = [group for group in left if group["logGroupName"] not in SHARED_LOGS]
        assert left == [], f"{service} {operation}"
    assert used.client("iam").list_policies(Scope="Local")["Policies"] == []
    described = used.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    assert described["KeyState"] == "PendingDeletion"
    aliases = used.client("kms").list_aliases()["Aliases"]
    assert f"alias/{NAME}" not in [alias["AliasName"] for alias in aliases]


def test_what_was_destroyed_can_be_destroyed_again_and_deployed_again(used: Site) -> None:
    assert "is gone" in used.user.ok("destroy")
    used.user.ok("deploy")
    assert "is gone" in used.user.ok("destroy")
