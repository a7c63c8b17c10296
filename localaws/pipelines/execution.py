"""The facts of one execution, and what the references of its steps resolve to."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localaws.context import Context
from localaws.errors import AccessDenied, NotFound
from pipeline_definition.definition import Definition, Step
from pipeline_definition.references import Scope, UnresolvedReference, walk
from pipeline_definition.step_types import STEP_TYPES

Json = dict[str, Any]
_NOTHING_FINISHED: Callable[[str], Json] = dict[str, Json]().__getitem__


@dataclass(frozen=True)
class Execution:
    """What does not change while an execution runs. `key` is `<pipeline>/<execution id>`."""

    context: Context
    definition: Definition
    key: str
    arn: str
    pipeline_name: str
    pipeline_arn: str
    role_arn: str
    started: datetime.datetime
    parameters: Json
    tags: tuple[Json, ...] = ()

    @property
    def identifier(self) -> str:
        return self.key.split("/")[1]

    def scope(
        self,
        properties: Callable[[str], Json] = _NOTHING_FINISHED,
        step: Step | None = None,
        job_name: str = "",
    ) -> Scope:
        """What references may refer to; `properties` gives a finished step's description.

        A job step may also refer to its own job's name (`Execution.TrainingJobName`).
        """
        own_name = {STEP_TYPES[step.type].name_member: job_name} if step else {}

        def property_file(name: str, file_name: str) -> bytes:
            file = self.definition.steps[name].property_file(file_name) or {}
            outputs = properties(name)["ProcessingOutputConfig"]["Outputs"]
            uri = walk(outputs, f"['{file['OutputName']}'].S3Output.S3Uri")
            return self._document(f"{uri.rstrip('/')}/{file['FilePath']}")

        variables = {**self._variables(), **own_name}
        return Scope(self.parameters, variables, properties, property_file, self._document)

    def experiment(self) -> Json:
        """The experiment and trial that the definition asks for; empty when it asks for none."""
        resolved: Json = self.scope().resolve(self.definition.experiment or {})
        return resolved

    def _variables(self) -> Json:
        return {
            "PipelineName": self.pipeline_name,
            "PipelineArn": self.pipeline_arn,
            "PipelineExecutionId": self.identifier,
            "PipelineExecutionArn": self.arn,
            "StartDateTime": self.started,
            "CurrentDateTime": self.context.now(),
        }

    def _document(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            return self.context.objects_of(self.role_arn).read(bucket, key)
        except AccessDenied as problem:
            raise UnresolvedReference(f"{uri} cannot be read: {problem.message}") from None
        except NotFound:
            raise UnresolvedReference(f"there is no object {uri}") from None
