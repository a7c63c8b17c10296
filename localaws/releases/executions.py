"""What is asked about executions, and done to them."""

import logging
import uuid
from typing import Any

from localaws.context import Context
from localaws.errors import ValidationError
from localaws.releases.definitions import Definitions
from localaws.releases.engine import Engine
from localaws.releases.errors import (
    BadToken,
    Completed,
    NoAction,
    NoExecution,
    NoStage,
    NotStoppable,
    TooMany,
)
from localaws.releases.execution import KIND, key_of

log = logging.getLogger(__name__)

Json = dict[str, Any]
_MOST_QUEUED = 50
_STATE = ("actionExecutionId", "summary", "token", "externalExecutionId", "errorDetails")


class Executions:
    """StartPipelineExecution and its kin."""

    def __init__(self, context: Context, definitions: Definitions, engine: Engine) -> None:
        self._context, self._definitions, self._engine = context, definitions, engine

    def start_pipeline_execution(self, request: Json) -> Json:
        pipeline = self._definitions.kept(request["name"])["pipeline"]
        if request.get("sourceRevisions"):
            raise ValidationError("localaws does not implement sourceRevisions.")
        token = request.get("clientRequestToken")
        known = self._context.store.all(KIND, key_of(pipeline["name"], ""))
        for earlier in known if token else []:
            if earlier["clientRequestToken"] == token:
                return {"pipelineExecutionId": earlier["pipelineExecutionId"]}
        if sum(e["status"] in ("InProgress", "Stopping") for e in known) >= _MOST_QUEUED:
            raise TooMany(f"Pipeline {pipeline['name']} has {_MOST_QUEUED} executions under way.")
        variables = _variables(pipeline, request.get("variables", []))
        return {"pipelineExecutionId": self._begin(pipeline, variables, token=token)}

    def of_new_pipeline(self, pipeline: Json) -> None:
        """A new pipeline starts itself, with the variables' defaults; one that lacks any waits."""
        try:
            variables = _variables(pipeline, [])
        except ValidationError as reason:
            log.info("the new pipeline %s does not start itself: %s", pipeline["name"], reason)
        else:
            self._begin(pipeline, variables, trigger="CreatePipeline")

    def _begin(
        self,
        pipeline: Json,
        variables: dict[str, str],
        *,
        token: str | None = None,
        trigger: str = "StartPipelineExecution",
    ) -> str:
        record: Json = {
            "pipelineExecutionId": str(uuid.uuid4()),
            "definition": pipeline,
            "clientRequestToken": token,
            "status": "InProgress",
            "statusSummary": "",
            "variables": variables,
            "trigger": {"triggerType": trigger, "triggerDetail": "localaws"},
            "startTime": self._context.now(),
            "artifactRevisions": [],
            **{"artifacts": {}, "namespaces": {}, "stages": {}, "actions": []},
        }
        return self._engine.start(record, is_new=True).id

    def get_pipeline_execution(self, request: Json) -> Json:
        record = self._record(request["pipelineName"], request["pipelineExecutionId"])
        shown = {k: record[k] for k in ("pipelineExecutionId", "status", "trigger")}
        return {
            "pipelineExecution": {
                **shown,
                "statusSummary": record["statusSummary"] or None,
                "pipelineName": record["definition"]["name"],
                "pipelineVersion": record["definition"]["version"],
                "artifactRevisions": record["artifactRevisions"],
                "variables": [
                    {"name": k, "resolvedValue": v} for k, v in record["variables"].items()
                ],
                "executionMode": record["definition"]["executionMode"],
                "executionType": "STANDARD",
            }
        }

    def list_pipeline_executions(self, request: Json) -> Json:
        records = self._all(request["pipelineName"])
        if request.get("filter"):
            raise ValidationError("localaws does not implement filter of ListPipelineExecutions.")
        page, more = _page(records, request)
        return {"pipelineExecutionSummaries": [_summary(record) for record in page], **more}

    def list_action_executions(self, request: Json) -> Json:
        wanted = request.get("filter", {})
        if wanted.get("latestInPipelineExecution"):
            raise ValidationError("localaws does not implement latestInPipelineExecution.")
        only = wanted.get("pipelineExecutionId")
        found = [
            _detail(record, state)
            for record in self._all(request["pipelineName"])
            if only in (None, record["pipelineExecutionId"])
            for state in reversed(record["actions"])
        ]
        page, more = _page(found, request)
        return {"actionExecutionDetails": page, **more}

    def get_pipeline_state(self, request: Json) -> Json:
        kept = self._definitions.kept(request["name"])
        records = self._all(request["name"])
        return {
            "pipelineName": request["name"],
            "pipelineVersion": kept["pipeline"]["version"],
            "stageStates": [_stage(stage, records) for stage in kept["pipeline"]["stages"]],
            "created": kept["created"],
            "updated": kept["updated"],
        }

    def put_approval_result(self, request: Json) -> Json:
        pipeline = self._definitions.kept(request["pipelineName"])["pipeline"]
        stage, name = request["stageName"], request["actionName"]
        found = next((s for s in pipeline["stages"] if s["name"] == stage), None)
        if found is None:
            raise NoStage(f"Pipeline {pipeline['name']} has no stage {stage}.")
        if name not in [action["name"] for action in found["actions"]]:
            raise NoAction(f"Stage {stage} has no action {name}.")
        for record in self._all(pipeline["name"]):
            execution = self._engine.live(record["pipelineExecutionId"])
            state = execution.action(stage, name) if execution else None
            if execution is None or state is None or state["token"] != request["token"]:
                continue
            with execution.lock:
                if "result" in state or state["status"] != "InProgress":
                    raise Completed("The approval action has already been approved or rejected.")
                execution.note(state, {"result": request["result"]})
            self._engine.wake()
            return {"approvedAt": self._context.now()}
        raise BadToken(f"No approval of {stage}/{name} waits with this token.")

    def stop_pipeline_execution(self, request: Json) -> Json:
        identity = request["pipelineExecutionId"]
        record = self._record(request["pipelineName"], identity)
        execution = self._engine.live(identity)
        if execution is None or execution.is_over:
            raise NotStoppable(f"Execution {identity} is {record['status']}.")
        abandon = bool(request.get("abandon"))
        if execution.record["status"] == "Stopping" and not abandon:
            raise NotStoppable(f"Execution {identity} is already stopping.")
        with execution.lock:
            reason = request.get("reason", "")
            execution.record["stop"] = {"abandon": abandon, "reason": reason}
            execution.become("Stopping", reason)
        self._engine.wake()
        return {"pipelineExecutionId": identity}

    def _all(self, pipeline: str) -> list[Json]:
        """The pipeline's executions, newest first."""
        self._definitions.kept(pipeline)
        return self._context.store.all(KIND, key_of(pipeline, ""))[::-1]

    def _record(self, pipeline: str, identity: str) -> Json:
        self._definitions.kept(pipeline)
        record = self._context.store.get(KIND, key_of(pipeline, identity))
        if record is None:
            raise NoExecution(f"Pipeline {pipeline} has no execution {identity}.")
        return record


def _variables(pipeline: Json, given: list[Json]) -> dict[str, str]:
    declared = {item["name"]: item.get("defaultValue") for item in pipeline.get("variables", [])}
    values = {item["name"]: item["value"] for item in given}
    unknown = sorted(values.keys() - declared.keys())
    if unknown:
        raise ValidationError(f"Pipeline {pipeline['name']} has no variable {unknown[0]}.")
    resolved = {**declared, **values}
    missing = sorted(name for name, value in resolved.items() if value is None)
    if missing:
        raise ValidationError(f"Variable {missing[0]} has no default and was not given.")
    return {name: str(value) for name, value in resolved.items()}


def _page(items: list[Json], request: Json) -> tuple[list[Json], Json]:
    start = int(request.get("nextToken") or 0)
    end = start + int(request.get("maxResults") or 100)
    return items[start:end], {"nextToken": str(end)} if end < len(items) else {}


def _summary(record: Json) -> Json:
    source = record["definition"]["stages"][0]["actions"][0]["name"]
    revisions = [
        {"actionName": source, **{k: r[k] for k in ("revisionId", "revisionSummary")}}
        for r in record["artifactRevisions"]
    ]
    names = ("pipelineExecutionId", "status", "startTime", "lastUpdateTime", "trigger")
    return {
        **{name: record[name] for name in names},
        "statusSummary": record["statusSummary"] or None,
        "sourceRevisions": revisions,
        "executionMode": record["definition"]["executionMode"],
        "executionType": "STANDARD",
        "stopTrigger": {"reason": record["stop"]["reason"]} if record.get("stop") else None,
    }


def _stage(stage: Json, records: list[Json]) -> Json:
    """The stage as its newest execution left it."""
    name = stage["name"]
    latest = next((record for record in records if name in record["stages"]), None)
    states = (
        {s["actionName"]: s for s in latest["actions"] if s["stageName"] == name} if latest else {}
    )
    shown: Json = {
        "stageName": name,
        "inboundTransitionState": {"enabled": True},
        "actionStates": [_action(action["name"], states) for action in stage["actions"]],
    }
    if latest:
        shown["latestExecution"] = {
            "pipelineExecutionId": latest["pipelineExecutionId"],
            "status": latest["stages"][name],
            "type": "STANDARD",
        }
    return shown


def _action(name: str, states: dict[str, Json]) -> Json:
    state = states.get(name)
    if state is None:
        return {"actionName": name}
    told = {key: state[key] for key in _STATE if state.get(key)}
    # Only a person who may answer gets the token, and only while the question stands.
    if state["status"] != "InProgress" or "told" not in state:
        told.pop("token", None)
    latest = {**told, "status": state["status"], "lastStatusChange": state["lastUpdateTime"]}
    return {"actionName": name, "latestExecution": latest}


def _detail(record: Json, state: Json) -> Json:
    definition = record["definition"]
    action = next(
        action
        for stage in definition["stages"]
        for action in stage["actions"]
        if (stage["name"], action["name"]) == (state["stageName"], state["actionName"])
    )
    result = {
        "externalExecutionId": state.get("externalExecutionId"),
        "externalExecutionSummary": state.get("summary"),
        "errorDetails": state.get("errorDetails"),
    }
    return {
        "pipelineExecutionId": record["pipelineExecutionId"],
        "pipelineVersion": definition["version"],
        **{k: state[k] for k in ("actionExecutionId", "stageName", "actionName", "status")},
        **{k: state[k] for k in ("startTime", "lastUpdateTime")},
        "input": {
            "actionTypeId": action["actionTypeId"],
            "configuration": state["configuration"],
            "resolvedConfiguration": state.get("resolvedConfiguration"),
            "inputArtifacts": _artifacts(record, action.get("inputArtifacts", [])),
            "namespace": action.get("namespace"),
        },
        "output": {
            "outputArtifacts": _artifacts(record, action.get("outputArtifacts", [])),
            "executionResult": {k: v for k, v in result.items() if v},
            "outputVariables": state.get("outputVariables"),
        },
    }


def _artifacts(record: Json, named: list[Json]) -> list[Json]:
    places = ((item["name"], record["artifacts"].get(item["name"])) for item in named)
    return [{"name": name, "s3location": place} for name, place in places if place]
