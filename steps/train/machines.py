"""Where the training runs: on which device, in which arithmetic, in how many processes.

`torchrun` starts one process a GPU or a machine and tells each its place in the environment; the
SDK's `Torchrun` setting does the same on SageMaker. Each process takes its share of every batch,
and the gradients are averaged before the step, so all hold the same weights. A process that runs
alone goes the same way and has nobody to talk to.

Source: "torchrun (Elastic Launch)" and "Distributed communication package", PyTorch documentation.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from steps.job import StepError


@dataclass(frozen=True)
class Machines:
    """This process's place (`rank`) among `count`, and its device."""

    device: torch.device
    rank: int = 0
    count: int = 1

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of a batch whose size `count` divides."""
        return rows[self.rank :: self.count]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over all processes; one message for all of them."""
        if self.count == 1:
            return
        message = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(message)
        message /= self.count
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, mean in zip(tensors, torch.split(message, sizes), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def take_over(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by that of the first process."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process: all must take the same turning."""
        told = torch.tensor(float(flag), device=self.device)
        self.average([told])
        return bool(told.item() > 0)


@contextmanager
def joined(device: str) -> Iterator[Machines]:
    """Joins the processes that `torchrun` started, on `device`: auto, cpu or cuda."""
    if device == "cuda" and not torch.cuda.is_available():
        raise StepError("--device cuda: there is no GPU here; use --device auto")
    use_gpu = device != "cpu" and torch.cuda.is_available()
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    place = torch.device("cuda", local_rank) if use_gpu else torch.device("cpu")
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield Machines(place)
        return
    address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    try:
        distributed.init_process_group("nccl" if use_gpu else "gloo")
    except (RuntimeError, ValueError) as error:
        raise StepError(
            f"the {count} processes did not meet at {address} ({error}); start them with torchrun"
        ) from error
    try:
        yield Machines(place, distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """The type to multiply in for `precision` auto, float32 or bfloat16.

    Auto is bfloat16 where the processor multiplies it itself; where it must be imitated, it is
    slower than float32.
    """
    if precision == "auto" and device.type == "cuda":
        low = torch.cuda.is_bf16_supported(including_emulation=False)
    elif precision == "auto":
        # Private, but the public `get_capabilities` is newer than the training image's torch.
        low = torch.cpu._is_avx512_bf16_supported()
    else:
        low = precision == "bfloat16"
    return torch.bfloat16 if low else torch.float32
