"""Early stopping, when asked for: no more epochs once the validation loss stays as it is.

The loss and not the accuracy decides: a hundred images know only a hundred accuracies, and the
first of many equal ones would be chance.
"""

import math
from typing import Any

from torch import Tensor, nn


class Patience:
    """Keeps the weights of the best epoch and counts those since; 0 `epochs` waits for ever.

    `state_dict` and `load_state_dict` as a module's, so that a checkpoint carries it.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.waited = 0
        self.loss = math.inf
        self.weights: dict[str, Tensor] = {}

    def see(self, loss: float, network: nn.Module) -> None:
        """Tells it the validation loss after one more epoch."""
        if not self.epochs:
            return
        self.waited += 1
        if loss < self.loss:
            self.waited, self.loss = 0, loss
            self.weights = {name: value.clone() for name, value in network.state_dict().items()}

    @property
    def spent(self) -> bool:
        """Whether it is time to stop."""
        return bool(self.epochs) and self.waited >= self.epochs

    def bring_back(self, network: nn.Module) -> None:
        """Gives the network the weights of the best epoch, if any were kept."""
        if self.weights:
            network.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"waited": self.waited, "loss": self.loss, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.waited, self.loss, self.weights = state["waited"], state["loss"], state["weights"]
