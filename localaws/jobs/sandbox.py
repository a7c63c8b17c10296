"""A process in a private root with its own `/opt/ml`, by Linux namespaces and without root's help.

`Plan` says what the job's world looks like; `start` enters it (through `launch`, a small program,
since Python cannot fork safely from a server with threads). Takes about 40 ms.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launch.py")

WAY_OUT = (
    "localaws runs jobs in Linux namespaces, which this system does not allow ({cause}). "
    "Use Linux, WSL 2 or the dev container; on a Linux that restricts them: "
    "sudo sysctl -w kernel.unprivileged_userns_clone=1 "
    "(Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)."
)


class NamespacesUnavailable(Exception):
    """This system does not let an ordinary user make namespaces; the message names the way out."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The world that a job sees.

    `root` is an empty folder to build the root on; `private` pairs a folder (or file) of this
    machine with the absolute path at which the job finds it, writable; `visible` are paths that
    must stay readable although a private folder hides their parent; `hidden` are folders that the
    job finds empty; `read_only` are private paths that it cannot write to; `isolated` takes all
    network but an own loopback away.
    """

    root: Path
    private: tuple[tuple[Path, str], ...]
    visible: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    isolated: bool = False
    hostname: str = "algo-1"
    directory: str = "/"


def start(
    plan: Plan, command: list[str], environment: dict[str, str], output: int
) -> subprocess.Popen[bytes]:
    """Starts `command` with exactly this environment; standard output and error go to `output`.

    Returns when the program runs. The process handed back takes SIGTERM for the program, ends with
    its exit status (128 + N after signal N), and takes everything with it when it is killed or when
    the calling thread ends. Raises `NamespacesUnavailable`.
    """
    if sys.platform != "linux":
        raise NamespacesUnavailable(WAY_OUT.format(cause=f"it is {sys.platform}"))
    status, status_writer = os.pipe()
    message = {
        "parent": os.getpid(),
        "status": status_writer,
        "root": str(plan.root),
        "private": [(str(source), target) for source, target in plan.private],
        "visible": plan.visible,
        "hidden": plan.hidden,
        "read_only": plan.read_only,
        "isolated": plan.isolated,
        "hostname": plan.hostname,
        "directory": plan.directory,
        "command": command,
        "environment": environment,
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={},
            pass_fds=(status_writer,),
            start_new_session=True,  # a Ctrl-C in the server's terminal is for the server
        )
    finally:
        os.close(status_writer)
    assert process.stdin is not None
    with open(status, "rb") as reader, process.stdin:
        with contextlib.suppress(BrokenPipeError):  # it ended early: the status says why
            process.stdin.write(json.dumps(message).encode())
            process.stdin.close()
        problem = reader.read().decode()
    if problem:
        process.wait()
        raise NamespacesUnavailable(WAY_OUT.format(cause=problem))
    return process


def check() -> None:
    """Runs nothing in a sandbox once. Raises `NamespacesUnavailable` if that cannot be done."""
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "wb") as nowhere:
        root, ml = Path(folder, "root"), Path(folder, "ml")
        root.mkdir()
        ml.mkdir()
        plan = Plan(root=root, private=((ml, "/opt/ml"), (ml, "/tmp")), isolated=True)
        process = start(plan, ["/bin/sh", "-c", "exit 0"], {}, nowhere.fileno())
        if process.wait() != 0:
            raise NamespacesUnavailable(
                WAY_OUT.format(cause=f"a trial ended with exit code {process.returncode}")
            )
