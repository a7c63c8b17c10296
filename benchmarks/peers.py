"""Programs of others to be measured against, each in a virtual environment of its own.

What a peer needs stands in `benchmarks/peers/<name>.txt`, pinned, so that none of it gets into the
project's own environment. The environment is made at first use below `.scones/peers/<name>`, and
again when the file has changed. What cannot be installed here is named and left out of the table.
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
    """Says on the screen that a peer is left out, and why."""
    print(f"{name} is left out: {reason}", flush=True)
