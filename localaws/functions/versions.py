"""Published versions of functions, and the aliases that point to them."""

import uuid
from typing import Any

from localaws.context import Context
from localaws.errors import NotImplementedHere
from localaws.functions import settings
from localaws.functions.errors import (
    InvalidValue,
    NoSuchResource,
    PreconditionFailed,
    ResourceConflict,
)
from localaws.functions.functions import LATEST, Functions, Record, Request, publish
from localaws.listing import paged


class Versions:
    """Versions and aliases, kept in the function's record."""

    def __init__(self, context: Context, functions: Functions) -> None:
        self._store, self._functions = context.store, functions

    def publish_version(self, request: Request) -> Request:
        with self._store.transaction():
            record = self._functions.record(request["FunctionName"])
            latest = record["latest"]
            if request.get("CodeSha256") not in (None, latest["CodeSha256"]):
                raise InvalidValue(
                    f"CodeSHA256 is different from current ({latest['CodeSha256']})."
                )
            if request.get("RevisionId") not in (None, latest["RevisionId"]):
                raise PreconditionFailed("The RevisionId provided does not match the latest one.")
            arn = self._functions.arn(latest["FunctionName"])
            made = publish(record, arn, request.get("Description"))
            self._functions.save(record)
        return settings.shown(made)

    def list_versions_by_function(self, request: Request) -> Request:
        record = self._functions.record(request["FunctionName"])
        found = [record["latest"], *record["versions"].values()]
        page, marker = paged([settings.shown(version) for version in found], request)
        return {"Versions": page, "NextMarker": marker}

    def create_alias(self, request: Request) -> Request:
        with self._store.transaction():
            record = self._functions.record(request["FunctionName"])
            if request["Name"] in record["aliases"]:
                raise ResourceConflict(f"Alias already exists: {request['Name']}")
            return self._set(record, request["Name"], request)

    def update_alias(self, request: Request) -> Request:
        with self._store.transaction():
            record = self._functions.record(request["FunctionName"])
            old = self._find(record, request["Name"])
            return self._set(record, request["Name"], {**old, **request})

    def get_alias(self, request: Request) -> Request:
        return self._find(self._functions.record(request["FunctionName"]), request["Name"])

    def list_aliases(self, request: Request) -> Request:
        record = self._functions.record(request["FunctionName"])
        wanted = request.get("FunctionVersion")
        aliases = record["aliases"].values()
        found = [a for a in aliases if wanted in (None, a["FunctionVersion"])]
        page, marker = paged(found, request)
        return {"Aliases": page, "NextMarker": marker}

    def delete_alias(self, request: Request) -> Request:
        record = self._functions.record(request["FunctionName"])
        record["aliases"].pop(request["Name"], None)
        self._functions.save(record)
        return {}

    def _set(self, record: Record, name: str, request: Request) -> Request:
        if (request.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
            raise NotImplementedHere("localaws does not implement RoutingConfig of an alias.")
        version = request["FunctionVersion"]
        if version != LATEST and version not in record["versions"]:
            function = record["latest"]["FunctionName"]
            raise NoSuchResource(f"Function not found: {self._functions.arn(function, version)}")
        made: dict[str, Any] = {
            "AliasArn": self._functions.arn(record["latest"]["FunctionName"], name),
            "Name": name,
            "FunctionVersion": version,
            "Description": request.get("Description", ""),
            "RevisionId": str(uuid.uuid4()),
        }
        record["aliases"][name] = made
        self._functions.save(record)
        return made

    def _find(self, record: Record, name: str) -> Request:
        alias: Request | None = record["aliases"].get(name)
        if alias is None:
            function = record["latest"]["FunctionName"]
            raise NoSuchResource(f"Cannot find alias arn: {self._functions.arn(function, name)}")
        return alias
