"""Muon: momentum whose update is made orthogonal, for the weights of convolutions.

After K. Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024, and the version
in cifar10-airbench, which also keeps the length of each weight fixed.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Before each update a weight of n filters is scaled to the length √n."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override] # no closure: the loop computes the gradients
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                update = weight.grad.add(momentum, alpha=group["momentum"])  # Nesterov
                weight.mul_(math.sqrt(len(weight)) / weight.norm())
                weight.add_(orthogonal(update.flatten(1)).view_as(weight), alpha=-group["lr"])


def orthogonal(matrix: Tensor, steps: int = 3) -> Tensor:
    """Roughly U Vᵀ of the matrix X = U S Vᵀ, by Newton-Schulz steps of the fifth order.

    A step is X ← P X, where P = a + b G + c G² and G = X Xᵀ. All these commute, so the steps are
    taken on G, which is small, and X is multiplied once: half the time of steps on X itself.
    """
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    gram = x @ x.T
    factor = product = _polynomial(gram)
    for _ in range(steps - 1):
        gram = factor @ gram @ factor
        factor = _polynomial(gram)
        product = factor @ product
    x = product @ x
    return x.T if tall else x


def _polynomial(gram: Tensor) -> Tensor:
    """a + b G + c G²."""
    a, b, c = COEFFICIENTS
    value = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    value.diagonal().add_(a)
    return value
