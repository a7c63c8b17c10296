"""Whether one class is answered less surely than the other, and whether that is chance.

Why the Mann-Whitney U test: confidences lie between one half and one, crowd at the upper end and
tie there, so they are far from normal and their means say little in small samples. U compares ranks
only. Its effect is easily said: of a random pair, one answer of each class, how often the first is
the surer (A, ties counting one half). Welch's interval tells how far the means are apart; it is an
estimate beside the test, not a second test.

Sources: Mann and Whitney (1947); Vargha and Delaney (2000) for A and its words; Noether (1987) for
the sample size, with the ties of Zhao, Rahardja and Qu (2008), Statistics in Medicine 27:462.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from monitoring.report.observations import Answers, Floats

ALPHA = 0.05
POWER = 0.8
EXACT_BELOW = 10_000  # arrangements of two samples that are all tried
ENDLESS = 1_000_000  # answers a class: beyond this the effect is none


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval (by Student's t, cut to 0 and 1), None for a single value."""

    value: float
    interval: tuple[float, float] | None
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Class 0 against class 1: `effect` is A (above one half: class 0 is surer), `means_apart` the
    first mean minus the second with Welch's 95 % interval (None where a class has one answer), and
    `needed` the answers of each class that would settle an effect of this size (None: so small that
    no affordable number would)."""

    u: float
    p: float
    exact: bool
    effect: float
    means_apart: float
    interval: tuple[float, float] | None
    needed: int | None

    @property
    def is_chance(self) -> bool:
        """Whether chance alone explains it well enough."""
        return self.p >= ALPHA

    @property
    def size(self) -> str:
        apart = abs(self.effect - 0.5)
        names = (("negligible", 0.06), ("small", 0.14), ("medium", 0.21))
        return next((name for name, limit in names if apart < limit), "large")


def mean(values: Floats) -> Mean | None:
    """None without values."""
    if not len(values):
        return None
    value, interval = float(values.mean()), None
    if len(values) > 1:
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        interval = (max(0.0, value - float(half)), min(1.0, value + float(half)))
    return Mean(value, interval, len(values))


def between_classes(seen: Answers) -> Difference | None:
    """None when only one class was named: then there is nothing to compare."""
    return compare(seen.of(0), seen.of(1))


def compare(first: Floats, second: Floats) -> Difference | None:
    """The test of two samples; None when one is empty.

    With few values every arrangement of them is tried, which is exact with ties too; with more,
    scipy's normal approximation with its correction for ties.
    """
    if not len(first) or not len(second):
        return None
    count = len(first) + len(second)
    exact = count <= EXACT_BELOW and math.comb(count, len(first)) <= EXACT_BELOW
    if np.ptp(np.concatenate([first, second])) == 0:
        u, p = len(first) * len(second) / 2, 1.0  # all equal: scipy would divide by zero
    else:
        u, p = map(float, stats.mannwhitneyu(first, second, method="asymptotic"))
        p = _every_arrangement(first, second) if exact else p
    effect = u / (len(first) * len(second))
    interval = None
    if len(first) > 1 and len(second) > 1 and (first.std() or second.std()):
        welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
        interval = (float(welch.low), float(welch.high))
    return Difference(
        u,
        min(p, 1.0),
        exact,
        effect,
        float(first.mean() - second.mean()),
        interval,
        sample_size(effect, tied=_tied(first, second)),
    )


def _every_arrangement(first: Floats, second: Floats) -> float:
    """The share of the ways to deal out all values in which the rank sum is as far out as here,
    both sides. scipy does this too, but not with a single value in a sample."""
    few = min(first, second, key=len)
    ranks = stats.rankdata(np.concatenate([first, second]))  # halves at most: sums are exact
    sums = np.array([sum(dealt) for dealt in itertools.combinations(ranks, len(few))])
    here = (ranks[: len(few)] if few is first else ranks[-len(few) :]).sum()
    return 2 * float(min(np.mean(sums >= here), np.mean(sums <= here)))


def sample_size(
    effect: float, *, tied: float = 0.0, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Answers of each class at which the two-sided test finds an effect A with that power.

    `tied` is the chance that three values, each of either class, are equal: ties narrow U.
    None for more than a million. At least 4: fewer of each class cannot reach p < 0.05.
    """
    wanted = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    apart = (effect - 0.5) ** 2
    if not apart or apart * 6 * ENDLESS < wanted**2 * (1 - tied):
        return None
    return max(4, math.ceil(wanted**2 * (1 - tied) / (6 * apart)))


def _tied(first: Floats, second: Floats) -> float:
    """Sum over the values of the cube of their share, both classes counting half."""
    values, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    share = np.bincount(place[: len(first)], minlength=len(values)) / (2 * len(first))
    share = share + np.bincount(place[len(first) :], minlength=len(values)) / (2 * len(second))
    # Values that occur once are no ties; in a small sample their cubes would look like some.
    occur = np.bincount(place, minlength=len(values))
    return float(np.sum(share[occur > 1] ** 3))
