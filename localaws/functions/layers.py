"""Layers: numbered zip archives that a function finds below `/opt`."""

from typing import Any

from localaws.context import Context
from localaws.functions.code import CODE_PATH, CodeStore
from localaws.functions.errors import NoSuchResource
from localaws.listing import paged

KIND = "lambda-layer"
Request = dict[str, Any]

_SHOWN = ("CreatedDate", "Description", "CompatibleRuntimes", "CompatibleArchitectures")


class Layers:
    """The versions of the layers of the account; a record a layer, keyed by its name."""

    def __init__(self, context: Context, code: CodeStore) -> None:
        self._context, self._store, self._code = context, context.store, code

    def find(self, version_arn: str) -> dict[str, Any]:
        """The version that an ARN names: `arn`, `size`, `digest` and what callers see."""
        layer_arn, _, number = version_arn.rpartition(":")
        record = self._store.get(KIND, layer_arn.rpartition(":")[2])
        version: dict[str, Any] | None = record and record["versions"].get(number)
        if version is None or version["arn"] != version_arn:
            raise NoSuchResource(f"Layer version {version_arn} does not exist.")
        return version

    def publish_layer_version(self, request: Request) -> Request:
        archive = self._code.take(request["Content"])
        name = request["LayerName"].rpartition(":")[2]
        arn = self._context.arn("lambda", f"layer:{name}")
        with self._store.transaction():
            record = self._store.get(KIND, name) or {"name": name, "next": 1, "versions": {}}
            number, record["next"] = record["next"], record["next"] + 1
            version = {
                **{"number": number, "arn": f"{arn}:{number}"},
                **{"size": archive.size, "digest": archive.digest, "sha256": archive.sha256},
                **{member: request[member] for member in _SHOWN if member in request},
                "CreatedDate": self._context.now().strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            }
            record["versions"][str(number)] = version
            self._store.put(KIND, name, record)
        return self._described(version)

    def get_layer_version(self, request: Request) -> Request:
        name = request["LayerName"].rpartition(":")[2]
        arn = self._context.arn("lambda", f"layer:{name}:{request['VersionNumber']}")
        return self._described(self.find(arn))

    def get_layer_version_by_arn(self, request: Request) -> Request:
        return self._described(self.find(request["Arn"]))

    def list_layer_versions(self, request: Request) -> Request:
        record = self._store.get(KIND, request["LayerName"].rpartition(":")[2]) or {"versions": {}}
        found = [_listed(version) for version in reversed(record["versions"].values())]
        page, marker = paged(found, request)
        return {"LayerVersions": page, "NextMarker": marker}

    def list_layers(self, request: Request) -> Request:
        found = []
        for record in self._store.all(KIND):
            if record["versions"]:
                newest = list(record["versions"].values())[-1]
                arn = newest["arn"].rpartition(":")[0]
                item = {"LayerName": record["name"], "LayerArn": arn}
                found.append({**item, "LatestMatchingVersion": _listed(newest)})
        page, marker = paged(found, request)
        return {"Layers": page, "NextMarker": marker}

    def delete_layer_version(self, request: Request) -> Request:
        """Functions that use it keep it, as on AWS: their record holds the archive's hash."""
        record = self._store.get(KIND, request["LayerName"].rpartition(":")[2])
        if record is not None:
            record["versions"].pop(str(request["VersionNumber"]), None)
            self._store.put(KIND, record["name"], record)
        return {}

    def _described(self, version: dict[str, Any]) -> Request:
        place = f"{self._context.endpoint_url}{CODE_PATH}{version['digest']}"
        content = {"CodeSize": version["size"], "CodeSha256": version["sha256"], "Location": place}
        layer_arn = version["arn"].rpartition(":")[0]
        return {"LayerArn": layer_arn, "Content": content, **_listed(version)}


def _listed(version: dict[str, Any]) -> Request:
    shown = {member: version[member] for member in _SHOWN if member in version}
    return {"LayerVersionArn": version["arn"], "Version": version["number"], **shown}
