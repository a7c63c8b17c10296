"""The resources of a stack: made, changed and deleted at the right time, and at no other."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import moto.cloudformation.parsing as parsing
from botocore.exceptions import ClientError
from moto.utilities.utils import get_partition

from localaws.cloudformation import resources, types
from localaws.cloudformation.differences import Side, chosen, difference

_URL_SUFFIXES = {"aws-cn": "amazonaws.com.cn"}


class ResourceFailure(Exception):
    """One resource of a stack could not be made, changed or deleted."""

    def __init__(self, logical_id: str, kind: str, reason: str) -> None:
        super().__init__(f"The following resource(s) failed: [{logical_id}]. {reason}")
        self.logical_id, self.kind, self.reason = logical_id, kind, reason


class ResourceMap(parsing.ResourceMap):
    """A stack's resources, which are made by a creation or an update and at no other time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._building = False
        partition = get_partition(self._region_name)
        self._parsed_resources["AWS::Partition"] = partition
        self._parsed_resources["AWS::URLSuffix"] = _URL_SUFFIXES.get(partition, "amazonaws.com")

    def __getitem__(self, key: str) -> Any:
        """A resource; moto makes what is missing even when somebody only looks at the outputs."""
        if key in self._parsed_resources or self._building:
            return super().__getitem__(key)
        return None

    def create(self, template: dict[str, Any]) -> bool:
        with self._made():
            return super().create(template)

    def forget(self) -> None:
        """Leaves no resource to look at, after all of them are gone."""
        self._resource_json_map = {}

    @contextmanager
    def _made(self) -> Iterator[None]:
        self._building = True
        try:
            yield
        finally:
            self._building = False

    def require_supported(self) -> None:
        """ResourceFailure for the first resource of the template that localaws lacks."""
        for logical_id, resource in self._resource_json_map.items():
            condition = resource.get("Condition")
            if condition and not self.lazy_condition_map[condition]:
                continue
            lacking = types.unsupported(logical_id, chosen(resource, self.lazy_condition_map))
            if lacking:
                raise ResourceFailure(logical_id, resource["Type"], lacking)

    def update(self, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
        for name in self.build_resource_diff(template, parameters)["Modify"]:
            old, new = self._resource_json_map[name], template["Resources"][name]
            before, after = old.get("Properties") or {}, new.get("Properties") or {}
            fixed = types.needs_another(new["Type"], before, after)
            if fixed or old["Type"] != new["Type"]:
                what = ", ".join(fixed) or "Type"
                reason = f"localaws cannot replace a resource, as a change of {what} would need."
                raise ResourceFailure(name, new["Type"], reason)
        self.put_back(template, parameters)

    def with_template(
        self, template: dict[str, Any], parameters: dict[str, Any] | None
    ) -> "ResourceMap":
        """What this map becomes with a template: its conditions are worked out, nothing is made."""
        after = ResourceMap(
            self.stack_id,
            str(self._parsed_resources["AWS::StackName"]),
            self.input_parameters if parameters is None else parameters,
            self.tags,
            self._region_name,
            self._account_id,
            template,
            self.cross_stack_resources,
        )
        after.load_mapping()
        after.load_parameters()
        after.load_conditions()
        return after

    def build_resource_diff(
        self, other_template: dict[str, Any], parameters: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        after = self.with_template(other_template, parameters)
        return difference(self._side(), after._side())

    def _side(self) -> Side:
        conditions = {name: self.lazy_condition_map[name] for name in self.lazy_condition_map}
        return Side(self._resource_json_map, self.resolved_parameters, conditions)

    def put_back(self, template: dict[str, Any], parameters: dict[str, Any] | None) -> None:
        """Makes the resources what the template says, without looking whether that can be done."""
        gone = self.build_resource_diff(template, parameters)["Remove"]
        with self._made():
            super().update(template, parameters)
        for name in gone:
            self._parsed_resources.pop(name, None)

    def delete(self, *, creating: bool = False) -> None:
        """Deletes the last made first, then what failed; `creating`: a creation is rolled back."""
        retained = ("Retain",) if creating else ("Retain", "RetainExceptOnCreate")
        for last_try in (False, True):
            made = [name for name in self._parsed_resources if name in self._resource_json_map]
            failures: list[ResourceFailure] = []
            for name in reversed(made):
                resource_json = self._resource_json_map[name]
                if resource_json.get("DeletionPolicy") in retained:
                    continue
                try:
                    self._delete_resource(self._parsed_resources[name], resource_json)
                    del self._parsed_resources[name]
                except ResourceFailure as failure:
                    failures.append(failure)
            if failures and last_try:
                raise failures[0]

    def _delete_resource(self, parsed_resource: Any, resource_json: dict[str, Any]) -> None:
        kind, name = resource_json["Type"], getattr(parsed_resource, "logical_resource_id", "")
        try:
            resources.dismantle(kind, parsed_resource)
            super()._delete_resource(parsed_resource, resource_json)
        except Exception as error:  # told to the owner of the stack, whatever it is
            raise ResourceFailure(name, kind, reason_of(error)) from error


def reason_of(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response["Error"]["Message"])
    if isinstance(error, KeyError):
        return f"The property or resource {error} is missing."
    text = str(getattr(error, "message", "") or getattr(error, "description", "") or error)
    return re.sub(r"\s+", " ", text)
