"""What the statistics and the checks need to know of a table, gathered chunk by chunk.

    profile = Profile()
    for chunk in chunks: profile.add(chunk)
    profile.merge(another machine's)

Nothing here grows with the number of rows, and every part of it merges: ten shards in any order
give the counts of the whole exactly, its moments to rounding, its sketches within their error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitoring.analyzer.column import Column
from monitoring.analyzer.sketch import Distinct, Floats, Quantiles

CARDINALITY = 120  # [I] categories are kept for at most as many values: Deequ's ColumnProfiler
BLOCK = 1 << 16  # numbers that are sorted and sketched at once; they fit the processor's cache

INTEGRAL, FRACTIONAL, STRING, UNKNOWN = "Integral", "Fractional", "String", "Unknown"


@dataclass
class Moments:
    """Count, sum, mean and deviation of numbers (Chan, Golub, LeVeque 1979), and their range."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared distances from the mean
    minimum: float = math.inf
    maximum: float = -math.inf
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0])  # sum, and what it lost

    def update(self, block: Floats) -> None:
        """Adds sorted numbers."""
        total = float(block.sum())
        mean = total / block.size
        off = block - mean
        self._combine(block.size, mean, float(np.einsum("i,i", off, off)), [total, 0.0])
        self.minimum = min(self.minimum, float(block[0]))
        self.maximum = max(self.maximum, float(block[-1]))

    def merge(self, other: Moments) -> None:
        """Adds another shard's."""
        if other.count:
            self._combine(other.count, other.mean, other.squares, other._sums)
            self.minimum = min(self.minimum, other.minimum)
            self.maximum = max(self.maximum, other.maximum)

    def _combine(self, count: int, mean: float, squares: float, sums: Sequence[float]) -> None:
        together = self.count + count
        apart = mean - self.mean
        self.squares += squares + apart * apart * self.count * count / together
        self.mean += apart * count / together
        self.count = together
        high = self._sums[0] + sums[0]  # Neumaier's summation keeps what the addition loses
        big, small = sorted((self._sums[0], sums[0]), key=abs, reverse=True)
        self._sums = [high, self._sums[1] + sums[1] + ((big - high) + small)]

    @property
    def sum(self) -> float:
        """The sum."""
        return self._sums[0] + self._sums[1]

    @property
    def deviation(self) -> float:
        """The population's standard deviation, as Deequ's StandardDeviation has it."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


class Categories:
    """How often each value occurs, while at most 120 differ; the `known` ones for ever."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = frozenset(known)
        self._counts: dict[str, int] = {}
        self.complete = True

    def update(self, column: Column) -> None:
        """Adds a chunk."""
        if not (self.complete or self._known):
            return
        counts = column.counts(CARDINALITY)
        if counts is None:
            self._overflow()
            counts = column.counts(column.present) if self._known else {}
        self._add(counts or {})

    def merge(self, other: Categories) -> None:
        """Adds another shard's."""
        self._known |= other._known
        self._add(other._counts)
        if not other.complete:
            self._overflow()

    @property
    def counts(self) -> dict[str, int]:
        """The counts, most frequent first; of the known values only when not `complete`."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))

    def _add(self, counts: Mapping[str, int]) -> None:
        for value, count in counts.items():
            if self.complete or value in self._known:
                self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > CARDINALITY:
            self._overflow()

    def _overflow(self) -> None:
        self.complete = False
        self._counts = {v: n for v, n in self._counts.items() if v in self._known}


class Feature:
    """One column of the table."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.moments = Moments()
        self.quantiles = Quantiles()
        self.distinct = Distinct()
        self.categories = Categories(known)
        self.fractional = self.integral = self.boolean = self.string = 0
        self._typed = True

    def add(self, column: Column) -> None:
        """Adds a chunk of the column."""
        if not column.present:
            return
        self.fractional += column.fractional
        self.integral += column.integral
        self.boolean += column.boolean
        self.string += column.string
        self._typed &= column.typed
        self.categories.update(column)
        self.distinct.add_texts(column.string_counts())
        for start in range(0, column.numbers.size, BLOCK):
            block = np.sort(column.numbers[start : start + BLOCK])
            self.moments.update(block)
            self.quantiles.update(block)
            self.distinct.add_numbers(block)

    def merge(self, other: Feature) -> None:
        """Adds another shard's column."""
        self.fractional += other.fractional
        self.integral += other.integral
        self.boolean += other.boolean
        self.string += other.string
        self._typed &= other._typed
        self.categories.merge(other.categories)
        self.distinct.merge(other.distinct)
        self.moments.merge(other.moments)
        self.quantiles.merge(other.quantiles)

    @property
    def present(self) -> int:
        """How many rows have a value."""
        return self.fractional + self.integral + self.boolean + self.string

    @property
    def inferred_type(self) -> str:
        """Deequ's rule. [?] How the analyzer shows Boolean is not known; here it is a String."""
        if not self.present:
            return UNKNOWN
        if self.string or self.boolean:
            return STRING
        return FRACTIONAL if self.fractional else INTEGRAL

    def share_of(self, inferred_type: str) -> float:
        """The share of the present values that are of this type.

        A whole number is a Fractional's too if its source is typed (Spark makes the column a
        Double), and in texts as well, since a column of both is inferred as Fractional. [I]
        Every value is a String.
        """
        if inferred_type == INTEGRAL:
            matching = 0 if self._typed and self.fractional else self.integral
        elif inferred_type == FRACTIONAL:
            matching = self.fractional + self.integral
        else:
            matching = self.present
        return matching / self.present if self.present else 1.0


class Profile:
    """The features of a table, in the order of its columns.

    `known` names, for a feature, the values whose counts are kept whatever else occurs: the
    baseline's, so that a comparison with them works among any number of new ones.
    """

    def __init__(self, known: Mapping[str, Iterable[str]] | None = None) -> None:
        self.rows = 0
        self.features: dict[str, Feature] = {}
        self._known = known or {}

    def add(self, columns: Mapping[str, Column], rows: int) -> None:
        """Adds a chunk of `rows` rows. A column may be missing in it."""
        self.rows += rows
        for name, column in columns.items():
            self._feature(name).add(column)

    def merge(self, other: Profile) -> None:
        """Adds another shard's profile."""
        self.rows += other.rows
        for name, feature in other.features.items():
            self._feature(name).merge(feature)

    def completeness(self, name: str) -> float:
        """The share of rows in which the feature has a value."""
        return self.features[name].present / self.rows if self.rows else 0.0

    def _feature(self, name: str) -> Feature:
        if name not in self.features:
            self.features[name] = Feature(self._known.get(name, ()))
        return self.features[name]
