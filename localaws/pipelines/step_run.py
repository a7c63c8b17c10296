"""One step of one execution, from its first try to its last."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from localaws.errors import AccessDenied
from localaws.pipelines import cache, records
from localaws.pipelines.execution import Execution
from localaws.pipelines.steps import Call, Handler, StepFailed
from pipeline_definition.definition import Step
from pipeline_definition.references import Scope, UnresolvedReference
from pipeline_definition.retries import RetryPolicy
from pipeline_definition.step_types import STEP_TYPES

log = logging.getLogger(__name__)

Json = dict[str, Any]
Wait = Callable[[threading.Event, float], object]


class Save(Protocol):
    """Changes members of the step's record."""

    def __call__(self, **changes: Any) -> None: ...


class StepRun:
    """Runs a step: its cached result, or its handler as often as its retry policies allow.

    `properties(step)` gives a finished step's description; `save` writes to the step's record;
    `wait(event, seconds)` waits between tries, until `stopping` is set at the latest.
    """

    def __init__(
        self,
        execution: Execution,
        step: Step,
        handler: Handler,
        properties: Callable[[str], Json],
        save: Save,
        stopping: threading.Event,
        wait: Wait,
    ) -> None:
        self.step = step
        self._execution = execution
        self._handler = handler
        self._properties = properties
        self._save = save
        self._stopping = stopping
        self._wait = wait
        self._kind = STEP_TYPES[step.type]
        self._policies = [RetryPolicy.read(policy) for policy in step.retry_policies]
        self._attempts = 0
        self._metadata: Json = {}
        self._job_name: str | None = None  # of the job that now runs

    def run(self) -> Json:
        """The closing members of the step's record. Raises `StepFailed`."""
        config = self.step.cache
        if config is None or not config["Enabled"] or not self._kind.cache_key:
            return {"StepStatus": "Succeeded", "Properties": self._until_success()}
        context = self._execution.context
        pipeline = self._execution.key.split("/")[0]
        digest = cache.digest(self._kind, self._resolve(self._scope()))
        key = cache.key(pipeline, self.step.name, digest)
        source = cache.lookup(context, key, config)
        if source:
            return {
                "StepStatus": "Succeeded",
                "Properties": source["Properties"],
                "Metadata": source["Metadata"],
                "CacheHitResult": {"SourcePipelineExecutionArn": source["ExecutionArn"]},
            }
        result = {"Properties": self._until_success(), "Metadata": self._metadata}
        ended = {"ExecutionArn": self._execution.arn, "EndTime": context.now()}
        cache.remember(context, key, {**result, **ended})
        return {"StepStatus": "Succeeded", **result}

    def stop(self) -> None:
        """Ends the job that is running, if there is one. The event is set already."""
        job_name = self._job_name
        if job_name:
            self._stop_job(job_name)

    def _stop_job(self, job_name: str) -> None:
        try:
            if self._kind.is_job:
                self._require(f"Stop{self._kind.resource}", {self._kind.name_member: job_name})
        except AccessDenied as denied:
            log.warning("%s goes on: %s", job_name, denied.message)
            return
        self._handler.stop(job_name)

    def _require(self, operation: str, request: Json) -> None:
        """Raises AccessDenied unless the pipeline's role may call the operation."""
        execution = self._execution
        execution.context.require(execution.role_arn, "sagemaker", operation, request)

    def _until_success(self) -> Json:
        now = self._execution.context.now
        begin = now()
        used = [0] * len(self._policies)
        while True:
            try:
                return self._once()
            except StepFailed as failure:
                delay = None
                for position, policy in enumerate(self._policies):
                    if failure.exception in policy.exceptions:
                        delay = policy.delay(used[position], (now() - begin).total_seconds())
                        used[position] += 1
                        break
                if delay is None:
                    raise
                self._wait(self._stopping, delay)  # a stop ends the wait, and the next try

    def _once(self) -> Json:
        if self._stopping.is_set():
            raise StepFailed("stopped before it began", stopped=True)
        # A definition made with `use_custom_job_prefix` carries the prefix in the name's place.
        prefix = self._resolve(self._scope()).get(self._kind.name_member)
        name = records.job_name(
            self._execution.identifier, self.step.name, prefix, self._kind.longest_name
        )
        self._attempts += 1
        self._save(StepStatus="Executing", AttemptCount=self._attempts)
        execution_tag = {"Key": "sagemaker:pipeline-execution-arn", "Value": self._execution.arn}
        call = Call(
            self.step,
            self._resolve(self._scope(name)),
            name,
            self._execution.arn,
            self._execution.role_arn,
            self._started,
            self._execution.experiment(),
            [*self._execution.tags, execution_tag],
            self._require,
        )
        try:
            return self._handler.run(call)
        finally:
            self._job_name = None

    def _started(self, job_name: str, metadata: Json) -> None:
        self._metadata = metadata
        self._save(Metadata=metadata)
        self._job_name = job_name
        # A stop that came before the name was known found nothing to end.
        if self._stopping.is_set():
            self._stop_job(job_name)

    def _scope(self, job_name: str = "") -> Scope:
        return self._execution.scope(self._properties, self.step, job_name)

    def _resolve(self, scope: Scope) -> Json:
        try:
            arguments: Json = scope.resolve(self.step.own_arguments)
        except UnresolvedReference as error:
            raise StepFailed(f"ClientError: {error}") from None
        return arguments
