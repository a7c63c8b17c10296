"""One shell that runs a build's commands one after the other.

The shell takes a word from one pipe for each command, executes the file that holds it in its own
process (so that `cd`, `export`, variables and functions last) and answers with the exit status. A
command that ends the shell itself (`exit 1`, `set -e`) has that status, and the next one gets a new
shell with the folder and the environment that the old one had.
"""

import array
import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

INTERRUPTED = 130
_LONGEST_LINE = 64 * 1024
_GRACE_SECONDS = 20.0  # between the interrupt and the kill

_DRIVER = """
exec 3<"$0/commands" 4>"$0/answers"
trap 'status=$?; env -0 >"$0/environment" 2>/dev/null; pwd >"$0/folder"; exit $status' EXIT
while read -r word <&3; do . "$0/command"; echo $? >&4; done
"""


class Shell:
    """Runs commands below `folder`; each line that they print goes to `say`."""

    def __init__(
        self, program: str, folder: Path, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._program, self._folder, self._say = program, str(folder), say
        self._environment = dict(environment)
        self._state = Path(tempfile.mkdtemp(prefix="build-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._commands = self._answers = self._output = -1

    def run(self, command: str, deadline: float, is_stopping: Callable[[], bool]) -> int:
        """The command's exit status; INTERRUPTED when it was stopped or the deadline passed."""
        if self._process is None:
            self._start()
        (self._state / "command").write_text(f"{command}\n", encoding="utf-8")
        os.write(self._commands, b"go\n")
        assert self._process is not None
        while not select.select([self._answers], [], [], 0.05)[0]:
            if self._process.poll() is not None:
                break
            if is_stopping() or time.monotonic() > deadline:
                self._interrupt()
                return INTERRUPTED
        if self._has_answer():
            self._settle()
            return int(os.read(self._answers, 64))
        status = self._process.wait()
        self._end()
        return 128 - status if status < 0 else status

    def environment(self) -> dict[str, str]:
        """The exported variables as they are now."""
        if self._process is not None:
            kept = f'env -0 >"{self._state}/environment"'
            self.run(kept, time.monotonic() + 10, lambda: False)
        self._remember()
        return dict(self._environment)

    def close(self) -> None:
        """Ends the shell and everything that its commands have left running."""
        self._end()
        for file in self._state.iterdir():
            file.unlink()
        self._state.rmdir()

    def _start(self) -> None:
        self._commands, self._answers = self._pipe("commands"), self._pipe("answers")
        output, writer = os.pipe()
        self._output = output
        try:
            self._process = subprocess.Popen(
                [self._program, "-c", _DRIVER, str(self._state)],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,  # a stop ends all that it has started
            )
        finally:
            os.close(writer)
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def _settle(self) -> None:
        """Waits until what the command has printed is read, so that the log keeps its order."""
        for _ in range(100):
            waiting = array.array("i", [0])
            fcntl.ioctl(self._output, termios.FIONREAD, waiting)
            if not waiting[0]:
                return
            time.sleep(0.002)

    def _pipe(self, name: str) -> int:
        """A named one, since a shell cannot be handed a descriptor above 9; open at both ends."""
        path = self._state / name
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def _has_answer(self) -> bool:
        return bool(select.select([self._answers], [], [], 0)[0])

    def _interrupt(self) -> None:
        """Ctrl-C to all, time to obey, and the end."""
        assert self._process is not None
        self._signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        os.close(self._commands)  # an idle shell ends by itself and keeps its state
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._answers)
        if self._reader:
            self._reader.join(5)
        self._process = None
        self._remember()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _remember(self) -> None:
        kept, folder = self._state / "environment", self._state / "folder"
        if kept.exists():
            pairs = kept.read_bytes().decode("utf-8", "replace").split("\0")
            found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            self._environment = found or self._environment
        if folder.exists() and Path(folder.read_text().rstrip("\n")).is_dir():
            self._folder = folder.read_text().rstrip("\n")

    def _read(self, output: int) -> None:
        rest = b""
        with open(output, "rb", buffering=0) as pipe:
            while chunk := pipe.read(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._tell(line)
                if len(rest) > _LONGEST_LINE:  # an endless line is cut, not gathered
                    self._tell(rest)
                    rest = b""
            if rest:
                self._tell(rest)

    def _tell(self, line: bytes) -> None:
        self._say(line.decode("utf-8", "replace").rstrip("\r"))
