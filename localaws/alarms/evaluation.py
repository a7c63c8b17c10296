"""The state of one alarm, by CloudWatch's documented rules.

The last periods are looked at, two more than EvaluationPeriods, so that real datapoints may stand
in for missing ones. The period that runs now counts as soon as it has data.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import datetime
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from moto.cloudwatch.models import MetricAggregatedDatum

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"
_MORE_PERIODS = 2

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


def evaluate(alarm: Any, data: Iterable[Any], now: float) -> tuple[str, str]:
    """The state and its reason; `data` are the datums of the alarm's metric, `now` in seconds."""
    points = datapoints(alarm, data, now)
    wanted = int(alarm.evaluation_periods)
    needed = int(alarm.datapoints_to_alarm or wanted)
    compare, words = COMPARISONS[alarm.comparison_operator]
    used = points[:wanted]
    breaching = sum(compare(value, float(alarm.threshold)) for value in used)
    state = _decide(alarm, used, breaching, wanted, needed)
    if not used:
        what = "no datapoints were received"
    else:
        values = ", ".join(f"{value:g}" for value in used)
        noun = "datapoint" if len(used) == 1 else "datapoints"
        relation = "were" if state == ALARM else "were not all"
        what = f"{len(used)} {noun} [{values}] {relation} {words} the threshold"
        what += f" ({float(alarm.threshold):g})"
    return state, f"Threshold Crossed: {what}."


def seconds_of(datum: Any) -> float:
    """The time of a datum; moto keeps it in UTC without saying so."""
    moment = datum.timestamp
    if isinstance(moment, str):
        moment = datetime.datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return float(moment.timestamp())


def datapoints(alarm: Any, data: Iterable[Any], now: float) -> list[float]:
    """The statistic of each period with data, latest first."""
    period = int(alarm.period)
    current = math.floor(now / period)
    first = current - int(alarm.evaluation_periods) - _MORE_PERIODS
    slots: dict[int, list[Any]] = defaultdict(list)
    for datum in data:
        slot = math.floor(seconds_of(datum) / period)
        if first <= slot <= current:
            slots[slot].append(datum)
    if current not in slots:  # it may still come
        first -= 1
    statistic = alarm.statistic or alarm.extended_statistic
    return [
        _statistic(statistic, slots[slot]) for slot in range(current, first, -1) if slot in slots
    ]


def _decide(alarm: Any, used: list[float], breaching: int, wanted: int, needed: int) -> str:
    if breaching >= needed:
        return ALARM
    if len(used) >= wanted:
        return OK
    treat = alarm.treat_missing_data or "missing"
    if treat == "breaching":
        return ALARM if breaching + wanted - len(used) >= needed else OK
    if treat == "notBreaching" or breaching < len(used):
        return OK
    if treat == "ignore":
        return str(alarm.state_value)
    return ALARM if used else INSUFFICIENT


def _statistic(name: str, data: list[Any]) -> float:
    sets = [_as_set(datum) for datum in data]
    count, total = sum(s[0] for s in sets), sum(s[1] for s in sets)
    if name == "SampleCount":
        return count
    if name == "Sum":
        return total
    if name == "Average":
        return total / count if count else 0.0
    if name == "Minimum":
        return min(s[2] for s in sets)
    if name == "Maximum":
        return max(s[3] for s in sets)
    return _percentile(float(name.removeprefix("p")), sorted(s[3] for s in sets))


def _as_set(datum: Any) -> tuple[float, float, float, float]:
    """Count, sum, minimum, maximum."""
    if isinstance(datum, MetricAggregatedDatum):
        return datum.sample_count, datum.sum, datum.min, datum.max
    return 1.0, datum.value, datum.value, datum.value


def _percentile(rank: float, values: list[float]) -> float:
    """Between the two nearest values."""
    position = (len(values) - 1) * rank / 100
    low = math.floor(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (position - low)
