"""A closed loop of clients: what it counts, and where it stops."""

import threading
from collections import Counter

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from scones.__main__ import main
from scones.load import Level, rise


def test_each_level_asks_with_its_number_of_clients_at_a_time() -> None:
    for clients in (1, 3):
        meeting = threading.Barrier(clients)  # breaks unless so many ask at the same time
        levels = list(rise(lambda _, m=meeting: m.wait(10), [clients], 0.05, 3000 * clients))
        assert [level.clients for level in levels] == [clients]
        assert levels[0].latencies


def test_the_budget_bounds_all_levels_together_and_each_request_has_its_own_number() -> None:
    numbers: list[int] = []
    levels = list(rise(numbers.append, [2, 4, 8], 30, 100))
    assert sorted(numbers) == list(range(100))
    assert [(level.clients, level.requests) for level in levels] == [(2, 34), (4, 33), (8, 33)]


def test_what_a_slow_level_leaves_of_the_budget_is_there_for_the_next() -> None:
    turn = threading.Event()

    def ask(number: int) -> None:
        if number == 0:
            turn.wait(0.3)  # longer than the first level

    first, second = rise(ask, [1, 1], 0.2, 10)
    assert (first.requests, second.requests) == (1, 9)


def test_errors_are_counted_by_their_code_and_are_no_answers() -> None:
    def ask(number: int) -> None:
        if number % 2:
            raise ClientError({"Error": {"Code": "ModelError"}}, "InvokeEndpoint")
        if number == 4:
            raise TimeoutError

    (level,) = rise(ask, [1], 30, 10)
    assert level.errors == Counter({"ModelError": 5, "TimeoutError": 1})
    assert (len(level.latencies), level.requests) == (4, 10)


def test_percentiles_are_milliseconds_of_the_answers() -> None:
    level = Level(1, 2.0, [n / 1000 for n in range(101)])
    assert level.percentiles() == pytest.approx({50: 50, 90: 90, 99: 99})
    assert level.per_second == 50.5
    assert Level(1, 1.0, [0.004]).percentiles() == pytest.approx({50: 4, 90: 4, 99: 4})
    assert Level(1, 1.0, []).percentiles() == {50: None, 90: None, 99: None}


@pytest.mark.parametrize("clients", ["0", "1,65", "two", "1,,2"])
def test_numbers_of_clients_that_are_none_are_refused(clients: str) -> None:
    result = CliRunner().invoke(main, ["benchmark", "endpoint", "--clients", clients])
    assert result.exit_code == 2
    assert "is no list of numbers from 1 to 64" in result.output
