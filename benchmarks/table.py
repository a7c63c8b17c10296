"""The claims as a table for the terminal."""

import textwrap
from collections.abc import Sequence
from itertools import groupby, zip_longest

from benchmarks import peers
from benchmarks.claim import Line
from benchmarks.results import Results

_WIDTHS = (52, 26, 20, 8)
_VERDICTS = {True: "met", False: "NOT MET", None: ""}


def text(lines: Sequence[Line], results: Results) -> str:
    """What, figure, asked for, and whether it is met; which peers are missing, and why."""
    rows = [_row("what", "figure", "asked for", "")]
    for name, of in groupby(lines, lambda line: line.benchmark):
        rows.append(f"\n{name}{_measured(name, results)}")
        rows += [_row(line.what, line.figure, line.asked, _VERDICTS[line.met]) for line in of]
        left_out = results.get(name, {}).get("left_out", {})
        rows += [f"  {peers.title(peer)}: {reason}" for peer, reason in left_out.items()]
    return "\n".join(rows)


def _measured(name: str, results: Results) -> str:
    if name not in results:
        return ""
    entry = results[name]
    return f", measured {entry['measured']} in {entry['seconds']:.0f} s"


def _row(*cells: str) -> str:
    wrapped = [textwrap.wrap(c, w) for c, w in zip(cells, _WIDTHS, strict=True)]
    return "\n".join(
        "  " + "  ".join(f"{part:<{w}}" for part, w in zip(parts, _WIDTHS, strict=True)).rstrip()
        for parts in zip_longest(*wrapped, fillvalue="")
    )
