"""What was decided before and what has served, read from what the deployments leave behind.

    executions of the deployment       named by version and moment of the decision: their order
    versions of the inference workflow published once a version is up and proven: what has served
    the alias of that workflow         the newest of those: what is in production

None of it is written down a second time, so it cannot be forgotten. (A mark on the package itself
would change its LastModifiedTime, by which a decision is known again.)
"""

import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from lambdas.log import Json
from workflow import render

LOOKED_AT = 100  # published versions; a rejection does not go back further
_APPROVAL = re.compile(r"v(\d+)-(\d{8}T\d+Z)")
_NO_ALIAS = ("ResourceNotFound", "StateMachineAliasDoesNotExist")


def alias_target(alias_arn: str, states: Any) -> str | None:
    """The version of the inference workflow that the alias points at; None before the first."""
    try:
        alias = states.describe_state_machine_alias(stateMachineAliasArn=alias_arn)
    except ClientError as error:
        if error.response["Error"]["Code"] in _NO_ALIAS:
            return None
        raise
    return str(alias["routingConfiguration"][0]["stateMachineVersionArn"])


def package_of(workflow_version_arn: str, states: Any) -> str:
    """The package that a published inference workflow is for."""
    found = states.describe_state_machine(stateMachineArn=workflow_version_arn)
    return render.package_of(found["definition"])


def served_packages(alias_arn: str, states: Any) -> set[str]:
    """The packages that were in production, by the last LOOKED_AT published workflows."""
    machine = alias_arn.rpartition(":")[0]
    page = states.list_state_machine_versions(stateMachineArn=machine, maxResults=LOOKED_AT)
    arns = [item["stateMachineVersionArn"] for item in page["stateMachineVersions"]]
    return {package_of(arn, states) for arn in arns[:LOOKED_AT]}


def executions(state_machine_arn: str, status: str, states: Any) -> Iterator[Json]:
    """The executions of a state machine with this status, newest first."""
    token: Json = {}
    while True:
        page = states.list_executions(
            stateMachineArn=state_machine_arn, statusFilter=status, **token
        )
        yield from page["executions"]
        if not page.get("nextToken"):
            return
        token = {"nextToken": page["nextToken"]}


def is_overtaken(execution_arn: str, serving_version: int, states: Any) -> bool:
    """Whether what serves was approved later than what this execution is to deploy.

    By the names of the executions, which hold the moments. One that somebody started by hand, under
    another name, is never overtaken.
    """
    machine, _, name = execution_arn.replace(":execution:", ":stateMachine:").rpartition(":")
    own = _APPROVAL.fullmatch(name)
    if own is None:
        return False
    ended = (_APPROVAL.fullmatch(i["name"]) for i in executions(machine, "SUCCEEDED", states))
    return any(o and int(o[1]) == serving_version and o[2] > own[2] for o in ended)
