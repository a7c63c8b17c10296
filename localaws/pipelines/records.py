"""What the store keeps of pipelines: the pipeline, its versions, executions and their steps.

A pipeline's key is its name in small letters, as its ARN writes it; an execution's key is
`<pipeline>/<execution id>`, and a step's `<pipeline>/<execution id>/<step>`. So everything of a
pipeline has one prefix.
"""

import random
import re
import string
from typing import Any

from localaws.announcements import Announce, nobody
from localaws.context import Context
from localaws.errors import NotFound
from localaws.pipelines import events

Json = dict[str, Any]

PIPELINE, VERSION, EXECUTION = "pipeline", "pipeline-version", "pipeline-execution"
DEFINITION, STEP, TOKEN = "pipeline-execution-definition", "pipeline-step", "pipeline-token"
_SMALL = string.ascii_lowercase + string.digits
_ANY = string.ascii_letters + string.digits
_EXECUTION_ARN = re.compile(r"arn:[^:]+:sagemaker:[^:]*:\d{12}:pipeline/([^/]+/execution/[^/]+)")


class Records:
    """Reads and writes them by their names, ARNs and keys; announces each change of a status."""

    def __init__(self, context: Context, announce: Announce = nobody) -> None:
        self.context = context
        self.store = context.store
        self._announce = announce

    def pipeline_arn(self, name: str) -> str:
        # AWS writes the name in small letters here; lookups take either form.
        return self.context.arn("sagemaker", f"pipeline/{name.lower()}")

    def execution_arn(self, key: str) -> str:
        pipeline, identifier = key.split("/")
        return f"{self.pipeline_arn(pipeline)}/execution/{identifier}"

    def pipeline(self, name_or_arn: str) -> Json:
        """A pipeline's record. Raises ResourceNotFound."""
        name = name_or_arn.rpartition("pipeline/")[2]
        record = self.store.get(PIPELINE, name.lower())
        if record is None:
            raise NotFound(f"Pipeline '{self.pipeline_arn(name)}' does not exist.")
        return record

    def version(self, pipeline: Json, number: int) -> Json:
        """One version's record, its definition included. Raises ResourceNotFound."""
        name = pipeline["PipelineName"]
        record = self.store.get(VERSION, version_key(name, number))
        if record is None:
            raise NotFound(
                f"Pipeline version {number} of '{self.pipeline_arn(name)}' does not exist."
            )
        return record

    def execution_key(self, arn: str) -> str:
        """The key of an execution that exists. Raises ResourceNotFound."""
        match = _EXECUTION_ARN.fullmatch(arn)
        key = match[1].lower().replace("/execution/", "/") if match else ""
        if self.store.get(EXECUTION, key) is None:
            raise NotFound(f"Pipeline execution '{arn}' does not exist.")
        return key

    def execution(self, key: str) -> Json:
        record = self.store.get(EXECUTION, key)
        if record is None:
            raise NotFound(f"Pipeline execution '{self.execution_arn(key)}' does not exist.")
        return record

    def add_execution(self, key: str, record: Json) -> None:
        """Writes a new execution."""
        with self.store.transaction():
            self.store.put(EXECUTION, key, record)
            self._tell(events.EXECUTION, key, events.of_execution(record, None))

    def change_execution(self, key: str, **changes: Any) -> Json:
        with self.store.transaction():
            before = self.execution(key)["PipelineExecutionStatus"]
            now = self.context.now()
            record = self.store.update(EXECUTION, key, LastModifiedTime=now, **changes)
            if record["PipelineExecutionStatus"] != before:
                self._tell(events.EXECUTION, key, events.of_execution(record, before))
        return record

    def steps(self, key: str) -> list[Json]:
        """The steps that an execution has started, oldest first."""
        return self.store.all(STEP, f"{key}/")

    def put_step(self, key: str, record: Json) -> None:
        place = f"{key}/{record['StepName']}"
        with self.store.transaction():
            before = (self.store.get(STEP, place) or {}).get("StepStatus")
            self.store.put(STEP, place, record)
            if record["StepStatus"] != before:
                self._tell(events.STEP, key, events.of_step(record, before))

    def forget_step(self, key: str, step: str) -> None:
        self.store.delete(STEP, f"{key}/{step}")

    def _tell(self, kind: str, key: str, detail: Json) -> None:
        pipeline = self.pipeline_arn(key.split("/")[0])
        execution = self.execution_arn(key)
        arns = {"pipelineArn": pipeline, "pipelineExecutionArn": execution}
        self._announce(kind, [pipeline, execution], {**detail, **arns})


def version_key(name: str, number: int) -> str:
    return f"{name.lower()}/{number:09d}"


def new_execution_id() -> str:
    """Twelve small letters and digits, as AWS makes them."""
    return "".join(random.choices(_SMALL, k=12))


def job_name(execution_id: str, step: str, prefix: str | None = None, longest: int = 63) -> str:
    """A job's name as Pipelines makes it, at most `longest` characters.

    `pipelines-<execution id>-<step>-<10 characters>`, or with a custom prefix
    `<prefix>-<execution id>-<10 characters>`. A tuning job's name, of 32 characters at most, goes
    without the first word: `<execution id>-<step>-<10 characters>`.
    """
    suffix = "".join(random.choices(_ANY, k=10))
    head = f"{prefix}-{execution_id}" if prefix else f"pipelines-{execution_id}-{step}"
    if longest < 63 and not prefix:
        head = f"{execution_id}-{step}"
    # A job's name may hold single hyphens between letters and digits, nothing else.
    head = re.sub(r"[^A-Za-z0-9]+", "-", head)[: longest - 11].rstrip("-")
    return f"{head}-{suffix}"
