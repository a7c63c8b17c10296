"""The sketches are as good as exact counts, take little memory, and merge."""

import datasketches
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.analyzer import column, statistics
from monitoring.analyzer.profile import Moments, Profile
from monitoring.analyzer.sketch import LOG_NOMINAL, Distinct, Distribution, Quantiles

RANDOM = np.random.default_rng(7)


def profile_of(values: np.ndarray, texts: np.ndarray | None = None) -> Profile:
    profile = Profile()
    columns = {"x": column.from_numbers(values)}
    if texts is not None:
        columns["c"] = column.from_values(texts.tolist())
    profile.add(columns, len(values))
    return profile


def test_the_distinct_count_is_the_librarys_own_although_most_values_are_not_handed_over() -> None:
    values = np.concatenate([RANDOM.normal(size=60_000), [-0.0, 0.0, 1e300, -1e-300]])
    ours, theirs = Distinct(), datasketches.update_theta_sketch(LOG_NOMINAL)
    ours.add_numbers(values)
    for value in values.tolist():
        theirs.update(value)
    assert ours.estimate() == theirs.get_estimate()
    assert ours.estimate() == pytest.approx(60_000, rel=0.07)


def test_up_to_two_thousand_values_the_sketch_holds_each_at_level_zero() -> None:
    values = RANDOM.normal(size=2000)
    sketch = Quantiles()
    sketch.update(values)
    assert sketch.levels() == [sorted(values.tolist())]


def test_the_items_of_a_large_sketch_stand_for_all_values() -> None:
    values = RANDOM.normal(size=200_000)
    sketch = Quantiles()
    sketch.update(values)
    levels = sketch.levels()
    distribution = Distribution(levels)
    assert sum(len(level) * 2**height for height, level in enumerate(levels)) == 200_000
    assert sum(map(len, levels)) < 8000
    points = np.linspace(-3, 3, 50)
    exact = np.searchsorted(np.sort(values), points, side="right")
    assert np.abs(distribution.at_most(points) - exact).max() / 200_000 < 0.003


def test_ten_shards_in_any_order_give_the_answer_of_the_whole() -> None:
    values, texts = RANDOM.normal(1e9, 1, 100_000), RANDOM.choice(["a", "b", "c"], 100_000)
    whole = profile_of(values, texts)
    merged = Profile()
    for part in RANDOM.permutation(10):
        merged.merge(profile_of(values[part::10], texts[part::10]))
    assert merged.rows == 100_000
    one, other = whole.features["x"], merged.features["x"]
    assert other.moments.count == one.moments.count
    assert other.moments.sum == pytest.approx(one.moments.sum, rel=1e-15)
    assert other.moments.deviation == pytest.approx(values.std(), rel=1e-6)
    assert (other.moments.minimum, other.moments.maximum) == (values.min(), values.max())
    assert other.distinct.estimate() == pytest.approx(100_000, rel=0.08)
    exact, points = np.sort(values), np.linspace(1e9 - 2, 1e9 + 2, 30)
    ranks = Distribution(other.quantiles.levels()).at_most(points)
    assert np.abs(ranks - np.searchsorted(exact, points, "right")).max() / 100_000 < 0.003
    assert merged.features["c"].categories.counts == whole.features["c"].categories.counts


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), min_size=1, max_size=6))
def test_moments_of_pieces_are_those_of_all_values(pieces: list[list[float]]) -> None:
    moments = Moments()
    for piece in pieces:
        moments.update(np.sort(np.array(piece)))
    values = np.concatenate([np.array(piece) for piece in pieces])
    assert moments.count == values.size
    assert moments.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9)
    assert moments.sum == pytest.approx(values.sum(), rel=1e-9, abs=1e-6)
    assert moments.deviation == pytest.approx(values.std(), rel=1e-6, abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60))
def test_buckets_hold_each_value_once(values: list[float]) -> None:
    levels, low, high = [values], min(values), max(values)
    found = statistics.buckets(Distribution(levels), low, high)
    assert len(found) == 10
    assert sum(bucket["count"] for bucket in found) == len(values)
    assert (found[0]["lower_bound"], found[-1]["upper_bound"]) == (low, high)
