"""How far two distributions lie apart: 0 (alike) to 1.

Source: Deequ, analyzers/Distance.scala. Numbers: the largest gap between the two empirical
distribution functions (Kolmogorov-Smirnov). Categories: the largest difference of two shares
(LInfinity). `Simple` is that distance; `Robust` subtracts what chance alone may make of two samples
of n and m values, 1.8 * sqrt((n + m) / (n * m)), which is exceeded about three times in a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from monitoring.analyzer.sketch import Distribution

ROBUST_FACTOR = 1.8


def numerical(one: Distribution, other: Distribution, method: str) -> float:
    """Of two distributions of numbers, each with at least one."""
    points = np.union1d(one.items, other.items)
    gaps = one.at_most(points) / one.total - other.at_most(points) / other.total
    return _corrected(float(np.abs(gaps).max()), one.total, other.total, method)


def categorical(
    one: Mapping[str, int], other: Mapping[str, int], total: int, against: int, method: str
) -> float:
    """Of two tables of counts out of `total` and `against` values, each at least one."""
    names = {*one, *other}
    gaps = (abs(one.get(name, 0) / total - other.get(name, 0) / against) for name in names)
    return _corrected(max(gaps, default=0.0), total, against, method)


def _corrected(distance: float, n: float, m: float, method: str) -> float:
    if method == "Simple":
        return distance
    return max(0.0, distance - ROBUST_FACTOR * math.sqrt((n + m) / (n * m)))
