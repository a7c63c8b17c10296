"""Builds: started, described, stopped."""

import uuid
from typing import Any

from localaws.builds.errors import InvalidInput, unless
from localaws.builds.projects import SOURCES, Assume, Projects
from localaws.builds.report_groups import ReportGroups
from localaws.builds.run import Run
from localaws.context import Context
from localaws.jobs.job import remove_folder
from localaws.jobs.logs import LogSink

KIND = "build"

Json = dict[str, Any]

_KNOWN = {
    *("projectName", "sourceVersion", "artifactsOverride", "environmentVariablesOverride"),
    *("sourceTypeOverride", "sourceLocationOverride", "buildspecOverride", "idempotencyToken"),
    "timeoutInMinutesOverride",
}
# What CodePipeline tells CodeBuild beside its API: these two names cannot be anybody else's.
_TOLD = {
    "CODEBUILD_INITIATOR": "initiator",
    "CODEBUILD_RESOLVED_SOURCE_VERSION": "resolvedSourceVersion",
}


class Builds:
    """StartBuild and its kin."""

    def __init__(
        self,
        context: Context,
        projects: Projects,
        groups: ReportGroups,
        assume: Assume,
        logs: LogSink,
    ) -> None:
        self._context, self._projects, self._groups = context, projects, groups
        self._assume, self._logs = assume, logs
        self._runs: dict[str, Run] = {}

    def start_build(self, request: Json) -> Json:
        given = {name for name, value in request.items() if value not in (None, [], {})}
        unless(given - _KNOWN, "StartBuild")
        token = request.get("idempotencyToken")
        for earlier in self._context.store.all(KIND) if token else []:
            if earlier.get("token") == token and earlier["asked"] == request["projectName"]:
                return {"build": _shown(earlier)}
        build = self._new(self._projects.project(request["projectName"]), request)
        build |= {"token": token, "asked": request["projectName"]}
        self._context.store.put(KIND, build["id"], build)
        self._runs = {key: run for key, run in self._runs.items() if run.thread.is_alive()}
        run = Run(
            self._context,
            build,
            lambda changes: self._change(build["id"], changes),
            assume=self._assume,
            logs=self._logs,
            groups=self._groups,
        )
        self._runs[build["id"]] = run
        run.thread.start()
        return {"build": _shown(build)}

    def batch_get_builds(self, request: Json) -> Json:
        found = {
            name: self._context.store.get(KIND, name.rpartition("/")[2]) for name in request["ids"]
        }
        return {
            "builds": [_shown(build) for build in found.values() if build],
            "buildsNotFound": [name for name, build in found.items() if not build],
        }

    def list_builds_for_project(self, request: Json) -> Json:
        name = self._projects.project(request["projectName"])["name"]
        return self._listed(f"{name}:", request)

    def list_builds(self, request: Json) -> Json:
        return self._listed("", request)

    def stop_build(self, request: Json) -> Json:
        identity = request["id"].rpartition("/")[2]
        build = self._context.store.get(KIND, identity)
        if build is None:
            raise InvalidInput(f"Build {identity} cannot be found.")
        if identity in self._runs:
            self._runs[identity].stop()
        return {"build": _shown(build)}

    def recover(self) -> None:
        """What ran when the server was killed runs no more."""
        for build in self._context.store.all(KIND):
            if not build["buildComplete"]:
                message = "localaws ended while the build ran."
                lost = [{"statusCode": "INTERNAL_ERROR", "message": message}]
                last = {"phaseType": build["currentPhase"], "phaseStatus": "FAULT"}
                last |= {"contexts": lost, "startTime": build["startTime"]}
                self._change(
                    build["id"],
                    {
                        "buildStatus": "FAULT",
                        "buildComplete": True,
                        "currentPhase": "COMPLETED",
                        "endTime": self._context.now(),
                        "phases": [*build["phases"], last],
                    },
                )
        remove_folder(self._context.home / "builds")

    def shutdown(self) -> None:
        running = [run for run in self._runs.values() if run.thread.is_alive()]
        for run in running:
            run.kill()
        for run in running:
            run.thread.join(60)

    def _new(self, project: Json, request: Json) -> Json:
        identity = f"{project['name']}:{uuid.uuid4()}"
        told, variables = {"initiator": "localaws", "resolvedSourceVersion": ""}, {}
        own = project["environment"].get("environmentVariables", [])
        for item in [*own, *request.get("environmentVariablesOverride", [])]:
            if item.get("type", "PLAINTEXT") != "PLAINTEXT":
                raise InvalidInput(f"localaws does not implement {item['type']} ({item['name']}).")
            if item["name"] in _TOLD:
                told[_TOLD[item["name"]]] = item["value"]
            else:
                variables[item["name"]] = item["value"]
        listed = [{"name": k, "value": v, "type": "PLAINTEXT"} for k, v in variables.items()]
        cloudwatch = project.get("logsConfig", {}).get("cloudWatchLogs", {})
        group = cloudwatch.get("groupName") or f"/aws/codebuild/{project['name']}"
        stream = "/".join(p for p in (cloudwatch.get("streamName"), identity.split(":")[1]) if p)
        alias = self._context.arn("kms", "alias/aws/s3")
        return {
            **told,
            "id": identity,
            "arn": self._context.arn("codebuild", f"build/{identity}"),
            "buildNumber": self._projects.next_number(project["name"]),
            "startTime": self._context.now(),
            "currentPhase": "SUBMITTED",
            "buildStatus": "IN_PROGRESS",
            "sourceVersion": request.get("sourceVersion") or project.get("sourceVersion", ""),
            "projectName": project["name"],
            "phases": [],
            "source": self._source(project["source"], request),
            "artifacts": request.get("artifactsOverride") or project["artifacts"],
            "environment": {**project["environment"], "environmentVariables": listed},
            "serviceRole": project["serviceRole"],
            "logs": {"groupName": group, "streamName": stream},
            "timeoutInMinutes": request.get("timeoutInMinutesOverride")
            or project["timeoutInMinutes"],
            "queuedTimeoutInMinutes": project["queuedTimeoutInMinutes"],
            "buildComplete": False,
            "encryptionKey": project.get("encryptionKey") or alias,
        }

    def _source(self, source: Json, request: Json) -> Json:
        kind = request.get("sourceTypeOverride") or source["type"]
        if kind not in SOURCES:
            raise InvalidInput(f"localaws does not implement sources of type {kind}.")
        if kind == "CODEPIPELINE":
            raise InvalidInput("The project's source is CODEPIPELINE: start it from a pipeline.")
        location = request.get("sourceLocationOverride") or source.get("location", "")
        text = request.get("buildspecOverride") or source.get("buildspec", "")
        return {"type": kind, "location": location, "buildspec": text}

    def _listed(self, prefix: str, request: Json) -> Json:
        order = 1 if request.get("sortOrder") == "ASCENDING" else -1
        ids = [build["id"] for build in self._context.store.all(KIND, prefix)][::order]
        start = int(request.get("nextToken") or 0)
        more = {"nextToken": str(start + 100)} if len(ids) > start + 100 else {}
        return {"ids": ids[start : start + 100], **more}

    def _change(self, identity: str, changes: Json) -> None:
        self._context.store.update(KIND, identity, **changes)


def _shown(build: Json) -> Json:
    """Without what only this emulation keeps; an artifact shows where it lies."""
    shown = {name: value for name, value in build.items() if name not in ("token", "asked")}
    location = build["artifacts"].get("location", "")
    shown["artifacts"] = {"location": location}
    return {name: value for name, value in shown.items() if value != ""}
