"""`make bench`: the benchmarks one after the other, into `benchmarks/results.json`, and one table.

    python -m benchmarks                    all of them
    python -m benchmarks prepare serving    these; the others keep their figures
    python -m benchmarks --quick            the smallest settings, to try the programs

Figures are written after each benchmark. One that fails is named, the others go on, and the exit
status is 1. An interruption ends the run: what was measured before it stays.
"""

import argparse
import contextlib
import functools
import importlib
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import claims, peers, results, table
from benchmarks.deployed import Deployed, deployed


class Benchmark(NamedTuple):
    """A module of this package, and what makes it quick: `main`'s arguments, or `measure`'s."""

    name: str
    quick: tuple[Any, ...]
    needs_deployment: bool = False


# Those with a deployment come last: it stays up from one to the next, and beside no other.
BENCHMARKS = (
    Benchmark("prepare", ("--repeats", "1", "--no-full")),
    Benchmark("engine", ("--data", "rendered")),
    Benchmark("features", ("--records", "200", "--repeats", "1")),
    Benchmark("monitoring", ("--rows", "10000", "--repeats", "1", "--no-memory")),
    Benchmark("accuracy", ("--seeds", "2", "--epochs", "2")),
    Benchmark("start", (2,), needs_deployment=True),
    Benchmark("workflow", (5, 20), needs_deployment=True),
    Benchmark("serving", (1, 0.5), needs_deployment=True),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, writes and shows; returns the exit status."""
    args = _arguments(argv)
    chosen = {b.name: b for b in BENCHMARKS if not args.names or b.name in args.names}
    found = results.read(args.results) if args.results else {}
    with contextlib.ExitStack() as stack:
        place = functools.cache(lambda: stack.enter_context(deployed()))
        failed = measure_all(
            list(chosen), lambda name: _entry(chosen[name], args.quick, place), found, args.results
        )
    print(f"\n{table.text(claims.lines(found), found)}\n")
    if args.quick:
        print("Quick runs only show that the programs work: their figures stand for nothing.")
    elif args.results == results.PATH:
        print("`python -m benchmarks.readme` puts these figures into the README.")
    for name, reason in failed.items():
        print(f"{name} failed: {reason}", file=sys.stderr)
    return 1 if failed else 0


def measure_all(
    names: Sequence[str],
    measure: Callable[[str], dict[str, Any]],
    found: results.Results,
    path: Path | None,
) -> dict[str, str]:
    """Puts the entry of each benchmark into `found`, and that into the file each time.

    Returns which failed, and why. After an interruption the rest is not measured.
    """
    failed: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        print(f"\n== {number} of {len(names)}: {name}, {datetime.now(UTC):%H:%M} UTC", flush=True)
        try:
            entry = measure(name)
            if path:
                results.write(path, found | {name: entry})
            found[name] = entry
        except KeyboardInterrupt:
            failed[name] = "interrupted"
            break
        except SystemExit as problem:  # a benchmark's own sentence
            failed[name] = str(problem)
        except Exception as problem:  # whatever it is, the others are still to be measured
            traceback.print_exc()
            failed[name] = f"{type(problem).__name__}: {problem}"
    return failed


def _entry(benchmark: Benchmark, quick: bool, place: Callable[[], Deployed]) -> dict[str, Any]:
    """Measures it; returns its entry in the results."""
    module = importlib.import_module(f"benchmarks.{benchmark.name}")
    settings = benchmark.quick if quick else ()
    where = [place()] if benchmark.needs_deployment else []
    peers.left_out()  # what is missing from here on is missing in this one
    now, began = datetime.now(UTC), time.perf_counter()
    figures = module.measure(*where, *settings) if where else module.main(settings)
    return results.entry(figures, peers.left_out(), now, time.perf_counter() - began)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="writes no results without --results")
    parser.add_argument("--results", type=Path, help="the file (default: benchmarks/results.json)")
    args = parser.parse_args(argv)
    if unknown := set(args.names) - set(names):
        parser.error(
            f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(names)}"
        )
    if not args.quick and args.results is None:
        args.results = results.PATH
    return args


if __name__ == "__main__":
    sys.exit(main())
