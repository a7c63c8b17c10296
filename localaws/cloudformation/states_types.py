"""The resource types of Step Functions."""

import json
import re
from typing import Any

from localaws.cloudformation.by_api import Clients, Handler, Made, Properties, call, tags_of


class StateMachine:
    """`AWS::StepFunctions::StateMachine`. Ref gives the ARN."""

    def create(self, name: str, properties: Properties) -> Made:
        request = _settings(properties)
        request["name"] = name
        request["type"] = properties.get("StateMachineType", "STANDARD")
        request["tags"] = [{"key": k, "value": v} for k, v in tags_of(properties).items()]
        made = call("stepfunctions", "CreateStateMachine", request)
        return self._made(made["stateMachineArn"])

    def update(self, identity: str, properties: Properties) -> Made:
        request = {**_settings(properties), "stateMachineArn": identity}
        call("stepfunctions", "UpdateStateMachine", request)
        return self._made(identity)

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("stepfunctions").delete_state_machine(stateMachineArn=identity)

    def _made(self, arn: str) -> Made:
        found = Clients.get("stepfunctions").describe_state_machine(stateMachineArn=arn)
        revision = found.get("revisionId") or "INITIAL"
        return arn, {"Arn": arn, "Name": found["name"], "StateMachineRevisionId": revision}


class Version:
    """`AWS::StepFunctions::StateMachineVersion`. Ref gives the version's ARN."""

    def create(self, name: str, properties: Properties) -> Made:
        # The revision names what the template sees; what is there now is what is published.
        request = {"stateMachineArn": properties["StateMachineArn"]}
        if properties.get("Description"):
            request["description"] = properties["Description"]
        arn = call("stepfunctions", "PublishStateMachineVersion", request)["stateMachineVersionArn"]
        return arn, {"Arn": arn}

    def update(self, identity: str, properties: Properties) -> Made:
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("stepfunctions").delete_state_machine_version(stateMachineVersionArn=identity)


class Alias:
    """`AWS::StepFunctions::StateMachineAlias`. Ref gives the ARN."""

    def create(self, name: str, properties: Properties) -> Made:
        request = {**_lowered(properties), "name": name}
        arn = call("stepfunctions", "CreateStateMachineAlias", request)["stateMachineAliasArn"]
        return arn, {"Arn": arn}

    def update(self, identity: str, properties: Properties) -> Made:
        request = {**_lowered(properties), "stateMachineAliasArn": identity}
        call("stepfunctions", "UpdateStateMachineAlias", request)
        return identity, {"Arn": identity}

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("stepfunctions").delete_state_machine_alias(stateMachineAliasArn=identity)


def _settings(properties: Properties) -> Properties:
    made = {"definition": _definition(properties), "roleArn": properties["RoleArn"]}
    for name in ("LoggingConfiguration", "TracingConfiguration", "EncryptionConfiguration"):
        if name in properties:
            made[name[0].lower() + name[1:]] = _lowered(properties[name])
    return made


def _definition(properties: Properties) -> str:
    if "DefinitionS3Location" in properties:
        place = properties["DefinitionS3Location"]
        found = Clients.get("s3").get_object(Bucket=place["Bucket"], Key=place["Key"])
        text: str = found["Body"].read().decode()
    elif "Definition" in properties:
        text = json.dumps(properties["Definition"])
    else:
        text = properties["DefinitionString"]
    values = properties.get("DefinitionSubstitutions") or {}
    return re.sub(r"\$\{(\w+)\}", lambda match: str(values.get(match[1], match[0])), text)


def _lowered(value: Any) -> Any:
    """A template writes members with a capital, the API without."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _lowered(item) for key, item in value.items()}
    return [_lowered(item) for item in value] if isinstance(value, list) else value


HANDLERS: dict[str, Handler] = {
    "AWS::StepFunctions::StateMachine": StateMachine(),
    "AWS::StepFunctions::StateMachineAlias": Alias(),
    "AWS::StepFunctions::StateMachineVersion": Version(),
}
