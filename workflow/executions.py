"""Executions of the state machines as a caller sees them: start, follow, and what came out."""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LOW_CONFIDENCE = "THRESHOLD_CONFIDENCE_NOT_MET"
SURE, UNSURE, ERROR = "sure", "low confidence", "error"


@dataclass(frozen=True)
class Answer:
    """What the inference workflow made of one image. `error` and `cause` are empty when sure."""

    image: str
    verdict: str
    predicted_class: str
    confidence: float | None
    execution_arn: str
    error: str = ""
    cause: str = ""


@dataclass(frozen=True)
class State:
    """One state that an execution has entered: its name and how long it took, in seconds."""

    name: str
    entered: datetime
    exited: datetime | None

    @property
    def seconds(self) -> float | None:
        return (self.exited - self.entered).total_seconds() if self.exited else None


def classify(
    images: Iterable[tuple[str, str]],
    state_machine_arn: str,
    states: Any,
    *,
    wait: Callable[[float], None],
    interval: float,
    at_a_time: int = 8,
) -> Iterator[Answer]:
    """Runs the inference workflow for each image `(bucket, key)`; answers in the given order."""

    def one(image: tuple[str, str]) -> Answer:
        bucket, key = image
        started = states.start_execution(
            stateMachineArn=state_machine_arn,
            input=json.dumps({"image_data": "", "s3_bucket": bucket, "s3_key": key}),
        )
        ended = follow(started["executionArn"], states, wait=wait, interval=interval)
        return _answer(f"s3://{bucket}/{key}", ended, states)

    with ThreadPoolExecutor(at_a_time) as pool:
        yield from pool.map(one, images)


def follow(
    execution_arn: str, states: Any, *, wait: Callable[[float], None], interval: float
) -> dict[str, Any]:
    """Waits for the end of an execution; returns what DescribeExecution says then."""
    while True:
        execution: dict[str, Any] = states.describe_execution(executionArn=execution_arn)
        if execution["status"] != "RUNNING":
            return execution
        wait(interval)


def entered_states(execution_arn: str, states: Any) -> list[State]:
    """The states that an execution has entered so far, in order."""
    found: list[State] = []
    pages = states.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    for event in (event for page in pages for event in page["events"]):
        if "stateEnteredEventDetails" in event:
            name = event["stateEnteredEventDetails"]["name"]
            found.append(State(name, event["timestamp"], None))
        elif "stateExitedEventDetails" in event:
            name = event["stateExitedEventDetails"]["name"]
            last = max(i for i, state in enumerate(found) if state.name == name)
            found[last] = State(name, found[last].entered, event["timestamp"])
    return found


def _answer(image: str, ended: dict[str, Any], states: Any) -> Answer:
    arn = ended["executionArn"]
    if ended["status"] == "SUCCEEDED":
        output = json.loads(ended["output"])
        return Answer(image, SURE, output["predicted_class"], output["confidence"], arn)
    error, cause = ended.get("error", ended["status"]), ended.get("cause", "")
    if error != LOW_CONFIDENCE:
        return Answer(image, ERROR, "", None, arn, error, cause)
    unsure = _state_that_was_unsure(arn, states)
    predicted, confidence = unsure.get("predicted_class", ""), unsure.get("confidence")
    return Answer(image, UNSURE, predicted, confidence, arn, error, cause)


def _state_that_was_unsure(execution_arn: str, states: Any) -> dict[str, Any]:
    """The classification that went into the filter: a failed execution has no output."""
    pages = states.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    for event in (event for page in pages for event in page["events"]):
        details = event.get("stateEnteredEventDetails", {})
        if details.get("name") == "FilterLowInferenceConfidence":
            found: dict[str, Any] = json.loads(details["input"])
            return found
    return {}
