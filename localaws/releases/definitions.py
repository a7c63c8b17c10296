"""Pipelines: their definition, checked, kept, and counted in versions."""

from collections.abc import Callable
from typing import Any

from localaws.context import Context
from localaws.errors import ApiError
from localaws.releases.errors import InvalidStructure, NameInUse, NoPipeline

KIND = "release-pipeline"
PRINCIPAL = "codepipeline.amazonaws.com"

Json = dict[str, Any]
Assume = Callable[[str, str, str], Json]  # role ARN, session name, the service that assumes it

# category, owner, provider → the method of `actions` that does it, and the configuration it knows
PROVIDERS: dict[tuple[str, str, str], tuple[str, frozenset[str]]] = {
    ("Source", "AWS", "S3"): (
        "source",
        frozenset({"S3Bucket", "S3ObjectKey", "PollForSourceChanges"}),
    ),
    ("Build", "AWS", "CodeBuild"): (
        "build",
        frozenset({"ProjectName", "EnvironmentVariables", "PrimarySource"}),
    ),
    ("Test", "AWS", "CodeBuild"): (
        "build",
        frozenset({"ProjectName", "EnvironmentVariables", "PrimarySource"}),
    ),
    ("Approval", "AWS", "Manual"): (
        "approval",
        frozenset({"NotificationArn", "CustomData", "ExternalEntityLink"}),
    ),
}
_ACTION = {
    *("name", "actionTypeId", "runOrder", "configuration", "inputArtifacts", "outputArtifacts"),
    *("namespace", "timeoutInMinutes"),
}


class Definitions:
    """CreatePipeline and its kin."""

    def __init__(self, context: Context, assume: Assume, created: Callable[[Json], None]) -> None:
        self._context, self._assume, self._created = context, assume, created

    def create_pipeline(self, request: Json) -> Json:
        given = request["pipeline"]
        if self._context.store.get(KIND, given["name"]):
            raise NameInUse(f"A pipeline with the name '{given['name']}' already exists.")
        made = self._keep(given, 1, self._context.now(), request.get("tags"))
        self._created(made["pipeline"])
        return made

    def update_pipeline(self, request: Json) -> Json:
        kept = self.kept(request["pipeline"]["name"])
        version = int(kept["pipeline"]["version"]) + 1
        return self._keep(request["pipeline"], version, kept["created"], None)

    def get_pipeline(self, request: Json) -> Json:
        kept = self.kept(request["name"])
        return {
            "pipeline": kept["pipeline"],
            "metadata": {
                "pipelineArn": self.arn(request["name"]),
                "created": kept["created"],
                "updated": kept["updated"],
            },
        }

    def list_pipelines(self, request: Json) -> Json:
        return {
            "pipelines": [
                {
                    **{k: kept["pipeline"][k] for k in ("name", "version", "executionMode")},
                    "pipelineType": "V2",
                    "created": kept["created"],
                    "updated": kept["updated"],
                }
                for kept in self._context.store.all(KIND)
            ]
        }

    def delete_pipeline(self, request: Json) -> Json:
        self._context.store.delete(KIND, request["name"])  # one that is gone counts as deleted
        return {}

    def kept(self, name: str) -> Json:
        found = self._context.store.get(KIND, name)
        if found is None:
            raise NoPipeline(
                f"Account '{self._context.account}' does not have a pipeline with name '{name}'"
            )
        return found

    def arn(self, name: str) -> str:
        return self._context.arn("codepipeline", name)

    def _keep(self, given: Json, version: int, created: Any, tags: Any) -> Json:
        self._check(given)
        defaults = {"executionMode": "SUPERSEDED", "pipelineType": "V1"}
        pipeline = {**defaults, **given, "version": version}
        record = {"pipeline": pipeline, "created": created, "updated": self._context.now()}
        self._context.store.put(KIND, given["name"], record)
        return {"pipeline": pipeline, **({"tags": tags} if tags else {})}

    def _check(self, given: Json) -> None:
        if given.get("pipelineType") != "V2":
            raise InvalidStructure("localaws does not implement pipelines of type V1.")
        if given.get("executionMode") == "PARALLEL":
            raise InvalidStructure("localaws does not implement executionMode PARALLEL.")
        if given.get("triggers") or given.get("artifactStores") or not given.get("artifactStore"):
            raise InvalidStructure("localaws implements one artifactStore and no triggers.")
        stages = given["stages"]
        if len(stages) < 2:
            raise InvalidStructure("Pipeline should contain at least 2 stages")
        for number, stage in enumerate(stages):
            extra = sorted(name for name in stage.keys() - {"name", "actions"} if stage[name])
            if extra:
                raise InvalidStructure(f"localaws does not implement {extra[0]} of a stage.")
            for action in stage["actions"]:
                self._check_action(action, number == 0)
        self._check_artifacts(stages)
        try:
            self._assume(given["roleArn"], "AWSCodePipeline", PRINCIPAL)
        except ApiError:
            raise InvalidStructure(
                f"CodePipeline is not authorized to perform AssumeRole on role {given['roleArn']}"
            ) from None

    def _check_action(self, action: Json, is_first: bool) -> None:
        kind = action["actionTypeId"]
        provider = (kind["category"], kind["owner"], kind["provider"])
        where = f"Action {action['name']!r}: localaws does not implement"
        if provider not in PROVIDERS:
            raise InvalidStructure(f"{where} the provider {' '.join(provider)}.")
        if (kind["category"] == "Source") != is_first:
            raise InvalidStructure("The first stage holds the source actions, and no other does.")
        extra = {name for name in action.keys() - _ACTION if action[name]}
        extra |= set(action.get("configuration", {})) - PROVIDERS[provider][1]
        if extra:
            raise InvalidStructure(f"{where} {', '.join(sorted(extra))}.")
        if action.get("configuration", {}).get("PollForSourceChanges") == "true":
            raise InvalidStructure(
                f"{where} PollForSourceChanges: let a rule of EventBridge start the pipeline."
            )
        ins, outs = len(action.get("inputArtifacts", [])), len(action.get("outputArtifacts", []))
        if ins > 1 or outs > 1:
            raise InvalidStructure(f"{where} several artifacts.")

    def _check_artifacts(self, stages: list[Json]) -> None:
        known: set[str] = set()
        for stage in stages:
            for action in stage["actions"]:
                for artifact in action.get("inputArtifacts", []):
                    if artifact["name"] not in known:
                        raise InvalidStructure(
                            f"Input artifact {artifact['name']} of action {action['name']} is the"
                            " output of no earlier stage."
                        )
            known |= {a["name"] for c in stage["actions"] for a in c.get("outputArtifacts", [])}
