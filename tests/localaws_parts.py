"""Parts for the unit tests of `localaws`: objects in a folder, a clock, and jobs in this process.

The jobs are small and real: a request's image names a Python function, which reads and writes
objects, fails, or waits until it is stopped.
"""

import datetime
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from localaws.context import Context
from localaws.errors import NotFound, ValidationError
from localaws.objects import ObjectInfo
from localaws.store import Store

Json = dict[str, Any]
Program = Callable[[Json, "FolderObjects", threading.Event], None]


class FolderObjects:
    """Objects as files: `<folder>/<bucket>/<key>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        root = self._folder / bucket
        if not root.is_dir():
            raise NotFound(f"The specified bucket does not exist: {bucket}")
        keys = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
        return (self._info(bucket, key) for key in keys if key.startswith(prefix))

    def read(self, bucket: str, key: str) -> bytes:
        path = self._folder / bucket / key
        if not path.is_file():
            raise NotFound(f"The specified key does not exist: {key}")
        return path.read_bytes()

    def write(self, bucket: str, key: str, data: bytes, kms_key: str = "") -> ObjectInfo:
        path = self._folder / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return self._info(bucket, key)

    def download(self, bucket: str, key: str, path: Path) -> None:
        shutil.copy(self._folder / bucket / key, path)

    def upload(self, path: Path, bucket: str, key: str, kms_key: str = "") -> ObjectInfo:
        return self.write(bucket, key, path.read_bytes())

    def delete(self, bucket: str, key: str) -> None:
        (self._folder / bucket / key).unlink()

    def put(self, uri: str, text: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.write(bucket, key, text.encode())

    def _info(self, bucket: str, key: str) -> ObjectInfo:
        data = (self._folder / bucket / key).read_bytes()
        return ObjectInfo(bucket, key, len(data), hashlib.md5(data).hexdigest())


class Clock:
    """A clock that moves when told, and by a microsecond at each look so that times differ."""

    def __init__(self) -> None:
        self.time = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.waits: list[float] = []

    def now(self) -> datetime.datetime:
        self.time += datetime.timedelta(microseconds=1)
        return self.time

    def advance(self, **time: float) -> None:
        self.time += datetime.timedelta(**time)

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Stands in for the wait between two tries."""
        self.waits.append(seconds)
        self.advance(seconds=seconds)


def make_context(folder: Path, clock: Clock) -> Context:
    folder.mkdir(parents=True, exist_ok=True)
    objects = FolderObjects(folder / "objects")
    return Context(folder, Store(folder / "records.sqlite"), objects, now=clock.now)


class InProcessJobs:
    """A job component of one noun, `ProcessingJob` or `TrainingJob`.

    `programs` maps an image to the function that stands for it. It raises `RuntimeError` to fail.
    """

    def __init__(self, noun: str, context: Context, programs: dict[str, Program]) -> None:
        self._noun, self._context, self.programs = noun, context, programs
        self._jobs: dict[str, Json] = {}
        self._ended: dict[str, threading.Event] = {}
        self._stop: dict[str, threading.Event] = {}
        self.started: list[str] = []  # the images, in order
        verbs = {"create": self._create, "describe": self._describe, "stop": self._stop_job}
        for verb, method in verbs.items():
            setattr(self, f"{verb}_{noun.removesuffix('Job').lower()}_job", method)

    def wait(self, name: str) -> Json:
        assert self._ended[name].wait(20), f"{name} does not end"
        return self._jobs[name]

    def requests(self) -> list[Json]:
        return list(self._jobs.values())

    def _create(self, request: Json) -> Json:
        name = request[f"{self._noun}Name"]
        image = (request.get("AppSpecification") or {}).get("ImageUri") or request[
            "AlgorithmSpecification"
        ]["TrainingImage"]
        program = self.programs.get(image)
        if program is None:
            raise ValidationError(f"Cannot find image {image}")
        self.started.append(image)
        arn = self._context.arn("sagemaker", f"{self._noun.lower().replace('job', '-job')}/{name}")
        self._jobs[name] = {**request, f"{self._noun}Arn": arn, "CreationTime": self._context.now()}
        self._ended[name], self._stop[name] = threading.Event(), threading.Event()
        threading.Thread(target=self._run, args=(name, program), daemon=True).start()
        return {f"{self._noun}Arn": arn}

    def _run(self, name: str, program: Program) -> None:
        job = self._jobs[name]
        status = "Completed"
        try:
            assert isinstance(self._context.objects, FolderObjects)
            program(job, self._context.objects, self._stop[name])
        except RuntimeError as error:
            status = "Failed"
            job["FailureReason"] = str(error)
        if self._stop[name].is_set():
            status = "Stopped"
        if self._noun == "TrainingJob" and status == "Completed":
            out = job["OutputDataConfig"]["S3OutputPath"].rstrip("/")
            model = f"{out}/{name}/output/model.tar.gz"
            self._context.objects.put(model, "model")  # type: ignore[attr-defined]  # FolderObjects
            job["ModelArtifacts"] = {"S3ModelArtifacts": model}
        job[f"{self._noun}Status"] = status
        self._ended[name].set()

    def _describe(self, request: Json) -> Json:
        return self._jobs[request[f"{self._noun}Name"]]

    def _stop_job(self, request: Json) -> Json:
        self._stop[request[f"{self._noun}Name"]].set()
        return {}


# Programs


def succeed(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
    """Writes a small file to every output."""
    for output in (job.get("ProcessingOutputConfig") or {}).get("Outputs", []):
        objects.put(f"{output['S3Output']['S3Uri'].rstrip('/')}/data.txt", "data")


def write_json(text: str) -> Program:
    """Writes `report.json` with this text to every output."""

    def program(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
        for output in job["ProcessingOutputConfig"]["Outputs"]:
            objects.put(f"{output['S3Output']['S3Uri'].rstrip('/')}/report.json", text)

    return program


def fail_with(*reasons: str) -> Program:
    """Fails with each reason in turn, and then succeeds."""
    left = list(reasons)

    def program(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
        if left:
            raise RuntimeError(left.pop(0))
        succeed(job, objects, stop)

    return program


def meet(barrier: threading.Barrier) -> Program:
    """Ends only when as many programs as the barrier has places run at the same time."""

    def program(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
        barrier.wait(10)

    return program


def when(event: threading.Event) -> Program:
    """Ends when the event is set."""

    def program(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
        event.wait(10)

    return program


def until_stopped(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
    stop.wait(20)


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Polls until the condition holds, and gives its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError("the condition did not come true in time")
