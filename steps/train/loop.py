"""The training loop: warm-up, cosine, a line an epoch, checkpoints, early stopping when asked for.

Each epoch draws its random numbers from (seed, epoch, process), so a run that is resumed after
epoch k goes on as if it had never stopped, and ends in the same weights.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from steps.job import StepError, Stopped
from steps.train.checkpoint import Checkpoints, Stateful
from steps.train.data import Augmentation, Images
from steps.train.machines import Machines, arithmetic
from steps.train.network import Network
from steps.train.optimiser import SGD, Muon
from steps.train.patience import Patience

LOOK_EVERY = 5  # epochs, without patience: nothing depends on a look at the validation images


@dataclass(frozen=True)
class Hyperparameters:
    """What, with the data, decides the weights. Learning rates are the greatest of the schedule."""

    epochs: int = 80
    batch_size: int = 50
    seed: int = 0
    muon_learning_rate: float = 0.1
    muon_momentum: float = 0.6
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warm_up: float = 0.15
    label_smoothing: float = 0.1
    colour: float = 0.6
    shift: float = 0.12
    grey: float = 0.2
    square: int = 14
    patience: int = 0
    precision: str = "auto"


class Validation(NamedTuple):
    """The state of the network on the validation images. `logits` (N, 2) are of image + mirror."""

    loss: float
    accuracy: float
    logits: Tensor


def train(
    parameters: Hyperparameters,
    training: Images,
    validation: Images,
    machines: Machines,
    checkpoints: Checkpoints | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> tuple[Network, Validation]:
    """Trains a network on the device of `machines`, where the images must lie.

    Returns it after the last epoch, not after the best on validation: the schedule ends at a rest,
    and the best of so many noisy epochs on a hundred images would be chance. With patience it is
    the best, whose schedule was cut off. Raises `Stopped` at the end of an epoch.
    """
    run = _Run(parameters, training, machines)
    first = (
        checkpoints.restore(run.parts, asdict(parameters), machines.device) if checkpoints else 0
    )
    if machines.any(first > 0) != (first > 0):
        raise StepError("only some of the machines have the checkpoint; remove it everywhere")
    if checkpoints and first and machines.rank == 0:
        print(f"resumed after epoch {first} from {checkpoints.folder}", flush=True)
    for epoch in range(first, parameters.epochs):
        if machines.any(run.patience.spent):
            break
        started = time.perf_counter()
        loss, accuracy = run.epoch(epoch)
        line = f"epoch={epoch + 1}/{parameters.epochs} "
        line += f"train_loss={loss:.4f} train_accuracy={accuracy:.4f} "
        if parameters.patience or (epoch + 1) % LOOK_EVERY == 0 or epoch + 1 == parameters.epochs:
            with run.arithmetic:
                result = validate(run.network, validation)
            run.patience.see(result.loss, run.network)
            line += f"validation_loss={result.loss:.4f} validation_accuracy={result.accuracy:.4f} "
        if machines.rank == 0:
            print(f"{line}seconds={time.perf_counter() - started:.2f}", flush=True)
        last = machines.any(epoch + 1 == parameters.epochs or run.patience.spent)
        stopping = machines.any(stop_asked()) and not last
        due = stopping or last or (checkpoints and (epoch + 1) % checkpoints.every == 0)
        if checkpoints and due and machines.rank == 0:
            checkpoints.save(epoch + 1, run.parts, asdict(parameters))
        if stopping:
            kept = f"a checkpoint is in {checkpoints.folder}" if checkpoints else "nothing is kept"
            raise Stopped(f"asked to after epoch {epoch + 1}; {kept}")
    run.patience.bring_back(run.network)
    return run.network, validate(run.network, validation)


class _Run:
    """A training between two epochs: all that an epoch changes is in `parts`."""

    def __init__(self, parameters: Hyperparameters, training: Images, machines: Machines) -> None:
        self.parameters, self.training, self.machines = parameters, training, machines
        torch.manual_seed(parameters.seed)
        self.network = Network()
        self.network.fit_input(training.pixels.cpu())
        self.network.to(machines.device)
        machines.take_over(list(self.network.state_dict().values()))
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in the stub
        self.optimisers = _optimisers(self.network, parameters)
        self.patience = Patience(parameters.patience)
        self.augment = Augmentation(
            parameters.colour, parameters.shift, parameters.grey, parameters.square
        )
        kind = arithmetic(parameters.precision, machines.device)
        self.arithmetic = torch.autocast(
            machines.device.type, torch.bfloat16, enabled=kind == torch.bfloat16
        )

    @property
    def parts(self) -> dict[str, Stateful]:
        muon, sgd = self.optimisers
        return {"network": self.network, "muon": muon, "sgd": sgd, "patience": self.patience}

    def epoch(self, epoch: int) -> tuple[float, float]:
        """One pass over the training images: mean loss and accuracy on them, as augmented."""
        network, machines, device = self.network, self.machines, self.machines.device
        number = self.parameters.seed * 1_000_003 + epoch
        order = Generator(device).manual_seed(number)  # the same everywhere
        random = Generator(device).manual_seed((number << 16) + machines.rank + 1)
        network.train()
        batches = self._batches(order)
        figures = torch.zeros(2, device=device)
        for step, rows in enumerate(batches):
            self._set_rates((epoch * len(batches) + step + 1) / len(batches))
            mine = machines.share(rows)
            images = self.augment(self.training.pixels[mine], network.mean, random)
            labels = self.training.labels[mine]
            with self.arithmetic:
                logits = network(images.contiguous(memory_format=torch.channels_last)).float()
            smoothing = self.parameters.label_smoothing
            loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
            network.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it so
            machines.average([w.grad for w in network.parameters() if w.grad is not None])
            for optimiser in self.optimisers:
                optimiser.step()
            figures += torch.stack([loss.detach(), (logits.argmax(1) == labels).float().mean()])
        # Batch norm saw another share of the images in each process.
        statistics = [b for name, b in network.named_buffers() if "running" in name]
        machines.average([figures, *statistics])
        loss, accuracy = (figures / len(batches)).tolist()
        return loss, accuracy

    def _batches(self, random: Generator) -> list[Tensor]:
        """The rows of each step's batch, in a new order; what is left over comes another time."""
        images, count = len(self.training.labels), self.machines.count
        size = min(self.parameters.batch_size, images) // count * count
        if size < 2 * count:
            raise StepError(
                f"a batch of {min(self.parameters.batch_size, images)} images leaves none of "
                f"{count} processes two, which batch norm needs; raise --batch-size"
            )
        order = torch.randperm(images, generator=random, device=self.machines.device)
        return list(torch.split(order[: images // size * size], size))

    def _set_rates(self, epochs: float) -> None:
        """The learning rates of the step that ends `epochs` epochs, a part of one included."""
        parameters = self.parameters
        share = _schedule(epochs / parameters.epochs, parameters.warm_up)
        peaks = (parameters.muon_learning_rate, parameters.learning_rate)
        for optimiser, peak in zip(self.optimisers, peaks, strict=True):
            optimiser.lr = peak * share


def _optimisers(network: Network, parameters: Hyperparameters) -> tuple[Muon, SGD]:
    weights = [w for w in network.parameters() if w.requires_grad]
    return (
        Muon(
            [w for w in weights if w.ndim == 4],
            parameters.muon_learning_rate,
            parameters.muon_momentum,
        ),
        SGD(
            [w for w in weights if w.ndim != 4],
            parameters.learning_rate,
            parameters.momentum,
            parameters.weight_decay,
        ),
    )


def _schedule(done: float, warm_up: float) -> float:
    """The share of the greatest learning rate after the share `done` of all steps."""
    if done < warm_up:
        return done / warm_up
    return (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2


@torch.no_grad()
def validate(network: Network, images: Images) -> Validation:
    """How the network does on images that it was not trained on, as it would be served."""
    network.eval()
    logits = torch.cat([network.mirrored(part) for part in torch.split(images.pixels, 500)]).float()
    loss = F.cross_entropy(logits, images.labels).item()
    accuracy = (logits.argmax(1) == images.labels).float().mean().item()
    return Validation(loss, accuracy, logits)
