"""The jobs that run now, one thread each."""

import threading
from collections.abc import Callable

from localaws.context import Context
from localaws.jobs.images import Images
from localaws.jobs.job import Job, remove_folder
from localaws.jobs.logs import LogSink
from localaws.jobs.spec import JobSpec, Report, RunLimits

Credentials = Callable[[str, str], dict[str, str]]


class Runner:
    """Starts jobs and keeps them until they are over.

    `credentials(role_arn, session_name)` assumes a role for a job and returns AccessKeyId,
    SecretAccessKey and SessionToken; it raises ValidationError when the role does not exist or does
    not trust SageMaker.
    """

    def __init__(
        self,
        context: Context,
        credentials: Credentials,
        logs: LogSink,
        images: Images | None = None,
        limits: RunLimits | None = None,
    ) -> None:
        self.credentials = credentials
        self.images = images or Images(context.account)
        self._context, self._logs = context, logs
        self._limits = limits or RunLimits()
        self._lock = threading.Lock()
        self._jobs: dict[tuple[str, str], Job] = {}

    def start(self, spec: JobSpec, report: Report) -> Job:
        """Starts a job and returns at once; `report` hears of its progress in the job's thread."""
        job = Job(self._context, spec, report, self._logs, self._limits)
        with self._lock:
            self._jobs = {key: job for key, job in self._jobs.items() if job.thread.is_alive()}
            self._jobs[spec.kind, spec.name] = job
            job.thread.start()
        return job

    def stop(self, kind: str, name: str) -> None:
        """Asks a job to stop; nothing happens when it is over already."""
        job = self._jobs.get((kind, name))
        if job:
            job.stop()

    def shutdown(self) -> None:
        """Kills what runs, with every process of it, and waits for the jobs' last words."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.thread.is_alive()]
        for job in jobs:
            job.kill()
        for job in jobs:
            job.thread.join()

    def remove_leftovers(self, kind: str) -> None:
        """Removes the folders of jobs that a killed server left behind. Call before any starts."""
        remove_folder(self._context.home / "jobs" / kind)
