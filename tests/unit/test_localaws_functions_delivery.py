"""Schedule expressions, inputs of targets, and the queue that survives."""

import datetime
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from localaws.delivery.expressions import next_time
from localaws.delivery.inputs import input_for
from localaws.delivery.queue import KIND, Again, Queue
from tests.localaws_parts import Clock, make_context, until

START = datetime.datetime(2026, 3, 4, 10, 20, 30, tzinfo=datetime.UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(5 minutes)", "2026-03-04T10:25:30"),
        ("rate(1 day)", "2026-03-05T10:20:30"),
        ("cron(0 * * * ? *)", "2026-03-04T11:00:00"),
        ("cron(0/15 * * * ? *)", "2026-03-04T10:30:00"),
        ("cron(20 10 * * ? *)", "2026-03-05T10:20:00"),
        ("cron(0 8 ? * MON-FRI *)", "2026-03-05T08:00:00"),
        ("cron(0 8 ? * SUN *)", "2026-03-08T08:00:00"),
        ("cron(0 8 L * ? *)", "2026-03-31T08:00:00"),
        ("cron(0 8 ? * 2#1 *)", "2026-04-06T08:00:00"),
        ("cron(0 8 ? * 6L *)", "2026-03-27T08:00:00"),
        ("cron(0 8 1W 8 ? *)", "2026-08-03T08:00:00"),
        ("cron(0 0 29 FEB ? *)", "2028-02-29T00:00:00"),
        ("at(2026-03-04T10:21:00)", "2026-03-04T10:21:00"),
    ],
)
def test_the_next_time_of_a_schedule(expression: str, expected: str) -> None:
    found = next_time(expression, START, START)
    assert found == datetime.datetime.fromisoformat(expected).replace(tzinfo=datetime.UTC)


def test_a_schedule_keeps_the_time_of_its_zone() -> None:
    found = next_time("cron(0 8 * * ? *)", START, START, "America/New_York")
    assert found is not None
    assert found.astimezone(datetime.UTC).hour == 13


def test_a_time_that_has_passed_never_comes_again() -> None:
    assert next_time("at(2026-03-04T10:20:30)", START, START) is None
    assert next_time("cron(0 0 1 1 ? 2020)", START, START) is None


@pytest.mark.parametrize("text", ["rate(0 minutes)", "cron(* * * * *)", "cron(0 0 1 * 1 *)", "now"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        next_time(text, START, START)


EVENT = {
    "id": "1",
    "detail-type": "Kind",
    "resources": ["a", "b"],
    "detail": {"text": 'say "hi"', "number": 3, "list": [1, {"x": None}]},
}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, EVENT),
        ({"Input": '{"constant": 1}'}, {"constant": 1}),
        ({"InputPath": "$.detail.list"}, [1, {"x": None}]),
        ({"InputPath": "$.detail-type"}, "Kind"),
        (
            {"InputTransformer": {"InputTemplate": '{"all": <aws.events.event.json>}'}},
            {"all": EVENT},
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"t": "$.detail.text", "n": "$.detail.number", "no": "$.x"},
                    "InputTemplate": '{"in": "<t> <n>", "out": <t>, "number": <n>, "none": <no>}',
                }
            },
            {"in": 'say "hi" 3', "out": 'say "hi"', "number": 3, "none": None},
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"n": "$.detail.number", "r": "$.resources[0]"},
                    "InputTemplate": '"<n> of <r>, <unknown>"',
                }
            },
            "3 of a, <unknown>",
        ),
    ],
)
def test_a_target_gets_what_it_asks_for(target: dict[str, Any], expected: Any) -> None:
    assert json.loads(input_for(target, EVENT, "arn:rule/r", START)) == expected


def test_a_template_that_gives_no_json_is_refused() -> None:
    transformer = {"InputPathsMap": {}, "InputTemplate": '{"a": }'}
    with pytest.raises(ValueError):
        input_for({"InputTransformer": transformer}, EVENT, "arn:rule/r", START)


def test_an_entry_is_delivered_again_until_the_handler_is_content(tmp_path: Path) -> None:
    context, seen = make_context(tmp_path, Clock()), list[int]()
    queue = Queue(context)

    def handle(entry: dict[str, Any]) -> None:
        seen.append(entry["attempt"])
        if len(seen) < 3:
            raise Again(0)

    queue.register("test", handle)
    queue.recover()
    queue.put("test", text="x")
    until(lambda: context.store.all(KIND) == [])
    assert seen == [0, 1, 2]
    queue.shutdown()


def test_an_entry_that_nobody_delivered_is_there_for_the_next_process(tmp_path: Path) -> None:
    context = make_context(tmp_path, Clock())
    first = Queue(context)
    first.put("test", text="kept")
    second, done = Queue(context), threading.Event()
    found: list[str] = []

    def handle(entry: dict[str, Any]) -> None:
        found.append(entry["text"])
        done.set()

    second.register("test", handle)
    second.recover()
    assert done.wait(10)
    assert found == ["kept"]
    until(lambda: context.store.all(KIND) == [])
    second.shutdown()


def test_an_entry_stays_until_what_its_delivery_caused_is_kept(tmp_path: Path) -> None:
    context, unsaved, done = make_context(tmp_path, Clock()), list[Any](), threading.Event()
    queue = Queue(context, unsaved.append)
    queue.register("test", lambda entry: done.set())
    queue.recover()
    queue.put("test")
    assert done.wait(10)
    until(lambda: len(unsaved) == 1)
    assert len(context.store.all(KIND)) == 1
    unsaved[0]()
    assert context.store.all(KIND) == []
    queue.shutdown()


def test_a_handler_that_breaks_does_not_stop_the_others(tmp_path: Path) -> None:
    context, done = make_context(tmp_path, Clock()), threading.Event()
    queue = Queue(context)
    queue.register("bad", lambda entry: 1 / 0)  # type: ignore[arg-type,return-value]  # it breaks
    queue.register("good", lambda entry: done.set())
    queue.recover()
    queue.put("bad")
    queue.put("good")
    assert done.wait(10)
    queue.shutdown()
