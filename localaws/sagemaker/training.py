"""Training jobs: CreateTrainingJob and its siblings, really run.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html.
"""

import re
from pathlib import PurePosixPath
from typing import Any

from localaws.announcements import Announce, nobody
from localaws.context import Context
from localaws.errors import NotImplementedHere, ValidationError
from localaws.jobs import checks, script_mode
from localaws.jobs.channels import split_uri
from localaws.jobs.images import Program
from localaws.jobs.records import JobRecords, Jobs
from localaws.jobs.runner import Runner
from localaws.jobs.spec import (
    COMPLETED,
    FAILED,
    STOPPED,
    Input,
    JobSpec,
    Outcome,
    Output,
    below_ml,
)
from localaws.store import Record

Request = dict[str, Any]
Response = dict[str, Any]

CLIENT_ERROR = 2  # the exit status by which SageMaker's own algorithms blame the request
_DAY = 24 * 60 * 60  # the default MaxRuntimeInSeconds
_FOLDERS = tuple(
    PurePosixPath(path) for path in ("input/data", "model", "output/data", "checkpoints")
)


class TrainingJobs(Jobs):
    """The operations on training jobs."""

    def __init__(self, context: Context, runner: Runner, announce: Announce = nobody) -> None:
        self._context, self._runner = context, runner
        self._records = JobRecords(
            context, runner, "Training", "Requested resource not found.", announce
        )

    def create_training_job(self, request: Request) -> Response:
        self._records.check_new(request["TrainingJobName"])
        request, spec = self._read(request)
        return {"TrainingJobArn": self._records.start(request, spec, _finish)}

    def check(self, request: Request) -> None:
        """Raises what CreateTrainingJob would, and creates nothing."""
        self._read(request)

    def _read(self, request: Request) -> tuple[Request, JobSpec]:
        """The request with its defaults, and the job that it asks for."""
        request = {
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": False,
            "EnableManagedSpotTraining": False,
            "StoppingCondition": {},
            **{member: value for member, value in request.items() if value is not None},
        }
        request["StoppingCondition"] = {
            "MaxRuntimeInSeconds": _DAY,
            **request["StoppingCondition"],
        }
        _check(request)
        program = self._runner.images.program(request["AlgorithmSpecification"]["TrainingImage"])
        if program.metrics:
            request["AlgorithmSpecification"] = _with_own_metrics(request, program)
        return request, self._spec(request["TrainingJobName"], request)

    def describe_training_job(self, request: Request) -> Response:
        return self._records.describe(request["TrainingJobName"])

    def list_training_jobs(self, request: Request) -> Response:
        return self._records.list(request)

    def stop_training_job(self, request: Request) -> Response:
        self._records.stop(request["TrainingJobName"])
        return {}

    def _spec(self, name: str, request: Request) -> JobSpec:
        algorithm, resources = request["AlgorithmSpecification"], request["ResourceConfig"]
        command = self._runner.images.command(
            algorithm["TrainingImage"],
            algorithm.get("ContainerEntrypoint") or self._script_mode(request),
            algorithm.get("ContainerArguments", []),
        )
        program = self._runner.images.program(algorithm["TrainingImage"])
        inputs = _inputs(request.get("InputDataConfig", []), algorithm["TrainingInputMode"])
        checkpoint_input, outputs = _outputs(name, request)
        return JobSpec(
            kind=self._records.kind,
            name=name,
            command=command,
            environment={
                # A training container has its region, unlike a processing container.
                "AWS_REGION": self._context.region,
                **program.variables,
                "TRAINING_JOB_NAME": name,
                "TRAINING_JOB_ARN": self._records.arn(name),
                **request.get("Environment", {}),
            },
            credentials=self._runner.credentials(request["RoleArn"], checks.session_name(name)),
            role_arn=request["RoleArn"],
            log_group="/aws/sagemaker/TrainingJobs",
            running_stage="Training",
            max_seconds=request["StoppingCondition"]["MaxRuntimeInSeconds"],
            volume_bytes=resources["VolumeSizeInGB"] * 2**30,
            is_isolated=request["EnableNetworkIsolation"],
            remark=self._runner.images.remark(algorithm["TrainingImage"]),
            inputs=(*inputs, *checkpoint_input),
            outputs=outputs,
            folders=_FOLDERS,
            documents=_documents(request),
            metrics=_metrics(algorithm.get("MetricDefinitions", [])),
            client_error=CLIENT_ERROR if program.metrics else None,
        )

    def _script_mode(self, request: Request) -> list[str]:
        """What a framework image runs by itself when hyperparameters name a program."""
        is_framework = not self._runner.images.program(
            request["AlgorithmSpecification"]["TrainingImage"]
        ).module
        named = script_mode.PROGRAM in (request.get("HyperParameters") or {})
        return script_mode.COMMAND if is_framework and named else []


def _check(request: Request) -> None:
    """What the documentation says beyond the service model."""
    algorithm, resources = request["AlgorithmSpecification"], request.get("ResourceConfig", {})
    if not algorithm.get("TrainingImage"):
        raise NotImplementedHere(
            "localaws trains with a TrainingImage; it has no algorithms of the marketplace "
            "(AlgorithmName) and no serverless training."
        )
    if not resources.get("InstanceType") or not resources.get("VolumeSizeInGB"):
        raise NotImplementedHere(
            "localaws runs one instance a job: ResourceConfig needs InstanceType, InstanceCount 1 "
            "and VolumeSizeInGB, and has no InstanceGroups."
        )
    checks.one_instance(resources.get("InstanceCount", 0))
    split_uri(request["OutputDataConfig"]["S3OutputPath"])
    stopping = request["StoppingCondition"]
    wait = stopping.get("MaxWaitTimeInSeconds")
    if request["EnableManagedSpotTraining"]:
        if wait is None or wait < stopping["MaxRuntimeInSeconds"]:
            raise ValidationError(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                "MaxRuntimeInSeconds"
            )
    elif wait is not None:
        raise ValidationError(
            "MaxWaitTimeInSeconds can be given only when EnableManagedSpotTraining is true."
        )


def _with_own_metrics(request: Request, program: Program) -> Request:
    """The AlgorithmSpecification of an algorithm of SageMaker's own, whose metrics it knows."""
    algorithm: Request = request["AlgorithmSpecification"]
    if algorithm.get("MetricDefinitions"):
        raise ValidationError(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please "
            "retry the request without specifying metric definitions."
        )
    known = [{"Name": name, "Regex": regex} for name, regex in program.metrics]
    return {**algorithm, "MetricDefinitions": known}


def _inputs(channels: list[dict[str, Any]], default_mode: str) -> tuple[Input, ...]:
    checks.unique("InputDataConfig", [channel["ChannelName"] for channel in channels])
    found = []
    for channel in channels:
        name = channel["ChannelName"]
        source = channel["DataSource"].get("S3DataSource")
        if source is None or source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise NotImplementedHere(
                f"localaws has channels of S3Prefix and ManifestFile only; channel {name} is "
                "another kind."
            )
        checks.file_mode(name, channel.get("InputMode", default_mode))
        if channel.get("CompressionType", "None") != "None":
            raise ValidationError(f"CompressionType of channel {name} is for Pipe mode only.")
        split_uri(source["S3Uri"])
        found.append(
            Input(
                name=name,
                s3_uri=source["S3Uri"],
                folder=PurePosixPath("input/data") / name,
                is_manifest=source["S3DataType"] == "ManifestFile",
            )
        )
    return tuple(found)


def _outputs(name: str, request: Request) -> tuple[tuple[Input, ...], tuple[Output, ...]]:
    """The model, the other output, and checkpoints, which are an input as well."""
    archived = request["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
    target = request["OutputDataConfig"]["S3OutputPath"].rstrip("/") + f"/{name}/output"
    ending = ".tar.gz" if archived else "/"
    key = request["OutputDataConfig"].get("KmsKeyId", "")
    outputs = [
        # A stopped job may have saved its model on SIGTERM; a failed one has none to trust.
        Output(
            s3_uri=f"{target}/model{ending}",
            folder=PurePosixPath("model"),
            after=frozenset({COMPLETED, STOPPED}),
            archived=archived,
            may_be_empty=False,
            kms_key=key,
        ),
        Output(
            s3_uri=f"{target}/output{ending}" if archived else f"{target}/data/",
            folder=PurePosixPath("output/data"),
            after=frozenset({COMPLETED, STOPPED, FAILED}),
            archived=archived,
            kms_key=key,
        ),
    ]
    checkpoints = request.get("CheckpointConfig")
    if not checkpoints:
        return (), tuple(outputs)
    split_uri(checkpoints["S3Uri"])
    folder = below_ml(checkpoints.get("LocalPath", "/opt/ml/checkpoints"), "LocalPath")
    uri = checkpoints["S3Uri"].rstrip("/") + "/"
    earlier = Input(name="checkpoints", s3_uri=uri, folder=folder, may_be_empty=True)
    outputs.append(Output(s3_uri=uri, folder=folder, after=frozenset(), continuous=True))
    return (earlier,), tuple(outputs)


def _documents(request: Request) -> dict[str, Any]:
    """The files of /opt/ml/input/config, as the developer guide shows them."""
    instance = request["ResourceConfig"]["InstanceType"]
    mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    channels = {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", mode),
            **({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}),
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        for channel in request.get("InputDataConfig", [])
    }
    group = "homogeneousCluster"
    return {
        "input/config/hyperparameters.json": request.get("HyperParameters", {}),
        "input/config/inputdataconfig.json": channels,
        "input/config/resourceconfig.json": {
            "current_host": "algo-1",
            "current_instance_type": instance,
            "current_group_name": group,
            "hosts": ["algo-1"],
            "instance_groups": [
                {
                    "instance_group_name": group,
                    "instance_type": instance,
                    "hosts": ["algo-1"],
                }
            ],
            "network_interface_name": "eth0",
        },
    }


def _metrics(definitions: list[dict[str, str]]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    found = []
    for definition in definitions:
        try:
            pattern = re.compile(definition["Regex"])
        except re.error as error:
            raise ValidationError(
                f"The Regex of metric {definition['Name']} is not a regular expression: {error}."
            ) from error
        if not pattern.groups:
            raise ValidationError(
                f"The Regex of metric {definition['Name']} needs a group that catches the value."
            )
        found.append((definition["Name"], pattern))
    return tuple(found)


def _finish(record: Record, outcome: Outcome) -> Record:
    """Adds what Describe shows of a training job that is over."""
    record.pop("ExitMessage", None)
    began = record.get("TrainingStartTime")
    if began:
        # SageMaker bills, and shows, whole seconds.
        seconds = max(1, round((record["TrainingEndTime"] - began).total_seconds()))
        record["TrainingTimeInSeconds"] = record["BillableTimeInSeconds"] = seconds
    if outcome.status != FAILED and outcome.program_seconds:
        _, outputs = _outputs(record["TrainingJobName"], record)
        record["ModelArtifacts"] = {"S3ModelArtifacts": outputs[0].s3_uri}
    if outcome.metrics:
        record["FinalMetricDataList"] = [
            {"MetricName": metric.name, "Value": metric.value, "Timestamp": metric.time}
            for metric in outcome.metrics
        ]
    return record
