"""`results.json`: the figures of each benchmark, with the day and the machine they are from.

    {"prepare": {"measured": "2026-11-23", "seconds": 80.2,    how long the measuring took
                 "machine": {"processor", "cores", "python", "torch"},
                 "left_out": {"torchserve": "there is no `java` here"},
                 "figures": {…}}, …}

A benchmark's entry is replaced when it is measured again and the others stay, so each has a day and
a machine of its own.
"""

import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("results.json")
Results = dict[str, dict[str, Any]]


def read(path: Path = PATH) -> Results:
    """What was measured so far; nothing where there is no file."""
    if not path.exists():
        return {}
    found: Results = json.loads(path.read_text(encoding="utf-8"))
    return found


def entry(
    figures: Mapping[str, Any], left_out: Mapping[str, str], began: datetime, seconds: float
) -> dict[str, Any]:
    """What the file holds of one benchmark, measured on this machine from `began` (UTC) on."""
    return {
        "measured": began.date().isoformat(),
        "seconds": round(seconds, 1),
        "machine": machine(),
        "left_out": dict(left_out),
        "figures": dict(figures),
    }


def write(path: Path, results: Results) -> None:
    """Replaces the file as a whole: whoever stops this leaves the figures of before."""
    half = path.with_suffix(".part")
    half.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    half.replace(path)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def _processor() -> str:
    """The processor's name as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
