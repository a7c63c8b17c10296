"""How soon a model server answers: from the start of its process until `/ping` says 200.

An instance is started as the embedded AWS starts it (`localaws.hosting.instance`), several times,
each in a new folder: the archive unpacked, nothing compiled beforehand, in a sandbox. The unpacking
is not counted; the interpreter's start, the imports and the model's load are.
"""

import argparse
import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.deployed import Deployed, deployed
from benchmarks.prepare import ROOT
from localaws.hosting.connection import Connections
from localaws.jobs import archive as archives
from localaws.jobs import environment, python_environment, sandbox

_PROGRAM = ROOT / "localaws" / "hosting" / "model_server"
_LONGEST = 60.0  # seconds for one start
_LOOK = 0.005  # seconds between two pings
_CREDENTIALS = dict.fromkeys(("AccessKeyId", "SecretAccessKey", "SessionToken"), "none")


def measure(place: Deployed, repeats: int = 5) -> dict[str, Any]:
    """Starts what is deployed."""
    return starts(place.archive, repeats)


def starts(archive: Path, repeats: int) -> dict[str, Any]:
    """Prints and returns the seconds of the starts with this `model.tar.gz`, and their median."""
    seconds = []
    for number in range(repeats):
        with tempfile.TemporaryDirectory(prefix="scones-bench-") as folder:
            seconds.append(_start(archive, Path(folder)))
        print(f"start {number + 1} of {repeats}: {seconds[-1]:.2f} s", flush=True)
    median = statistics.median(seconds)
    print(f"{'median':<12}{median:.2f} s until the model server is ready")
    return {"starts_seconds": seconds, "start_seconds": median}


def _start(archive: Path, folder: Path) -> float:
    plan = _prepared(archive, folder)
    python = f"{python_environment.MOUNT}/bin/python"
    bind = f"{python_environment.MOUNT}/server.sock"
    command = [python, "-P", "-m", _PROGRAM.name, "--bind", bind]
    variables = environment.build_from(_CREDENTIALS, {}, "http://127.0.0.1:1")
    with open(folder / "log", "wb") as log:
        began = time.perf_counter()
        with _running(sandbox.start(plan, command, variables, log.fileno())) as process:
            _await_ping(folder, process)
            return time.perf_counter() - began


def _prepared(archive: Path, folder: Path) -> sandbox.Plan:
    """An instance's folders."""
    for name in ("root", "ml/model", "tmp"):
        (folder / name).mkdir(parents=True)
    archives.unpack(archive, folder / "ml" / "model")
    python_environment.make(folder / "python")
    (packages,) = folder.glob("python/lib/python3*/site-packages")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_PROGRAM, packages / _PROGRAM.name, ignore=ignored)
    private = {"ml": "/opt/ml", "tmp": "/tmp", "python": python_environment.MOUNT}
    return sandbox.Plan(
        root=folder / "root",
        private=tuple((folder / name, path) for name, path in private.items()),
        visible=python_environment.visible_paths(),
        hostname="model",
    )


@contextlib.contextmanager
def _running(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await_ping(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    connections = Connections(folder / "python", "server.sock", _LONGEST)
    deadline = time.monotonic() + _LONGEST
    try:
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # the socket opens when the model is loaded
                if connections.request("GET", "/ping", b"", {}).status == 200:
                    return
            time.sleep(_LOOK)
    finally:
        connections.close()
    said = (folder / "log").read_text(errors="replace").strip()
    raise RuntimeError(f"the model server did not get ready: {said[-1000:] or 'no word'}")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Prints the figures and returns them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--archive", type=Path, help="a model.tar.gz; without it one is trained")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    if args.archive:
        return starts(args.archive, args.repeats)
    with deployed() as place:
        return measure(place, args.repeats)


if __name__ == "__main__":
    main()
