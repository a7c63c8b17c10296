"""The README's figures, from `benchmarks/results.json`: `python -m benchmarks.readme`.

Writes what stands between the two markers; a test holds the README against it.
"""

import textwrap
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import claims, results
from benchmarks.claim import Line
from benchmarks.results import Results

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- Figures by `python -m benchmarks.readme`; what is written here by hand is lost. -->\n"
END = "<!-- End of the figures. -->\n"


def updated(readme: str, found: Results) -> str:
    """The README with these figures. ValueError when it lacks a marker."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README lacks the line {(END if begin else BEGIN).strip()}")
    return f"{before}{begin}{section(found)}{end}{after}"


def section(found: Results) -> str:
    """Where and when the figures were measured, and the table."""
    return "\n".join(["", _places(found), "", *_table(claims.lines(found)), "", ""])


def _places(found: Results) -> str:
    """A phrase a machine: figures may come from several."""
    of: dict[str, list[str]] = {}
    for name, entry in found.items():
        of.setdefault(_machine(entry["machine"]), []).append(name)
    if not of:
        return "Nothing was measured yet."
    phrases = []
    for machine, names in of.items():
        days = sorted(found[name]["measured"] for name in names)
        period = " to ".join(dict.fromkeys((days[0], days[-1])))
        which = f" ({', '.join(names)})" if len(of) > 1 else ""
        phrases.append(f"on {machine}, {period}{which}")
    return textwrap.fill(f"Measured {'; '.join(phrases)}.", 100, break_on_hyphens=False)


def _machine(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cores']} cores ({machine['processor']}), Python {machine['python']}, "
        f"torch {machine['torch']}"
    )


def _table(lines: list[Line]) -> list[str]:
    rows = ["| what | figure | asked for |", "| --- | --- | --- |"]
    for name, of in groupby(lines, lambda line: line.benchmark):
        rows.append(f"| `python -m benchmarks.{name}` | | |")
        rows += [f"| {line.what} | {line.figure} |{_asked(line)} |" for line in of]
    return rows


def _asked(line: Line) -> str:
    asked = f" {line.asked}" if line.asked else ""
    return f"{asked}, **not met**" if line.met is False else asked


def main() -> None:
    """Writes the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(updated(text, results.read()), encoding="utf-8")


if __name__ == "__main__":
    main()
