"""Executions of pipelines as the API shows them, and the running ones themselves.

The work is done in `localaws.pipelines.engine`. An execution lives in the store from its first
moment; what runs in this process is only a `Run`, so a restart loses no execution.
"""

import threading
from collections.abc import Mapping

from localaws.announcements import Announce, nobody
from localaws.context import Context
from localaws.errors import NotImplementedHere, ValidationError
from localaws.pipelines import records
from localaws.pipelines.engine import DEFAULT_PARALLEL_STEPS, Run
from localaws.pipelines.execution import Execution
from localaws.pipelines.records import DEFINITION, EXECUTION, PIPELINE, TOKEN, VERSION
from localaws.pipelines.step_run import Wait
from localaws.pipelines.steps import handlers
from localaws.sagemaker.listing import page
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags
from pipeline_definition import parameters
from pipeline_definition.definition import parse
from pipeline_definition.references import as_text

INTERRUPTED = (
    "localaws was stopped while this execution was running; retry it with RetryPipelineExecution"
)
ENDED = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")
_NOT_HERE = ("SelectiveExecutionConfig", "MlflowExperimentName", "PipelineVersionAlias")


class PipelineExecutions:
    """The operations on executions. `jobs` maps a step type to the component that makes its
    resource: Processing and Training to the job components (`create_…`, `describe_…`, `stop_…`,
    `wait`), RegisterModel to the registry, Model to the models.

    `wait(event, seconds)` waits between the tries of a step; tests pass one that does not.
    """

    def __init__(
        self,
        context: Context,
        jobs: Mapping[str, object],
        wait: Wait = threading.Event.wait,
        announce: Announce = nobody,
    ) -> None:
        self._context = context
        self._store = context.store
        self._records = records.Records(context, announce)
        self._tags = Tags(context)
        self._handlers = handlers(jobs)
        self._wait = wait
        self._runs: dict[str, Run] = {}

    def start_pipeline_execution(self, request: Request) -> Response:
        refuse(request)
        token = request.get("ClientRequestToken")
        with self._store.transaction():
            pipeline = self._records.pipeline(request["PipelineName"])
            token_key = f"{pipeline['PipelineName'].lower()}/{token}"
            known = self._store.get(TOKEN, token_key) if token else None
            if known:
                return {"PipelineExecutionArn": known["PipelineExecutionArn"]}
            key, arn = self._new_execution(pipeline, request)
            if token:
                self._store.put(TOKEN, token_key, {"Key": token_key, "PipelineExecutionArn": arn})
        self._launch(key)
        return {"PipelineExecutionArn": arn}

    def describe_pipeline_execution(self, request: Request) -> Response:
        key = self._records.execution_key(request["PipelineExecutionArn"])
        record = self._records.execution(key)
        return {
            **without(record, ("Id", "Parameters", "StartTime", "PipelineName", "Tags")),
            "PipelineArn": self._records.pipeline_arn(record["PipelineName"]),
            "PipelineExecutionArn": self._records.execution_arn(key),
        }

    def describe_pipeline_definition_for_execution(self, request: Request) -> Response:
        key = self._records.execution_key(request["PipelineExecutionArn"])
        definition = self._store.get(DEFINITION, key) or {}
        return members(definition, ("PipelineDefinition", "CreationTime"))

    def list_pipeline_executions(self, request: Request) -> Response:
        refuse(request)
        name = self._records.pipeline(request["PipelineName"])["PipelineName"]
        executions = self._store.all(EXECUTION, f"{name.lower()}/")
        found, more = page(executions, request, name="Id")
        shown = ("StartTime", "PipelineExecutionStatus", "PipelineExecutionDescription")
        summaries = [
            {
                "PipelineExecutionArn": self._records.execution_arn(f"{name}/{record['Id']}"),
                **members(record, (*shown, "PipelineExecutionDisplayName")),
                **(
                    {"PipelineExecutionFailureReason": record["FailureReason"]}
                    if record.get("FailureReason")
                    else {}
                ),
            }
            for record in found
        ]
        return {"PipelineExecutionSummaries": summaries, **more}

    def list_pipeline_execution_steps(self, request: Request) -> Response:
        """The steps that have started, the latest first, as AWS lists them."""
        key = self._records.execution_key(request.get("PipelineExecutionArn", ""))
        found, more = page(self._records.steps(key), request, name="StepName", time="StartTime")
        steps = [without(step, ("Properties", "StepType")) for step in found]
        return {"PipelineExecutionSteps": steps, **more}

    def list_pipeline_parameters_for_execution(self, request: Request) -> Response:
        key = self._records.execution_key(request["PipelineExecutionArn"])
        record = self._records.execution(key)
        listed = [
            {"Name": name, "Value": as_text(value), "Time": record["CreationTime"]}
            for name, value in record["Parameters"].items()
        ]
        order = {"MaxResults": request.get("MaxResults"), "NextToken": request.get("NextToken")}
        found, more = page(
            listed, {**order, "SortBy": "Name"}, name="Name", time="Time", default_order="Ascending"
        )
        parameters_ = [members(item, ("Name", "Value")) for item in found]
        return {"PipelineParameters": parameters_, **more}

    def update_pipeline_execution(self, request: Request) -> Response:
        key = self._records.execution_key(request["PipelineExecutionArn"])
        changeable = ("PipelineExecutionDescription", "PipelineExecutionDisplayName")
        changes = members(request, (*changeable, "ParallelismConfiguration"))
        record = self._records.change_execution(key, **changes)
        run = self._runs.get(key)
        if run and "ParallelismConfiguration" in changes:
            run.parallel = _parallel(record)
            run.advance()
        return {"PipelineExecutionArn": self._records.execution_arn(key)}

    def stop_pipeline_execution(self, request: Request) -> Response:
        key = self._records.execution_key(request["PipelineExecutionArn"])
        arn = self._records.execution_arn(key)
        status = self._records.execution(key)["PipelineExecutionStatus"]
        if status in ENDED:
            raise ValidationError(
                f"Pipeline execution '{arn}' has status {status}; only an execution that is "
                "running can be stopped."
            )
        run = self._runs.get(key)
        if run:
            run.stop()
        return {"PipelineExecutionArn": arn}

    def retry_pipeline_execution(self, request: Request) -> Response:
        """Goes on from the steps that failed or were stopped; those that succeeded stay."""
        with self._store.transaction():
            key = self._records.execution_key(request["PipelineExecutionArn"])
            arn = self._records.execution_arn(key)
            record = self._records.execution(key)
            status = record["PipelineExecutionStatus"]
            if status not in ("Failed", "Stopped", "CompletedWithFailures"):
                raise ValidationError(
                    f"Pipeline execution '{arn}' has status {status}; only an execution that has "
                    "failed or was stopped can be retried."
                )
            for step in self._records.steps(key):
                if step["StepStatus"] != "Succeeded":
                    self._records.forget_step(key, step["StepName"])
            changes = members(request, ("ParallelismConfiguration",))
            changes |= {"PipelineExecutionStatus": "Executing", "FailureReason": None}
            self._records.change_execution(key, **changes)
        self._launch(key)
        return {"PipelineExecutionArn": arn}

    # The process's life

    def recover(self) -> None:
        """Closes what was running when the process ended. Call it once, before any request."""
        with self._store.transaction():
            for record in self._store.all(EXECUTION):
                key = f"{record['PipelineName'].lower()}/{record['Id']}"
                status = record["PipelineExecutionStatus"]
                if status not in ENDED:
                    self._interrupt(key, "Stopped" if status == "Stopping" else "Failed")

    def shutdown(self) -> None:
        """Lets go of every execution and closes its records; jobs are their component's to end."""
        runs, self._runs = self._runs, {}
        for run in runs.values():
            run.abandon()
        self.recover()

    def _interrupt(self, key: str, status: str) -> None:
        reason = {"FailureReason": INTERRUPTED} if status == "Failed" else {}
        for step in self._records.steps(key):
            if step["StepStatus"] not in ENDED:
                ended = {"StepStatus": status, "EndTime": self._context.now(), **reason}
                self._records.put_step(key, {**step, **ended})
        self._records.change_execution(key, PipelineExecutionStatus=status, **reason)

    # Starting

    def _new_execution(self, pipeline: Response, request: Request) -> tuple[str, str]:
        """Writes the record of a new execution; its key and ARN."""
        name = pipeline["PipelineName"]
        version = self._records.version(
            pipeline, request.get("PipelineVersionId") or pipeline["Version"]
        )
        definition = parse(version["PipelineDefinition"])
        try:
            values = parameters.values(
                definition.parameters, request.get("PipelineParameters") or []
            )
        except ValueError as error:
            raise ValidationError(str(error)) from error
        now = self._context.now()
        identifier = records.new_execution_id()
        key = f"{name.lower()}/{identifier}"
        arn = self._records.execution_arn(key)
        parallelism = request.get("ParallelismConfiguration")
        record = {
            "Id": identifier,
            "PipelineName": name,
            "PipelineExecutionDisplayName": request.get(
                "PipelineExecutionDisplayName", f"execution-{now:%Y%m%d%H%M%S%f}"[:-3]
            ),
            "PipelineExecutionDescription": request.get("PipelineExecutionDescription"),
            "PipelineExecutionStatus": "Executing",
            "PipelineVersionId": version["PipelineVersionId"],
            "ParallelismConfiguration": parallelism or pipeline["ParallelismConfiguration"],
            "RoleArn": request.get("RoleArn", pipeline["RoleArn"]),
            "Tags": self._tags.of(self._records.pipeline_arn(name)),
            "Parameters": values,
            "CreationTime": now,
            "StartTime": now,
            "LastModifiedTime": now,
        }
        self._records.add_execution(key, record)
        text = {"PipelineDefinition": version["PipelineDefinition"], "CreationTime": now}
        self._store.put(DEFINITION, key, text)
        self._store.update(PIPELINE, name.lower(), LastExecutionTime=now)
        self._store.update(
            VERSION,
            records.version_key(name, version["PipelineVersionId"]),
            LastExecutionPipelineExecutionArn=arn,
        )
        experiment = self._execution(key).experiment()
        if experiment:
            self._store.update(EXECUTION, key, PipelineExperimentConfig=experiment)
        return key, arn

    def _execution(self, key: str) -> Execution:
        record = self._records.execution(key)
        text = (self._store.get(DEFINITION, key) or {})["PipelineDefinition"]
        return Execution(
            self._context,
            parse(text),
            key,
            self._records.execution_arn(key),
            record["PipelineName"],
            self._records.pipeline_arn(record["PipelineName"]),
            record["RoleArn"],
            record["StartTime"],
            record["Parameters"],
            tuple(record["Tags"]),
        )

    def _launch(self, key: str) -> None:
        run = Run(
            self._records,
            self._execution(key),
            self._handlers,
            _parallel(self._records.execution(key)),
            self._wait,
            self._forget,
        )
        self._runs[key] = run
        run.advance()

    def _forget(self, run: Run) -> None:
        # A client that saw the end may have retried the execution by now: that run stays.
        if self._runs.get(run.key) is run:
            del self._runs[run.key]


def _parallel(record: Response) -> int:
    limit: int = (record.get("ParallelismConfiguration") or {}).get(
        "MaxParallelExecutionSteps", DEFAULT_PARALLEL_STEPS
    )
    return limit


def refuse(request: Request) -> None:
    """Raises `NotImplementedHere` for a member that only AWS honours."""
    for member in _NOT_HERE:
        if request.get(member):
            raise NotImplementedHere(f"localaws does not support {member}; leave it out.")


def members(record: Response, names: tuple[str, ...]) -> Response:
    """The named members that the record has a value for."""
    return {name: record[name] for name in names if record.get(name) is not None}


def without(record: Response, hidden: tuple[str, ...]) -> Response:
    """The members that have a value and are not hidden."""
    return {
        name: value for name, value in record.items() if name not in hidden and value is not None
    }
