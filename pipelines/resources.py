"""What the stack of an environment made, by the names of its outputs (`infra/scones.yaml`)."""

from dataclasses import dataclass, fields
from typing import Any

from botocore.exceptions import ClientError


class ResourcesError(Exception):
    """The stack is not there or not finished, with what to do."""


@dataclass(frozen=True)
class Resources:
    """Bucket, model package group, roles, endpoint, workflows and queues of one environment."""

    bucket_name: str
    model_package_group_name: str
    pipeline_role_arn: str
    prepare_role_arn: str
    train_role_arn: str
    evaluate_role_arn: str
    baseline_role_arn: str
    endpoint_name: str
    endpoint_role_arn: str
    monitoring_role_arn: str
    inference_state_machine_arn: str
    inference_alias_arn: str
    batch_state_machine_arn: str
    deployment_state_machine_arn: str
    review_queue_url: str
    dead_letters_url: str
    topic_arn: str
    key_arn: str


def of_stack(stack_name: str, cloudformation: Any) -> Resources:
    """The outputs of the stack. Raises ResourcesError when it is missing or lacks one."""
    try:
        stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise ResourcesError(
            f"There is no stack {stack_name!r}: run `scones deploy` for this environment first."
        ) from error
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    values = {field.name: outputs.get(_output_key(field.name)) for field in fields(Resources)}
    missing = [_output_key(name) for name, value in values.items() if value is None]
    if missing:
        raise ResourcesError(
            f"Stack {stack_name!r} ({stack['StackStatus']}) lacks the output {missing[0]}: "
            "run `scones deploy` again."
        )
    return Resources(**{name: str(value) for name, value in values.items()})


def _output_key(name: str) -> str:
    """`bucket_name` → `BucketName`."""
    return "".join(part.capitalize() for part in name.split("_"))
