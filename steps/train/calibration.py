"""One temperature that makes the probabilities honest.

After C. Guo et al., "On Calibration of Modern Neural Networks", 2017: logits divided by the
temperature with the least negative log-likelihood on held-out images.
"""

from torch import Tensor
from torch.nn import functional as F

COLDEST, WARMEST = 0.25, 4.0  # a hundred images can ask for anything; beyond this it is chance


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The best temperature for logits (N, 2) and labels (N), to three decimals.

    The loss is convex in 1/temperature, so a ternary search finds the least.
    """

    def loss(inverse: float) -> float:
        return F.cross_entropy(logits.double() * inverse, labels).item()

    low, high = 1 / WARMEST, 1 / COLDEST
    while high - low > 1e-5:
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return round(2 / (low + high), 3)
