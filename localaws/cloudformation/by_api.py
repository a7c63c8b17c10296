"""Resources that are made, changed and deleted through their service's own API.

So they are checked as anybody's call is. A `Handler` knows one type; what remains of a resource in
a stack is its physical id and its attributes.
"""

import json
from collections.abc import Callable
from typing import Any, Protocol

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException
from moto.core.common_models import CloudFormationModel

import service_model

Properties = dict[str, Any]
Made = tuple[str, dict[str, str]]  # the physical id (what Ref gives), and what GetAtt gives


class Clients:
    """The boto3 clients of this server, by service; set by `engine.install`."""

    get: Callable[[str], Any]


class Handler(Protocol):
    """One type of resource. `name` is the template's own or a generated one."""

    def create(self, name: str, properties: Properties) -> Made: ...

    def update(self, identity: str, properties: Properties) -> Made: ...

    def delete(self, identity: str, properties: Properties) -> None: ...


class ApiResource(CloudFormationModel):
    """A resource of a stack, of any type that has a handler."""

    handlers: dict[str, Handler] = {}  # noqa: RUF012  # filled once, at the import of the types

    def __init__(self, kind: str, made: Made, properties: Properties) -> None:
        self.kind, self.properties = kind, properties
        self.identity, self.attributes = made

    @property
    def physical_resource_id(self) -> str:
        return self.identity

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "LocalAws::Resource"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return True

    def is_created(self) -> bool:
        return True

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        if attribute_name not in self.attributes:
            raise UnformattedGetAttTemplateException()
        return self.attributes[attribute_name]

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, *_: Any, **__: Any
    ) -> "ApiResource":
        kind, properties = cloudformation_json["Type"], cloudformation_json["Properties"]
        return cls(kind, cls.handlers[kind].create(resource_name, properties), properties)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "ApiResource":
        kind, properties = cloudformation_json["Type"], cloudformation_json["Properties"]
        made = cls.handlers[kind].update(original_resource.identity, properties)
        return cls(kind, made, properties)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name: str, *_: Any) -> None:
        """Never called: `delete` knows the properties."""

    def delete(self, account_id: str, region_name: str) -> None:
        """What is gone already counts as deleted, as it does on AWS."""
        client_errors = ("ResourceNotFound", "NotFound", "NonExistent", "DoesNotExist", "NoSuch")
        try:
            self.handlers[self.kind].delete(self.identity, self.properties)
        except Exception as error:  # of any service; told to the owner of the stack
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if not any(word in code for word in client_errors):
                raise RuntimeError(f"{self.kind}: {error}") from error


def call(service: str, operation: str, parameters: Properties) -> Any:
    """Calls the operation with the parameters it knows, as the types it wants.

    A template may write a number or a boolean as a text.
    """
    client = Clients.get(service)
    name = next(n for n, o in client.meta.method_to_api_mapping.items() if o == operation)
    shape: Any = service_model.input_shape(service, operation)
    given = {key: value for key, value in parameters.items() if key in shape.members}
    return getattr(client, name)(**_typed(shape, given))


def _typed(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        known = shape.members
        return {k: _typed(known[k], v) if k in known else v for k, v in value.items()}
    if kind == "list" and isinstance(value, list):
        return [_typed(shape.member, item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _typed(shape.value, item) for key, item in value.items()}
    if kind in ("integer", "long") and isinstance(value, str):
        return int(value)
    if kind in ("float", "double") and isinstance(value, str):
        return float(value)
    if kind == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if kind == "string" and isinstance(value, (dict, list)):
        return json.dumps(value)
    if kind == "string" and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def tags_of(properties: Properties) -> dict[str, str]:
    """A template's list of tags as the map that most APIs want."""
    tags = properties.get("Tags") or []
    if isinstance(tags, dict):
        return dict(tags)
    return {tag["Key"]: str(tag["Value"]) for tag in tags}
