"""The six checks: against a direct computation, and against what traffic really does."""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from monitoring.analyzer import checks, chunk, constraints, distance, statistics
from monitoring.analyzer.profile import Profile
from monitoring.analyzer.settings import AnalyzerError
from monitoring.analyzer.sketch import Distribution

Json = dict[str, Any]
Table = Mapping[str, Sequence[Any]]


def profile_of(table: Table, known: Mapping[str, Sequence[str]] | None = None) -> Profile:
    profile = Profile(known)
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    part = chunk.of_rows(rows)
    profile.add(part.columns, part.rows)
    return profile


def compared(base: Table, current: Table, change: Json | None = None) -> checks.Findings:
    """`current` against the baseline that `base` suggests, with `change`d distribution settings."""
    found = statistics.build(profile_of(base))
    document = constraints.suggest(found)
    document["monitoring_config"]["distribution_constraints"] |= change or {}
    return against(document, found, current)


def against(document: Json, baseline: Json | None, current: Table) -> checks.Findings:
    rules = constraints.Rules(document)
    profile = profile_of(current, checks.known_values(rules, baseline))
    return checks.compare(profile, rules, baseline)


def kinds(findings: checks.Findings) -> list[tuple[str, str]]:
    return [(one["feature_name"], one["constraint_check_type"]) for one in findings.violations]


cells = st.one_of(st.none(), st.integers(-3, 3).map(str), st.sampled_from(["0.5", "1.5", "-2.25"]))
words = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"]))


def tables() -> st.SearchStrategy[dict[str, list[Any]]]:
    def of_size(size: int) -> st.SearchStrategy[dict[str, list[Any]]]:
        def column(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
            return st.lists(values, min_size=size, max_size=size)

        typed = st.one_of(st.none(), st.floats(-5, 5))
        return st.fixed_dictionaries(
            {"number": column(cells), "typed": column(typed), "word": column(words)}
        )

    return st.integers(1, 30).flatmap(of_size)


def directly(base: list[Any], current: list[Any], method: str, threshold: float) -> set[str]:
    """The checks that fire, computed from the values themselves."""
    before, after = ([v for v in part if v is not None] for part in (base, current))
    fired = set()
    if len(after) / len(current) < len(before) / len(base):
        fired.add("completeness_check")
    if not before or not after:
        return fired
    is_text = isinstance(before[0], str) and before[0].isalpha()
    whole = all(isinstance(v, str) and "." not in v for v in before)
    if whole and not is_text and any("." in v for v in after):
        fired.add("data_type_check")
    if is_text:
        if set(after) - set(before):
            fired.add("categorical_values_check")
        p, q = Counter(after), Counter(before)
        gap = max(abs(p[v] / len(after) - q[v] / len(before)) for v in {*p, *q})
    else:
        gap = ks_2samp([*map(float, before)], [*map(float, after)], method="asymp").statistic
    if method == "Robust":
        gap -= 1.8 * np.sqrt(1 / len(before) + 1 / len(after))
    if gap > threshold + 1e-12:
        fired.add("baseline_drift_check")
    elif gap > threshold - 1e-12:
        fired.add("either")
    return fired


@settings(max_examples=150, deadline=None)
@given(tables(), tables(), st.sampled_from(["Simple", "Robust"]), st.sampled_from([0.1, 0.33]))
def test_the_checks_agree_with_a_direct_computation(
    base: dict[str, list[Any]], current: dict[str, list[Any]], method: str, threshold: float
) -> None:
    found = compared(
        base,
        current,
        {
            "comparison_method": method,
            "comparison_threshold": threshold,
            "categorical_comparison_threshold": threshold,
        },
    )
    for name in base:
        expected = directly(base[name], current[name], method, threshold)
        fired = {check for feature, check in kinds(found) if feature == name}
        if "either" in expected:  # on the threshold, rounding decides
            expected, fired = expected - {"either"}, fired - {"baseline_drift_check"}
        assert fired == expected, name


@settings(max_examples=60, deadline=None)
@given(tables())
def test_a_table_never_violates_the_constraints_that_it_suggests(table: Table) -> None:
    assert compared(table, table).violations == []


def traffic(random: np.random.Generator, size: int, brightness: float = 0.5) -> dict[str, Any]:
    return {
        "brightness": random.normal(brightness, 0.1, size).round(4).tolist(),
        "confidence": random.beta(8, 2, size).round(4).tolist(),
        "decode_ok": [1.0] * size,
        "predicted_class": random.choice(["bicycle", "motorcycle"], size).tolist(),
    }


def test_clean_traffic_rarely_alarms_and_a_brightness_shift_of_one_deviation_nearly_always() -> (
    None
):
    random = np.random.default_rng(3)
    baseline = statistics.build(profile_of(traffic(random, 10_000)))
    document = constraints.suggest(baseline)
    sizes = [100, 500, 1000, 2000] * 50
    false = sum(bool(against(document, baseline, traffic(random, n)).violations) for n in sizes)
    assert false < 0.02 * 200
    shifted = [against(document, baseline, traffic(random, 500, 0.6)) for _ in range(100)]
    assert sum(("brightness", "baseline_drift_check") in kinds(one) for one in shifted) >= 99
    assert all({*kinds(one)} <= {("brightness", "baseline_drift_check")} for one in shifted)


def test_the_penalty_is_that_of_the_published_comparison() -> None:
    items = Distribution([list(np.linspace(0, 1, 10_000))])
    moved = Distribution([list(np.linspace(0.5, 1.5, 500))])
    simple = distance.numerical(moved, items, "Simple")
    assert simple - distance.numerical(moved, items, "Robust") == pytest.approx(0.0825, abs=1e-4)


def test_the_text_of_a_type_mismatch_is_that_of_a_real_file() -> None:
    found = compared({"x": ["1"] * 565}, {"x": ["1"] * 563 + ["2.5", "a"]})
    assert found.violations[0] == {
        "feature_name": "x",
        "constraint_check_type": "data_type_check",
        "description": "Data type match requirement is not met. Expected data type: Integral, "
        "Expected match: 100.0%. Observed: Only 99.64601769911503% of data is Integral.",
    }


def test_fewer_columns_are_reported_alone_and_named() -> None:
    base: Table = {"a": [1.0] * 9, "b": ["x"] * 9, "c": [2.0] * 9}
    found = compared(base, {"a": [99.0] * 9, "c": [None] * 9})
    assert found.violations == [
        {
            "feature_name": "Missing columns",
            "constraint_check_type": "missing_column_check",
            "description": "Missing in current dataset: b. Number of columns in current dataset: "
            "2, Number of columns in baseline constraints: 3",
        }
    ]


def test_more_columns_are_reported_and_named() -> None:
    found = compared({"a": [1.0]}, {"a": [1.0], "b": [1.0], "c": [1.0]})
    assert kinds(found) == [("Extra columns", "extra_column_check")]
    assert "Extra in current dataset: b, c." in found.violations[0]["description"]


def test_a_renamed_column_does_not_go_unnoticed() -> None:
    found = compared({"a": [1.0] * 5, "b": [1.0] * 5}, {"a": [None] * 5, "d": [1.0] * 5})
    assert kinds(found) == [
        ("Missing columns", "missing_column_check"),
        ("Extra columns", "extra_column_check"),
        ("a", "completeness_check"),
    ]


@pytest.mark.parametrize(
    ("columns", "check"),
    [("acd", "extra_column_check"), ("c", "missing_column_check")],
)
def test_where_the_number_of_columns_differs_only_the_difference_is_reported(
    columns: str, check: str
) -> None:
    found = compared({"a": [1.0], "b": [1.0]}, {name: [1.0] for name in columns})
    assert [kind for _, kind in kinds(found)] == [check]


@pytest.mark.parametrize("key", ["monitoringConfigOverrides", "monitoring_config_overrides"])
@pytest.mark.parametrize(
    "drift", [{"comparison_threshold": 0.9}, {"perform_comparison": "Disabled"}]
)
def test_a_feature_may_override_the_settings_under_either_name(key: str, drift: Json) -> None:
    base = {"x": list(np.linspace(0, 1, 1000)), "y": list(np.linspace(0, 1, 1000))}
    moved = {name: [value + 0.4 for value in values] for name, values in base.items()}
    baseline = statistics.build(profile_of(base))
    document = constraints.suggest(baseline)
    document["features"][0][key] = {"distribution_constraints": drift}
    found = against(document, baseline, moved)
    assert kinds(found) == [("y", "baseline_drift_check")]


@pytest.mark.parametrize(
    ("section", "switch", "left"),
    [
        (None, "evaluate_constraints", []),
        ("distribution_constraints", "perform_comparison", [("x", "completeness_check")]),
    ],
)
def test_switches_turn_checks_off(
    section: str | None, switch: str, left: list[tuple[str, str]]
) -> None:
    baseline = statistics.build(profile_of({"x": list(np.linspace(0, 1, 500))}))
    document = constraints.suggest(baseline)
    current = {"x": [None, *np.linspace(5, 6, 500)]}
    assert len(against(document, baseline, current).violations) == 2
    changed = copy.deepcopy(document)
    config = changed["monitoring_config"]
    (config[section] if section else config)[switch] = "Disabled"
    assert kinds(against(changed, baseline, current)) == left


def test_categories_are_compared_among_any_number_of_new_ones() -> None:
    base = {"c": ["a"] * 300 + ["b"] * 300}
    current = {"c": ["a"] * 300 + [f"new {number}" for number in range(300)]}
    found = compared(base, current)
    assert kinds(found) == [("c", "categorical_values_check"), ("c", "baseline_drift_check")]
    assert "Only 50.0% of data" in found.violations[0]["description"]
    assert found.distances["c"] == pytest.approx(0.5 - 1.8 * np.sqrt(2 / 600))


def test_values_that_a_person_added_to_a_domain_are_counted_among_any_number_of_new_ones() -> None:
    baseline = statistics.build(profile_of({"c": ["a", "b"] * 300}))
    document = constraints.suggest(baseline)
    document["features"][0]["string_constraints"]["domains"].append("z")
    found = against(document, baseline, {"c": ["z"] * 900 + [f"new {n}" for n in range(300)]})
    assert "Only 75.0% of data" in found.violations[0]["description"]


def test_an_empty_domain_allows_any_value() -> None:
    document = constraints.suggest(statistics.build(profile_of({"c": ["a"]})))
    document["features"][0]["string_constraints"]["domains"] = []
    assert against(document, None, {"c": ["b"]}).violations == []


@pytest.mark.parametrize(("least", "expected"), [(0.0, True), (0.5, True), (-0.5, False)])
def test_zero_is_not_negative(least: float, expected: bool) -> None:
    document = constraints.suggest(statistics.build(profile_of({"x": [least, 1.0]})))
    assert document["features"][0]["num_constraints"] == {"is_non_negative": expected}


@pytest.mark.parametrize(
    ("key", "name"), [("comparison_threshold", "x"), ("categorical_comparison_threshold", "c")]
)
def test_numbers_and_categories_have_a_threshold_each_and_may_reach_it(key: str, name: str) -> None:
    base: Table = {"c": ["a"] * 4 + ["b"] * 4, "x": [0.0] * 4 + [1.0] * 4}
    current: Table = {"c": ["a"] * 8, "x": [0.0] * 8}  # both are 0.5 away
    both = {"comparison_threshold": 0.5, "categorical_comparison_threshold": 0.5}
    assert compared(base, current, {"comparison_method": "Simple"} | both).violations == []
    strict = compared(base, current, {"comparison_method": "Simple"} | both | {key: 0.49})
    assert kinds(strict) == [(name, "baseline_drift_check")]


def test_numbers_that_became_text_are_a_matter_of_types_not_of_distance() -> None:
    found = compared({"x": ["1", "2"] * 50}, {"x": ["8"] * 99 + ["none"]})
    assert kinds(found) == [("x", "data_type_check")]
    assert found.distances == {}


def test_chi_squared_is_refused_by_name() -> None:
    document = constraints.suggest(statistics.build(profile_of({"c": ["a", "b"]})))
    with pytest.raises(AnalyzerError, match=r"ChiSquared.*use LInfinity"):
        constraints.Rules(document, "ChiSquared")


def test_without_baseline_statistics_there_is_no_drift_check() -> None:
    document = constraints.suggest(statistics.build(profile_of({"x": [0.5] * 500})))
    assert against(document, None, {"x": [9.5] * 500}).violations == []
