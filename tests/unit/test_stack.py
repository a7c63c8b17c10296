"""The stack: packed the same way each time, proposed before it is changed, and gone at the end."""

import io
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint import decode  # type: ignore[import-untyped]  # ships no types

from pipelines.settings import load
from scones import destroy, package, stack
from tests.lambda_kit import stubbed

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "infra" / "scones.yaml"
SMALL = """
Resources:
  Logs: {{Type: "AWS::Logs::LogGroup", Properties: {{LogGroupName: small}}}}
{more}
"""


def client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1")


def request(more: str = "") -> dict[str, Any]:
    return {"StackName": "small", "TemplateBody": SMALL.format(more=more)}


def resources() -> dict[str, Any]:
    found, problems = decode.decode(str(TEMPLATE))
    assert not problems
    return dict(found["Resources"])


def test_the_same_files_give_the_same_zip_byte_for_byte() -> None:
    files = {"b/two.py": b"2", "a/one.py": b"1"}
    assert package.archive(files) == package.archive(dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(package.archive(files))) as opened:
        assert opened.namelist() == ["a/one.py", "b/two.py"]
        assert all(item.external_attr >> 16 == 0o644 for item in opened.infolist())


def test_the_code_key_follows_from_the_contents_and_nothing_is_uploaded_twice(aws: None) -> None:
    s3 = client("s3")
    package.ensure_bucket("code", "us-east-1", s3)
    package.ensure_bucket("code", "us-east-1", s3)
    policy = json.loads(s3.get_bucket_policy(Bucket="code")["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    s3.delete_bucket_policy(Bucket="code")  # moto alone reads no conditions: it would deny all
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    first = package.upload("code", runtime, TEMPLATE, s3, own_python=True)

    def stamps() -> dict[str, Any]:
        return {o["Key"]: o["LastModified"] for o in s3.list_objects_v2(Bucket="code")["Contents"]}

    before = stamps()
    assert package.upload("code", runtime, TEMPLATE, s3, own_python=True) == first
    assert stamps() == before
    body = s3.get_object(Bucket="code", Key=first.code_key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as opened:
        names = set(opened.namelist())
    assert {"lambdas/smoke_test.py", "workflow/render.py", "workflow/inference.asl.json"} <= names
    assert f"{first.workflow_prefix}deployment.asl.json" in before
    layer = s3.get_object(Bucket="code", Key=first.layer_key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(layer)) as opened:
        assert "python/PIL/Image.py" in opened.namelist()


def test_every_handler_of_the_template_is_in_the_zip() -> None:
    for resource in resources().values():
        if resource["Type"] == "AWS::Lambda::Function":
            module, _, name = resource["Properties"]["Handler"].rpartition(".")
            path = ROOT / f"{module.replace('.', '/')}.py"
            assert f"def {name}(" in path.read_text("utf-8")


def test_each_function_and_workflow_has_a_role_and_a_log_of_its_own() -> None:
    found = resources()
    kinds = ("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")
    owners = [name for name, resource in found.items() if resource["Type"] in kinds]
    assert len(owners) == 18
    for name in owners:
        assert found[f"{name}Role"]["Type"] == "AWS::IAM::Role"
        assert found[f"{name}Logs"]["Properties"]["RetentionInDays"]


def test_no_account_region_or_partition_is_written_in_the_template() -> None:
    text = TEMPLATE.read_text("utf-8")
    assert not re.search(r"arn:aws|\b\d{12}\b|\b(us|eu|ap|cn)-[a-z]+-\d\b|amazonaws\.com\.cn", text)


def test_the_settings_give_every_parameter_that_the_template_asks_for() -> None:
    found, _ = decode.decode(str(TEMPLATE))
    computed = {
        "Runtime",
        "CodeBucket",
        "CodeKey",
        "LayerKey",
        "PreprocessorKey",
        "WorkflowPrefix",
        "AnalyzerImageUri",
    }
    assert set(stack.from_settings(load("prod"))) | computed == set(found["Parameters"])


@pytest.mark.parametrize(
    ("region", "suffix"), [("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")]
)
def test_the_analyzers_image_is_the_regions(region: str, suffix: str) -> None:
    image = stack.analyzer_image(region)
    ending = f"dkr.ecr.{region}.{suffix}/sagemaker-model-monitor-analyzer"
    assert re.fullmatch(rf"\d{{12}}\.{re.escape(ending)}", image)


def test_a_plan_says_what_would_change_and_leaves_nothing(aws: None) -> None:
    cloudformation = client("cloudformation")
    proposal = stack.propose(request(), cloudformation, 0)
    assert proposal is not None
    (change,) = proposal.changes
    assert (change.action, change.logical_id) == ("Add", "Logs")
    stack.discard(proposal, cloudformation)
    assert stack.status("small", cloudformation) is None


def test_a_stack_is_made_then_changed_then_left_alone(aws: None) -> None:
    cloudformation, logs = client("cloudformation"), client("logs")
    second = '  More: {Type: "AWS::Logs::LogGroup", Properties: {LogGroupName: more}}'
    for more, groups in (("", ["small"]), (second, ["more", "small"])):
        proposal = stack.propose(request(more), cloudformation, 0)
        assert proposal is not None
        stack.execute(proposal, cloudformation, 0)
        found = logs.describe_log_groups()["logGroups"]
        assert sorted(group["logGroupName"] for group in found) == groups
    assert stack.propose(request(second), cloudformation, 0) is None


def test_what_cloudformation_refuses_ends_in_one_sentence() -> None:
    cloudformation, stub = stubbed("cloudformation")
    stub.add_client_error("describe_stacks", "ValidationError", "small does not exist")
    stub.add_client_error("create_change_set", "ValidationError", "Template format error")
    stub.add_client_error("describe_stack_events", "ValidationError", "small does not exist")
    with pytest.raises(stack.StackError, match=r"Stack 'small': .*Template format error"):
        stack.propose(request(), cloudformation, 0)


def test_a_bucket_is_emptied_with_all_its_versions(aws: None) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="data")
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket="data", Key="a b/ü", Body=body)
    s3.delete_object(Bucket="data", Key="a b/ü")
    s3.create_multipart_upload(Bucket="data", Key="half")
    destroy.empty("data", s3)
    s3.delete_bucket(Bucket="data")
    destroy.empty("data", s3)
    assert destroy.object_count("data", s3) == 0


def test_only_this_environments_logs_are_deleted(aws: None) -> None:
    logs = client("logs")
    ours = ["/aws/lambda/scones-prod-smokeTest", "/aws/sagemaker/Endpoints/scones-prod"]
    for name in [*ours, "/aws/lambda/scones-production-x", "/aws/lambda/other"]:
        logs.create_log_group(logGroupName=name)
    destroy._delete_logs("scones-prod", logs)
    left = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}
    assert left == {"/aws/lambda/scones-production-x", "/aws/lambda/other"}


def test_former_versions_count_as_data_too(aws: None) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="data")
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="data", Key="a", Body=b"1")
    s3.delete_object(Bucket="data", Key="a")
    assert destroy.object_count("data", s3) == 1


def test_the_key_ends_with_the_environment_however_often_it_is_asked_for(aws: None) -> None:
    kms = client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/scones-prod", TargetKeyId=key)
    for _ in range(2):
        destroy._schedule_key_deletion("alias/scones-prod", kms)
    found = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert found["KeyState"] == "PendingDeletion"
    assert "alias/scones-prod" not in {a["AliasName"] for a in kms.list_aliases()["Aliases"]}
