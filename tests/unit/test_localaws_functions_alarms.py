"""The states of alarms, by CloudWatch's tables for missing data."""

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from localaws.alarms.evaluation import evaluate

PERIOD = 60
NOW = datetime.datetime(2026, 1, 1, 12, 0, 30, tzinfo=datetime.UTC).timestamp()


def alarm(**settings: Any) -> Any:
    defaults: dict[str, Any] = {
        "period": PERIOD,
        "evaluation_periods": 3,
        "datapoints_to_alarm": None,
        "comparison_operator": "GreaterThanThreshold",
        "threshold": 1.0,
        "statistic": "Average",
        "extended_statistic": None,
        "treat_missing_data": "missing",
        "state_value": "KEPT",
    }
    return SimpleNamespace(**{**defaults, **settings})


def points(pattern: str) -> list[Any]:
    """`0`, `X` and `-` for the last five complete periods, oldest first."""
    data = []
    for age, sign in enumerate(reversed(pattern.split()), start=1):
        if sign != "-":
            moment = datetime.datetime.fromtimestamp(NOW - age * PERIOD, datetime.UTC)
            naive = moment.replace(tzinfo=None)  # as moto keeps it
            data.append(SimpleNamespace(timestamp=naive, value=2.0 if sign == "X" else 0.0))
    return data


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
TABLE = [
    ("0 - X - X", 2, {"missing": "ALARM", "ignore": "ALARM", "breaching": "ALARM"}),
    ("0 0 X 0 X", 2, {"missing": "ALARM", "notBreaching": "ALARM"}),
    ("0 - X - -", 2, {"missing": "OK", "ignore": "OK", "breaching": "ALARM", "notBreaching": "OK"}),
    ("- - - - 0", 2, {"missing": "OK", "ignore": "OK", "breaching": "ALARM", "notBreaching": "OK"}),
    (
        "- - - X -",
        2,
        {"missing": "ALARM", "ignore": "KEPT", "breaching": "ALARM", "notBreaching": "OK"},
    ),
    (
        "- - - - -",
        3,
        {
            "missing": "INSUFFICIENT_DATA",
            "ignore": "KEPT",
            "breaching": "ALARM",
            "notBreaching": "OK",
        },
    ),
    ("0 X X - X", 3, {"missing": "ALARM", "ignore": "ALARM", "notBreaching": "ALARM"}),
    (
        "- X X - -",
        3,
        {"missing": "ALARM", "ignore": "KEPT", "breaching": "ALARM", "notBreaching": "OK"},
    ),
]


@pytest.mark.parametrize(
    ("pattern", "needed", "treat", "expected"),
    [(p, n, treat, state) for p, n, row in TABLE for treat, state in row.items()],
)
def test_missing_data_is_treated_as_the_table_says(
    pattern: str, needed: int, treat: str, expected: str
) -> None:
    settings = alarm(datapoints_to_alarm=needed, treat_missing_data=treat)
    assert evaluate(settings, points(pattern), NOW)[0] == expected


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("Sum", 10),
        ("Average", 2.5),
        ("Minimum", 1),
        ("Maximum", 4),
        ("SampleCount", 4),
        ("p50", 2.5),
    ],
)
def test_each_statistic_is_what_its_name_says(statistic: str, expected: float) -> None:
    moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    data = [SimpleNamespace(timestamp=moment, value=float(v)) for v in (1, 2, 3, 4)]
    kind = {"extended_statistic" if statistic == "p50" else "statistic": statistic}
    settings = alarm(evaluation_periods=1, threshold=expected, **{"statistic": None, **kind})
    settings.comparison_operator = "GreaterThanOrEqualToThreshold"
    assert evaluate(settings, data, NOW)[0] == "ALARM"
    settings.comparison_operator = "GreaterThanThreshold"
    assert evaluate(settings, data, NOW)[0] == "OK"


def test_the_reason_names_the_datapoints_and_the_threshold() -> None:
    _, reason = evaluate(alarm(evaluation_periods=1), points("X"), NOW)
    assert reason == ("Threshold Crossed: 1 datapoint [2] were greater than the threshold (1).")
