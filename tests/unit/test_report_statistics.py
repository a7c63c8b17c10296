"""Violations in words, the features' distributions, and what labels tell."""

import math
from typing import Any

import numpy as np
import pytest

from monitoring.report import Observation
from monitoring.report.distributions import Categorical, Feature, Numeric, features, of_values
from monitoring.report.observations import answers, plain
from monitoring.report.reliability import reliability, wilson
from monitoring.report.violations import in_words
from tests.unit import report_kit as kit


def _statistics(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"features": list(listed)}


def _only(statistics: dict[str, Any] | None, observations: list[Observation]) -> Feature:
    (found,) = features(None, statistics, observations)
    return found


@pytest.mark.parametrize(
    ("violation", "sentence"),
    [
        (kit.DRIFT, "brightness has drifted: distance 0.322 exceeds 0.1."),
        (
            kit.violation(
                "width",
                "data_type_check",
                "Data type match requirement is not met. Expected data type: Integral, Expected "
                "match: 100.0%. Observed: Only 99.64592817400101% of data is Integral.",
            ),
            "width holds values of another type: 99.65 % are Integral, where 100 % should be.",
        ),
        (
            kit.violation(
                "Missing columns",
                "missing_column_check",
                "Number of columns in current dataset: 8, Number of columns in baseline "
                "constraints: 9",
            ),
            "The traffic has 8 columns and the baseline 9.",
        ),
        (
            kit.violation("red", "completeness_check", "an unconfirmed text"),
            "red is missing in more records than in the baseline.",
        ),
        (
            kit.violation("predicted_class", "categorical_values_check", ""),
            "predicted_class has values that the baseline does not know.",
        ),
        (
            {
                "metric_name": "true_positive_rate",
                "constraint_check_type": "LessThanThreshold",
                "description": "Metric true_positive_rate with 0.836 +/- 0.01 was "
                "LessThanThreshold '0.84'",
            },
            "true positive rate is 0.836, below the least allowed, 0.84.",
        ),
        (kit.violation("x", "new_check", "Something new."), "x: Something new."),
        (kit.violation("x", "baseline_drift_check", "?"), "x has drifted from the baseline."),
    ],
)
def test_each_violation_is_one_plain_sentence(violation: dict[str, str], sentence: str) -> None:
    (said,) = in_words({"violations": [violation]}, {})
    assert said.sentence == sentence
    assert said.description == plain(violation["description"], 400)


def test_a_drift_says_where_the_mean_went() -> None:
    before = of_values([0.5, 0.6])
    now = of_values([0.2, 0.4])
    (said,) = in_words(
        {"violations": [kit.DRIFT]}, {"brightness": Feature("brightness", before, now)}
    )
    assert said.sentence.endswith("exceeds 0.1; its mean went from 0.55 to 0.3.")


def test_no_file_and_an_empty_list_have_no_violations() -> None:
    assert in_words(None, {}) == in_words({"violations": []}, {}) == []


def test_an_item_of_a_sketchs_level_counts_two_to_that_level() -> None:
    kll = {"sketch": {"data": [[1.0, 2.0], [3.0], [4.0]]}, "buckets": []}
    found = _only(
        _statistics({"name": "x", "numerical_statistics": {"distribution": {"kll": kll}}}), []
    ).traffic
    assert isinstance(found, Numeric)
    edges = np.array([1.0, 2.0, 3.0, 4.0])
    assert found.shares(edges) * 8 == pytest.approx([1, 1, 2 + 4])  # the last bin is closed


def test_buckets_are_read_as_even_within_where_there_is_no_sketch() -> None:
    values = np.random.default_rng(1).random(5000).tolist()
    found = _only(_statistics(kit.numeric("x", values, buckets_only=True)), []).traffic
    assert isinstance(found, Numeric)
    assert found.even
    assert found.shares(np.linspace(0, 1, 6)) == pytest.approx([0.2] * 5, abs=0.02)


def test_what_the_statistics_lack_is_counted_from_the_answers_without_missing_values() -> None:
    values: list[float | None] = [0.25, math.nan, None, 0.75, math.inf]
    seen = [kit.observation(i, 0, 0.9, features={"x": v}) for i, v in enumerate(values)]
    found = _only(None, seen).traffic
    assert isinstance(found, Numeric)
    assert found.values.tolist() == [0.25, 0.75]
    words = [kit.observation(i, 0, 0.9, features={"c": v}) for i, v in enumerate(("a", None, "a"))]
    assert _only(None, words).traffic == Categorical({"a": 1.0})


@pytest.mark.parametrize(
    "statistics",
    [
        {"kll": {"sketch": {"data": [["a"]]}}},
        {"kll": {"sketch": {"data": "text"}}},
        {"kll": {"buckets": [{"lower_bound": 0}]}},
        {"kll": {"buckets": [{"lower_bound": 0, "upper_bound": 1, "count": 0}]}},
        {},
    ],
)
def test_statistics_that_make_no_sense_have_no_distribution(statistics: dict[str, Any]) -> None:
    feature = {"name": "x", "numerical_statistics": {"distribution": statistics}}
    assert _only(_statistics(feature), []).traffic is None


def test_labels_give_the_confusion_matrix_and_the_accuracy_with_its_interval() -> None:
    said_shown = [(0, 0)] * 6 + [(0, 1)] * 2 + [(1, 1)] * 3 + [(1, 0)]
    seen = [
        kit.observation(i, said, 0.9, label=kit.CLASSES[shown])
        for i, (said, shown) in enumerate(said_shown)
    ]
    seen.append(kit.observation(99, 0, 0.9))  # without a label
    found = reliability(answers(seen, kit.CLASSES))
    assert found is not None
    assert found.matrix == ((6, 1), (2, 3))
    assert (found.right, found.labelled) == (9, 12)
    assert found.ece == pytest.approx(0.9 - 9 / 12)
    assert found.interval == pytest.approx((0.4677, 0.9111), abs=0.0001)  # as R's prop.test


def test_wilsons_interval_stays_within_a_share() -> None:
    assert wilson(3, 3)[1] == 1
    assert wilson(0, 3)[0] == pytest.approx(0)
    assert 0.4 < wilson(3, 3)[0] < 0.5


def test_what_cannot_be_used_is_counted_and_named() -> None:
    seen = answers(
        [
            kit.observation(0, 0, 0.9),
            kit.observation(1, 0, math.nan),
            kit.observation(2, 0, 0.9, predicted_class="tricycle"),
            kit.observation(3, 0, 0.9, label="tricycle"),
            kit.observation(4, 1, 0.7, probabilities=(math.nan, math.nan)),
        ],
        kit.CLASSES,
    )
    assert len(seen) == 3
    assert seen.scores.tolist() == pytest.approx([0.1, 0.1, 0.7])
    assert seen.labels.tolist() == [-1, -1, -1]
    assert [sentence.split()[:3] for sentence in seen.left_out] == [
        ["1", "answer", "named"],
        ["1", "answer", "had"],
        ["1", "answer", "had"],
    ]


def test_a_strangers_text_is_cut_to_one_clean_line() -> None:
    assert plain("a\x00b\ud800c\u202ed\n e\t", 20) == "abcd e"
    assert plain("x" * 50, 10) == "x" * 9 + "…"
