"""The CloudFormation stack of an environment, from `infra/scones.yaml`."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from pipelines.settings import Settings
from scones.connection import PROJECT_ROOT

TEMPLATE = PROJECT_ROOT / "infra" / "scones.yaml"


class StackError(Exception):
    """A stack that did not become what the template says, with CloudFormation's reason."""


def deploy(settings: Settings, cloudformation: Any, *, wait_seconds: float) -> str:
    """Creates or updates the stack and waits for it; returns its name. Nothing to do is fine."""
    name = settings.name()
    request = {
        "StackName": name,
        "TemplateBody": TEMPLATE.read_text(encoding="utf-8"),
        "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [
            {"ParameterKey": "Project", "ParameterValue": settings.project},
            {"ParameterKey": "Environment", "ParameterValue": settings.environment},
        ],
        "Tags": [
            {"Key": "project", "Value": settings.project},
            {"Key": "environment", "Value": settings.environment},
        ],
    }
    if exists(name, cloudformation):
        _update(request, cloudformation, wait_seconds)
    else:
        _submit(cloudformation.create_stack, request, cloudformation)
        _wait("stack_create_complete", name, cloudformation, wait_seconds)
    return name


def exists(name: str, cloudformation: Any) -> bool:
    try:
        cloudformation.describe_stacks(StackName=name)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _update(request: dict[str, Any], cloudformation: Any, wait_seconds: float) -> None:
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return
        raise StackError(_sentence(request["StackName"], error, cloudformation)) from error
    _wait("stack_update_complete", request["StackName"], cloudformation, wait_seconds)


def _submit(call: Callable[..., Any], request: dict[str, Any], cloudformation: Any) -> None:
    try:
        call(**request)
    except ClientError as error:
        raise StackError(_sentence(request["StackName"], error, cloudformation)) from error


def _wait(waiter: str, name: str, cloudformation: Any, wait_seconds: float) -> None:
    try:
        cloudformation.get_waiter(waiter).wait(
            StackName=name, WaiterConfig={"Delay": wait_seconds, "MaxAttempts": 360}
        )
    except WaiterError as error:
        raise StackError(_sentence(name, error, cloudformation)) from error


def _sentence(name: str, error: Exception, cloudformation: Any) -> str:
    """The first resource that failed says why; without one, the error itself does."""
    try:
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    except ClientError:
        events = []
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    if failed:
        first = failed[-1]  # events come newest first
        reason = first.get("ResourceStatusReason", "no reason given")
        return f"Stack {name!r}: {first['LogicalResourceId']} failed: {reason}."
    return f"Stack {name!r}: {error}."
