"""What running on one machine costs: the engine's share of a pipeline run, and its memory.

Runs `scones demo` twice in a home of its own. The engine's own share is all wall time of the first
execution in which no job's program was running: downloads, uploads, start and end of jobs,
conditions, registration. The memory is the largest that the embedded AWS's process had during a
demo; the second one starts it with the state of the first.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from localaws.store import Store

_NAMES = {"processing-job": "ProcessingJobName", "training-job": "TrainingJobName"}
ROOT = Path(__file__).resolve().parent.parent


def measure(data: str | None = None) -> dict[str, Any]:
    """Two demos: seconds of the first execution and of the programs in it, and the peaks in MB."""
    with tempfile.TemporaryDirectory(prefix="scones-bench-") as folder:
        home = Path(folder)
        first = _demo(home, data, "first")
        summary = json.loads((home / "first" / "summary.json").read_text())
        execution = summary["pipeline"]["execution_arn"].rpartition("/")[2]
        programs = program_seconds(home / "local" / "records.sqlite", execution)
        second = _demo(home, data, "second")
    run = summary["pipeline"]["seconds"]
    return {
        "dataset": summary["dataset"]["name"],
        "run_seconds": run,
        "program_seconds": round(programs, 3),
        "engine_seconds": round(run - programs, 3),
        "engine_share": round((run - programs) / run, 4),
        "localaws_peak_mb": round(first / 1e6),
        "localaws_peak_mb_second": round(second / 1e6),
    }


def _demo(home: Path, data: str | None, name: str) -> int:
    """Runs one into the folder `name`; returns the embedded AWS's peak memory in bytes."""
    print(f"the {name} demo …", flush=True)
    command = [sys.executable, "-m", "scones", "demo", "--out", str(home / name)]
    process = subprocess.Popen(
        command + (["--data", data] if data else []),
        cwd=ROOT,
        env=os.environ | {"SCONES_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )
    peak = _peak_memory(process, home / "local" / "server.json")
    if process.returncode != 0:
        raise SystemExit(f"the {name} demo ended with {process.returncode}")
    return peak


def program_seconds(records: Path, execution: str) -> float:
    """The time in which the programs of an execution's jobs ran; its steps take turns.

    Jobs of other executions, such as the monitoring's, are in the records as well.
    """
    store = Store(records)
    try:
        return float(
            sum(
                job["_program_seconds"]
                for kind, name in _NAMES.items()
                for job in store.all(kind)
                if f"-{execution}-" in job[name]
            )
        )
    finally:
        store.close()


def _peak_memory(process: "subprocess.Popen[bytes]", announced: Path) -> int:
    """The embedded AWS's largest resident size in bytes while `process` runs."""
    peak = 0
    while process.poll() is None:
        try:
            server = psutil.Process(json.loads(announced.read_text())["pid"])
            peak = max(peak, server.memory_info().rss)
        except (OSError, ValueError, psutil.NoSuchProcess):
            pass  # not up yet, or down already
        time.sleep(0.05)
    return peak


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Prints the figures and returns them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--data", help="what `scones demo --data` takes")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args(argv)
    figures = measure(args.data)
    for name, value in figures.items():
        print(f"{name:18} {value}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main()
