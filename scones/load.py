"""A closed loop of clients: each asks again as soon as it has its answer, until time is up.

    ask ─► rise ─► a Level for each number of clients: how many answers, how fast, how many errors

`ask(n)` sends request number n and returns with its answer; it raises for an answer that is none.
A budget bounds the requests of all levels together, whatever the clock says.
"""

import itertools
import operator
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

Ask = Callable[[int], object]
PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Level:
    """What so many clients saw: the seconds of each answer, and the errors by name."""

    clients: int
    seconds: float
    latencies: list[float]
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        return len(self.latencies) + self.errors.total()

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentiles(self) -> dict[int, float | None]:
        """Milliseconds that so many percent of the answers took at most; None without answers."""
        found = sorted(self.latencies) * (2 if len(self.latencies) == 1 else 1)
        if not found:
            return dict.fromkeys(PERCENTILES)
        cuts = statistics.quantiles(found, n=100, method="inclusive")
        return {percent: 1000 * cuts[percent - 1] for percent in PERCENTILES}


def rise(ask: Ask, clients: Sequence[int], seconds: float, budget: int) -> Iterator[Level]:
    """One level after the other, `seconds` each, and `budget` requests in all.

    A level may send its part of what is left of the budget, and ends before its time if that is
    spent, so that the last levels are measured too.
    """
    numbers = iter(range(budget))
    for place, count in enumerate(clients):
        left = len(clients) - place
        share = -(-operator.length_hint(numbers) // left)
        if share:
            yield _level(ask, count, seconds, itertools.islice(numbers, share))


def _level(ask: Ask, clients: int, seconds: float, numbers: Iterator[int]) -> Level:
    lock = threading.Lock()
    latencies: list[float] = []
    errors: Counter[str] = Counter()

    def run() -> None:
        while time.perf_counter() < end:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            began = time.perf_counter()
            try:
                ask(number)
            except Exception as error:  # counted by its name; what fails is what is measured
                with lock:
                    errors[_name(error)] += 1
            else:
                with lock:
                    latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    end = began + seconds
    threads = [threading.Thread(target=run, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Level(clients, time.perf_counter() - began, latencies, errors)


def _name(error: Exception) -> str:
    """AWS's code where there is one, else the exception's name."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)
