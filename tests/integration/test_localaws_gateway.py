"""How the front door answers what it can do, what it cannot, and what it should not."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

import botocore.config
import pytest
from botocore.exceptions import ClientError

from tests.functions_kit import make_queue


def refusal(action: Any, **request: Any) -> tuple[int, str, str]:
    """The status, code and message that a call is refused with."""
    with pytest.raises(ClientError) as caught:
        action(**request)
    error = caught.value.response
    status = error["ResponseMetadata"]["HTTPStatusCode"]
    return status, error["Error"]["Code"], error["Error"]["Message"]


@pytest.mark.parametrize(
    ("service", "operation", "request_", "named"),
    [
        ("sagemaker", "list_notebook_instances", {}, "sagemaker:ListNotebookInstances"),
        (
            "sagemaker-runtime",
            "invoke_endpoint_async",
            {"EndpointName": "e", "InputLocation": "s3://bucket/key"},
            "/endpoints/e",
        ),
        ("logs", "list_anomalies", {}, "logs:ListAnomalies"),
        ("iam", "list_organizations_features", {}, "iam:ListOrganizationsFeatures"),
        ("kendra", "list_indices", {}, "kendra:ListIndices"),
        ("ec2", "describe_instance_types", {}, "ec2:DescribeInstanceTypes"),
        ("lambda", "get_account_settings", {}, "lambda:GetAccountSettings"),
        ("bedrock", "list_foundation_models", {}, "bedrock:GET /foundation-models"),
        ("s3", "list_bucket_analytics_configurations", {"Bucket": "b"}, "s3:GET /b"),
    ],
)
def test_what_is_not_implemented_is_refused_by_its_name_in_the_services_own_format(
    local_aws: Any, service: str, operation: str, request_: dict[str, Any], named: str
) -> None:
    status, code, message = refusal(getattr(local_aws.client(service), operation), **request_)
    assert (status, code) == (501, "NotImplemented")
    assert f"localaws does not implement {named}" in message or f"POST {named}" in message


def test_a_request_that_breaks_the_service_model_is_refused_as_aws_refuses_it(
    local_aws: Any,
) -> None:
    unchecked = local_aws.client(
        "sagemaker", config=botocore.config.Config(parameter_validation=False)
    )
    status, code, message = refusal(unchecked.describe_pipeline, PipelineName="no spaces please")
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("1 validation error detected: Value 'no spaces please' at 'pipeline")


def test_another_region_is_refused_with_the_way_out(local_aws: Any) -> None:
    elsewhere = local_aws.client("sagemaker", region_name="eu-west-1")
    _, code, message = refusal(elsewhere.list_pipelines)
    assert code == "ValidationException"
    assert "runs SageMaker in us-east-1, not in eu-west-1: set AWS_REGION" in message


def test_every_answer_carries_a_request_id(local_aws: Any) -> None:
    for service, operation in (("sagemaker", "list_pipelines"), ("iam", "list_roles")):
        answer = getattr(local_aws.client(service), operation)()
        assert len(answer["ResponseMetadata"]["RequestId"]) > 20


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", ""])
def test_a_host_that_is_not_local_is_turned_away(local_aws: Any, host: str) -> None:
    request = urllib.request.Request(local_aws.endpoint_url, headers={"Host": host})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403


def test_a_page_in_a_browser_is_not_let_in(local_aws: Any) -> None:
    request = urllib.request.Request(
        f"{local_aws.endpoint_url}/bucket", headers={"Origin": "https://evil.example"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert "access-control-allow-origin" not in caught.value.headers


def test_motos_own_switches_cannot_be_reached(local_aws: Any) -> None:
    local_aws.client("iam").create_user(UserName="still-here")
    request = urllib.request.Request(f"{local_aws.endpoint_url}/moto-api/reset", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 501
    assert local_aws.client("iam").get_user(UserName="still-here")


def test_the_status_says_what_is_kept(local_aws: Any) -> None:
    local_aws.client("s3").create_bucket(Bucket="counted")
    local_aws.client("s3").put_object(Bucket="counted", Key="key", Body=b"")
    with urllib.request.urlopen(f"{local_aws.endpoint_url}/_localaws/status") as answer:
        told = json.load(answer)
    assert told["pid"] == local_aws.pid
    assert told["region"] == "us-east-1"
    assert told["counts"]["bucket"] >= 1
    assert told["counts"]["object"] >= 1


def test_aws_managed_policies_can_be_attached(local_aws: Any) -> None:
    iam = local_aws.client("iam")
    iam.create_role(RoleName="managed", AssumeRolePolicyDocument='{"Statement": []}')
    iam.attach_role_policy(
        RoleName="managed", PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    )
    attached = iam.list_attached_role_policies(RoleName="managed")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonSageMakerFullAccess"]


def test_a_job_may_only_take_a_role_that_trusts_sagemaker(local_aws: Any) -> None:
    iam, sagemaker = local_aws.client("iam"), local_aws.client("sagemaker")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    role = iam.create_role(
        RoleName="for-lambda",
        AssumeRolePolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
        ),
    )["Role"]["Arn"]
    for arn in (role, role.replace("for-lambda", "nobody")):
        _, code, message = refusal(
            sagemaker.create_processing_job,
            ProcessingJobName="job",
            RoleArn=arn,
            AppSpecification={
                "ImageUri": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10",
                "ContainerEntrypoint": ["true"],
            },
            ProcessingResources={
                "ClusterConfig": {
                    "InstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                    "VolumeSizeInGB": 10,
                }
            },
        )
        assert code == "ValidationException"
        assert message == (
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal"
            " 'sagemaker.amazonaws.com' to assume the role."
        )


def test_a_registered_model_is_announced_on_the_event_bus(local_aws: Any) -> None:
    sqs, events = local_aws.client("sqs"), local_aws.client("events")
    queue, arn = make_queue(local_aws, "announcements")
    pattern = {"detail-type": ["SageMaker Model Package State Change"]}
    events.put_rule(Name="registered", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="registered", Targets=[{"Id": "queue", "Arn": arn}])
    sagemaker = local_aws.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="announced")
    package = sagemaker.create_model_package(ModelPackageGroupName="announced")

    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]

    event = json.loads(message["Body"])
    assert event["source"] == "aws.sagemaker"
    assert event["resources"] == [package["ModelPackageArn"]]


def test_a_small_call_is_answered_in_milliseconds(local_aws: Any) -> None:
    client = local_aws.client("sagemaker")
    client.list_pipelines()
    durations = []
    for _ in range(50):
        start = time.perf_counter()
        client.list_pipelines()
        durations.append(time.perf_counter() - start)
    # The median, with a margin for a busy machine; the client's own share is half of it.
    assert sorted(durations)[25] < 0.02
