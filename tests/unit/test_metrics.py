"""The metrics against counts done by hand and against direct computations."""

import math

import numpy as np
import pytest

from steps import metrics

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.45, 0.7, 0.4, 0.6, 0.8, 0.95])


@pytest.fixture
def noisy() -> tuple[metrics.Labels, metrics.Floats]:
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 300)
    scores = np.clip(labels * 0.3 + random.random(300) * 0.7, 0, 1).round(2)  # rounded: ties
    return labels, scores


def _value(name: str) -> float:
    block = metrics.binary_classification_metrics(LABELS, SCORES)[name]
    assert isinstance(block, dict)
    return float(block["value"])


def test_the_confusion_matrix_is_read_actual_then_predicted() -> None:
    # One bicycle (.7) was taken for a motorcycle and one motorcycle (.4) for a bicycle.
    matrix = metrics.confusion_matrix(LABELS, SCORES)
    assert matrix == {"0": {"0": 3, "1": 1}, "1": {"0": 1, "1": 3}}
    lopsided = metrics.confusion_matrix(np.array([0, 0, 1]), np.array([0.9, 0.8, 0.7]))
    assert lopsided == {"0": {"0": 0, "1": 2}, "1": {"0": 0, "1": 1}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 6 / 8),
        ("precision", 3 / 4),
        ("recall", 3 / 4),
        ("true_positive_rate", 3 / 4),
        ("true_negative_rate", 3 / 4),
        ("false_positive_rate", 1 / 4),
        ("false_negative_rate", 1 / 4),
        ("f1", 0.75),
        ("auc", 13 / 16),  # three of 16 pairs are the wrong way round: .7 > .4, .7 > .6, .45 > .4
        ("accuracy_best_constant_classifier", 0.5),
    ],
)
def test_a_metric_has_the_value_counted_by_hand(name: str, expected: float) -> None:
    assert _value(name) == pytest.approx(expected)


def test_f_scores_weigh_recall_by_beta() -> None:
    labels, scores = np.array([1, 1, 1, 1, 0]), np.array([0.9, 0.1, 0.1, 0.1, 0.1])
    rates = metrics.rates(labels, scores > 0.5, np.ones((1, 5), np.int64))
    p, r = 1.0, 0.25
    for name, beta in {"f0_5": 0.5, "f1": 1, "f2": 2}.items():
        direct = (1 + beta**2) * p * r / (beta**2 * p + r)
        assert rates[name][0] == pytest.approx(direct)


def test_the_area_under_the_drawn_curve_is_the_auc(
    noisy: tuple[metrics.Labels, metrics.Floats],
) -> None:
    curve = metrics.roc_curve(*noisy)
    area = np.trapezoid(curve["true_positive_rates"], curve["false_positive_rates"])
    one = np.ones((1, 300), np.int64)
    assert metrics.auc(*noisy, one)[0] == pytest.approx(area)
    assert (curve["false_positive_rates"][0], curve["true_positive_rates"][0]) == (0, 0)
    assert (curve["false_positive_rates"][-1], curve["true_positive_rates"][-1]) == (1, 1)


def test_weights_count_as_repetitions(noisy: tuple[metrics.Labels, metrics.Floats]) -> None:
    labels, scores = noisy
    times = np.random.default_rng(1).integers(0, 4, 300)
    repeated_labels, repeated_scores = np.repeat(labels, times), np.repeat(scores, times)
    one = np.ones((1, len(repeated_labels)), np.int64)
    assert metrics.auc(labels, scores, times[None])[0] == pytest.approx(
        metrics.auc(repeated_labels, repeated_scores, one)[0]
    )
    weighted = metrics.rates(labels, scores > 0.5, times[None])
    direct = metrics.rates(repeated_labels, repeated_scores > 0.5, one)
    for name, value in direct.items():
        assert weighted[name][0] == pytest.approx(value[0])


def test_the_deviation_of_the_accuracy_is_that_of_a_binomial(
    noisy: tuple[metrics.Labels, metrics.Floats],
) -> None:
    block = metrics.binary_classification_metrics(*noisy)["accuracy"]
    assert isinstance(block, dict)
    p = block["value"]
    assert block["standard_deviation"] == pytest.approx(math.sqrt(p * (1 - p) / 300), rel=0.1)


def test_the_metrics_do_not_change_from_run_to_run() -> None:
    first = metrics.binary_classification_metrics(LABELS, SCORES)
    assert metrics.binary_classification_metrics(LABELS, SCORES) == first


def test_a_precision_recall_curve_ends_at_the_share_of_positives() -> None:
    curve = metrics.precision_recall_curve(LABELS, SCORES)
    assert (curve["recalls"][0], curve["precisions"][0]) == (0, 1)
    assert (curve["recalls"][-1], curve["precisions"][-1]) == (1, 0.5)
    assert curve["precisions"][3] == pytest.approx(2 / 3)  # .95, .8 and then the .7 of a bicycle


def test_each_class_has_its_recall_precision_and_confidence() -> None:
    labels, scores = np.array([0, 0, 1]), np.array([0.1, 0.6, 0.9])
    report = metrics.per_class(labels, scores, ["bicycle", "motorcycle"])
    assert report["bicycle"]["recall"] == 0.5
    assert report["bicycle"]["precision"] == 1.0
    assert report["bicycle"]["mean_confidence"] == pytest.approx(0.9)
    assert report["motorcycle"]["recall"] == 1.0
    assert report["motorcycle"]["precision"] == 0.5
    assert report["motorcycle"]["mean_confidence"] == pytest.approx(0.75)


def test_calibration_compares_confidence_and_accuracy_bin_by_bin() -> None:
    labels = np.array([1, 1, 0, 1])
    scores = np.array([0.92, 0.94, 0.91, 0.52])
    report = metrics.calibration(labels, scores)
    assert report["ece"] == pytest.approx((3 * abs(2.77 / 3 - 2 / 3) + abs(0.52 - 1)) / 4)
    direct = -sum(math.log(p) for p in (0.92, 0.94, 0.09, 0.52)) / 4
    assert report["nll"] == pytest.approx(direct)
    bins = report["bins"]
    assert isinstance(bins, list)
    assert [(row["from"], row["images"]) for row in bins] == [(0.5, 1), (0.9, 3)]


def test_without_its_calibration_a_score_is_that_of_the_logits_alone() -> None:
    logits = np.array([-3.0, 0.0, 0.4, 900.0])
    scores = 1 / (1 + np.exp(-(logits / 0.5 - 0.7)))
    before = metrics.uncalibrated(scores, 0.5, -0.7)
    np.testing.assert_allclose(before, 1 / (1 + np.exp(-logits)), rtol=1e-9)


def test_a_certain_and_wrong_answer_has_a_finite_loss() -> None:
    report = metrics.calibration(np.array([0, 1]), np.array([1.0, 1.0]))
    assert isinstance(report["nll"], float)
    assert math.isfinite(report["nll"])


def test_the_threshold_is_the_smallest_confidence_that_keeps_the_precision() -> None:
    labels = np.array([0, 1, 1, 1, 1])
    scores = np.array([0.85, 0.82, 0.86, 0.9, 0.99])  # .85 is wrong
    assert metrics.choose_threshold(labels, scores, wanted=0.95, minimum=0.8) == (0.86, True)
    assert metrics.choose_threshold(labels, scores, wanted=0.80, minimum=0.8) == (0.8, True)
    at = metrics.at_threshold(labels, scores, 0.86)
    assert at == {"precision": 1.0, "coverage": 0.6, "images": 3}


def test_the_threshold_is_never_below_the_configured_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        labels = random.integers(0, 2, 30)
        scores = np.clip(labels * 0.6 + 0.2 + random.normal(0, 0.25, 30), 0, 1)
        value, met = metrics.choose_threshold(labels, scores, wanted=0.9, minimum=0.7)
        assert value >= 0.7
        precision = metrics.at_threshold(labels, scores, value)["precision"]
        assert met == (precision is not None and precision >= 0.9)
        confidence = np.maximum(scores, 1 - scores)
        for smaller in [0.7, *confidence[(confidence > 0.7) & (confidence < value)]]:
            if met and smaller < value:
                below = metrics.at_threshold(labels, scores, float(smaller))["precision"]
                assert below is None or below < 0.9, "a smaller one would have done"


def test_an_unreachable_precision_takes_the_best_there_is_and_says_so() -> None:
    labels, scores = np.array([0, 1, 0]), np.array([0.99, 0.9, 0.85])
    value, met = metrics.choose_threshold(labels, scores, wanted=0.95, minimum=0.8)
    assert (value, met) == (0.9, False)
    nothing = metrics.at_threshold(labels, scores, 1.0)
    assert nothing == {"precision": None, "coverage": 0.0, "images": 0}
