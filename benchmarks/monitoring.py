"""How fast a table is monitored, and in how much memory. Run: `python -m benchmarks.monitoring`.

One table of image features (14 columns of numbers, one of classes) is compared with a baseline of
10,000 rows, by three programs, each in an environment and a process of its own, turn about. Each
starts its clock when the table lies in memory as a pandas DataFrame, and stops it when it has the
statistics of every column and every column's distance from the baseline:

- ours: `monitoring.analyzer`, types, sketches, statistics, six checks;
- Evidently: DataSummaryPreset and DataDriftPreset, with the methods that they choose;
- whylogs: a profile, and `calculate_drift_scores` against the baseline's.

Ours and whylogs have the baseline's statistics from before; Evidently takes its rows.

Then the analyzer itself, as a job runs it, reads 100,000 and 10,000,000 records of CSV, and its
peak memory is compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from benchmarks import peers

ROOT = Path(__file__).parents[1]
COLUMNS = 14  # of numbers; the fifteenth is the class
BASELINE_ROWS = 10_000

# What all programs share: the two tables, and how a measurement is told.
TABLES = """
import json, sys, time
import numpy as np, pandas as pd
def frame(path):
    stored = np.load(path)
    table = pd.DataFrame({f"f{i:02d}": column for i, column in enumerate(stored["numbers"])})
    names = np.array(["bicycle", "motorcycle"], dtype=object)
    table["predicted_class"] = names[stored["classes"]]
    return table
reference, current = frame(sys.argv[1]), frame(sys.argv[2])
def start():
    global wall, cpu
    wall, cpu = time.perf_counter(), time.process_time()
def stop():
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""
PROGRAMS = {
    "ours": """
import pyarrow as pa
from monitoring.analyzer import checks, chunk, constraints, profile, statistics
def profiled(table, known=None):
    found = profile.Profile(known)
    for part in chunk.of_table(pa.Table.from_pandas(table, preserve_index=False)):
        found.add(part.columns, part.rows)
    return found
baseline = statistics.build(profiled(reference))
rules = constraints.Rules(constraints.suggest(baseline))
start()
found = profiled(current, checks.known_values(rules, baseline))
document = statistics.build(found)
findings = checks.compare(found, rules, baseline)
stop()
assert len(document["features"]) == len(findings.distances) == 15
""",
    "evidently": """
from evidently import Report
from evidently.presets import DataDriftPreset, DataSummaryPreset
report = Report([DataSummaryPreset(), DataDriftPreset()])
start()
found = report.run(current, reference).dict()
stop()
assert found["metrics"]
""",
    "whylogs": """
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores
baseline = whylogs.log(pandas=reference).view()
start()
view = whylogs.log(pandas=current).view()
document = view.to_pandas()
distances = calculate_drift_scores(target_view=view, reference_view=baseline)
stop()
assert len(document) == len(distances) == 15
""",
}

# The program, and what it took. (ru_maxrss would tell this process's peak, if that is greater.)
ANALYZER = """
import json, sys, time
from monitoring.analyzer.__main__ import main
code = main()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([int(status["VmHWM"].split()[0]) * 1024, time.process_time()]))
sys.exit(code)
"""


def main(argv: Sequence[str] | None = None) -> dict[str, object]:
    """Measures, prints a table and returns its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each program")
    parser.add_argument("--limit", type=float, default=900, help="seconds for one run")
    parser.add_argument("--small", type=int, default=100_000, help="records for the memory")
    parser.add_argument("--large", type=int, default=10_000_000, help="and many more")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        folder = Path(temporary)
        figures = _against_peers(folder, args.rows, args.repeats, args.limit)
        if not args.no_memory:
            figures |= _memory(folder, args.small, args.large)
    return figures


def _against_peers(folder: Path, rows: int, repeats: int, limit: float) -> dict[str, object]:
    tables = folder / "reference.npz", folder / "current.npz"
    for seed, (path, size) in enumerate(zip(tables, (BASELINE_ROWS, rows), strict=True)):
        numbers, classes = _table(size, seed)
        np.savez(path, numbers=numbers, classes=classes)
    found = {"ours": Path(sys.executable), **{n: peers.python(n) for n in PROGRAMS if n != "ours"}}
    pythons = {name: str(interpreter) for name, interpreter in found.items() if interpreter}
    times: dict[str, list[list[float]]] = {name: [] for name in pythons}
    for repeat in range(repeats):
        for name in [*times]:
            print(f"run {repeat + 1} of {repeats}: {name} …", flush=True)
            arguments = [pythons[name], "-c", TABLES + PROGRAMS[name], *map(str, tables)]
            try:
                times[name].append(_times(arguments, limit))
            except RuntimeError as problem:
                if name == "ours":
                    raise
                del times[name]
                peers.missing(name, str(problem))
    median = {name: [*map(statistics.median, zip(*t, strict=True))] for name, t in times.items()}
    print(f"\n15 features of {rows:,} records against {BASELINE_ROWS:,}, median of {repeats}")
    print(f"{'':<12}{'wall s':>9}{'CPU s':>9}{'times ours (wall)':>20}{'(CPU)':>9}")
    for name, (wall, cpu) in median.items():
        ratios = wall / median["ours"][0], cpu / median["ours"][1]
        print(f"{name:<12}{wall:>9.2f}{cpu:>9.2f}{ratios[0]:>20.1f}{ratios[1]:>9.1f}")
    return {f"{name}_seconds": {"wall": wall, "cpu": cpu} for name, (wall, cpu) in median.items()}


def _times(arguments: Sequence[str], limit: float) -> list[float]:
    """Wall and CPU seconds that a program tells in its last line. RuntimeError if it does not."""
    try:
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"cut off after {limit:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no word"]
        raise RuntimeError(f"it ended with exit status {done.returncode}: {said[-1]}")
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _table(rows: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features as they come, rounded to four decimals, and the predicted classes."""
    random = np.random.default_rng(seed)
    scale = np.arange(1, COLUMNS + 1)[:, None]
    numbers = random.normal(scale, scale / 10, (COLUMNS, rows)).round(4)
    return numbers, random.integers(0, 2, rows)


def _memory(folder: Path, small: int, large: int) -> dict[str, object]:
    """Peak memory of the program on CSV files of `small` and of `large` records in all."""
    figures: dict[str, object] = {}
    peaks: list[float] = []
    for size in (small, large):
        print(f"the analyzer on {size:,} records …", end=" ", flush=True)
        data = folder / f"csv-{size}"
        _write_csv(data, size)
        peak, seconds = _analyzed(data, folder / f"out-{size}", size)
        print(f"peak {peak:.0f} MB, CPU {seconds:.1f} s", flush=True)
        figures[f"peak_mb_{size}"], figures[f"cpu_seconds_{size}"] = peak, seconds
        peaks.append(peak)
    figures["peak_growth"] = peaks[-1] / peaks[0] - 1
    print(f"growth of the peak: {figures['peak_growth']:.1%}")
    return figures


def _write_csv(folder: Path, size: int) -> None:
    """CSV of so many records: one file, linked ten times where it is large."""
    folder.mkdir()
    links = 10 if size >= 1_000_000 else 1
    first = folder / "0.csv"
    with open(first, "wb") as stream:
        for part, start in enumerate(range(0, size // links, 100_000)):
            numbers, classes = _table(min(100_000, size // links - start), part)
            columns = {f"f{i:02d}": numbers[i] for i in range(COLUMNS)}
            names = np.array(["bicycle", "motorcycle"])[classes]
            table = pa.table({**columns, "predicted_class": names})
            csv.write_csv(table, stream, csv.WriteOptions(include_header=part == 0))
    for number in range(1, links):
        os.link(first, folder / f"{number}.csv")


def _analyzed(data: Path, out: Path, expected: int) -> tuple[float, float]:
    """The program's greatest resident memory in MB, and its CPU seconds."""
    variables = {
        "dataset_source": str(data),
        "dataset_format": '{"csv":{"header":true}}',
        "output_path": str(out),
        "publish_cloudwatch_metrics": "Disabled",
    }
    command = [sys.executable, "-c", ANALYZER, "--root", str(out)]
    process = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, check=True, capture_output=True, text=True
    )
    peak, seconds = json.loads(process.stdout)
    found = json.loads((out / "statistics.json").read_text())["dataset"]["item_count"]
    if found != expected:
        raise RuntimeError(f"the analyzer saw {found} records instead of {expected}")
    return peak / 1e6, seconds


if __name__ == "__main__":
    main()
