"""The test between the classes against scipy, against counting, and against simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from monitoring.report import difference
from monitoring.report.difference import compare, mean, sample_size
from monitoring.report.observations import Floats, answers
from tests.unit import report_kit as kit


def _two(first: int, second: int, shift: float = 0.0, seed: int = 0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    return random.normal(0, 1, first) + shift, random.normal(0, 1, second)


def test_the_p_value_of_many_answers_is_that_of_scipys_test() -> None:
    seen = answers(kit.traffic(400), kit.CLASSES)
    found = difference.between_classes(seen)
    direct = stats.mannwhitneyu(seen.of(0), seen.of(1), alternative="two-sided")
    assert found is not None
    assert (found.u, found.p) == pytest.approx((direct.statistic, direct.pvalue))
    assert found.effect == pytest.approx(
        float(np.mean(seen.of(0)[:, None] > seen.of(1))), abs=0.001
    )


def test_the_p_value_of_few_answers_is_exact() -> None:
    first, second = _two(6, 5, 0.8)
    found = compare(first, second)
    assert found is not None
    assert found.exact
    assert found.p == pytest.approx(stats.mannwhitneyu(first, second, method="exact").pvalue)


def test_few_answers_with_ties_are_compared_with_every_arrangement_of_them() -> None:
    first, second = np.array([1.0, 1.0, 0.9, 0.9, 0.8]), np.array([0.9, 0.7, 0.7, 0.6])
    every = stats.PermutationMethod(n_resamples=10_000)
    direct = stats.mannwhitneyu(first, second, method=every)
    for one, other in ((first, second), (second, first)):
        found = compare(one, other)
        assert found is not None
        assert found.p == pytest.approx(direct.pvalue)


def test_one_answer_of_a_class_is_compared_too() -> None:
    found = compare(np.array([0.5]), np.linspace(0.8, 0.99, 9))
    assert found is not None
    assert found.p == pytest.approx(2 / 10)


def test_the_originals_twelve_answers_have_a_p_value_of_two_in_sixty_six() -> None:
    bicycles = np.array([0.99, 0.97, 0.95, 0.9, 0.93, 0.98, 0.88, 0.999, 0.96, 0.92])
    found = compare(bicycles, np.array([0.62, 0.71]))
    assert found is not None
    assert found.p == pytest.approx(2 / 66)
    assert (found.effect, found.size, found.is_chance) == (1, "large", False)
    assert found.needed is not None
    assert found.needed > 2  # two motorcycles do not settle it


def test_without_a_difference_one_window_in_twenty_looks_different() -> None:
    found = [compare(*_two(25, 40, seed=seed)) for seed in range(600)]
    assert 0.03 < np.mean([not one.is_chance for one in found if one]) < 0.075


@pytest.mark.parametrize("digits", [9, 0])
@pytest.mark.parametrize("shift", [0.4, 0.7])
def test_samples_of_the_computed_size_find_the_effect_four_times_in_five(
    shift: float, digits: int
) -> None:
    # Rounded to whole numbers most values tie; the effect and the ties are those of a big sample.
    big = [values.round(digits) for values in _two(200_000, 200_000, shift)]
    whole = compare(*big)
    assert whole is not None
    count = whole.needed
    assert count is not None
    random = np.random.default_rng(7)
    runs = 3000
    first = (random.normal(0, 1, (runs, count)) + shift).round(digits)
    second = random.normal(0, 1, (runs, count)).round(digits)
    p = stats.mannwhitneyu(first, second, axis=1, method="asymptotic").pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.8, abs=0.03)


def test_the_sample_size_is_that_of_noethers_formula() -> None:
    wanted = (1.959964 + 0.841621) ** 2
    assert sample_size(0.65) == math.ceil(wanted / (6 * 0.15**2))
    assert sample_size(0.35) == sample_size(0.65)


def test_an_effect_of_nothing_needs_no_number_and_a_total_one_at_least_four() -> None:
    assert sample_size(0.5) is None
    assert sample_size(0.5001) is None
    assert sample_size(1.0, power=0.1) == 4


def test_one_class_alone_has_nothing_to_compare() -> None:
    assert compare(np.array([0.9, 0.8]), np.array([])) is None


def test_answers_that_are_all_equal_are_no_difference() -> None:
    found = compare(np.ones(30), np.ones(40))
    assert found is not None
    assert (found.p, found.effect, found.interval, found.needed) == (1, 0.5, None, None)


def test_the_interval_of_a_mean_holds_it_in_nineteen_windows_of_twenty_and_stays_a_share() -> None:
    random = np.random.default_rng(4)
    intervals = [mean(random.normal(0.7, 0.05, 15)) for _ in range(800)]
    held = [one.interval[0] < 0.7 < one.interval[1] for one in intervals if one and one.interval]
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)
    wide = mean(np.array([0.6, 0.99]))
    assert wide is not None
    assert wide.interval == (0.0, 1.0)
    single = mean(np.array([0.6]))
    assert single is not None
    assert single.interval is None
