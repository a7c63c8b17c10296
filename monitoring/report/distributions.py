"""The features' distributions out of two `statistics.json`, so that they can be drawn together.

A numerical feature is read from the items of its KLL sketch (those of level i count 2^i times); if
they are missing or make no sense, from its ten buckets, each taken as even within. A categorical
one is read from its buckets. Source: "Schema for Statistics", SageMaker AI guide.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.report.observations import Floats, Json, Observation


@dataclass(frozen=True, slots=True)
class Numeric:
    """A cumulated share: `cumulated` (K) of the values are at most `values` (K), ascending; between
    two values it rises evenly where it is `even` (buckets), else at the values only (items)."""

    values: Floats
    cumulated: Floats
    even: bool
    mean: float | None

    def shares(self, edges: Floats) -> Floats:
        """The share of values in each of the (E - 1) bins; the last one includes its upper end."""
        if self.even:
            below = np.interp(edges, self.values, self.cumulated, left=0.0, right=1.0)
        else:
            place = np.searchsorted(self.values, edges, side="left")
            below = np.concatenate([[0.0], self.cumulated])[place]
        below[-1] = 1.0 if edges[-1] >= self.values[-1] else below[-1]
        return np.diff(below)

    @property
    def constant(self) -> float | None:
        """The value, when there is but one."""
        return float(self.values[0]) if self.values[0] == self.values[-1] else None


@dataclass(frozen=True, slots=True)
class Categorical:
    """The share of each value."""

    shares: Mapping[str, float]


Distribution = Numeric | Categorical


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature on both sides; None where it is not there, or has no values."""

    name: str
    baseline: Distribution | None
    traffic: Distribution | None

    @property
    def constant(self) -> float | None:
        """The value, when there is but one and it is the same on both sides."""
        sides = (self.baseline, self.traffic)
        values = {side.constant if isinstance(side, Numeric) else None for side in sides}
        return values.pop() if len(values) == 1 else None


def features(
    baseline: Json | None, traffic: Json | None, observations: Sequence[Observation]
) -> list[Feature]:
    """Every feature that either side knows, by name. What the traffic's statistics lack is counted
    from the observations themselves."""
    before, now = _read(baseline), _read(traffic)
    names = {name for one in observations for name in one.features}
    for name in names - {name for name, found in now.items() if found}:
        now[name] = of_values(one.features.get(name) for one in observations)
    return [Feature(name, before.get(name), now.get(name)) for name in sorted({*before, *now})]


def _read(statistics: Json | None) -> dict[str, Distribution | None]:
    listed = (statistics or {}).get("features") or []
    return {str(one["name"]): _of_feature(one) for one in listed if "name" in one}


def _of_feature(feature: Json) -> Distribution | None:
    numerical = feature.get("numerical_statistics") or {}
    kll = (numerical.get("distribution") or {}).get("kll") or {}
    text = (feature.get("string_statistics") or {}).get("distribution") or {}
    try:
        if kll:
            mean = _finite(numerical.get("mean"))
            return _of_items(kll, mean) or _of_buckets(kll.get("buckets") or [], mean)
        buckets = (text.get("categorical") or {}).get("buckets") or []
        return _categorical({str(one["value"]): float(one["count"]) for one in buckets})
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # not as Model Monitor writes it: there is nothing to draw


def _of_items(kll: Json, mean: float | None) -> Numeric | None:
    levels = (kll.get("sketch") or {}).get("data") or []
    sizes = [len(level) for level in levels]
    values = np.array([item for level in levels for item in level], np.float64)
    weights = np.repeat(2.0 ** np.arange(len(levels)), sizes)
    return _weighted(values, weights, mean)


def _weighted(values: Floats, weights: Floats, mean: float | None) -> Numeric | None:
    kept = np.isfinite(values) & (weights > 0)
    if not kept.any():
        return None
    places, index = np.unique(values[kept], return_inverse=True)
    sums = np.bincount(index, weights[kept])
    return Numeric(places, np.cumsum(sums) / sums.sum(), False, mean)


def _of_buckets(buckets: Sequence[Json], mean: float | None) -> Numeric | None:
    ordered = sorted(buckets, key=lambda one: float(one["lower_bound"]))
    counts = np.array([float(one["count"]) for one in ordered])
    if not len(counts) or not np.isfinite(counts).all() or counts.sum() <= 0:
        return None
    bounds = [float(ordered[0]["lower_bound"]), *(float(one["upper_bound"]) for one in ordered)]
    if not np.isfinite(bounds).all():
        return None
    cumulated = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    return Numeric(np.array(bounds), cumulated, True, mean)


def of_values(values: Iterable[float | str | None]) -> Distribution | None:
    """Of a feature's own values; text makes it categorical, and None and NaN are missing."""
    present = [value for value in values if value is not None and value == value]
    if any(isinstance(value, str) for value in present):
        return _categorical(Counter(str(value) for value in present))
    numbers = np.array(present, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return None
    return _weighted(numbers, np.ones(len(numbers)), float(numbers.mean()))


def _categorical(counts: Mapping[str, float]) -> Categorical | None:
    total = math.fsum(counts.values())
    if not math.isfinite(total) or total <= 0:
        return None
    return Categorical({value: count / total for value, count in counts.items()})


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def common_edges(sides: Iterable[Numeric], bins: int = 30) -> Floats:
    """Edges (bins + 1) that hold all values of all sides."""
    spans = [(float(side.values[0]), float(side.values[-1])) for side in sides]
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)
