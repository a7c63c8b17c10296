"""The trials of a search, by its strategy.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-how-it-works.html.
"""

import itertools
import math
import random
import secrets
from dataclasses import dataclass
from typing import Any, TypeGuard

from localaws.errors import NotImplementedHere, ValidationError
from localaws.tuning import ranges
from localaws.tuning.ranges import Categorical, Range

Json = dict[str, Any]
Choice = dict[str, str]  # a trial's hyperparameters


@dataclass(frozen=True)
class Trials:
    """`count` trials, each known by its number from 0 on."""

    count: int
    searched: tuple[Range, ...]
    seed: int | None  # None: a grid, in order

    def choice(self, number: int) -> Choice:
        """The hyperparameters of one trial; the same at every call."""
        if self.seed is None:
            grid = itertools.product(*(r.values for r in self.searched if _is_categorical(r)))
            values = next(itertools.islice(grid, number, None))
            return dict(zip((one.name for one in self.searched), values, strict=True))
        chance = random.Random(f"{self.seed}/{number}")
        return {one.name: one.draw(chance) for one in self.searched}


def trials(config: Json) -> Trials:
    """The trials that a HyperParameterTuningJobConfig asks for.

    Raises ValidationError, and NotImplementedHere for a strategy that only AWS has.
    """
    strategy = config["Strategy"]
    if strategy not in ("Random", "Grid"):
        raise NotImplementedHere(
            f"localaws searches by the strategies Random and Grid; {strategy} runs on AWS only."
        )
    searched = tuple(ranges.read(config.get("ParameterRanges") or {}))
    wanted = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if strategy == "Grid":
        return Trials(_grid_size(searched, wanted), searched, None)
    if wanted is None:
        raise ValidationError("ResourceLimits needs MaxNumberOfTrainingJobs for strategy Random.")
    seed = config.get("RandomSeed")
    return Trials(wanted, searched, secrets.randbits(32) if seed is None else seed)


def _grid_size(searched: tuple[Range, ...], wanted: int | None) -> int:
    others = [one.name for one in searched if not _is_categorical(one)]
    if others:
        raise ValidationError(
            "Strategy Grid takes categorical hyperparameters only; these are not: "
            f"{', '.join(others)}."
        )
    size = math.prod(len(one.values) for one in searched if _is_categorical(one))
    if wanted not in (None, size):
        raise ValidationError(
            f"MaxNumberOfTrainingJobs is {wanted}, but the grid has {size} combinations; leave it "
            "out with strategy Grid."
        )
    return size


def _is_categorical(one: Range) -> TypeGuard[Categorical]:
    return isinstance(one, Categorical)
