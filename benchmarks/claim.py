"""A claim about speed, memory or accuracy: how its figure is computed from `results.json`, how it
is written, and what was asked for. Whether that is met is computed, never written by hand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import peers
from benchmarks.results import Results

Figures = Mapping[str, Any]
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Number:
    """One number of a benchmark's figures, in `unit`, and the bound that was asked of it.

    `of` raises LookupError where the figures lack what it needs.
    """

    of: Callable[[Figures], float]
    unit: str = ""
    digits: int = 0  # after the point; -2: hundreds
    at_least: float | None = None
    at_most: float | None = None

    def written(self, figures: Figures) -> str:
        number = round(self.of(figures), self.digits)
        if number == 0 == self.at_most:
            return "none"
        return self._with_unit(f"{number:,.{max(self.digits, 0)}f}")

    def met(self, figures: Figures) -> bool:
        """By the number as it was measured, not as it is rounded."""
        number = self.of(figures)
        return (self.at_least is None or number >= self.at_least) and (
            self.at_most is None or number <= self.at_most
        )

    def asked(self) -> str:
        """The bound in words; empty where nothing was asked for."""
        if self.at_least is not None:
            return f"at least {self._with_unit(f'{self.at_least:,g}')}"
        if self.at_most is not None:
            return f"at most {self._with_unit(f'{self.at_most:,g}')}" if self.at_most else "none"
        return ""

    def _with_unit(self, number: str) -> str:
        return f"{number} {self.unit}".rstrip()


@dataclass(frozen=True)
class Line:
    """A claim with its figure. `met` is None where nothing was asked for, or nothing measured."""

    benchmark: str
    what: str
    figure: str
    asked: str
    met: bool | None


@dataclass(frozen=True)
class Claim:
    """`figure` has a `{}` for each of the numbers; those of `peers` that are missing are named."""

    benchmark: str
    what: str
    figure: str
    numbers: tuple[Number, ...]
    peers: tuple[str, ...] = ()

    def line(self, results: Results) -> Line:
        """The claim by what was measured."""
        entry = results.get(self.benchmark, {})
        figures, asked = entry.get("figures", {}), self.asked()
        try:
            figure = self.figure.format(*(number.written(figures) for number in self.numbers))
            met = all(number.met(figures) for number in self.numbers) if asked else None
        except LookupError:
            figure, met = NOT_MEASURED, None
        missing = [n for n in entry.get("left_out", {}) if peers.program(n) in self.peers]
        if missing:
            figure += f", {' and '.join(map(peers.title, missing))} left out"
        return Line(self.benchmark, self.what, figure, asked, met)

    def asked(self) -> str:
        """What was asked of the numbers, each bound once."""
        bounds = dict.fromkeys(number.asked() for number in self.numbers)
        return ", ".join(bound for bound in bounds if bound)
