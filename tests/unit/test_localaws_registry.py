"""The Model Registry: versions, approval, the event, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from localaws.errors import Conflict, NotImplementedHere, ValidationError
from localaws.sagemaker.registry import ModelRegistry
from tests.localaws_parts import Clock, Json, make_context

GROUP = {"ModelPackageGroupName": "bicycles"}
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/bicycles/1"


class Setup:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        context = make_context(folder, self.clock)
        context.objects.write("bucket", "model.tar.gz", b"model")
        self.events: list[Json] = []
        self.registry = ModelRegistry(context, self.events.append)

    def register(self, **more: Any) -> str:
        container = {"Image": "image", "ModelDataUrl": "s3://bucket/model.tar.gz"}
        request = {**GROUP, "InferenceSpecification": {"Containers": [container]}, **more}
        return str(self.registry.create_model_package(request)["ModelPackageArn"])

    def describe(self, arn: str) -> Json:
        return self.registry.describe_model_package({"ModelPackageName": arn})


@pytest.fixture
def aws(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path)
    setup.registry.create_model_package_group({**GROUP, "ModelPackageGroupDescription": "two"})
    return setup


def test_versions_count_up_and_a_number_is_never_given_again(aws: Setup) -> None:
    assert [aws.register() for _ in range(2)] == [ARN, ARN[:-1] + "2"]
    aws.registry.delete_model_package({"ModelPackageName": ARN[:-1] + "2"})
    assert aws.register() == ARN[:-1] + "3"


def test_a_version_is_described_with_everything_it_was_registered_with(aws: Setup) -> None:
    statistics = {"S3Uri": "s3://b/evaluation.json", "ContentType": "application/json"}
    kept = {
        "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
        "DriftCheckBaselines": {"Bias": {}},
        "MetadataProperties": {"CommitId": "abc"},
        "CustomerMetadataProperties": {"accuracy": "0.97"},
        "Task": "IMAGE_CLASSIFICATION",
        "SkipModelValidation": "All",
    }
    described = aws.describe(aws.register(**kept))
    assert kept.items() <= described.items()
    assert described["ModelPackageVersion"] == 1
    assert described["ModelPackageName"] == "bicycles"
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelPackageStatusDetails"]["ValidationStatuses"] == []


def test_approving_changes_the_status_and_tells_the_world(aws: Setup) -> None:
    arn = aws.register()
    aws.clock.advance(hours=1)
    request = {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"}
    aws.registry.update_model_package({**request, "ApprovalDescription": "looks right"})
    described = aws.describe(arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "looks right"
    assert described["LastModifiedTime"] > described["CreationTime"]
    created, approved = aws.events
    assert created["detail"]["ModelApprovalStatus"] == "PendingManualApproval"
    assert approved["detail-type"] == "SageMaker Model Package State Change"
    assert approved["source"] == "aws.sagemaker"
    assert approved["resources"] == [arn]
    assert approved["time"] == "2026-01-01T01:00:00Z"
    detail = approved["detail"]
    assert detail["ModelPackageGroupName"] == "bicycles"
    assert detail["ModelPackageVersion"] == 1
    assert detail["ModelPackageArn"] == arn
    assert detail["ModelApprovalStatus"] == "Approved"
    assert detail["CreationTime"] == "2026-01-01T00:00:00Z"
    assert detail["UpdatedModelPackageFields"] == ["ModelApprovalStatus", "ApprovalDescription"]


def test_a_decision_can_be_taken_back(aws: Setup) -> None:
    arn = aws.register(ModelApprovalStatus="Approved")
    for status in ("Rejected", "Approved", "PendingManualApproval"):
        aws.registry.update_model_package({"ModelPackageArn": arn, "ModelApprovalStatus": status})
        assert aws.describe(arn)["ModelApprovalStatus"] == status


def test_customer_metadata_is_merged_and_removed(aws: Setup) -> None:
    arn = aws.register(CustomerMetadataProperties={"a": "1", "b": "2"})
    aws.registry.update_model_package(
        {
            "ModelPackageArn": arn,
            "CustomerMetadataProperties": {"b": "3", "c": "4"},
            "CustomerMetadataPropertiesToRemove": ["a"],
        }
    )
    assert aws.describe(arn)["CustomerMetadataProperties"] == {"b": "3", "c": "4"}


def test_the_same_client_token_registers_once(aws: Setup) -> None:
    assert aws.register(ClientToken="token") == aws.register(ClientToken="token") == ARN
    assert len(aws.events) == 1
    assert aws.register(ClientToken="other") != ARN


def test_model_data_that_is_not_there_is_refused_and_takes_no_number(aws: Setup) -> None:
    for url in ("s3://bucket/model", "s3://nowhere/model.tar.gz"):
        containers = [{"Image": "image", "ModelDataUrl": url}]
        with pytest.raises(ValidationError, match=f"Could not find model data at {url}"):
            aws.register(InferenceSpecification={"Containers": containers})
    assert aws.register() == ARN


def test_a_missing_group_or_version_is_named(aws: Setup) -> None:
    with pytest.raises(ValidationError, match="Model Package Group does not exist"):
        aws.register(ModelPackageGroupName="nobody")
    with pytest.raises(ValidationError, match=r"ModelPackageGroup arn:.*/nobody does not exist"):
        aws.registry.describe_model_package_group({"ModelPackageGroupName": "nobody"})
    with pytest.raises(ValidationError, match=f"ModelPackage {ARN} does not exist"):
        aws.describe(ARN)


def test_a_group_is_deleted_only_when_it_is_empty(aws: Setup) -> None:
    arn = aws.register()
    with pytest.raises(Conflict, match="still holds model packages"):
        aws.registry.delete_model_package_group(GROUP)
    aws.registry.delete_model_package({"ModelPackageName": arn})
    aws.registry.delete_model_package_group(GROUP)
    with pytest.raises(ValidationError, match="does not exist"):
        aws.registry.describe_model_package_group(GROUP)


def test_a_taken_group_name_is_refused_in_the_words_that_the_sdk_looks_for(aws: Setup) -> None:
    with pytest.raises(ValidationError, match="already exists"):
        aws.registry.create_model_package_group(GROUP)


def test_a_group_is_found_by_its_arn_and_listed_by_a_part_of_its_name(aws: Setup) -> None:
    described = aws.registry.describe_model_package_group(GROUP)
    by_arn = {"ModelPackageGroupName": described["ModelPackageGroupArn"]}
    assert aws.registry.describe_model_package_group(by_arn) == described
    aws.registry.create_model_package_group({"ModelPackageGroupName": "boats"})
    listed = aws.registry.list_model_package_groups({"NameContains": "cyc"})
    names = [g["ModelPackageGroupName"] for g in listed["ModelPackageGroupSummaryList"]]
    assert names == ["bicycles"]


def test_versions_are_listed_latest_first_by_status_and_in_pages(aws: Setup) -> None:
    arns = [aws.register(ModelApprovalStatus=s) for s in ("Approved", "Rejected", "Approved")]

    def listed(**more: Any) -> list[str]:
        answer = aws.registry.list_model_packages({**GROUP, **more})
        return [item["ModelPackageArn"] for item in answer["ModelPackageSummaryList"]]

    assert listed() == arns[::-1]
    assert listed(ModelApprovalStatus="Approved") == [arns[2], arns[0]]
    assert listed(SortOrder="Ascending", SortBy="Name") == arns
    assert listed(CreationTimeAfter=aws.describe(arns[1])["CreationTime"]) == arns[:0:-1]
    first = aws.registry.list_model_packages({**GROUP, "MaxResults": 2})
    assert listed(MaxResults=2, NextToken=first["NextToken"]) == arns[:1]


def test_versions_are_no_unversioned_packages(aws: Setup) -> None:
    aws.register()
    assert aws.registry.list_model_packages({})["ModelPackageSummaryList"] == []
    both = aws.registry.list_model_packages({"ModelPackageType": "Both"})
    assert len(both["ModelPackageSummaryList"]) == 1


def test_a_batch_is_described_with_its_errors_beside(aws: Setup) -> None:
    arn = aws.register()
    request = {"ModelPackageArnList": [arn, ARN[:-1] + "9"]}
    answer = aws.registry.batch_describe_model_package(request)
    assert answer["ModelPackageSummaries"][arn]["ModelPackageVersion"] == 1
    error = answer["BatchDescribeModelPackageErrorMap"][ARN[:-1] + "9"]
    assert error["ErrorCode"] == "ValidationException"


@pytest.mark.parametrize(
    "member", ["ValidationSpecification", "SourceAlgorithmSpecification", "CertifyForMarketplace"]
)
def test_what_would_only_be_pretended_is_refused_by_name(aws: Setup, member: str) -> None:
    with pytest.raises(NotImplementedHere, match=member):
        aws.register(**{member: True})


def test_a_name_and_a_group_together_are_refused(aws: Setup) -> None:
    with pytest.raises(ValidationError, match="Cannot determine which one to use"):
        aws.register(ModelPackageName="single")


def test_a_group_keeps_its_resource_policy(aws: Setup) -> None:
    with pytest.raises(ValidationError, match="Cannot find a resource policy"):
        aws.registry.get_model_package_group_policy(GROUP)
    aws.registry.put_model_package_group_policy({**GROUP, "ResourcePolicy": "{}"})
    assert aws.registry.get_model_package_group_policy(GROUP) == {"ResourcePolicy": "{}"}
    aws.registry.delete_model_package_group_policy(GROUP)
    with pytest.raises(ValidationError, match="Cannot find a resource policy"):
        aws.registry.get_model_package_group_policy(GROUP)
