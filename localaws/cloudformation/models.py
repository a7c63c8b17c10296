"""Resource types that moto's CloudFormation lacks.

moto finds a type by the direct subclasses of `CloudFormationModel`; defining one is enough. Each
makes, changes and deletes its resource through the service's own API.
"""

import json
from collections.abc import Callable
from typing import Any

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.core.common_models import CloudFormationModel

Client = Callable[[str], Any]


class Clients:
    """The boto3 clients of this server, by service; set by `stacks.install`."""

    get: Client


class BucketPolicy(CloudFormationModel):
    """`AWS::S3::BucketPolicy`. Ref gives the bucket's name."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    @property
    def physical_resource_id(self) -> str:
        return self.bucket

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Bucket"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::BucketPolicy"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return False

    def is_created(self) -> bool:
        return True

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        raise UnformattedGetAttTemplateException()

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, *_: Any, **__: Any
    ) -> "BucketPolicy":
        properties = cloudformation_json["Properties"]
        policy = json.dumps(properties["PolicyDocument"])
        Clients.get("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=policy)
        return cls(properties["Bucket"])

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "BucketPolicy":
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name: str, *_: Any) -> None:
        Clients.get("s3").delete_bucket_policy(Bucket=resource_name)


class ModelPackageGroup(CloudFormationModel):
    """`AWS::SageMaker::ModelPackageGroup`. Ref gives the ARN.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-sagemaker-modelpackagegroup.html
    """

    def __init__(self, arn: str) -> None:
        self.arn = arn

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @staticmethod
    def cloudformation_name_type() -> str:
        return "ModelPackageGroupName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SageMaker::ModelPackageGroup"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in ("CreationTime", "ModelPackageGroupArn", "ModelPackageGroupStatus")

    def is_created(self) -> bool:
        return True

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if not self.has_cfn_attr(attribute_name):
            raise UnformattedGetAttTemplateException()
        described = Clients.get("sagemaker").describe_model_package_group(
            ModelPackageGroupName=self.arn
        )
        return str(described[attribute_name])

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, *_: Any, **__: Any
    ) -> "ModelPackageGroup":
        properties = dict(cloudformation_json["Properties"])
        policy = properties.pop("ModelPackageGroupPolicy", None)
        properties["ModelPackageGroupName"] = resource_name
        client = Clients.get("sagemaker")
        arn = client.create_model_package_group(**properties)["ModelPackageGroupArn"]
        if policy:
            client.put_model_package_group_policy(
                ModelPackageGroupName=resource_name, ResourcePolicy=json.dumps(policy)
            )
        return cls(arn)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "ModelPackageGroup":
        group: ModelPackageGroup = original_resource  # each property names the resource
        return group

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name: str, *_: Any) -> None:
        Clients.get("sagemaker").delete_model_package_group(ModelPackageGroupName=resource_name)
