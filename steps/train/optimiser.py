"""Muon, for the weights of convolutions, and SGD, for all others; both with Nesterov momentum.

After K. Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024, and the version
in cifar10-airbench, which also keeps the length of each weight fixed. Muon is momentum whose update
is made orthogonal.

Not on `torch.optim`, whose first optimiser imports torch's compiler, sympy and all: two to three
seconds of a training that takes less than sixty.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class _Nesterov:
    """The momentum of each weight, and the learning rate `lr` that the loop sets."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float) -> None:
        self.weights = list(weights)
        self.lr, self.momentum = lr, momentum
        self.velocities = [torch.zeros_like(weight) for weight in self.weights]

    @torch.no_grad()
    def step(self) -> None:
        """Moves each weight that has a gradient."""
        for weight, velocity in zip(self.weights, self.velocities, strict=True):
            if weight.grad is not None:
                gradient = self._gradient(weight, weight.grad)
                velocity.mul_(self.momentum).add_(gradient)
                self._move(weight, gradient.add(velocity, alpha=self.momentum))

    def _gradient(self, weight: Tensor, gradient: Tensor) -> Tensor:
        return gradient

    def _move(self, weight: Tensor, update: Tensor) -> None:
        weight.add_(update, alpha=-self.lr)

    def state_dict(self) -> dict[str, Any]:
        return {"velocities": self.velocities}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        for velocity, saved in zip(self.velocities, state["velocities"], strict=True):
            velocity.copy_(saved)


class SGD(_Nesterov):
    """With weight decay, as `torch.optim.SGD` does it."""

    def __init__(
        self, weights: Iterable[Tensor], lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(weights, lr, momentum)
        self.weight_decay = weight_decay

    def _gradient(self, weight: Tensor, gradient: Tensor) -> Tensor:
        return gradient.add(weight, alpha=self.weight_decay)


class Muon(_Nesterov):
    """Before each update a weight of n filters is scaled to the length √n."""

    def _move(self, weight: Tensor, update: Tensor) -> None:
        weight.mul_(math.sqrt(len(weight)) / weight.norm())
        super()._move(weight, orthogonal(update.flatten(1)).view_as(weight))


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
