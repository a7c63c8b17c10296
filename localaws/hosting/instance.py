"""One instance of a variant: a model server in a sandbox, started again when it dies."""

import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localaws.context import Context
from localaws.errors import ApiError
from localaws.hosting import model_data
from localaws.hosting.connection import Connections, NotReached, Reply
from localaws.hosting.spec import HostingFailed, Limits, VariantSpec
from localaws.jobs import environment, python_environment, sandbox
from localaws.jobs.images import Images
from localaws.jobs.job import remove_folder
from localaws.jobs.logs import JobLog, LogSink
from localaws.jobs.runner import Credentials

_PROGRAM = Path(__file__).with_name("model_server")
_SOCKET = "server.sock"
_LOOK = 0.02  # seconds between two looks at an instance that starts
_LONGEST_PAUSE = 10.0  # seconds between two starts of a program that keeps dying


@dataclass(frozen=True)
class Host:
    """What every instance is handed. `ready` returns when logs and roles can be reached."""

    context: Context
    credentials: Credentials
    logs: LogSink
    limits: Limits
    ready: Callable[[], None] = lambda: None


class Instance:
    """Starts in a thread of its own; `settled` is set when it serves or has failed.

    A program that ends before it answered a ping fails the instance at once, where SageMaker would
    start it again until the time for the health check is over: the outcome is the same.
    """

    def __init__(self, host: Host, endpoint: str, variant: VariantSpec) -> None:
        self.id = f"i-{uuid.uuid4().hex[:17]}"
        self.settled = threading.Event()
        self.failure: str | None = None
        self._host, self._variant = host, variant
        self._folder = host.context.home / "endpoints" / endpoint / self.id
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._in_flight, self._counting = 0, threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._connections: Connections | None = None
        self._log_group = f"/aws/sagemaker/Endpoints/{endpoint}"
        # It lives as long as the process: the kernel kills a sandbox whose starting thread ended.
        self._thread = threading.Thread(target=self._run, name=f"{endpoint}/{self.id}", daemon=True)

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    @property
    def in_flight(self) -> int:
        """How many wait for its answer."""
        return self._in_flight

    @property
    def pid(self) -> int | None:
        """The process that stands for the container; None while there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._thread.start()

    def wait_ready(self, seconds: float) -> bool:
        """Whether it serves, or does so within these seconds; False as soon as it gives up."""
        deadline = time.monotonic() + seconds
        while not self._ready.wait(_LOOK):
            if self.failure or self._stopping.is_set() or time.monotonic() > deadline:
                return False
        return True

    def invoke(self, body: bytes, headers: dict[str, str]) -> Reply:
        """Asks `/invocations`. TimeoutError, or OSError when the process died meanwhile."""
        with self._counting:
            self._in_flight += 1
        try:
            if self._connections is None or self._stopping.is_set():
                raise NotReached("the instance has been stopped")
            return self._connections.request("POST", "/invocations", body, headers)
        finally:
            with self._counting:
                self._in_flight -= 1
                self._counting.notify_all()

    def drain(self) -> None:
        """Waits until nobody waits for an answer, at most as long as an answer may take."""
        with self._counting:
            self._counting.wait_for(lambda: self._in_flight == 0, self._host.limits.answer)

    def stop(self) -> None:
        """Ends the process; the instance never serves again. Returns at once."""
        self._stopping.set()
        self._ready.clear()
        process = self._process
        if process is not None:
            process.kill()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        self._host.ready()
        stream = f"{self._variant.name}/{self.id}"
        logs = self._host.context.logs_of(self._host.logs, self._variant.role_arn)
        self._log = JobLog(logs, self._log_group, stream, self._host.context.now)
        try:
            self._prepare()
            self._serve()
        except HostingFailed as failure:
            self._fail(str(failure))
        except sandbox.NamespacesUnavailable as problem:
            self._fail(str(problem))
        except ApiError as problem:
            self._fail(problem.message)
        except Exception as problem:  # the last stop of a thread: it must not look alive
            self._fail(f"InternalServerError: {type(problem).__name__}: {problem}")
        finally:
            self._ready.clear()
            self.settled.set()
            if self._connections:
                self._connections.close()
            remove_folder(self._folder)

    def _fail(self, reason: str) -> None:
        if not self._stopping.is_set():
            self.failure = reason
            self._log.say(reason)

    def _prepare(self) -> None:
        for name in ("root", "ml/model", "tmp"):
            (self._folder / name).mkdir(parents=True)
        model_data.fetch(
            self._host.context.objects_of(self._variant.role_arn),
            self._variant,
            self._folder / "ml" / "model",
            self._folder / "tmp" / "model.tar.gz",
        )
        python = self._folder / "python"
        python_environment.make(python)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = python / "lib" / version / "site-packages"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_PROGRAM, packages / _PROGRAM.name, ignore=ignored)
        (self._folder / "hosts").write_text("127.0.0.1 localhost model\n::1 localhost\n")
        self._connections = Connections(python, _SOCKET, self._host.limits.answer)

    def _serve(self) -> None:
        pause = 0.1
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_program()
            if self._stopping.is_set():
                return
            if not self.settled.is_set():
                raise HostingFailed(self._unhealthy())
            self._log.say(f"The model server ended with exit status {code}; it is started again.")
            pause = 0.1 if time.monotonic() - began > 60 else min(2 * pause, _LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _run_program(self) -> int:
        reader, writer = os.pipe()
        with open(reader, "rb", buffering=0):
            try:
                process = sandbox.start(self._plan(), _command(), self._environment(), writer)
            finally:
                os.close(writer)
            self._process = process
            following = threading.Thread(target=self._log.follow, args=(reader,), daemon=True)
            following.start()
            try:
                self._wait(process)
            finally:
                self._ready.clear()
                process.kill()
                process.wait()
                self._process = None
                following.join()
        return process.returncode

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until the program ends; says that it serves once it has answered a ping."""
        allowed = min(self._variant.startup_seconds, self._host.limits.startup)
        deadline = time.monotonic() + allowed
        while process.poll() is None and not self._stopping.is_set():
            if self._is_healthy():
                self._ready.set()
                self.settled.set()
                process.wait()
            elif time.monotonic() > deadline:
                return
            self._stopping.wait(_LOOK)

    def _is_healthy(self) -> bool:
        assert self._connections is not None
        try:
            return self._connections.request("GET", "/ping", b"", {}).status == 200
        except OSError:
            return False

    def _unhealthy(self) -> str:
        return (
            f"The primary container for production variant {self._variant.name} did not pass the "
            "ping health check. Please check CloudWatch logs for this endpoint."
        )

    def _plan(self) -> sandbox.Plan:
        return sandbox.Plan(
            root=self._folder / "root",
            private=(
                (self._folder / "ml", "/opt/ml"),
                (self._folder / "tmp", "/tmp"),
                (self._folder / "python", python_environment.MOUNT),
                (self._folder / "hosts", "/etc/hosts"),
            ),
            visible=python_environment.visible_paths(),
            hidden=(str(self._host.context.home.resolve()),),
            isolated=self._variant.is_isolated,
            hostname="model",
        )

    def _environment(self) -> dict[str, str]:
        context, variant = self._host.context, self._variant
        session = f"SageMaker-{variant.model_name}"[:64]
        variables = {
            "AWS_REGION": context.region,
            "AWS_DEFAULT_REGION": context.region,
            "SAGEMAKER_REGION": context.region,
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
            "SM_MODEL_DIR": "/opt/ml/model",
            **variant.environment,
            **Images(context.account).serving(variant.image),
        }
        credentials = self._host.credentials(variant.role_arn, session)
        built = environment.build_from(credentials, variables, context.endpoint_url)
        if variant.is_isolated:  # SageMaker gives an isolated container no credentials
            built = {k: v for k, v in built.items() if k not in environment.CREDENTIALS}
        return built


def _command() -> list[str]:
    program = [f"{python_environment.MOUNT}/bin/python", "-P", "-m", _PROGRAM.name]
    return [*program, "--bind", f"{python_environment.MOUNT}/{_SOCKET}"]
