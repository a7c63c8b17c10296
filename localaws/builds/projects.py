"""Projects: what a build runs, with which role, for how long."""

from collections.abc import Callable
from typing import Any

from localaws.builds.errors import AlreadyExists, InvalidInput, NotThere, unless
from localaws.context import Context
from localaws.errors import ApiError

KIND = "build-project"
PRINCIPAL = "codebuild.amazonaws.com"

Json = dict[str, Any]
Assume = Callable[[str, str, str], Json]  # role ARN, session name, the service that assumes it

_KNOWN = {
    *("name", "description", "source", "sourceVersion", "artifacts", "cache", "environment"),
    *("serviceRole", "timeoutInMinutes", "queuedTimeoutInMinutes", "encryptionKey", "vpcConfig"),
    *("logsConfig", "tags"),
}
SOURCES = frozenset({"S3", "CODEPIPELINE", "NO_SOURCE"})


class Projects:
    """CreateProject and its kin."""

    def __init__(self, context: Context, assume: Assume) -> None:
        self._context, self._assume = context, assume

    def create_project(self, request: Json) -> Json:
        name = request["name"]
        if self._context.store.get(KIND, name):
            arn = self._context.arn("codebuild", f"project/{name}")
            raise AlreadyExists(f"Project already exists: {arn}")
        now = self._context.now()
        defaults = {"timeoutInMinutes": 60, "queuedTimeoutInMinutes": 480}
        project = {**defaults, **self._checked(request), "created": now}
        return self._keep({**project, "arn": self._context.arn("codebuild", f"project/{name}")})

    def update_project(self, request: Json) -> Json:
        project = self.project(request["name"])
        return self._keep(self._checked({**project, **request}))

    def delete_project(self, request: Json) -> Json:
        self._context.store.delete(KIND, request["name"])  # one that is gone counts as deleted
        return {}

    def batch_get_projects(self, request: Json) -> Json:
        names = [name.rpartition("/")[2] for name in request["names"]]
        found = [self._context.store.get(KIND, name) for name in names]
        missing = [name for name, there in zip(names, found, strict=True) if there is None]
        return {"projects": [_shown(p) for p in found if p], "projectsNotFound": missing}

    def list_projects(self, request: Json) -> Json:
        return {"projects": sorted(p["name"] for p in self._context.store.all(KIND))}

    def project(self, name: str) -> Json:
        found = self._context.store.get(KIND, name.rpartition("/")[2])
        if found is None:
            arn = self._context.arn("codebuild", f"project/{name}")
            raise NotThere(f"Project cannot be found: {arn}")
        return found

    def next_number(self, name: str) -> int:
        """The number of the project's next build."""
        with self._context.store.transaction():
            number = int(self.project(name).get("builds", 0)) + 1
            self._context.store.update(KIND, name, builds=number)
        return number

    def _keep(self, project: Json) -> Json:
        project["lastModified"] = self._context.now()
        self._context.store.put(KIND, project["name"], project)
        return {"project": _shown(project)}

    def _checked(self, request: Json) -> Json:
        own = {"arn", "created", "lastModified", "builds"}
        given = {name for name, value in request.items() if value not in (None, [], {})}
        unless(given - _KNOWN - own, "a project")
        if request["source"]["type"] not in SOURCES:
            raise InvalidInput(
                f"localaws does not implement sources of type {request['source']['type']}."
            )
        for variable in request["environment"].get("environmentVariables", []):
            if variable.get("type", "PLAINTEXT") != "PLAINTEXT":
                raise InvalidInput(
                    f"localaws does not implement {variable['type']} ({variable['name']})."
                )
        check_role(request["serviceRole"], self._assume)
        return request


def check_role(role: str, assume: Assume) -> Json:
    """Credentials of the role. InvalidInput, worded as CodeBuild does, when it cannot be had."""
    try:
        return assume(role, "AWSCodeBuild", PRINCIPAL)
    except ApiError:
        raise InvalidInput(
            f"CodeBuild is not authorized to perform: sts:AssumeRole on {role}"
        ) from None


def _shown(project: Json) -> Json:
    return {name: value for name, value in project.items() if name != "builds"}
