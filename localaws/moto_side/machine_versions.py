"""Versions of state machines: what moto lacks of them.

The operations that publish, list and delete a version, and executions that are started by the ARN
of a version or of an alias.
"""

import copy
import random
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.exceptions import StateMachineDoesNotExist
from moto.stepfunctions.responses import StepFunctionResponse


def install() -> None:
    """Adds the operations to moto's Step Functions."""
    for operation in (
        publish_state_machine_version,
        list_state_machine_versions,
        delete_state_machine_version,
    ):
        setattr(StepFunctionResponse, operation.__name__, operation)


def publish_state_machine_version(self: Any) -> ActionResult:
    """The newest version again, when nothing has changed since."""
    machine = self.stepfunction_backend.describe_state_machine(self._get_param("stateMachineArn"))
    newest = machine.latest_version
    is_same = (
        newest is not None
        and newest.version in machine.versions
        and ((newest.definition, newest.roleArn) == (machine.definition, machine.roleArn))
    )
    if not is_same:
        machine.publish(self._get_param("description"))
        newest = machine.latest_version
    return ActionResult(
        {"stateMachineVersionArn": newest.arn, "creationDate": newest.creation_date}
    )


def list_state_machine_versions(self: Any) -> ActionResult:
    """Newest first."""
    machine = self.stepfunction_backend.describe_state_machine(self._get_param("stateMachineArn"))
    versions = sorted(machine.versions.values(), key=lambda version: -version.version)
    found = [
        {"stateMachineVersionArn": version.arn, "creationDate": version.creation_date}
        for version in versions
    ]
    return ActionResult({"stateMachineVersions": found})


def delete_state_machine_version(self: Any) -> EmptyResult:
    arn = self._get_param("stateMachineVersionArn")
    machine_arn, _, number = arn.rpartition(":")
    machine = self.stepfunction_backend.describe_state_machine(machine_arn)
    for alias in machine.aliases.values():
        routes = alias.routing_configuration
        if any(arn in route.values() for route in routes):
            raise JsonRESTError(
                "ConflictException", f"Version to be deleted is referenced by {alias.arn}."
            )
    machine.versions.pop(int(number), None)
    return EmptyResult()


class Qualified:
    """moto's backend for one execution that a version's or an alias's ARN starts.

    It shows the machine with that version's definition; the execution belongs to the machine.
    """

    def __init__(self, backend: Any, machine: Any, version: Any) -> None:
        self._backend = backend
        self._machine = copy.copy(machine)
        self._machine.definition, self._machine.roleArn = version.definition, version.roleArn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def describe_state_machine(self, arn: str) -> Any:
        return self._machine


def qualified(backend: Any, arn: str) -> Any:
    """The backend that starts what the ARN names: a machine, a version or an alias."""
    machine_arn, _, qualifier = arn.rpartition(":")
    machine = next((m for m in backend.state_machines if m.arn == machine_arn), None)
    if machine is None:
        return backend
    if qualifier in machine.aliases:
        routes = machine.aliases[qualifier].routing_configuration
        weights = [int(route["weight"]) for route in routes]
        chosen = random.choices(routes, weights)[0]["stateMachineVersionArn"]
        qualifier = chosen.rpartition(":")[2]
    version = machine.versions.get(int(qualifier)) if qualifier.isdigit() else None
    if version is None:
        raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
    return Qualified(backend, machine, version)
