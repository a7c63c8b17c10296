"""SageMaker Pipelines as the API shows them: pipelines, versions, executions and their steps.

The work is done in `localaws.pipelines`. Wording of errors and states:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StartPipelineExecution.html and its
neighbours.
"""

from localaws.errors import Conflict, NotFound, NotImplementedHere, ValidationError
from localaws.pipelines import cache, records
from localaws.pipelines.records import DEFINITION, EXECUTION, PIPELINE, TOKEN, VERSION
from localaws.sagemaker.executions import ENDED, PipelineExecutions, members, refuse, without
from localaws.sagemaker.listing import page
from localaws.sagemaker.service import Request, Response
from pipeline_definition.check import problems
from pipeline_definition.definition import DefinitionError, parse
from pipeline_definition.step_types import OTHER_TYPES, STEP_TYPES


class Pipelines(PipelineExecutions):
    """The operations on pipelines and their versions; those on executions are inherited."""

    def create_pipeline(self, request: Request) -> Response:
        name = request["PipelineName"]
        text = self._definition(request)
        with self._store.transaction():
            existing = self._store.get(PIPELINE, name.lower())
            arn = self._records.pipeline_arn(name)
            token = request.get("ClientRequestToken")
            if existing and token and existing.get("ClientRequestToken") == token:
                return {"PipelineArn": arn}
            if existing:
                raise ValidationError(
                    "Pipeline names must be unique within an AWS account and region. "
                    f"Pipeline with name ({name}) already exists."
                )
            now = self._context.now()
            pipeline = {
                "PipelineName": name,
                "PipelineDisplayName": request.get("PipelineDisplayName", name),
                "PipelineDescription": request.get("PipelineDescription"),
                "RoleArn": request["RoleArn"],
                "ParallelismConfiguration": request.get("ParallelismConfiguration"),
                "PipelineStatus": "Active",
                "CreationTime": now,
                "LastModifiedTime": now,
                "ClientRequestToken": token,
                "Version": 0,
            }
            self._store.put(PIPELINE, name.lower(), pipeline)
            self._add_version(name, text)
            self._tags.keep(arn, request.get("Tags"))
        return {"PipelineArn": arn}

    def update_pipeline(self, request: Request) -> Response:
        changeable = (
            "PipelineDisplayName",
            "PipelineDescription",
            "RoleArn",
            "ParallelismConfiguration",
        )
        with self._store.transaction():
            pipeline = self._records.pipeline(request["PipelineName"])
            name = pipeline["PipelineName"]
            changes = {key: request[key] for key in changeable if request.get(key) is not None}
            if request.get("PipelineDefinition") or request.get("PipelineDefinitionS3Location"):
                self._add_version(name, self._definition(request))
            changes["LastModifiedTime"] = self._context.now()
            pipeline = self._store.update(PIPELINE, name.lower(), **changes)
        arn = self._records.pipeline_arn(name)
        return {"PipelineArn": arn, "PipelineVersionId": pipeline["Version"]}

    def delete_pipeline(self, request: Request) -> Response:
        """Deletes a pipeline and its executions, unless one of them is running."""
        with self._store.transaction():
            name = self._records.pipeline(request["PipelineName"])["PipelineName"]
            arn = self._records.pipeline_arn(name)
            key = name.lower()
            for execution in self._store.all(EXECUTION, f"{key}/"):
                if execution["PipelineExecutionStatus"] not in ENDED:
                    raise Conflict(
                        f"Pipeline '{arn}' has running executions; stop them with "
                        "StopPipelineExecution first."
                    )
                execution_key = f"{key}/{execution['Id']}"
                for step in self._records.steps(execution_key):
                    self._records.forget_step(execution_key, step["StepName"])
                self._store.delete(DEFINITION, execution_key)
                self._store.delete(EXECUTION, execution_key)
            for version in self._store.all(VERSION, f"{key}/"):
                self._store.delete(VERSION, records.version_key(key, version["PipelineVersionId"]))
            for token in self._store.all(TOKEN, f"{key}/"):
                self._store.delete(TOKEN, token["Key"])
            cache.forget(self._context, key)
            self._store.delete(PIPELINE, key)
            self._tags.drop(arn)
        return {"PipelineArn": arn}

    def describe_pipeline(self, request: Request) -> Response:
        refuse(request)
        pipeline = self._records.pipeline(request["PipelineName"])
        number = request.get("PipelineVersionId") or pipeline["Version"]
        version = self._records.version(pipeline, number)
        last = pipeline.get("LastExecutionTime")
        return {
            **without(pipeline, ("ClientRequestToken", "Version", "LastExecutionTime")),
            "PipelineArn": self._records.pipeline_arn(pipeline["PipelineName"]),
            "PipelineDefinition": version["PipelineDefinition"],
            **({"LastRunTime": last} if last else {}),
        }

    def list_pipelines(self, request: Request) -> Response:
        prefix = request.get("PipelineNamePrefix", "").lower()
        found, more = page(self._store.all(PIPELINE, prefix), request, name="PipelineName")
        names = ("PipelineName", "PipelineDisplayName", "PipelineDescription", "RoleArn")
        shown = (*names, "CreationTime", "LastModifiedTime", "LastExecutionTime")
        summaries = [
            {
                "PipelineArn": self._records.pipeline_arn(pipeline["PipelineName"]),
                **members(pipeline, shown),
            }
            for pipeline in found
        ]
        return {"PipelineSummaries": summaries, **more}

    def list_pipeline_versions(self, request: Request) -> Response:
        name = self._records.pipeline(request["PipelineName"])["PipelineName"]
        versions = self._store.all(VERSION, f"{name.lower()}/")
        found, more = page(versions, request, name="PipelineVersionId")
        shown = ("PipelineVersionId", "CreationTime", "LastExecutionPipelineExecutionArn")
        arn = self._records.pipeline_arn(name)
        summaries = [{"PipelineArn": arn, **members(version, shown)} for version in found]
        return {"PipelineVersionSummaries": summaries, **more}

    def _add_version(self, name: str, text: str) -> None:
        number = self._store.get(PIPELINE, name.lower())["Version"] + 1  # type: ignore[index]  # put before
        version = {
            "PipelineVersionId": number,
            "PipelineDefinition": text,
            "CreationTime": self._context.now(),
        }
        self._store.put(VERSION, records.version_key(name, number), version)
        self._store.update(PIPELINE, name.lower(), Version=number)

    def _definition(self, request: Request) -> str:
        """The checked text of a request's definition, from the request or from S3."""
        text, location = (
            request.get("PipelineDefinition"),
            request.get("PipelineDefinitionS3Location"),
        )
        if bool(text) == bool(location):
            problem = "Both" if text else "Neither"
            raise ValidationError(
                f"{problem} of PipelineDefinition and PipelineDefinitionS3Location given; "
                "give exactly one."
            )
        if location:
            bucket, key = location["Bucket"], location["ObjectKey"]
            try:
                text = self._context.objects.read(bucket, key).decode()
            except (NotFound, UnicodeDecodeError):
                raise ValidationError(
                    f"Unable to read the pipeline definition at s3://{bucket}/{key}."
                ) from None
        _check(str(text))
        return str(text)


def _check(text: str) -> None:
    """Raises what CreatePipeline answers to a bad definition, or refuses a type of step by name."""
    try:
        definition = parse(text)
    except DefinitionError as error:
        raise ValidationError(f"Unable to parse pipeline definition. {error}") from error
    for step in definition.steps.values():
        if step.type in OTHER_TYPES:
            raise NotImplementedHere(
                f"localaws does not run pipeline steps of type {step.type} (step '{step.name}'); "
                f"it runs {', '.join(STEP_TYPES)}."
            )
    if found := problems(definition):
        raise ValidationError(
            f"Unable to parse pipeline definition. Model Validation failed: {'; '.join(found)}."
        )
