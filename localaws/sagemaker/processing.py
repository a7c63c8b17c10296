"""Processing jobs: CreateProcessingJob and its siblings, really run.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html.
"""

from pathlib import PurePosixPath
from typing import Any

from localaws.announcements import Announce, nobody
from localaws.context import Context
from localaws.errors import NotImplementedHere, ValidationError
from localaws.jobs import checks
from localaws.jobs.channels import split_uri
from localaws.jobs.records import JobRecords, Jobs
from localaws.jobs.runner import Runner
from localaws.jobs.spec import Input, JobSpec, Outcome, Output, below_ml
from localaws.store import Record

Request = dict[str, Any]
Response = dict[str, Any]

_DAY = 24 * 60 * 60  # the default MaxRuntimeInSeconds
_CONFIG_MEMBERS = (
    "ProcessingJobArn",
    "ProcessingJobName",
    "AppSpecification",
    "Environment",
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "RoleArn",
    "StoppingCondition",
)


class ProcessingJobs(Jobs):
    """The operations on processing jobs."""

    def __init__(self, context: Context, runner: Runner, announce: Announce = nobody) -> None:
        self._runner = runner
        self._records = JobRecords(
            context,
            runner,
            "Processing",
            "Could not find requested job with name: {name}",
            announce,
        )

    def create_processing_job(self, request: Request) -> Response:
        name = request["ProcessingJobName"]
        self._records.check_new(name)
        request = {
            "StoppingCondition": {"MaxRuntimeInSeconds": _DAY},
            **{member: value for member, value in request.items() if value is not None},
        }
        spec = self._spec(name, request)
        return {"ProcessingJobArn": self._records.start(request, spec, _finish)}

    def describe_processing_job(self, request: Request) -> Response:
        return self._records.describe(request["ProcessingJobName"])

    def list_processing_jobs(self, request: Request) -> Response:
        return self._records.list(request)

    def stop_processing_job(self, request: Request) -> Response:
        self._records.stop(request["ProcessingJobName"])
        return {}

    def _spec(self, name: str, request: Request) -> JobSpec:
        app = request["AppSpecification"]
        network = request.get("NetworkConfig", {})
        cluster = request["ProcessingResources"]["ClusterConfig"]
        checks.one_instance(cluster["InstanceCount"])
        command = self._runner.images.command(
            app["ImageUri"], app.get("ContainerEntrypoint", []), app.get("ContainerArguments", [])
        )
        inputs = _inputs(request.get("ProcessingInputs", []))
        outputs = _outputs(request.get("ProcessingOutputConfig", {}))
        return JobSpec(
            kind=self._records.kind,
            name=name,
            command=command,
            # No AWS_REGION: a Processing container has none, and code that relies on one fails
            # there with NoRegionError, so it has to fail here.
            environment={
                **self._runner.images.program(app["ImageUri"]).variables,
                **request.get("Environment", {}),
            },
            credentials=self._runner.credentials(request["RoleArn"], checks.session_name(name)),
            role_arn=request["RoleArn"],
            log_group="/aws/sagemaker/ProcessingJobs",
            running_stage="Processing",
            max_seconds=request["StoppingCondition"]["MaxRuntimeInSeconds"],
            volume_bytes=cluster["VolumeSizeInGB"] * 2**30,
            is_isolated=bool(network.get("EnableNetworkIsolation")),
            remark=self._runner.images.remark(app["ImageUri"]),
            inputs=inputs,
            outputs=outputs,
            folders=(PurePosixPath("output"), *(output.folder for output in outputs)),
            documents=self._documents(name, request),
        )

    def _documents(self, name: str, request: Request) -> dict[str, Any]:
        described = {**request, "ProcessingJobArn": self._records.arn(name)}
        return {
            "config/processingjobconfig.json": {
                member: described.get(member) for member in _CONFIG_MEMBERS
            },
            "config/resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"]},
        }


def _inputs(requested: list[dict[str, Any]]) -> tuple[Input, ...]:
    checks.unique("ProcessingInputs", [item["InputName"] for item in requested])
    found = []
    for item in requested:
        if item.get("AppManaged"):
            continue  # the job fetches it itself
        source = item.get("S3Input")
        if source is None:
            raise NotImplementedHere(
                f"localaws has S3 inputs only; input {item['InputName']} is a DatasetDefinition."
            )
        checks.file_mode(item["InputName"], source.get("S3InputMode"))
        if source.get("S3CompressionType", "None") != "None":
            raise ValidationError(
                f"S3CompressionType of input {item['InputName']} can be Gzip only in Pipe mode."
            )
        if not source.get("LocalPath"):
            raise ValidationError(f"Input {item['InputName']} needs a LocalPath.")
        split_uri(source["S3Uri"])
        found.append(
            Input(
                name=item["InputName"],
                s3_uri=source["S3Uri"],
                folder=below_ml(source["LocalPath"], "LocalPath", "/opt/ml/processing"),
                is_manifest=source["S3DataType"] == "ManifestFile",
            )
        )
    return tuple(found)


def _outputs(config: dict[str, Any]) -> tuple[Output, ...]:
    requested = config.get("Outputs", [])
    checks.unique("Outputs", [item["OutputName"] for item in requested])
    found = []
    for item in requested:
        if item.get("AppManaged"):
            continue  # the job uploads it itself
        target = item.get("S3Output")
        if target is None:
            raise NotImplementedHere(
                f"localaws has S3 outputs only; output {item['OutputName']} is another kind."
            )
        if not target.get("LocalPath"):
            raise ValidationError(f"Output {item['OutputName']} needs a LocalPath.")
        split_uri(target["S3Uri"])
        found.append(
            Output(
                s3_uri=target["S3Uri"],
                folder=below_ml(target["LocalPath"], "LocalPath"),
                continuous=target["S3UploadMode"] == "Continuous",
                kms_key=config.get("KmsKeyId", ""),
            )
        )
    return tuple(found)


def _finish(record: Record, outcome: Outcome) -> Record:
    """Keeps what a monitoring job left for CloudWatch, until its schedule has published it."""
    if record.get("MonitoringScheduleArn"):
        record["_metric_lines"] = outcome.metric_lines
    return record
