"""Where what a function creates runs, and who pays for it: the stack's VPC and tags."""

from collections.abc import Mapping

from lambdas.log import Json


def vpc(environment: Mapping[str, str]) -> Json | None:
    """SageMaker's VpcConfig; None where the stack has no VPC. KeyError for a missing variable."""
    subnets, groups = environment["SUBNET_IDS"], environment["SECURITY_GROUP_IDS"]
    if not subnets:
        return None
    return {"Subnets": subnets.split(","), "SecurityGroupIds": groups.split(",")}


def tags(environment: Mapping[str, str]) -> list[Json]:
    """`key=value,key=value` as AWS's list of tags: a stack's tags stop at what it made itself."""
    pairs = (item.partition("=") for item in environment["TAGS"].split(","))
    return [{"Key": key, "Value": value} for key, _, value in pairs]
