"""The resource types of buckets' policies and of model package groups."""

from localaws.cloudformation.by_api import Clients, Handler, Made, Properties, call


class BucketPolicy:
    """`AWS::S3::BucketPolicy`. Ref gives the bucket's name."""

    def create(self, name: str, properties: Properties) -> Made:
        call("s3", "PutBucketPolicy", {**properties, "Policy": properties["PolicyDocument"]})
        return properties["Bucket"], {}

    def update(self, identity: str, properties: Properties) -> Made:
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("s3").delete_bucket_policy(Bucket=identity)


class ModelPackageGroup:
    """`AWS::SageMaker::ModelPackageGroup`. Ref gives the ARN.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-sagemaker-modelpackagegroup.html
    """

    def create(self, name: str, properties: Properties) -> Made:
        call("sagemaker", "CreateModelPackageGroup", {**properties, "ModelPackageGroupName": name})
        if "ModelPackageGroupPolicy" in properties:
            policy = properties["ModelPackageGroupPolicy"]
            request = {"ModelPackageGroupName": name, "ResourcePolicy": policy}
            call("sagemaker", "PutModelPackageGroupPolicy", request)
        return self.update(name, properties)

    def update(self, identity: str, properties: Properties) -> Made:
        group = Clients.get("sagemaker").describe_model_package_group(
            ModelPackageGroupName=identity
        )
        members = ("CreationTime", "ModelPackageGroupArn", "ModelPackageGroupStatus")
        return group["ModelPackageGroupArn"], {member: str(group[member]) for member in members}

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("sagemaker").delete_model_package_group(ModelPackageGroupName=identity)


HANDLERS: dict[str, Handler] = {
    "AWS::S3::BucketPolicy": BucketPolicy(),
    "AWS::SageMaker::ModelPackageGroup": ModelPackageGroup(),
}
