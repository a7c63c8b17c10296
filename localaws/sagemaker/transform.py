"""Batch transform jobs: CreateTransformJob and its siblings, really run.

A job of `localaws.jobs` with the model's image, environment and role, whose program
(`localaws.hosting.batch`) asks the model about each object. One record an object: SplitType None.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html.
"""

from pathlib import PurePosixPath
from typing import Any

from localaws.announcements import Announce, nobody
from localaws.context import Context
from localaws.errors import NotImplementedHere, ValidationError
from localaws.hosting.batch import CLIENT_ERROR
from localaws.jobs import checks
from localaws.jobs.channels import split_uri
from localaws.jobs.images import PROJECT
from localaws.jobs.records import JobRecords, Jobs
from localaws.jobs.runner import Runner
from localaws.jobs.spec import Input, JobSpec, Outcome, Output
from localaws.sagemaker.models import Models
from localaws.store import Record

Request = dict[str, Any]
Response = dict[str, Any]

_MOST_SECONDS = 28 * 24 * 60 * 60  # the API has no limit; a training job's longest
_VOLUME_BYTES = 30 * 2**30  # the request names no volume
_PAYLOAD_MB = 6  # the default MaxPayloadInMB
_FOLDER = PurePosixPath("transform")
_REFUSED = ("DataCaptureConfig", "DataProcessing")
# The project's modules come last, so that they stand in no module's place that the model brings.
_PROGRAM = (
    f"import sys; sys.path.append({str(PROJECT)!r}); "
    "from localaws.hosting.batch import main; sys.exit(main())"
)


class TransformJobs(Jobs):
    """The operations on transform jobs."""

    def __init__(
        self, context: Context, runner: Runner, models: Models, announce: Announce = nobody
    ) -> None:
        self._context, self._runner, self._models = context, runner, models
        self._records = JobRecords(
            context, runner, "Transform", "Could not find requested job with name: {name}", announce
        )

    def create_transform_job(self, request: Request) -> Response:
        name = request["TransformJobName"]
        self._records.check_new(name)
        request = {member: value for member, value in request.items() if value is not None}
        _check(request)
        return {"TransformJobArn": self._records.start(request, self._spec(name, request), _finish)}

    def describe_transform_job(self, request: Request) -> Response:
        return self._records.describe(request["TransformJobName"])

    def list_transform_jobs(self, request: Request) -> Response:
        return self._records.list(request)

    def stop_transform_job(self, request: Request) -> Response:
        self._records.stop(request["TransformJobName"])
        return {}

    def _spec(self, name: str, request: Request) -> JobSpec:
        model = self._models.describe_model({"ModelName": request["ModelName"]})
        container = self._models.container(request["ModelName"])
        role = model.get("ExecutionRoleArn")
        if not role:
            raise ValidationError(f"Model {request['ModelName']} needs an ExecutionRoleArn.")
        payload = int(request.get("MaxPayloadInMB", _PAYLOAD_MB))
        source, target = request["TransformInput"], request["TransformOutput"]
        return JobSpec(
            kind=self._records.kind,
            name=name,
            command=["python3", "-P", "-c", _PROGRAM],
            environment={
                "SM_MODEL_DIR": "/opt/ml/model",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                **_batch_variables(request, payload),
                **(container.get("Environment") or {}),
                **self._runner.images.serving(container["Image"]),
                **request.get("Environment", {}),
            },
            credentials=self._runner.credentials(role, checks.session_name(name)),
            role_arn=role,
            log_group="/aws/sagemaker/TransformJobs",
            running_stage="Transforming",
            max_seconds=_MOST_SECONDS,
            volume_bytes=_VOLUME_BYTES,
            is_isolated=model["EnableNetworkIsolation"],
            client_error=CLIENT_ERROR,
            inputs=(*_model(container), _objects(source)),
            outputs=(
                Output(
                    s3_uri=target["S3OutputPath"],
                    folder=_FOLDER / "output",
                    kms_key=target.get("KmsKeyId", ""),
                ),
            ),
            folders=(PurePosixPath("model"), _FOLDER / "output"),
            documents={
                "transform/request.json": {
                    "content_type": source.get("ContentType"),
                    "accept": target.get("Accept"),
                    "largest_payload": payload << 20,
                }
            },
        )


def _check(request: Request) -> None:
    source, target = request["TransformInput"], request["TransformOutput"]
    checks.one_instance(request["TransformResources"]["InstanceCount"])
    for member in _REFUSED:
        if request.get(member):
            raise NotImplementedHere(f"localaws has no {member} in CreateTransformJob.")
    whole = {
        "SplitType": source.get("SplitType", "None"),
        "CompressionType": source.get("CompressionType", "None"),
        "AssembleWith": target.get("AssembleWith", "None"),
    }
    for member, value in whole.items():
        if value != "None":
            raise NotImplementedHere(
                f"localaws transforms whole objects; {member} must be None, not {value}."
            )
    split_uri(source["DataSource"]["S3DataSource"]["S3Uri"])
    split_uri(target["S3OutputPath"])


def _batch_variables(request: Request, payload: int) -> dict[str, str]:
    """What SageMaker tells a container that it is in a batch transform."""
    return {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(payload),
        "SAGEMAKER_BATCH_STRATEGY": request.get("BatchStrategy", "MultiRecord"),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(request.get("MaxConcurrentTransforms") or 1),
    }


def _model(container: Response) -> tuple[Input, ...]:
    if container.get("ModelDataSource"):
        raise NotImplementedHere("localaws transforms with a ModelDataUrl, not a ModelDataSource.")
    uri = container.get("ModelDataUrl")
    return (Input(name="model", s3_uri=uri, folder=_FOLDER / "model"),) if uri else ()


def _objects(source: Response) -> Input:
    data = source["DataSource"]["S3DataSource"]
    return Input(
        name="data",
        s3_uri=data["S3Uri"],
        folder=_FOLDER / "input",
        is_manifest=data["S3DataType"] == "ManifestFile",
    )


def _finish(record: Record, outcome: Outcome) -> Record:
    record.pop("ExitMessage", None)
    return record
