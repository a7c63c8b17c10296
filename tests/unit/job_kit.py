"""What the tests of jobs share: S3 as a folder, logs as lists, and a small embedded SageMaker."""

import hashlib
import shutil
import textwrap
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from localaws.context import Context
from localaws.errors import NotFound, ValidationError
from localaws.jobs.logs import LogEvent
from localaws.jobs.runner import Runner
from localaws.jobs.spec import RunLimits
from localaws.objects import ObjectInfo
from localaws.sagemaker.processing import ProcessingJobs
from localaws.sagemaker.training import TrainingJobs
from localaws.store import Store

ROLE = "arn:aws:iam::123456789012:role/scones"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.11.0-cpu-py312"


class FolderObjects:
    """S3 with a folder a bucket; a file's name is its key, quoted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make_bucket(self, bucket: str) -> None:
        (self._folder / bucket).mkdir(parents=True)

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        folder = self._bucket(bucket)
        keys = sorted(path.name.replace("%", "/") for path in folder.iterdir())
        return iter([self._info(bucket, key) for key in keys if key.startswith(prefix)])

    def read(self, bucket: str, key: str) -> bytes:
        return self._existing(bucket, key).read_bytes()

    def write(self, bucket: str, key: str, data: bytes, kms_key: str = "") -> ObjectInfo:
        self._path(bucket, key).write_bytes(data)
        return self._info(bucket, key)

    def download(self, bucket: str, key: str, path: Path) -> None:
        shutil.copyfile(self._existing(bucket, key), path)

    def upload(self, path: Path, bucket: str, key: str, kms_key: str = "") -> ObjectInfo:
        shutil.copyfile(path, self._path(bucket, key))
        return self._info(bucket, key)

    def _bucket(self, bucket: str) -> Path:
        folder = self._folder / bucket
        if not folder.is_dir():
            raise NotFound(f"The specified bucket does not exist: {bucket}")
        return folder

    def _path(self, bucket: str, key: str) -> Path:
        return self._bucket(bucket) / key.replace("/", "%")

    def _existing(self, bucket: str, key: str) -> Path:
        path = self._path(bucket, key)
        if not path.exists():
            raise NotFound(f"The specified key does not exist: {key}")
        return path

    def _info(self, bucket: str, key: str) -> ObjectInfo:
        path = self._path(bucket, key)
        tag = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        return ObjectInfo(bucket, key, path.stat().st_size, tag)


class MemoryLogs:
    """Log streams as lists of messages."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], list[str]] = defaultdict(list)

    def put(self, group: str, stream: str, events: list[LogEvent]) -> None:
        self.streams[group, stream] += [str(event["message"]) for event in events]

    def text(self, job: str) -> str:
        return "\n".join(
            line
            for (_, stream), lines in list(self.streams.items())
            if stream.startswith(f"{job}/algo-1-")
            for line in lines
        )


def role_credentials(role_arn: str, session_name: str) -> dict[str, str]:
    if role_arn != ROLE:
        raise ValidationError(f"Could not assume role {role_arn}.")
    return {"AccessKeyId": "ASIAJOB", "SecretAccessKey": "secret", "SessionToken": session_name}


class Machine:
    """An embedded SageMaker over folders, with one bucket, `data`."""

    def __init__(self, folder: Path, endpoint_url: str = "http://127.0.0.1:9") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.objects = FolderObjects(folder / "s3")
        if not (folder / "s3").exists():
            self.objects.make_bucket("data")
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.logs = MemoryLogs()
        self.context = Context(
            home=self.home,
            store=Store(self.home / "records.sqlite"),
            objects=self.objects,
            endpoint_url=endpoint_url,
        )
        self.runner = Runner(
            self.context, role_credentials, self.logs, limits=RunLimits(grace=1.0, sync=0.1)
        )
        self.processing = ProcessingJobs(self.context, self.runner)
        self.training = TrainingJobs(self.context, self.runner)

    def put(self, key: str, data: str | bytes) -> None:
        self.objects.write("data", key, data.encode() if isinstance(data, str) else data)

    def get(self, key: str) -> bytes:
        return self.objects.read("data", key)

    def object_keys(self, prefix: str = "") -> list[str]:
        return [item.key for item in self.objects.list("data", prefix)]

    def close(self) -> None:
        self.runner.shutdown()
        self.context.store.close()

    def process(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        """Runs a processing job to its end; `script` is Python."""
        self.processing.create_processing_job(processing_request(name, script, **changes))
        return self.processing.wait(name, timeout=30)

    def train(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        """Runs a training job to its end; `script` is Python."""
        self.training.create_training_job(training_request(name, script, **changes))
        return self.training.wait(name, timeout=30)


def processing_request(name: str, script: str, **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "ProcessingJobName": name,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "-c", textwrap.dedent(script)],
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.xlarge",
                "VolumeSizeInGB": 1,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": ROLE,
    }
    return {**request, **changes}


def training_request(name: str, script: str, **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-c", textwrap.dedent(script)],
        },
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.m5.xlarge",
            "VolumeSizeInGB": 1,
        },
        "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": ROLE,
    }
    return {**request, **changes}


def processing_input(name: str, uri: str, path: str, **changes: Any) -> dict[str, Any]:
    source = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": {**source, **changes}}


def processing_outputs(path: str, uri: str, mode: str = "EndOfJob") -> dict[str, Any]:
    target = {"S3Uri": uri, "LocalPath": path, "S3UploadMode": mode}
    return {"Outputs": [{"OutputName": "output", "S3Output": target}]}


def channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def eventually(true: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Waits until something holds. AssertionError, with what it was, when it does not."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.02)
