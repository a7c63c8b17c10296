"""The forward pass as it serves: compiled for the processor, and shared by requests that wait.

    network ─► compiled ─► Together ◄── images of several threads
                                 └──► logits of each

Nothing here knows the network's layers. `compiled` traces it with channels last and lets oneDNN
Graph fuse what follows on a convolution, which takes about half the time of the plain network; it
needs nothing but torch, 2.6 or later. A shape that is new is compiled for, so passes have few:
SIZES. In bfloat16, where the processor has it, one image would take three quarters of the time and
eight half of it; but it moves probabilities by up to 0.016, and an answer should not depend on the
machine that gives it.
"""

import platform
import threading
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor, nn

SIZES = (1, 2, 4, 8)  # images in a pass; more at once gain nothing
_WARM_UP = 3  # passes: the first looks at the shapes, the second compiles

Forward = Callable[[Tensor], Tensor]


def compiled(network: nn.Module, example: Tensor) -> Forward:
    """The same function for any number of images (N, …) like `example` (1, …), where that is."""
    if example.device.type == "cpu" and platform.machine() in ("x86_64", "AMD64"):
        torch.jit.enable_onednn_fusion(True)
    with torch.inference_mode(False), torch.no_grad():  # what is traced must stay usable anywhere
        traced = torch.jit.trace(_ChannelsLast(network).eval(), example, check_trace=False)  # type: ignore[no-untyped-call]  # torch's own
        frozen: Forward = torch.jit.freeze(traced)
    with torch.inference_mode():
        for size in SIZES:
            images = example.repeat(size, *[1] * (example.dim() - 1))
            for _ in range(_WARM_UP):
                frozen(images)
    return frozen


class _ChannelsLast(nn.Module):
    """How convolutions on a processor like their inputs and weights in memory."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(images.contiguous(memory_format=torch.channels_last))
        return found


def parts(images: Tensor) -> list[Tensor]:
    """Images (N, …) in parts whose numbers are all in SIZES, in order."""
    if len(images) in SIZES:
        return [images]
    sizes, left = [], len(images)
    for size in reversed(SIZES):
        sizes += [size] * (left // size)
        left %= size
    return list(torch.split(images, sizes))


class Together:
    """One pass for what several threads ask at the same time: a pass of 8 costs as much as 5 of 1.

    Nobody waits for company. Who finds no pass under way begins one at once; who comes meanwhile
    waits for its end, and then the one who has waited longest passes for all who wait. In a worker
    process that takes one request at a time, each pass is that request's own.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._lock = threading.Lock()
        self._waiting: deque[_Request] = deque()
        self._is_busy = False

    def __call__(self, images: Tensor) -> Tensor:
        """What the forward pass says of these images, whose number is one of SIZES."""
        mine = _Request(images)
        with self._lock:
            self._waiting.append(mine)
            leads, self._is_busy = not self._is_busy, True
        if leads:
            self._lead()
        while mine.answer is None:
            mine.turn.acquire()
            if mine.answer is None:
                self._lead()
        if isinstance(mine.answer, Exception):
            raise mine.answer
        return mine.answer

    @property
    def waiting(self) -> int:
        """How many requests wait for the next pass."""
        return len(self._waiting)

    def _lead(self) -> None:
        """A pass for those who wait, the caller first; then somebody else's turn."""
        with self._lock:
            group = self._next_group()
        try:
            answers = self._answers(group)
        finally:
            with self._lock:
                self._is_busy = bool(self._waiting)
                if self._is_busy:
                    self._waiting[0].turn.release()
        for request, answer in zip(group, answers, strict=True):
            request.answer = answer
            request.turn.release()

    def _next_group(self) -> list["_Request"]:
        """The longest beginning of the queue whose images are one of SIZES together."""
        images = count = 0
        for number, request in enumerate(self._waiting, 1):
            images += request.count
            if images in SIZES:
                count = number
            if images >= SIZES[-1]:
                break
        return [self._waiting.popleft() for _ in range(count or 1)]

    def _answers(self, group: list["_Request"]) -> list[Tensor | Exception]:
        """One for each; when a pass of several fails, each passes alone and fails for itself."""
        images = [request.images for request in group]
        try:
            with torch.inference_mode():
                if len(group) == 1:
                    return [self._forward(images[0])]
                passed = self._forward(torch.cat(images))
                return list(torch.split(passed, [request.count for request in group]))
        except Exception as error:  # whatever it is, it is raised in the thread that asked
            if len(group) == 1:
                return [error]
            return [answer for request in group for answer in self._answers([request])]


class _Request:
    """Images, and later their answer; `turn` is free once there is one, or it is theirs to lead."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.count = images, len(images)
        self.answer: Tensor | Exception | None = None
        self.turn = threading.Lock()
        self.turn.acquire()
