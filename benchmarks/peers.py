"""Programs of others to be measured against, each in a virtual environment of its own.

What a peer needs stands in `benchmarks/peers/<name>.txt`, pinned, so that none of it gets into the
project's own environment. The environment is made at first use below `.scones/peers/<name>`, and
again when the file has changed. What cannot be installed here is named, on the screen, in the table
and in `results.json`.

A peer that is measured twice has its settings after its name: `torchserve x8`.
"""

import functools
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".scones" / "peers"
LISTS = Path(__file__).with_name("peers")
TITLES = {
    "notebook": "the notebook's way",
    "torchserve": "TorchServe",
    "litserve": "LitServe",
    "evidently": "Evidently",
}
_left_out: dict[str, str] = {}


@functools.cache
def python(name: str, lists: Path = LISTS, home: Path = HOME) -> Path | None:
    """The interpreter of this peer's environment; None, and a line that says why, without one."""
    requirements, folder = lists / f"{name}.txt", home / name
    interpreter, stamp = folder / "bin" / "python", folder / "installed"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return interpreter
    print(f"installing {name} into {folder} (once) …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [str(interpreter), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    installed = subprocess.run([*pip, "-r", str(requirements)], capture_output=True, text=True)
    if installed.returncode != 0:
        shutil.rmtree(folder)
        missing(name, (installed.stderr.strip().splitlines() or ["pip failed"])[-1])
        return None
    stamp.write_text(wanted)
    return interpreter


def missing(name: str, reason: str) -> None:
    """Says on the screen that a peer is left out, and why; `left_out` has it, too."""
    _left_out[name] = reason
    print(f"{name} is left out: {reason}", flush=True)


def left_out() -> dict[str, str]:
    """Which peers were missing since the last call, and why."""
    found = dict(_left_out)
    _left_out.clear()
    return found


def program(name: str) -> str:
    """The peer's name without its settings."""
    return name.partition(" ")[0]


def title(name: str) -> str:
    """The peer as it writes itself."""
    found, space, settings = name.partition(" ")
    return TITLES.get(found, found) + space + settings


def pinned(name: str, lists: Path = LISTS) -> str:
    """The version of a peer that is measured."""
    lines = (lists / f"{name}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{name}=="))
