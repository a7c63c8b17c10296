"""Types are inferred value by value, as Deequ does, however the column came."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.analyzer import column, constraints, statistics
from monitoring.analyzer.profile import Feature, Profile

_FRACTIONAL = re.compile(r"(-|\+)? ?[0-9]*\.[0-9]*")
_INTEGRAL = re.compile(r"(-|\+)? ?[0-9]*")


def feature_of(*texts: str | None) -> Feature:
    feature = Feature()
    feature.add(column.from_texts(pa.array(texts, pa.string())))
    return feature


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "-2", "+ 3"], "Integral"),
        (["1", "2.5"], "Fractional"),
        (["0.5", ".5", "5."], "Fractional"),
        (["1e-05", "0.5"], "String"),
        (["nan", "inf"], "String"),
        (["true", "1"], "String"),
        (["bicycle"], "String"),
        ([None, None], "Unknown"),
        ([], "Unknown"),
    ],
)
def test_a_column_has_the_type_that_deequ_infers(texts: list[str], expected: str) -> None:
    assert feature_of(*texts).inferred_type == expected


values = st.one_of(
    st.none(),
    st.from_regex(r"[-+]? ?[0-9]{0,4}(\.[0-9]{0,3})?", fullmatch=True).filter(bool),
    st.sampled_from(["true", "false", "1e5", "-", ".", "x", "1,5", "  7", "7 ", "NaN", "/", "٣"]),
    st.integers(-(10**6), 10**6).map(str),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(values, max_size=40), st.integers(0, 5))
def test_each_value_is_counted_under_its_type(texts: list[str | None], skipped: int) -> None:
    array = pa.array(texts, pa.string()).slice(min(skipped, len(texts)))
    present = [text for text in texts[skipped:] if text is not None]
    fractional = [text for text in present if _FRACTIONAL.fullmatch(text)]
    integral = [text for text in present if _INTEGRAL.fullmatch(text)]
    found = column.from_texts(array)
    assert (found.fractional, found.integral) == (len(fractional), len(integral))
    assert found.boolean == sum(text in ("true", "false") for text in present)
    assert found.present == len(present)
    digits = [t for t in fractional + integral if re.search("[0-9]", t)]
    expected = sorted(float(text.replace(" ", "")) for text in digits)
    assert sorted(found.numbers.tolist()) == expected
    assert sum(found.string_counts().values()) == len(present) - len(fractional) - len(integral)


def test_numbers_of_json_keep_their_type_and_one_fraction_makes_the_column_fractional() -> None:
    whole, mixed = Feature(), Feature()
    whole.add(column.from_values([1, 2, None]))
    mixed.add(column.from_values([1, 2]))
    mixed.add(column.from_values([2.5]))
    assert (whole.inferred_type, whole.share_of("Integral")) == ("Integral", 1.0)
    assert (mixed.inferred_type, mixed.share_of("Integral")) == ("Fractional", 0.0)
    assert mixed.share_of("Fractional") == 1.0


def test_what_is_not_finite_is_missing() -> None:
    feature = Feature()
    feature.add(column.from_values([1.5, float("nan"), float("inf"), None]))
    assert (feature.present, feature.moments.mean) == (1, 1.5)


def test_a_column_that_turns_into_text_late_is_a_string_with_all_its_values() -> None:
    feature = feature_of("1", "2", "2")
    feature.add(column.from_texts(pa.array(["x"])))
    assert feature.inferred_type == "String"
    assert feature.categories.counts == {"2": 2, "1": 1, "x": 1}
    assert feature.distinct.estimate() == 3


def test_more_than_120_categories_are_not_kept_except_for_the_known_ones() -> None:
    feature = Feature(known=["c3"])
    for part in range(3):
        texts = [f"c{part * 50 + number}" for number in range(50)]
        feature.add(column.from_texts(pa.array([*texts, "c3"])))
    assert not feature.categories.complete
    assert feature.categories.counts == {"c3": 4}
    assert feature.distinct.estimate() == pytest.approx(150)


def test_the_statistics_of_very_many_categories_estimate_their_number_and_list_none() -> None:
    profile = Profile()
    texts = [f"c{number}" for number in range(1_000)]
    profile.add({"c": column.from_texts(pa.array([*texts, *texts]))}, 2_000)
    document = statistics.build(profile)
    found = document["features"][0]["string_statistics"]
    assert found["distinct_count"] == pytest.approx(1_000, rel=0.05)
    assert "distribution" not in found
    assert "string_constraints" not in constraints.suggest(document)["features"][0]


def test_signs_without_digits_have_statistics_but_no_distribution() -> None:
    profile = Profile()
    profile.add({"x": column.from_texts(pa.array(["-", "-", None]))}, 3)
    found = statistics.build(profile)["features"][0]["numerical_statistics"]
    assert (found["min"], found["max"], found["completeness"]) == (0.0, 0.0, 2 / 3)
    assert "distribution" not in found


def test_a_column_that_some_rows_lack_is_missing_there() -> None:
    profile = Profile()
    profile.add({"a": column.from_numbers(np.ones(3)), "b": column.from_numbers(np.ones(3))}, 3)
    profile.add({"a": column.from_numbers(np.ones(1))}, 1)
    assert profile.completeness("a") == 1.0
    assert profile.completeness("b") == 0.75
