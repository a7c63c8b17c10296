"""How fast, and how large, Prepare is. Run from the repository: `python -m benchmarks.prepare`.

Three programs turn the same archive into the same PNGs, each as a whole process, one after the
other, several times over, so that a busy machine is busy for all of them:

- ours: `steps.prepare`, which also checks, judges, hashes and lists;
- the notebook's way: pandas rows, one `matplotlib.pyplot.imsave` an image;
- the floor: gunzip, unpickle, encode with Pillow, write, nothing else.

Then ours prepares an archive of CIFAR-100's full shape (60,000 images, 169 MB), made for this:
its peak memory, how many cores it kept busy, and how long one core alone takes. Most of that time
goes into decompressing one gzip stream, which cannot be divided.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import peers

ROOT = Path(__file__).parents[1]
NAME = "cifar-100-python-bicycle-motorcycle.tar.gz"


class Measured(NamedTuple):
    """One process: wall and CPU time in seconds, and its greatest resident memory in bytes."""

    wall: float
    cpu: float
    peak: int


def main(argv: Sequence[str] | None = None) -> dict[str, object]:
    """Measures, prints a table and returns its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, default=shared_archive(), help="the archive")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each program")
    parser.add_argument("--no-full", action="store_true", help="leave out the full-size archive")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    args = parser.parse_args(argv)
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        folder = Path(temporary)
        if args.data is None:
            print("no archive of two classes here (set SCONES_DATA): made one of its shape")
            args.data = build_apart(folder / NAME, train=1_000, test=200, share=1.0)
        figures |= _side_by_side(args.data, folder, args.repeats)
        if not args.no_full:
            full = build_apart(folder / "full.tar.gz", train=50_000, test=10_000, share=0.02)
            figures |= _full_size(full, folder)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def shared_archive() -> Path | None:
    """The archive that SCONES_DATA names, or the one beside the project."""
    places = [os.environ.get("SCONES_DATA"), ROOT.parent / "shared/data" / NAME]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


def _side_by_side(data: Path, folder: Path, repeats: int) -> dict[str, object]:
    here = Path(__file__).parent
    programs = {
        "ours": ["-m", "steps.prepare", "--input", str(data), "--output"],
        "floor": [str(here / "prepare_floor.py"), str(data)],
        "notebook": [str(here / "notebook_way.py"), str(data)],
    }
    missing = [name for name in ("pandas", "matplotlib") if not importlib.util.find_spec(name)]
    if missing:
        del programs["notebook"]
        peers.missing("notebook", f"{' and '.join(missing)} not installed")
    runs: dict[str, list[Measured]] = {name: [] for name in programs}
    for repeat in range(repeats + 1):
        print(f"run {repeat} of {repeats} …" if repeat else "a run beforehand …", flush=True)
        for name, arguments in programs.items():
            measured = _measure([*arguments, str(folder / f"{name}-{repeat}")])
            if repeat:  # the first run fills the file cache and compiles the modules
                runs[name].append(measured)
    wall = {name: statistics.median(run.wall for run in of) for name, of in runs.items()}
    print(f"\n{data.name}, {repeats} runs each, medians")
    print(f"{'program':<10}{'wall, s':>9}{'CPU, s':>9}{'peak, MB':>10}{'times ours':>12}")
    for name, of in runs.items():
        cpu = statistics.median(run.cpu for run in of)
        peak = max(run.peak for run in of) / 1e6
        ratio = wall[name] / wall["ours"]
        print(f"{name:<10}{wall[name]:>9.3f}{cpu:>9.3f}{peak:>10.0f}{ratio:>12.2f}")
    figures: dict[str, object] = {f"{name}_seconds": value for name, value in wall.items()}
    figures["ours_over_floor"] = wall["ours"] / wall["floor"]
    if "notebook" in wall:
        figures["notebook_over_ours"] = wall["notebook"] / wall["ours"]
    return figures


def _full_size(archive: Path, folder: Path) -> dict[str, object]:
    arguments = ["-m", "steps.prepare", "--input", str(archive), "--output"]
    runs: list[Measured] = []
    alone: list[Measured] = []
    for repeat in range(3):
        print(f"the full archive, run {repeat + 1} of 3 …", flush=True)
        runs.append(_measure([*arguments, str(folder / f"full-{repeat}")]))
        with _one_core():
            alone.append(_measure([*arguments, str(folder / f"alone-{repeat}")]))
    run, single = sorted(runs)[1], sorted(alone)[1]
    size = archive.stat().st_size
    print(f"\nan archive of the full shape, {size / 1e6:.0f} MB, median of 3 runs")
    print(f"wall {run.wall:.2f} s, CPU {run.cpu:.2f} s: {run.cpu / run.wall:.2f} cores busy")
    print(f"on one core {single.wall:.2f} s: {single.wall / run.wall:.2f} times as long")
    print(f"peak memory {run.peak / 1e6:.0f} MB")
    return {
        "full_bytes": size,
        "full_seconds": run.wall,
        "full_cores": run.cpu / run.wall,
        "full_one_core_over_all": single.wall / run.wall,
        "full_peak_bytes": run.peak,
    }


@contextmanager
def _one_core() -> Iterator[None]:
    """Keeps what is started within on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _measure(arguments: Sequence[str]) -> Measured:
    """Runs a Python program to its end; a child's peak counts from its start, as ours is small."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{arguments[0]} failed with exit code {process.returncode}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def build_apart(path: Path, train: int, test: int, share: float) -> Path:
    """Makes an archive in a process of its own, whose memory does not count as ours."""
    call = f"from benchmarks.prepare import build; build({str(path)!r}, {train}, {test}, {share})"
    subprocess.run([sys.executable, "-c", call], cwd=ROOT, check=True)
    return path


def build(path: str, train: int, test: int, share: float) -> None:
    """Writes `train` and `test` images of noise, the `share` of them bicycles and motorcycles.

    The noise has 160 values, so that gzip takes off a tenth, as it does of CIFAR.
    """
    import numpy as np  # here: the memory of what measures counts for what is measured

    from tests import archives

    random = np.random.default_rng(0)
    splits = []
    for count in (train, test):
        labels = np.where(np.arange(count) < count * share / 2, 8, 0)
        labels[round(count * share / 2) : round(count * share)] = 48
        data = random.integers(0, 160, (count, 3072), np.uint8)
        splits.append(archives.split(data, random.permutation(labels).tolist()))
    archives.write_archive(Path(path), train=splits[0], test=splits[1], meta=archives.meta())


if __name__ == "__main__":
    main()
