"""The forward pass as it serves: the network's own answers, shared by requests that wait."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from steps.train.forward import SIZES, Together, compiled, parts


class Gate:
    """A forward pass that doubles its images, notes how many it got, and waits until it is open."""

    def __init__(self) -> None:
        self.passed: list[int] = []
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, images: Tensor) -> Tensor:
        self.begun.set()
        assert self.open.wait(10)
        self.passed.append(len(images))
        if (images < 0).any():
            raise RuntimeError("a value below zero")
        return 2 * images


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def asked_during_a_pass(gate: Gate, values: list[float]) -> list[Future[Tensor]]:
    """The futures of requests with these values: the first passes, the others come meanwhile."""
    together = Together(gate)
    with ThreadPoolExecutor(len(values)) as threads:
        futures = [threads.submit(together, torch.full((1, 3), values[0]))]
        assert gate.begun.wait(10)
        for count, value in enumerate(values[1:], 1):
            futures.append(threads.submit(together, torch.full((1, 3), value)))
            until(lambda count=count: together.waiting == count)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        gate.open.set()
    return futures


def test_who_comes_during_a_pass_is_in_the_next_one_and_each_gets_its_own_answer() -> None:
    gate, values = Gate(), [float(n) for n in range(9)]
    futures = asked_during_a_pass(gate, values)
    assert gate.passed == [1, 8]
    assert [future.result()[0, 0] for future in futures] == [2 * value for value in values]


def test_a_request_that_is_alone_passes_at_once_and_alone() -> None:
    gate = Gate()
    gate.open.set()
    together = Together(gate)
    for _ in range(3):
        together(torch.ones(1, 3))
    assert gate.passed == [1, 1, 1]


def test_a_pass_takes_only_numbers_of_images_that_it_was_compiled_for() -> None:
    gate = Gate()
    futures = asked_during_a_pass(gate, [1.0] * 8)
    assert gate.passed == [1, 4, 2, 1]
    assert all(future.result()[0, 0] == 2 for future in futures)


def test_an_image_that_cannot_pass_fails_its_own_request_only() -> None:
    futures = asked_during_a_pass(Gate(), [1.0, 2.0, -1.0, 3.0, 4.0])
    with pytest.raises(RuntimeError, match="below zero"):
        futures[2].result()
    kept = [future.result()[0, 0] for n, future in enumerate(futures) if n != 2]
    assert kept == [2, 4, 6, 8]


def test_many_threads_with_many_sizes_each_get_their_own_answers() -> None:
    together = Together(lambda images: images * 3)

    def ask(thread: int) -> None:
        for number in range(200):
            images = torch.full(
                (SIZES[(thread + number) % len(SIZES)], 2), 1000.0 * thread + number
            )
            torch.testing.assert_close(together(images), images * 3)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(ask, range(12)))
    assert together.waiting == 0


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (8, [8]), (21, [8, 8, 4, 1])])
def test_many_images_pass_in_parts_and_stay_in_order(count: int, sizes: list[int]) -> None:
    images = torch.arange(float(count))[:, None]
    found = parts(images)
    assert [len(part) for part in found] == sizes
    assert torch.equal(torch.cat(found), images)


def test_a_compiled_network_answers_as_the_network_does_in_every_size() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.Flatten(), nn.Linear(8 * 36, 2)
    )
    network(3 * torch.rand(64, 3, 8, 8) + 1)  # statistics that are not those of a new network
    network.eval()
    forward = compiled(network, torch.rand(1, 3, 8, 8))
    for count in (*SIZES, 3):
        images = torch.rand(count, 3, 8, 8)
        with torch.no_grad():
            torch.testing.assert_close(forward(images), network(images), rtol=1e-5, atol=1e-6)
