"""Functions: their records, by name, and the operations that create, read, change and delete them.

A record (`lambda-function`, keyed by name) holds `latest`, the numbered `versions`, the `aliases`,
the `policies`, `invoke_configs` by qualifier, `tags` and the reserved `concurrency`.
"""

import re
from typing import Any

from localaws.context import Context
from localaws.errors import ApiError, ValidationError
from localaws.functions import settings
from localaws.functions.code import CODE_PATH, CodeStore
from localaws.functions.errors import (
    InvalidValue,
    NoSuchResource,
    PreconditionFailed,
    ResourceConflict,
)
from localaws.functions.fleet import Fleet
from localaws.functions.layers import Layers
from localaws.functions.world import Credentials
from localaws.listing import paged

KIND = "lambda-function"
LATEST = "$LATEST"
Request = dict[str, Any]
Record = dict[str, Any]

_NAME = re.compile(
    r"(?:arn:[\w-]+:lambda:[\w-]+:\d{12}:function:|\d{12}:function:|function:)?"
    r"(?P<name>[\w-]{1,64})(?::(?P<qualifier>\$LATEST|[\w-]+))?"
)


class Functions:
    """The functions of the account."""

    def __init__(
        self, context: Context, code: CodeStore, layers: Layers, fleet: Fleet, assume: Credentials
    ) -> None:
        self._context, self._store, self._code = context, context.store, code
        self._layers, self._fleet, self._assume = layers, fleet, assume

    # For the other components

    def split(self, name: str, qualifier: str | None = None) -> tuple[str, str | None]:
        """The bare name and the qualifier of a name, an ARN or a partial ARN."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValidationError(f"{name!r} is neither a function's name nor its ARN.")
        if qualifier and match["qualifier"] and qualifier != match["qualifier"]:
            raise InvalidValue(
                "The derived qualifier from the function name does not match the specified"
                " qualifier."
            )
        return match["name"], qualifier or match["qualifier"]

    def record(self, name: str) -> Record:
        """The record of a function, by any form of its name."""
        record = self._store.get(KIND, self.split(name)[0])
        if record is None:
            raise NoSuchResource(f"Function not found: {self.arn(name)}")
        return record

    def arn(self, name: str, qualifier: str | None = None) -> str:
        bare, given = self.split(name, qualifier)
        return self._context.arn("lambda", f"function:{bare}" + (f":{given}" if given else ""))

    def resolve(self, name: str, qualifier: str | None = None) -> settings.Settings:
        """The settings of the version that a name and a qualifier or alias mean."""
        record, (_, given) = self.record(name), self.split(name, qualifier)
        version = given or LATEST
        if version in record["aliases"]:
            version = record["aliases"][version]["FunctionVersion"]
        found = record["latest"] if version == LATEST else record["versions"].get(version)
        if found is None:
            raise NoSuchResource(f"Function not found: {self.arn(name, given)}")
        return {**found, "FunctionArn": self.arn(name, given)}

    def require(self, record: Record, qualifier: str | None) -> None:
        """NoSuchResource unless the qualifier is $LATEST, a version or an alias."""
        known = {None, LATEST, *record["versions"], *record["aliases"]}
        if qualifier not in known:
            name = record["latest"]["FunctionName"]
            raise NoSuchResource(f"Function not found: {self.arn(name, qualifier)}")

    def save(self, record: Record) -> None:
        self._store.put(KIND, record["latest"]["FunctionName"], record)

    # Operations

    def create_function(self, request: Request) -> Request:
        name, _ = self.split(request["FunctionName"])
        made = settings.new(name, self.arn(name), request)
        self._check_role(made["Role"], name)
        made = self._with_code(made, request["Code"])
        made = settings.stamp(self._with_layers(made, request), self._context.now())
        with self._store.transaction():
            if self._store.get(KIND, name):
                raise ResourceConflict(f"Function already exist: {name}")
            record: Record = {
                **{"latest": made, "versions": {}, "aliases": {}, "policies": {}, "next": 1},
                **{"invoke_configs": {}, "concurrency": None},
                "tags": request.get("Tags", {}),
            }
            if request.get("Publish"):
                made = publish(record, self.arn(name))
            self.save(record)
        return settings.shown(made)

    def update_function_code(self, request: Request) -> Request:
        source = {k: v for k, v in request.items() if k in ("ZipFile", "S3Bucket", "S3Key")}
        record = self.record(request["FunctionName"])
        made = self._with_code(record["latest"], {**source})
        if request.get("DryRun"):
            return settings.shown(made)
        return self._change(request, made, bool(request.get("Publish")))

    def update_function_configuration(self, request: Request) -> Request:
        latest = self.record(request["FunctionName"])["latest"]
        made = settings.changed(latest, request)
        self._check_role(made["Role"], made["FunctionName"])
        return self._change(request, self._with_layers(made, request), False)

    def get_function_configuration(self, request: Request) -> Request:
        return settings.shown(self.resolve(request["FunctionName"], request.get("Qualifier")))

    def get_function(self, request: Request) -> Request:
        found = self.resolve(request["FunctionName"], request.get("Qualifier"))
        record = self.record(request["FunctionName"])
        place = f"{self._context.endpoint_url}{CODE_PATH}{found['_digest']}"
        answer: Request = {
            "Configuration": settings.shown(found),
            "Code": {"RepositoryType": "S3", "Location": place},
        }
        if record["tags"]:
            answer["Tags"] = record["tags"]
        if record["concurrency"] is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": record["concurrency"]}
        return answer

    def list_functions(self, request: Request) -> Request:
        records = self._store.all(KIND)
        found = [settings.shown(record["latest"]) for record in records]
        if request.get("FunctionVersion") == "ALL":
            found += [settings.shown(v) for r in records for v in r["versions"].values()]
        page, marker = paged(found, request)
        return {"Functions": page, "NextMarker": marker}

    def delete_function(self, request: Request) -> Request:
        name, qualifier = self.split(request["FunctionName"], request.get("Qualifier"))
        with self._store.transaction():
            record = self.record(name)
            if qualifier == LATEST:
                raise InvalidValue(
                    "$LATEST version cannot be deleted without deleting the function."
                )
            if qualifier:
                self.require(record, qualifier)
                if any(a["FunctionVersion"] == qualifier for a in record["aliases"].values()):
                    raise ResourceConflict(f"An alias refers to version {qualifier}.")
                record["versions"].pop(qualifier, None)
                self.save(record)
            else:
                self._store.delete(KIND, name)
        if not qualifier:
            self._fleet.retire(name)
        return {"StatusCode": 204}

    def put_function_concurrency(self, request: Request) -> Request:
        record = self.record(request["FunctionName"])
        self.save({**record, "concurrency": request["ReservedConcurrentExecutions"]})
        return {"ReservedConcurrentExecutions": request["ReservedConcurrentExecutions"]}

    def get_function_concurrency(self, request: Request) -> Request:
        return {"ReservedConcurrentExecutions": self.record(request["FunctionName"])["concurrency"]}

    def delete_function_concurrency(self, request: Request) -> Request:
        self.save({**self.record(request["FunctionName"]), "concurrency": None})
        return {}

    def list_tags(self, request: Request) -> Request:
        return {"Tags": self.record(request["Resource"])["tags"]}

    def tag_resource(self, request: Request) -> Request:
        record = self.record(request["Resource"])
        self.save({**record, "tags": {**record["tags"], **request["Tags"]}})
        return {}

    def untag_resource(self, request: Request) -> Request:
        record = self.record(request["Resource"])
        tags = {k: v for k, v in record["tags"].items() if k not in request["TagKeys"]}
        self.save({**record, "tags": tags})
        return {}

    def _change(self, request: Request, made: settings.Settings, to_publish: bool) -> Request:
        with self._store.transaction():
            record = self.record(request["FunctionName"])
            if request.get("RevisionId") not in (None, record["latest"]["RevisionId"]):
                raise PreconditionFailed("The RevisionId provided does not match the latest one.")
            record["latest"] = made = settings.stamp(made, self._context.now())
            if to_publish:
                made = publish(record, self.arn(request["FunctionName"]))
            self.save(record)
        self._fleet.retire(made["FunctionName"], LATEST)
        return settings.shown(made)

    def _with_code(self, made: settings.Settings, source: Request) -> settings.Settings:
        archive = self._code.take(source)
        return {
            **made,
            "CodeSha256": archive.sha256,
            "CodeSize": archive.size,
            "_digest": archive.digest,
        }

    def _with_layers(self, made: settings.Settings, request: Request) -> settings.Settings:
        if "Layers" not in request:
            return made
        found = [self._layers.find(arn) for arn in request["Layers"]]
        layers = [{"Arn": layer["arn"], "CodeSize": layer["size"]} for layer in found]
        made = {**made, "Layers": layers, "_layers": [layer["digest"] for layer in found]}
        return made if layers else {k: v for k, v in made.items() if k != "Layers"}

    def _check_role(self, role: str, name: str) -> None:
        try:
            self._assume(role, name, "lambda.amazonaws.com")
        except ApiError:
            raise InvalidValue(
                f"The role defined for the function cannot be assumed by Lambda. ({role})"
            ) from None


def publish(record: Record, arn: str, description: str | None = None) -> settings.Settings:
    """Numbers the latest settings, unless they are those of the newest version already."""
    latest = record["latest"]
    newest: settings.Settings | None = record["versions"].get(str(record["next"] - 1))
    if newest is not None and newest["_revision"] == latest["RevisionId"]:
        return newest
    number = str(record["next"])
    made: settings.Settings = {
        **latest,
        "Version": number,
        "FunctionArn": f"{arn}:{number}",
        "_revision": latest["RevisionId"],
    }
    if description is not None:
        made["Description"] = description
    record["versions"][number] = made
    record["next"] += 1
    return made
