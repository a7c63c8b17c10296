"""A definition → a new version of the state machine, and the alias `live` on it.

Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-state-machine-alias.html
"""

from typing import Any

from botocore.exceptions import ClientError

ALIAS = "live"
_NO_ALIAS = ("ResourceNotFound", "StateMachineAliasDoesNotExist", "StateMachineDoesNotExist")


def publish(
    definition: str, description: str, state_machine_arn: str, states: Any
) -> dict[str, str]:
    """Publishes and moves the alias; done twice, the second changes nothing that callers see."""
    answer = states.update_state_machine(
        stateMachineArn=state_machine_arn,
        definition=definition,
        publish=True,
        versionDescription=description,
    )
    version_arn = str(answer["stateMachineVersionArn"])
    return {"workflow_version_arn": version_arn, "alias_arn": move_alias(version_arn, states)}


def move_alias(version_arn: str, states: Any) -> str:
    """Points the alias at a version, making it at the first time; returns the alias's ARN."""
    state_machine_arn = version_arn.rpartition(":")[0]
    alias_arn = alias_of(state_machine_arn)
    routing = [{"stateMachineVersionArn": version_arn, "weight": 100}]
    try:
        states.update_state_machine_alias(
            stateMachineAliasArn=alias_arn, routingConfiguration=routing
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NO_ALIAS:
            raise
        states.create_state_machine_alias(
            name=ALIAS,
            description="What callers start: the workflow of the version in production.",
            routingConfiguration=routing,
        )
    return alias_arn


def alias_of(state_machine_arn: str) -> str:
    """The ARN that callers start."""
    return f"{state_machine_arn}:{ALIAS}"
