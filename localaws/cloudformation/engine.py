"""Puts our parts into moto's CloudFormation."""

from typing import Any

import boto3
import moto.cloudformation.models as models
import moto.cloudformation.parsing as parsing
import moto.cloudformation.responses as responses
import moto.stepfunctions.models as stepfunctions
import yaml
from moto.cloudformation.exceptions import ValidationError
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from localaws.cloudformation import (
    budget_types,
    code_types,
    event_types,
    lambda_types,
    resources,
    states_types,
    storage_types,
    types,
)
from localaws.cloudformation.by_api import ApiResource, Clients
from localaws.cloudformation.resource_map import ResourceFailure, ResourceMap, reason_of
from localaws.cloudformation.stacks import Backend, Stack


class _TemplateLoader(yaml.CSafeLoader):
    """moto loads templates with a loader that executes what they name; this one reads data only.

    A date stays the text that it is: policies have `Version: 2012-10-17`.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  # yaml reads it so
        first: [rule for rule in rules if rule[0] != "tag:yaml.org,2002:timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Yaml:
    """Takes the place of the yaml module inside moto's CloudFormation."""

    Loader = _TemplateLoader

    @staticmethod
    def load(text: str, Loader: Any) -> Any:
        return yaml.load(text, Loader=_TemplateLoader)

    @staticmethod
    def add_multi_constructor(prefix: str, constructor: Any) -> None:
        yaml.add_multi_constructor(prefix, constructor, Loader=_TemplateLoader)


def fail_interrupted() -> None:
    """After a restart: no stack is in progress, because nobody works on it."""
    backends: list[Any] = [found for *_, found in models.cloudformation_backends.iter_backends()]
    for backend in backends:
        for stack in backend.stacks.values():
            stack.interrupt()


def install(endpoint_url: str, region: str) -> None:
    """Puts these classes in the place of moto's. Called before moto serves CloudFormation."""
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in clients:
            session = boto3.session.Session(
                aws_access_key_id="cloudformation",
                aws_secret_access_key="local",  # the loopback asks for no secret
                region_name=region,
            )
            clients[service] = session.client(service, endpoint_url=endpoint_url)
        return clients[service]

    Clients.get = staticmethod(client)
    replacements: list[tuple[Any, str, Any]] = [
        (models, "Stack", Stack),
        (models, "ResourceMap", ResourceMap),
        (models, "yaml", _Yaml),
        (responses, "yaml", _Yaml),
        (models.cloudformation_backends, "backend", Backend),
        (responses.CloudFormationResponse, "_validate_different_update", _refuse_same_update),
        (parsing, "clean_json", _clean),
        (parsing, "parse_and_create_resource", _create),
        (parsing, "parse_and_update_resource", _update),
        (parsing, "get_model_map", _model_map),
        (parsing, "resource_name_property_from_type", _name_property),
        # moto makes a stack's state machines where its interpreter does not look for them.
        (stepfunctions, "stepfunctions_backends", stepfunctions_parser_backends),
    ]
    ApiResource.handlers = _HANDLERS
    for owner, name, value in replacements:
        setattr(owner, name, value)


_HANDLERS = {
    **budget_types.HANDLERS,
    **code_types.HANDLERS,
    **event_types.HANDLERS,
    **lambda_types.HANDLERS,
    **states_types.HANDLERS,
    **storage_types.HANDLERS,
}
_clean_by_moto = parsing.clean_json
_model_map_of_moto = parsing.get_model_map
_name_property_of_moto = parsing.resource_name_property_from_type


def _clean(value: Any, known: Any) -> Any:
    """As moto's; an item of a list that a condition leaves out leaves no hole there."""
    cleaned = _clean_by_moto(value, known)
    return [item for item in cleaned if item is not None] if isinstance(value, list) else cleaned


def _model_map() -> dict[str, Any]:
    return {**_model_map_of_moto(), **dict.fromkeys(_HANDLERS, ApiResource)}


def _name_property(kind: str) -> str | None:
    return types.NAMES.get(kind) if kind in _HANDLERS else _name_property_of_moto(kind)


def _refuse_same_update(self: Any, given: list[dict[str, Any]], body: str, old: Stack) -> None:
    """An update without a change is refused; a change set is made, and says so itself."""
    new = {item["ParameterKey"]: item.get("ParameterValue") for item in given or []}
    changed = {name: value for name, value in new.items() if value is not None}
    if self._get_action() != "UpdateStack" or not body:  # given by its address, it is read later
        return
    if old.has_template(body) and old.has_parameters(changed):
        raise ValidationError(message="No updates are to be performed.")


_create_by_moto = parsing.parse_and_create_resource
_update_by_moto = parsing.parse_and_update_resource


def _create(logical_id: str, resource_json: dict[str, Any], known: Any, **where: Any) -> Any:
    try:
        resource = _create_by_moto(logical_id, resource_json, known, **where)
        if resource is not None:
            known._parsed_resources[logical_id] = resource  # so that a rollback finds it
            _complete(resource, resource_json, known)
        return resource
    except ResourceFailure:
        raise  # of a resource that this one refers to
    except Exception as error:  # told to the owner of the stack, whatever it is
        raise ResourceFailure(logical_id, resource_json["Type"], reason_of(error)) from error


def _update(logical_id: str, resource_json: dict[str, Any], known: Any, **where: Any) -> Any:
    try:
        # moto answers None for a type that it cannot change; `resources` can.
        resource = _update_by_moto(logical_id, resource_json, known, **where) or known[logical_id]
        _complete(resource, resource_json, known)
        return resource
    except ResourceFailure:
        raise
    except Exception as error:  # as above
        raise ResourceFailure(logical_id, resource_json["Type"], reason_of(error)) from error


def _complete(resource: Any, resource_json: dict[str, Any], known: Any) -> None:
    properties = parsing.clean_json(resource_json.get("Properties") or {}, known)
    resources.complete(resource_json["Type"], resource, properties)
