"""Two numbers that make the probabilities honest, fitted on held-out images.

    logit of class 1 less that of class 0 ─► / temperature, + bias ─► sigmoid ─► p of class 1

The temperature undoes a confidence that is too small or too great (C. Guo et al., "On Calibration
of Modern Neural Networks", 2017). The bias undoes that the network takes one class for the other
more often than the reverse (J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999):
in cross-validation it takes three bicycles for motorcycles for each motorcycle that it takes for a
bicycle. A hundred images say little about it, so it is held near 0 by a normal prior.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

COLDEST, WARMEST = 0.25, 4.0  # a hundred images can ask for anything; beyond this it is chance
PRIOR = 1.0  # standard deviation of the bias, in logits; of .5 to 3 the best in cross-validation
_FAR = 5 * PRIOR
_NEAR = 1e-4  # a search ends when it has the least to this


class Calibration(NamedTuple):
    """Logits (N, 2) become `logits / temperature`, with `bias` added to those of class 1."""

    temperature: float
    bias: float


def fit(logits: Tensor, labels: Tensor) -> Calibration:
    """The best calibration for logits (N, 2) and labels (N), to three decimals.

    The loss is convex in 1/temperature and the bias, so one search within another finds the least.
    """
    margins = (logits[:, 1] - logits[:, 0]).double()
    signs = 2.0 * labels - 1

    def loss(inverse: float, bias: float) -> float:
        nll = F.softplus(-signs * (margins * inverse + bias)).sum().item()
        return nll + (bias / PRIOR) ** 2 / 2

    def best_bias(inverse: float) -> float:
        return _least(lambda bias: loss(inverse, bias), -_FAR, _FAR)

    inverse = _least(lambda inverse: loss(inverse, best_bias(inverse)), 1 / WARMEST, 1 / COLDEST)
    return Calibration(round(1 / inverse, 3), round(best_bias(inverse), 3))


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a convex function is least, by ternary search."""
    while high - low > _NEAR:
        third = (high - low) / 3
        if function(low + third) < function(high - third):
            high -= third
        else:
            low += third
    return (low + high) / 2
