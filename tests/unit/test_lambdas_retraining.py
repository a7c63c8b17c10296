"""requestRetraining: of all the wishes for a retraining, those that should become one."""

import datetime
import json
from typing import Any

import boto3
import pytest

from lambdas.request_retraining import InvalidRequest, Limits, Site, decide, request_of
from lambdas.retraining import LEASE, Ledger
from tests.lambda_kit import NOON, event, stubbed
from tests.retraining_kit import BUCKET, HOUR, LIMITS, RETRAINING, TRAINING, World

Json = dict[str, Any]


@pytest.fixture
def world(aws: None) -> World:
    return World(boto3.client("s3"))


@pytest.mark.parametrize(
    ("name", "trigger", "event_id", "forced"),
    [
        ("alarm_drift", "drift", "2dde0eb1-528b-d2d5-9ca6-6d590caf2329", False),
        ("labels_written", "labels", "17793124-05d4-b198-2fde-7ededc63b103", False),
        ("retraining_schedule", "schedule", "20261122T030000Z", False),
        ("retraining_manual", "manual", "0f2f5e0a-33a5-4a2e-9a0e-0a2b5f1d7c11", True),
    ],
)
def test_each_events_trigger_and_id_are_known(
    name: str, trigger: str, event_id: str, forced: bool
) -> None:
    found = request_of(event(name))
    assert (found.trigger, found.event_id, found.forced) == (trigger, event_id, forced)
    assert found.key.startswith(f"retraining/decisions/2026/11/22/{found.time:%H%M%S}-{trigger}-")


def test_only_an_alarm_that_rings_and_only_ours_asks_for_anything() -> None:
    quiet, other = event("alarm_drift"), event("alarm_drift")
    quiet["detail"]["state"]["value"] = "OK"
    other["detail"]["alarmName"] = "scones-prod-endpoint-errors"
    for wrong in (quiet, other, {}, {"time": "noon"}, {"trigger": "x", "time": "2026-11-22"}):
        with pytest.raises(InvalidRequest):
            request_of(wrong)


def test_an_alarm_with_new_labels_starts_the_pipeline_with_its_cause(world: World) -> None:
    codepipeline, stub = stubbed("codepipeline")
    world.label("a", "b", "c")
    stub.add_response("list_pipeline_executions", {"pipelineExecutionSummaries": []})
    request = request_of(event("alarm_drift"))
    sent: list[Json] = []
    codepipeline.meta.events.register(
        "before-parameter-build.codepipeline.StartPipelineExecution",
        lambda params, **_: sent.append(params),
    )
    stub.add_response("start_pipeline_execution", {"pipelineExecutionId": "e-1"})
    site = Site(RETRAINING, TRAINING, BUCKET, codepipeline, world.pipelines, world.s3)
    found = decide(request, LIMITS, site, lambda: NOON)
    assert (found["decision"], found["execution_id"], found["run"]) == ("started", "e-1", 1)
    assert sent[0]["name"] == RETRAINING
    assert sent[0]["variables"] == [
        {"name": "TRIGGER", "value": "drift"},
        {"name": "TRIGGER_ID", "value": request.event_id},
    ]
    kept = json.load(world.s3.get_object(Bucket=BUCKET, Key=request.key)["Body"])
    assert kept == found


def test_an_alarm_that_flaps_twenty_times_in_a_minute_starts_one(world: World) -> None:
    world.label("a", "b", "c")
    found = []
    for _ in range(20):
        found.append(world.ask())
        world.now += datetime.timedelta(seconds=3)
    assert [one["decision"] for one in found] == ["started"] + ["suppressed"] * 19
    assert len(world.pipelines.started) == 1
    assert "is InProgress: one run at a time" in found[1]["reason"]
    assert len(list(Ledger(BUCKET, world.s3).decisions())) == 20, "each is written down"


def test_a_second_delivery_finds_what_was_decided(world: World) -> None:
    world.label("a", "b", "c")
    first = world.ask(event_id="twice", time=NOON)
    world.finish()
    world.now += 24 * HOUR
    assert world.ask(event_id="twice", time=NOON) == first
    assert len(world.pipelines.started) == 1


def test_an_event_that_comes_late_is_answered_by_the_run_that_began_after_it(world: World) -> None:
    world.label("a", "b", "c")
    assert world.ask()["decision"] == "started"
    world.finish()
    world.now += 12 * HOUR
    late = world.ask("quality", time=NOON - HOUR, event_id="late")
    assert late["decision"] == "suppressed"
    assert "began after this event" in late["reason"]


def test_after_the_cool_down_the_next_may_start_and_not_before(world: World) -> None:
    world.label("a", "b", "c")
    world.ask()
    world.finish()
    world.now += 5 * HOUR
    too_soon = world.ask("schedule")
    assert too_soon["reason"].endswith("the next may at 2026-11-22 18:00:00Z.")
    world.now += HOUR
    assert world.ask("labels")["decision"] == "started"


def test_the_days_budget_ends_with_the_day(world: World) -> None:
    world.now = NOON.replace(hour=1)
    world.label("a", "b", "c")
    for _ in range(2):
        assert world.ask()["decision"] == "started"
        world.finish()
        world.now += 7 * HOUR
    assert "2 a day are allowed" in world.ask()["reason"]
    world.now += 12 * HOUR
    assert world.ask()["decision"] == "started"


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([], "No image was labelled so far: the same data gives the same model."),
        (["a", "a", "b"], "2 images were labelled so far; 3 are wanted."),
    ],
)
def test_too_few_new_labels_are_named(world: World, labels: list[str], reason: str) -> None:
    if labels:
        world.label(*labels)
    found = world.ask()
    assert (found["decision"], found["reason"]) == ("suppressed", reason)
    assert found["figures"]["new_labels"] == len(set(labels))


def test_the_settings_may_let_a_trigger_start_without_labels(world: World) -> None:
    limits = Limits(6 * HOUR, 3, 2, frozenset({"schedule"}))
    assert world.ask("drift", limits)["decision"] == "suppressed"
    assert world.ask("schedule", limits)["decision"] == "started"


def test_labels_that_a_training_has_seen_are_not_new(world: World) -> None:
    world.label("a", "b", "c")
    world.train()
    assert "No image was labelled since the training" in world.ask()["reason"]


def test_the_labels_of_a_training_that_failed_stay_new(world: World) -> None:
    world.label("a", "b", "c")
    world.train("Failed")
    assert world.ask()["decision"] == "started"


def test_a_training_that_runs_by_itself_blocks_too(world: World) -> None:
    world.label("a", "b", "c")
    world.train("Executing")
    found = world.ask()
    assert f"Execution abc of {TRAINING} is running" in found["reason"]


def test_a_person_may_insist_but_not_against_a_run(world: World) -> None:
    assert world.ask("manual")["decision"] == "suppressed"
    world.now += datetime.timedelta(seconds=1)
    assert world.ask("manual", forced=True)["decision"] == "started"
    world.now += datetime.timedelta(seconds=1)
    assert world.ask("manual", forced=True)["decision"] == "suppressed"
    world.finish()
    world.now += datetime.timedelta(seconds=1)
    assert world.ask("manual", forced=True)["decision"] == "started"


def test_who_crashes_after_the_start_goes_on_with_the_same_run(world: World) -> None:
    world.label("a", "b", "c")
    world.pipelines.fail_after_start = True
    with pytest.raises(ConnectionError):
        world.ask(event_id="crashes", time=NOON)
    world.pipelines.fail_after_start = False
    world.now += datetime.timedelta(minutes=1)
    meanwhile = world.ask("quality")
    assert meanwhile["reason"] == "Run 1 (drift) is just being started."
    again = world.ask(event_id="crashes", time=NOON)
    assert (again["decision"], again["run"], again["execution_id"]) == ("started", 1, "run-1")
    assert len(world.pipelines.started) == 1


def test_a_claim_that_nobody_went_on_with_blocks_no_longer_than_its_lease(world: World) -> None:
    world.label("a", "b", "c")
    world.pipelines.fail_after_start = True
    with pytest.raises(ConnectionError):
        world.ask()
    world.pipelines.started.clear()  # it had crashed just before the start
    world.pipelines.fail_after_start = False
    world.now += LEASE
    found = world.ask("schedule")
    assert (found["decision"], found["run"]) == ("started", 2)


def test_without_the_pipeline_the_reason_is_a_sentence(world: World) -> None:
    world.pipelines.deployed = False
    found = world.ask()
    assert found["reason"] == f"There is no pipeline {RETRAINING}: deploy it first."
