"""Stacks that fail as AWS's do: with a reason, rolled back, and nothing half-made left behind."""

import logging
from typing import Any

import moto.cloudformation.models as models
import moto.cloudformation.urls as urls
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event
from moto.cloudformation.parsing import OutputMap

from localaws.cloudformation.parameters import check as check_parameters
from localaws.cloudformation.parameters import given_for_update
from localaws.cloudformation.resource_map import ResourceFailure, ResourceMap, reason_of

log = logging.getLogger(__name__)


class Stack(models.Stack):
    """A stack that survives a failure of its resources, in the state that AWS leaves it in."""

    resource_map: ResourceMap
    stack_status_reason: str | None = None
    known_outputs: list[dict[str, Any]] | None = None
    known_exports: list[Any] = []  # noqa: RUF012  # replaced as a whole

    @staticmethod
    def parse_template(template: str) -> dict[str, Any]:
        parsed = super(Stack, Stack).parse_template(template)
        if not isinstance(parsed, dict) or not isinstance(parsed.get("Resources"), dict):
            raise ValidationError(
                message="Template format error: At least one Resources member must be defined."
            )
        return parsed

    @property
    def outputs(self) -> Any:
        """As they were when the stack was last complete: its resources may be gone since."""
        return self.known_outputs

    @property
    def exports(self) -> Any:
        return self.known_exports

    def mark_creation_complete(self) -> None:
        self._look()
        super().mark_creation_complete()

    def _look(self) -> None:
        self.known_exports = super().exports
        self.known_outputs = super().outputs

    @property
    def stack_resources(self) -> Any:
        return [resource for resource in self.resource_map.values() if resource is not None]

    def has_parameters(self, other_parameters: dict[str, Any]) -> bool:
        known = self.stack_parameters  # with the defaults, which a client may send along or not
        return all(str(known.get(name)) == str(v) for name, v in other_parameters.items())

    def create_resources(self) -> None:
        try:
            self.resource_map.require_supported()
            super().create_resources()
        except Exception as error:  # the stack says it, not the request, as on AWS
            self._note(error, "CREATE_FAILED")
            self._end("ROLLBACK_IN_PROGRESS", reason_of(error))
            self._end("ROLLBACK_COMPLETE" if self._undo() else "ROLLBACK_FAILED", reason_of(error))

    def update(
        self,
        template: str,
        role_arn: str | None = None,
        parameters: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        before = (self.template, self.template_dict, dict(self.resource_map.input_parameters))
        try:
            after = self.resource_map.with_template(self.parse_template(template), parameters)
            after.require_supported()
            super().update(template, role_arn, parameters, tags)
            self._look()
            self.stack_status_reason = None
        except Exception as error:  # as above
            self._note(error, "UPDATE_FAILED")
            self._end("UPDATE_ROLLBACK_IN_PROGRESS", reason_of(error))
            self.template, self.template_dict = before[0], before[1]
            try:
                self.resource_map.put_back(before[1], before[2])
                self.output_map = self._create_output_map()
                self._end("UPDATE_ROLLBACK_COMPLETE", reason_of(error))
            except Exception as second:  # as above
                self._end("UPDATE_ROLLBACK_FAILED", f"{reason_of(error)} {reason_of(second)}")

    def delete(self) -> None:
        try:
            super().delete()
            self._empty()
        except Exception as error:  # as above
            self._note(error, "DELETE_FAILED")
            self._end("DELETE_FAILED", reason_of(error))

    def _undo(self) -> bool:
        try:
            self.resource_map.delete(creating=True)
        except Exception as error:  # as above
            log.warning("stack %s could not be rolled back: %s", self.name, error)
            return False
        self._empty()
        return True

    def _empty(self) -> None:
        self.resource_map.forget()
        self.output_map = OutputMap(self.resource_map, {}, self.stack_id)
        self._look()

    def _end(self, status: str, reason: str) -> None:
        self.status, self.stack_status_reason = status, reason
        self._add_stack_event(status, resource_status_reason=reason)

    def _note(self, error: Exception, status: str) -> None:
        if isinstance(error, ResourceFailure):
            resource = self.resource_map._parsed_resources.get(error.logical_id)
            event = Event(
                stack_id=self.stack_id,
                stack_name=self.name,
                logical_resource_id=error.logical_id,
                physical_resource_id=getattr(resource, "physical_resource_id", ""),
                resource_type=error.kind,
                resource_status=status,
                resource_status_reason=error.reason,
                resource_properties=None,
            )
            self.events.append(event)

    def interrupt(self) -> None:
        """Ends what the last process was doing to the stack when it was killed."""
        self.resource_map._building = False
        action, _, rest = self.status.partition("_")
        if rest.endswith("IN_PROGRESS") and action in ("CREATE", "UPDATE", "DELETE", "ROLLBACK"):
            self._end(f"{action}_FAILED", "localaws was stopped meanwhile; delete the stack.")


class Backend(CloudFormationBackend):
    """The stacks of one region."""

    @property
    def _url_module(self) -> Any:
        return urls  # moto would look beside this module

    def execute_change_set(self, change_set_name: str, stack_name: str | None = None) -> None:
        change_set = self.describe_change_set(change_set_name)
        assert change_set is not None  # else it has raised
        stack: Any = self.stacks[change_set.stack_id]
        change_set.execution_status = "EXECUTE_IN_PROGRESS"
        if change_set.change_set_type == "UPDATE":
            stack.update(
                change_set.template, change_set.role_arn, change_set.parameters, change_set.tags
            )
        else:
            stack.template, stack.parameters = change_set.template, change_set.parameters
            stack.cross_stack_resources = self.exports
            stack._parse_template()
            stack.resource_map = stack._create_resource_map()
            stack.output_map = stack._create_output_map()
            stack._add_stack_event("CREATE_IN_PROGRESS", resource_status_reason="User Initiated")
            stack.create_resources()
        self._publish(stack)
        failed = "ROLLBACK" in stack.status
        change_set.execution_status = "EXECUTE_FAILED" if failed else "EXECUTE_COMPLETE"

    def create_stack(self, *arguments: Any, **named: Any) -> models.Stack:
        check_parameters(Stack.parse_template(named["template"]), named["parameters"])
        stack = super().create_stack(*arguments, **named)
        self._publish(stack)
        return stack

    def create_change_set(self, *arguments: Any, **named: Any) -> tuple[str, str]:
        check_parameters(Stack.parse_template(named["template"]), named["parameters"])
        return super().create_change_set(*arguments, **named)

    def update_stack(
        self,
        name: str,
        template: str,
        role_arn: str | None,
        parameters: list[dict[str, Any]],
        tags: dict[str, str] | None,
    ) -> models.Stack:
        stack = self.get_stack(name)
        body = Stack.parse_template(str(template or stack.template))
        check_parameters(body, given_for_update(parameters or [], stack.stack_parameters))
        return super().update_stack(name, template, role_arn, parameters, tags)

    def _publish(self, stack: models.Stack) -> None:
        for export in stack.exports:
            self.exports[export.name] = export

    def delete_stack(self, name_or_stack_id: str) -> None:
        for stack in list(self.stacks.values()):
            if name_or_stack_id not in (stack.name, stack.stack_id):
                continue
            if stack.enable_termination_protection:
                raise ValidationError(
                    message=f"Stack [{stack.name}] cannot be deleted while TerminationProtection"
                    " is enabled"
                )
            exports = [export.name for export in stack.exports]
            stack.delete()
            if stack.status == "DELETE_COMPLETE":
                self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)
                for name in exports:
                    self.exports.pop(name, None)
