"""The ranges of a search: what a hyperparameter may be, and how one value of it is drawn.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-ranges.html.
"""

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from localaws.errors import ValidationError

Json = dict[str, Any]

LINEAR, LOGARITHMIC, REVERSE = "Linear", "Logarithmic", "ReverseLogarithmic"
# "Auto": AWS chooses, and does not say how.
_SCALES = {"Auto": LINEAR, LINEAR: LINEAR, LOGARITHMIC: LOGARITHMIC, REVERSE: REVERSE}
# Each scale: how a value is laid on it, and back.
_AXES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    LINEAR: (float, float),
    LOGARITHMIC: (math.log, math.exp),
    REVERSE: (lambda x: -math.log1p(-x), lambda y: -math.expm1(-y)),
}


class Range(Protocol):
    """One hyperparameter's range."""

    @property
    def name(self) -> str: ...

    def draw(self, chance: random.Random) -> str:
        """A value, as a hyperparameter's text."""


@dataclass(frozen=True)
class Continuous:
    """Any number from `low` to `high`, even on its scale."""

    name: str
    low: float
    high: float
    scale: str

    def draw(self, chance: random.Random) -> str:
        onto, back = _AXES[self.scale]
        value = back(chance.uniform(onto(self.low), onto(self.high)))
        return repr(min(max(value, self.low), self.high))


@dataclass(frozen=True)
class Integer:
    """Any whole number from `low` to `high`, even on its scale, the ends as likely as the rest."""

    name: str
    low: int
    high: int
    scale: str

    def draw(self, chance: random.Random) -> str:
        if self.scale == LINEAR:
            return str(chance.randint(self.low, self.high))
        # Each number stands for the interval of half a step around it.
        value = math.exp(chance.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return str(min(max(round(value), self.low), self.high))


@dataclass(frozen=True)
class Categorical:
    """One of `values`, each as likely."""

    name: str
    values: tuple[str, ...]

    def draw(self, chance: random.Random) -> str:
        return chance.choice(self.values)


def read(ranges: Json) -> list[Range]:
    """The ranges of a request's ParameterRanges. Raises ValidationError."""
    found: list[Range] = [
        *(_continuous(item) for item in ranges.get("ContinuousParameterRanges") or []),
        *(_integer(item) for item in ranges.get("IntegerParameterRanges") or []),
        *(
            Categorical(item["Name"], tuple(item["Values"]))
            for item in ranges.get("CategoricalParameterRanges") or []
        ),
    ]
    twice = sorted(n for n, count in Counter(one.name for one in found).items() if count > 1)
    if twice:
        raise ValidationError(f"Hyperparameters with more than one range: {', '.join(twice)}.")
    if not found:
        raise ValidationError("ParameterRanges must name at least one hyperparameter to tune.")
    return found


def _continuous(item: Json) -> Continuous:
    low, high = (_number(item, member, float) for member in ("MinValue", "MaxValue"))
    _ordered(item, low, high)
    scale = _SCALES[item.get("ScalingType", "Auto")]
    if scale == LOGARITHMIC and low <= 0:
        raise _refused(item, "Logarithmic scaling needs a MinValue greater than 0")
    if scale == REVERSE and not 0 <= low <= high < 1:
        raise _refused(item, "ReverseLogarithmic scaling needs values from 0 to below 1")
    return Continuous(item["Name"], low, high, scale)


def _integer(item: Json) -> Integer:
    low, high = (int(_number(item, member, int)) for member in ("MinValue", "MaxValue"))
    _ordered(item, low, high)
    scale = _SCALES[item.get("ScalingType", "Auto")]
    if scale == REVERSE:
        raise _refused(item, "ReverseLogarithmic scaling is for continuous ranges only")
    if scale == LOGARITHMIC and low <= 0:
        raise _refused(item, "Logarithmic scaling needs a MinValue greater than 0")
    return Integer(item["Name"], low, high, scale)


def _number(item: Json, member: str, kind: Callable[[str], float]) -> float:
    try:
        value = kind(item[member])
    except ValueError:
        raise _refused(item, f"{member} {item[member]!r} is no {kind.__name__}") from None
    if not math.isfinite(value):
        raise _refused(item, f"{member} {item[member]!r} is not finite")
    return value


def _ordered(item: Json, low: float, high: float) -> None:
    if low > high:
        raise _refused(item, "MinValue is greater than MaxValue")


def _refused(item: Json, why: str) -> ValidationError:
    return ValidationError(f"The range of hyperparameter '{item['Name']}' is invalid: {why}.")
