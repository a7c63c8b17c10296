"""One process of a function: started once, initialised once, used for one invocation at a time."""

import contextlib
import datetime
import json
import math
import os
import subprocess
import threading
import time
import uuid
from typing import Any

from localaws.errors import ApiError
from localaws.functions.function_log import FunctionLog
from localaws.functions.runtime_api import Invocation, RuntimeApi
from localaws.functions.world import PYTHON, World
from localaws.jobs import sandbox
from localaws.jobs.job import remove_folder

_INIT_SECONDS = 10.0  # that a function's module may take to load
_START_SECONDS = 20.0  # for the interpreter and the sandbox on a busy machine, beside that


class Instance:
    """A process that waits for invocations. `is_usable` until it died, failed or was killed."""

    def __init__(self, world: World, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.born = self.used = time.monotonic()
        self._world = world
        self._folder = world.folder / "instances" / uuid.uuid4().hex
        self._api = RuntimeApi()
        self._stream = f"{world.context.now():%Y/%m/%d}/[{settings['Version']}]{uuid.uuid4().hex}"
        self._reader, self._writer = os.pipe()
        self._log = FunctionLog(
            world.context.logs_of(world.logs, settings["Role"], settings["FunctionName"]),
            settings["LoggingConfig"]["LogGroup"],
            self._stream,
            world.context.now,
            self._reader,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._is_dead = self._is_killed = False
        self._init_ms: float | None = None
        # The sandbox ends with the thread that started it, so this one stays as long as it does.
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    @property
    def is_usable(self) -> bool:
        return not self._is_dead and not self._is_killed and self._api.init_error is None

    def kill(self) -> None:
        """Ends the process and everything it started."""
        self._is_killed = True
        process = self._process
        if process is not None:
            process.kill()
        self._api.close()

    def join(self) -> None:
        self._keeper.join(10)

    def run(self, invocation: Invocation) -> bytes:
        """Runs one invocation to its answer, whatever that is, and returns the tail of its log."""
        began = time.monotonic()
        ready = self._api.ready.wait(_INIT_SECONDS + _START_SECONDS)
        if self._init_ms is None:
            self._init_ms = 1000 * (time.monotonic() - self.born)
            init = f"\tInit Duration: {self._init_ms:.2f} ms"
        else:
            init = ""
        self._log.begin(
            f"START RequestId: {invocation.request_id} Version: {self.settings['Version']}"
        )
        started = time.monotonic()
        if not ready:
            self.kill()
            self._time_out(invocation, started - began)
        elif self._api.init_error is not None:
            self._fail_init(invocation, self._api.init_error)
        else:
            self._invoke(invocation)
        self._report(invocation, time.monotonic() - started, init)
        self.used = time.monotonic()
        return self._log.tail()

    def _invoke(self, invocation: Invocation) -> None:
        limit = float(self.settings["Timeout"])
        now = self._world.context.now().timestamp()
        invocation.deadline_ms = int(1000 * (now + limit))
        self._api.submit(invocation)
        if self._is_dead:
            self._exited(invocation)
        if not invocation.done.wait(limit):
            self._time_out(invocation, limit)
            self.kill()

    def _time_out(self, invocation: Invocation, seconds: float) -> None:
        text = f"Task timed out after {seconds:.2f} seconds"
        moment = self._world.context.now().astimezone(datetime.UTC)
        self._log.drain()
        self._log.say(
            f"{moment:%Y-%m-%dT%H:%M:%S.}{moment.microsecond // 1000:03d}Z"
            f" {invocation.request_id} {text}"
        )
        invocation.fail("Sandbox.Timedout", f"RequestId: {invocation.request_id} Error: {text}")

    def _fail_init(self, invocation: Invocation, body: bytes) -> None:
        with contextlib.suppress(ValueError):
            error = json.loads(body)
            error["requestId"] = invocation.request_id
            body = json.dumps(error).encode()
        invocation.answer(body, "Unhandled")

    def _exited(self, invocation: Invocation) -> None:
        code = self._process.returncode if self._process else 1
        how = f"exit status {code}" if code is not None and code < 128 else "signal: killed"
        message = f"RequestId: {invocation.request_id} Error: Runtime exited with error: {how}"
        if not invocation.done.is_set():
            self._log.say(message)
        invocation.fail("Runtime.ExitError", message)

    def _report(self, invocation: Invocation, seconds: float, init: str) -> None:
        self._log.drain()
        milliseconds = 1000 * seconds
        memory = _peak_memory(self._process.pid) if self._process and not self._is_dead else 0
        self._log.say(
            f"END RequestId: {invocation.request_id}",
            f"REPORT RequestId: {invocation.request_id}\tDuration: {milliseconds:.2f} ms\tBilled"
            f" Duration: {math.ceil(milliseconds)} ms\tMemory Size: {self.settings['MemorySize']}"
            f" MB\tMax Memory Used: {memory} MB{init}",
        )

    def _keep(self) -> None:
        try:
            self._start()
            self._log.follow()
            if self._process is not None:
                self._process.wait()
        except sandbox.NamespacesUnavailable as problem:
            self._refuse("LocalAws.NoSandbox", str(problem))
        except ApiError as problem:
            self._refuse("AccessDeniedException", problem.message)
        finally:
            self._is_dead = True
            self._api.ready.set()
            if self._api.current is not None:
                self._exited(self._api.current)
            self._api.close()
            time.sleep(0.01)  # the last lines of an invocation that this end has answered
            self._log.flush()
            os.close(self._reader)
            remove_folder(self._folder)

    def _start(self) -> None:
        settings = self.settings
        try:
            plan = self._world.plan(settings, self._folder)
            variables = self._world.environment(settings, self._stream, self._api.address)
            command = [PYTHON, "-m", "awslambdaric", settings["Handler"]]
            self._process = sandbox.start(plan, command, variables, self._writer)
            if self._is_killed:
                self._process.kill()
        finally:
            os.close(self._writer)

    def _refuse(self, kind: str, message: str) -> None:
        body = json.dumps({"errorType": kind, "errorMessage": message}).encode()
        self._api.fail_init(body)


def _peak_memory(outer: int) -> int:
    """MB that the program below the sandbox's two processes held at most; 0 when unknown."""
    try:
        process = outer
        for _ in range(2):
            with open(f"/proc/{process}/task/{process}/children") as children:
                process = int(children.read().split()[0])
        with open(f"/proc/{process}/status") as status:
            lines = [line for line in status if line.startswith("VmHWM")]
        return int(lines[0].split()[1]) // 1024
    except (OSError, IndexError, ValueError):
        return 0
