"""The training loop: warm-up, cosine, a line an epoch, checkpoints.

Each epoch draws its random numbers from (seed, epoch), so a run that is resumed after epoch k goes
on as if it had never stopped, and ends in the same weights.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steps.job import Stopped
from steps.train.checkpoint import Checkpoints
from steps.train.data import Augmentation, Images
from steps.train.network import Network
from steps.train.optimiser import Muon


@dataclass(frozen=True)
class Hyperparameters:
    """What, with the data, decides the weights. Learning rates are the greatest of the schedule."""

    epochs: int
    batch_size: int
    seed: int
    muon_learning_rate: float
    muon_momentum: float
    learning_rate: float
    momentum: float
    weight_decay: float
    warm_up: float
    label_smoothing: float
    colour: float
    shift: float
    grey: float
    square: int


class Validation(NamedTuple):
    """The state of the network on the validation images. `logits` (N, 2) are of image + mirror."""

    loss: float
    accuracy: float
    logits: Tensor


def train(
    parameters: Hyperparameters,
    training: Images,
    validation: Images,
    checkpoints: Checkpoints | None,
    stop_asked: Callable[[], bool],
) -> tuple[Network, Validation]:
    """Trains a network on the device of the images and returns it after the last epoch.

    The last, not the best on validation: the schedule ends at a rest, and the best of forty noisy
    epochs on a hundred images would be chance. Raises `Stopped` at the end of an epoch.
    """
    torch.manual_seed(parameters.seed)
    network = Network()
    network.fit_input(training.pixels.cpu())
    network.to(training.pixels.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in the stub
    optimisers = _optimisers(network, parameters)
    first = 0
    if checkpoints:
        first = checkpoints.restore(network, optimisers, asdict(parameters))
    result = validate(network, validation)
    for epoch in range(first, parameters.epochs):
        started = time.perf_counter()
        loss, accuracy = _epoch(epoch, network, optimisers, parameters, training)
        result = validate(network, validation)
        print(
            f"epoch={epoch + 1}/{parameters.epochs} "
            f"train_loss={loss:.4f} train_accuracy={accuracy:.4f} "
            f"validation_loss={result.loss:.4f} validation_accuracy={result.accuracy:.4f} "
            f"seconds={time.perf_counter() - started:.2f}",
            flush=True,
        )
        last = epoch + 1 == parameters.epochs
        stopping = stop_asked() and not last
        if checkpoints and (stopping or last or (epoch + 1) % checkpoints.every == 0):
            checkpoints.save(epoch + 1, network, optimisers, asdict(parameters))
        if stopping:
            kept = f"a checkpoint is in {checkpoints.folder}" if checkpoints else "nothing is kept"
            raise Stopped(f"asked to after epoch {epoch + 1}; {kept}")
    return network, result


def _optimisers(network: Network, parameters: Hyperparameters) -> list[torch.optim.Optimizer]:
    convolutions = [w for w in network.groups.parameters() if w.ndim == 4]
    rest = [w for w in network.parameters() if w.requires_grad and w.ndim != 4]
    return [
        Muon(convolutions, parameters.muon_learning_rate, parameters.muon_momentum),
        torch.optim.SGD(
            rest,
            parameters.learning_rate,
            parameters.momentum,
            weight_decay=parameters.weight_decay,
            nesterov=parameters.momentum > 0,
        ),
    ]


def _epoch(
    epoch: int,
    network: nn.Module,
    optimisers: list[torch.optim.Optimizer],
    parameters: Hyperparameters,
    training: Images,
) -> tuple[float, float]:
    """One pass over the training images: mean loss and accuracy on them, as augmented."""
    device = training.pixels.device
    random = torch.Generator(device).manual_seed(parameters.seed * 1_000_003 + epoch)
    augment = Augmentation(parameters.colour, parameters.shift, parameters.grey, parameters.square)
    batch = min(parameters.batch_size, len(training.labels))
    steps = len(training.labels) // batch  # what is left over comes in another epoch
    order = torch.randperm(len(training.labels), generator=random, device=device)
    network.train()
    losses = torch.zeros((), device=device)
    right = torch.zeros((), device=device)
    for step, rows in enumerate(torch.split(order[: steps * batch], batch)):
        done = (epoch * steps + step + 1) / (parameters.epochs * steps)
        for optimiser, peak in zip(
            optimisers, (parameters.muon_learning_rate, parameters.learning_rate), strict=True
        ):
            optimiser.param_groups[0]["lr"] = peak * _schedule(done, parameters.warm_up)
        images = augment(training.pixels[rows], network.mean, random)  # type: ignore[arg-type] # a buffer
        labels = training.labels[rows]
        logits = network(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, labels, label_smoothing=parameters.label_smoothing)
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it so
        for optimiser in optimisers:
            optimiser.step()
        losses += loss.detach()
        right += (logits.argmax(1) == labels).sum()
    return losses.item() / steps, right.item() / (steps * batch)


def _schedule(done: float, warm_up: float) -> float:
    """The share of the greatest learning rate after the share `done` of all steps."""
    if done < warm_up:
        return done / warm_up
    return (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2


@torch.no_grad()
def validate(network: Network, images: Images) -> Validation:
    """How the network does on images that it was not trained on, as it would be served."""
    network.eval()
    logits = torch.cat([network.mirrored(part) for part in torch.split(images.pixels, 500)])
    loss = F.cross_entropy(logits, images.labels).item()
    accuracy = (logits.argmax(1) == images.labels).float().mean().item()
    return Validation(loss, accuracy, logits)
