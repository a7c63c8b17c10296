"""One execution as it is kept: its stages and actions, and the changes of their state."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

from localaws.context import Context

KIND = "release"

Json = dict[str, Any]
OVER = frozenset({"Succeeded", "Failed", "Stopped", "Superseded", "Cancelled"})
SENT = {  # the states of CodePipeline's events
    "InProgress": "STARTED",
    "Succeeded": "SUCCEEDED",
    "Failed": "FAILED",
    "Stopped": "STOPPED",
    "Stopping": "STOPPING",
    "Superseded": "SUPERSEDED",
}


class Execution:
    """The record of one execution; each change is on the disk when the call returns."""

    def __init__(
        self, context: Context, record: Json, announce: Callable[[str, list[str], Json], None]
    ) -> None:
        self.record = record
        self._context, self._announce = context, announce
        self.lock = threading.RLock()

    @property
    def id(self) -> str:
        return str(self.record["pipelineExecutionId"])

    @property
    def pipeline(self) -> Json:
        """The definition that it began with."""
        definition: Json = self.record["definition"]
        return definition

    @property
    def is_over(self) -> bool:
        return self.record["status"] in OVER

    def become(self, status: str, summary: str = "") -> None:
        """Takes a status and tells EventBridge."""
        with self.lock, self._context.store.transaction():
            self.record |= {"status": status, "statusSummary": summary}
            self.save()
            detail = {
                "pipeline": self.pipeline["name"],
                "execution-id": self.id,
                "state": SENT[status],
                "version": float(self.pipeline["version"]),
                "execution-trigger": {
                    "trigger-type": self.record["trigger"]["triggerType"],
                    "trigger-detail": self.record["trigger"]["triggerDetail"],
                },
            }
            arn = self._context.arn("codepipeline", self.pipeline["name"])
            self._announce("CodePipeline Pipeline Execution State Change", [arn], detail)

    def stage(self, name: str, status: str) -> None:
        with self.lock:
            self.record["stages"][name] = status
            self.save()

    def action(self, stage: str, name: str) -> Json | None:
        """The action's state, which is live; None before it began."""
        for state in self.record["actions"]:
            if (state["stageName"], state["actionName"]) == (stage, name):
                found: Json = state
                return found
        return None

    def begin(self, stage: str, action: Json, configuration: dict[str, str]) -> Json:
        """A new action's state, or the one that an earlier process has left."""
        with self.lock:
            state = self.action(stage, action["name"])
            if state is None:
                state = {
                    "stageName": stage,
                    "actionName": action["name"],
                    "actionExecutionId": str(uuid.uuid4()),
                    "status": "InProgress",
                    "startTime": self._context.now(),
                    "configuration": configuration,
                    "token": str(uuid.uuid4()),
                }
                self.record["actions"].append(state)
            self.note(state, {})
        return state

    def note(self, state: Json, changes: Json) -> None:
        with self.lock:
            state |= {**changes, "lastUpdateTime": self._context.now()}
            self.save()

    def save(self) -> None:
        self.record["lastUpdateTime"] = self._context.now()
        self._context.store.put(KIND, key_of(self.pipeline["name"], self.id), self.record)


def key_of(pipeline: str, execution: str) -> str:
    return f"{pipeline}:{execution}"
