"""One job from start to end, in a thread of its own.

The stages are in `Job._stages`, one line each. Whatever goes wrong in one of them becomes an
`Outcome` with a sentence; nothing escapes, and the job's folder is removed in every case.
"""

import contextlib
import datetime
import errno
import json
import os
import shutil
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localaws.context import Context
from localaws.errors import ApiError
from localaws.jobs import environment, python_environment, sandbox
from localaws.jobs.channels import Download, Upload
from localaws.jobs.logs import JobLog, LogSink
from localaws.jobs.program import Cause, Program
from localaws.jobs.spec import (
    COMPLETED,
    FAILED,
    STOPPED,
    JobFailed,
    JobSpec,
    JobStopped,
    Metric,
    Outcome,
    Report,
    RunLimits,
)
from localaws.jobs.volume import Volume

SERVER_STOPPED = (
    "InternalServerError: localaws was stopped while this job was running. Start it again."
)
_LONGEST_REASON = 1024  # characters; the API's limit of FailureReason and ExitMessage
_METRICS = "output/metrics/cloudwatch"
_LONGEST_METRICS = 1 << 20  # characters of one file


class Job:
    """A job that runs or ran. `done` is set when its outcome has been reported."""

    def __init__(
        self, context: Context, spec: JobSpec, report: Report, logs: LogSink, limits: RunLimits
    ) -> None:
        self.spec = spec
        self.done = threading.Event()
        # A daemon: when the server ends without a word, so does the job (see `launch`).
        self.thread = threading.Thread(
            target=self._run, name=f"{spec.kind}/{spec.name}", daemon=True
        )
        self._context, self._report = context, report
        self._folder = context.home / "jobs" / spec.kind / spec.name
        self._ml = self._folder / "ml"
        self._outcome = Outcome(COMPLETED)
        self._metrics: dict[str, Metric] = {}
        self._objects = context.objects_of(spec.role_arn)
        self._uploads = [
            Upload(self._objects, output, self._ml, self._folder) for output in spec.outputs
        ]
        self._continuous = [upload for upload in self._uploads if upload.output.continuous]
        stream = f"{spec.name}/algo-1-{int(context.now().timestamp() * 1000)}"
        own_logs = context.logs_of(logs, spec.role_arn)
        self._log = JobLog(own_logs, spec.log_group, stream, context.now, self._catch_metrics)
        self._program = Program(
            self._log,
            Volume(self._folder, spec.volume_bytes),
            limits,
            self._sync if self._continuous else None,
        )

    def stop(self) -> None:
        """Asks the job to stop. Returns at once."""
        self._program.stop()

    def kill(self) -> None:
        """Ends the job and all its processes now, because the server goes down."""
        self._program.kill()

    def _run(self) -> None:
        try:
            self._stages()
        except JobFailed as failure:
            self._end(FAILED, str(failure))
        except JobStopped:
            self._end(STOPPED)
        except sandbox.NamespacesUnavailable as problem:
            self._end(FAILED, f"InternalServerError: {problem}")
        except ApiError as problem:  # S3 in this process: an output bucket that is not there
            self._end(FAILED, f"ClientError: {problem.message}")
        except Exception as problem:  # the last stop of a thread: whatever it is ends the job
            self._log.say(traceback.format_exc())
            self._end(FAILED, f"InternalServerError: {_explain(problem)}")
        finally:
            self._finish()

    def _end(self, status: str, reason: str = "") -> None:
        if self._outcome.status != FAILED:  # the first failure is the cause
            self._outcome.status = status
            self._outcome.failure_reason = reason[:_LONGEST_REASON]

    def _finish(self) -> None:
        if self._program.is_killed:
            self._outcome.status, self._outcome.failure_reason = FAILED, SERVER_STOPPED
        self._outcome.metrics = list(self._metrics.values())
        try:
            if self._outcome.failure_reason:
                self._log.say(self._outcome.failure_reason)
            self._report.end(self._outcome)
        finally:
            self.done.set()
            self._program.close()
            remove_folder(self._folder)

    def _stages(self) -> None:
        with self._stage("Starting"):
            self._prepare()
        with self._stage("Downloading"):
            self._download()
        with self._stage(self.spec.running_stage):
            self._execute()
        with self._stage("Uploading"):
            self._upload()

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        if name != "Uploading":
            self._check_stop()
        if name != "Starting":  # that one was reported when the job was created
            self._report.stage(name)
        began = time.monotonic()
        try:
            yield
        finally:
            self._outcome.stage_seconds[name] = time.monotonic() - began

    def _check_stop(self) -> None:
        if self._program.is_stopping or self._program.is_killed:
            raise JobStopped

    def _prepare(self) -> None:
        if self.spec.remark:
            self._log.say(self.spec.remark)
        remove_folder(self._folder)
        for name in ("root", "ml", "tmp"):
            (self._folder / name).mkdir(parents=True)
        for folder in self.spec.folders:
            (self._ml / folder).mkdir(parents=True, exist_ok=True)
        for path, document in self.spec.documents.items():
            file = self._ml / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(document))
        python_environment.make(self._folder / "python")
        (self._folder / "hosts").write_text("127.0.0.1 localhost algo-1\n::1 localhost\n")

    def _download(self) -> None:
        downloads = [
            Download(self._objects, channel, self._context.region, self.spec.role_arn)
            for channel in self.spec.inputs
        ]
        if sum(download.find() for download in downloads) > self.spec.volume_bytes:
            raise JobFailed(self._volume_filled("its inputs alone fill"))
        for download in downloads:
            download.copy(self._ml / download.channel.folder, self._check_stop)
        for upload in self._continuous:
            upload.know()

    def _execute(self) -> None:
        plan = sandbox.Plan(
            root=self._folder / "root",
            private=(
                (self._ml, "/opt/ml"),
                (self._folder / "tmp", "/tmp"),
                (self._folder / "python", python_environment.MOUNT),
                (self._folder / "hosts", "/etc/hosts"),
            ),
            visible=python_environment.visible_paths(),
            hidden=(str(self._context.home.resolve()),),
            isolated=self.spec.is_isolated,
        )
        variables = environment.build(self.spec, self._context.endpoint_url)
        code, cause = self._program.run(plan, self.spec.command, variables, self.spec.max_seconds)
        self._outcome.program_seconds = self._program.seconds
        took = datetime.timedelta(seconds=self._program.seconds)
        self._outcome.program_started = self._context.now() - took
        self._judge(code, cause)

    def _judge(self, code: int, cause: Cause) -> None:
        message = self._read("output/message")
        self._outcome.exit_message = message
        self._outcome.metric_lines = self._metric_lines()
        if cause is Cause.VOLUME:
            self._end(FAILED, self._volume_filled("the job filled"))
        elif cause is Cause.TIME:
            self._outcome.ran_out_of_time = True
            limit = f"{self.spec.max_seconds:g} seconds"
            self._end(STOPPED, f"The job ran past MaxRuntimeInSeconds ({limit}).")
        elif cause is Cause.STOP:
            self._end(STOPPED)
        elif code != 0:
            text = self._read("output/failure") or message or "See job logs for more information"
            whose = "ClientError" if code == self.spec.client_error else "AlgorithmError"
            head, tail = f"{whose}: {text.strip()}", f", exit code: {code}"
            self._end(FAILED, head[: _LONGEST_REASON - len(tail)] + tail)

    def _volume_filled(self, what: str) -> str:
        size = self.spec.volume_bytes / 2**30
        return (
            f"ClientError: No space left on device: {what} the volume of {size:g} GB. "
            "Ask for a larger VolumeSizeInGB."
        )

    def _metric_lines(self) -> list[str]:
        """The lines of the metric files; a link in the folder's place counts as no folder."""
        folder = self._ml / _METRICS
        if os.path.realpath(folder) != os.path.join(os.path.realpath(self._ml), _METRICS):
            return []
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        texts = (self._read(f"{_METRICS}/{name}", _LONGEST_METRICS) for name in names)
        return [line for text in texts for line in text.splitlines() if line.strip()]

    def _read(self, path: str, longest: int = _LONGEST_REASON) -> str:
        """The head of a text that the job may have left; a link or a folder counts as none."""
        try:
            descriptor = os.open(self._ml / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                return file.read(4 * longest).decode(errors="replace")[:longest]
        except OSError:
            return ""

    def _sync(self) -> None:
        for upload in self._continuous:
            upload.sync()

    def _upload(self) -> None:
        for upload in self._uploads:
            if upload.output.continuous or self._outcome.status in upload.output.after:
                upload.sync()

    def _catch_metrics(self, line: str) -> None:
        for name, pattern in self.spec.metrics:
            match = pattern.search(line)
            if match:
                with contextlib.suppress(ValueError, IndexError):  # not a number: no metric
                    value = float(match.group(1))
                    self._metrics[name] = Metric(name, value, self._context.now())


def _explain(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
        return "this machine has no disk space left; free some and start the job again."
    return f"{type(problem).__name__}: {problem}"


def remove_folder(folder: Path) -> None:
    """Removes a job's folder, also where the job took its own rights away."""
    if not folder.exists():
        return
    try:
        shutil.rmtree(folder)
    except PermissionError:
        _open_up(folder)
        shutil.rmtree(folder)


def _open_up(folder: Path) -> None:
    folder.chmod(0o700)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _open_up(path)
