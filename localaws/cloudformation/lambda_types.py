"""Lambda's resource types."""

import io
import zipfile
from typing import Any

from localaws.cloudformation.by_api import Clients, Handler, Made, Properties, call, tags_of

# What an update sets back when the template no longer has it.
_DEFAULTS: Properties = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "Environment": {"Variables": {}},
    "DeadLetterConfig": {"TargetArn": ""},
    "TracingConfig": {"Mode": "PassThrough"},
    "Layers": [],
    "KMSKeyArn": "",
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
}


class Function:
    """`AWS::Lambda::Function`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        request = {**_function(properties), "FunctionName": name, "Tags": tags_of(properties)}
        made = call("lambda", "CreateFunction", {**request, "Code": _code(properties["Code"])})
        self._limit(name, properties)
        return name, {"Arn": made["FunctionArn"]}

    def update(self, identity: str, properties: Properties) -> Made:
        request = {**_DEFAULTS, **_function(properties), "FunctionName": identity}
        made = call("lambda", "UpdateFunctionConfiguration", request)
        code = {**_code(properties["Code"]), "FunctionName": identity}
        call("lambda", "UpdateFunctionCode", code)
        client, arn = Clients.get("lambda"), made["FunctionArn"]
        wanted = tags_of(properties)
        old = client.list_tags(Resource=arn)["Tags"].keys() - wanted.keys()
        if old:
            client.untag_resource(Resource=arn, TagKeys=sorted(old))
        client.tag_resource(Resource=arn, Tags=wanted)
        self._limit(identity, properties)
        return identity, {"Arn": arn}

    def delete(self, identity: str, properties: Properties) -> None:
        call("lambda", "DeleteFunction", {"FunctionName": identity})

    def _limit(self, name: str, properties: Properties) -> None:
        limit = properties.get("ReservedConcurrentExecutions")
        if limit is None:
            call("lambda", "DeleteFunctionConcurrency", {"FunctionName": name})
        else:
            request = {"FunctionName": name, "ReservedConcurrentExecutions": limit}
            call("lambda", "PutFunctionConcurrency", request)


class LayerVersion:
    """`AWS::Lambda::LayerVersion`. Ref gives the version's ARN; a change makes another version."""

    def create(self, name: str, properties: Properties) -> Made:
        request = {**properties, "LayerName": name}
        arn = call("lambda", "PublishLayerVersion", request)["LayerVersionArn"]
        return arn, {"LayerVersionArn": arn}

    def update(self, identity: str, properties: Properties) -> Made:
        made = self.create(identity.split(":")[6], properties)
        client = Clients.get("lambda")
        for page in client.get_paginator("list_functions").paginate():
            for function in page["Functions"]:  # a template that only refers to it has not changed
                layers = [layer["Arn"] for layer in function.get("Layers", [])]
                if identity in layers:
                    layers[layers.index(identity)] = made[0]
                    name = function["FunctionName"]
                    client.update_function_configuration(FunctionName=name, Layers=layers)
        self.delete(identity, properties)
        return made

    def delete(self, identity: str, properties: Properties) -> None:
        *_, name, number = identity.split(":")
        call("lambda", "DeleteLayerVersion", {"LayerName": name, "VersionNumber": number})


class Permission:
    """`AWS::Lambda::Permission`. Ref gives the statement's id."""

    def create(self, name: str, properties: Properties) -> Made:
        call("lambda", "AddPermission", {**properties, "StatementId": name})
        return name, {"Id": name}

    def update(self, identity: str, properties: Properties) -> Made:
        self.delete(identity, properties)
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        request = {"FunctionName": properties["FunctionName"], "StatementId": identity}
        call("lambda", "RemovePermission", request)


class EventSourceMapping:
    """`AWS::Lambda::EventSourceMapping`. Ref gives the UUID."""

    def create(self, name: str, properties: Properties) -> Made:
        made = call("lambda", "CreateEventSourceMapping", properties)
        return self._made(made)

    def update(self, identity: str, properties: Properties) -> Made:
        defaults = {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "Enabled": True}
        request = {**defaults, "FunctionResponseTypes": [], **properties, "UUID": identity}
        return self._made(call("lambda", "UpdateEventSourceMapping", request))

    def delete(self, identity: str, properties: Properties) -> None:
        call("lambda", "DeleteEventSourceMapping", {"UUID": identity})

    def _made(self, made: Any) -> Made:
        number = made["UUID"]
        arn = made["EventSourceMappingArn"]
        return number, {"Id": number, "EventSourceMappingArn": arn}


class EventInvokeConfig:
    """`AWS::Lambda::EventInvokeConfig`."""

    def create(self, name: str, properties: Properties) -> Made:
        call("lambda", "PutFunctionEventInvokeConfig", properties)
        return name, {}

    def update(self, identity: str, properties: Properties) -> Made:
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        call("lambda", "DeleteFunctionEventInvokeConfig", properties)


class Version:
    """`AWS::Lambda::Version`. Ref gives the version's ARN."""

    def create(self, name: str, properties: Properties) -> Made:
        made = call("lambda", "PublishVersion", properties)
        arn = made["FunctionArn"]
        return arn, {"FunctionArn": arn, "Version": made["Version"]}

    def update(self, identity: str, properties: Properties) -> Made:
        return identity, {"FunctionArn": identity, "Version": identity.rpartition(":")[2]}

    def delete(self, identity: str, properties: Properties) -> None:
        call("lambda", "DeleteFunction", {"FunctionName": identity})


class Alias:
    """`AWS::Lambda::Alias`. Ref gives the ARN."""

    def create(self, name: str, properties: Properties) -> Made:
        arn = call("lambda", "CreateAlias", properties)["AliasArn"]
        return arn, {"AliasArn": arn}

    def update(self, identity: str, properties: Properties) -> Made:
        arn = call("lambda", "UpdateAlias", properties)["AliasArn"]
        return arn, {"AliasArn": arn}

    def delete(self, identity: str, properties: Properties) -> None:
        call("lambda", "DeleteAlias", properties)


def _function(properties: Properties) -> Properties:
    made = {k: v for k, v in properties.items() if k not in ("Code", "Tags", "KmsKeyArn")}
    if "KmsKeyArn" in properties:
        made["KMSKeyArn"] = properties["KmsKeyArn"]
    return made


def _code(code: Properties) -> Properties:
    """Inline text becomes `index.py` of a zip, as on AWS."""
    if "ZipFile" not in code:
        return code
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), code["ZipFile"])  # the same text, same bytes
    return {"ZipFile": packed.getvalue()}


HANDLERS: dict[str, Handler] = {
    "AWS::Lambda::Alias": Alias(),
    "AWS::Lambda::EventInvokeConfig": EventInvokeConfig(),
    "AWS::Lambda::EventSourceMapping": EventSourceMapping(),
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::LayerVersion": LayerVersion(),
    "AWS::Lambda::Permission": Permission(),
    "AWS::Lambda::Version": Version(),
}
