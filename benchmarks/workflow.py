"""The inference workflow and the deployment on the embedded AWS: their own time, and losses.

- own time: of an execution, what its three functions did not take by their own reports (REPORT
  lines), one execution after the other;
- losses: many executions, eight at a time; each must be found ended, succeeded or for low
  confidence;
- approval: from the approval of the first version until the endpoint serves.
"""

import argparse
import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.deployed import Deployed, deployed, sample_images
from benchmarks.load import percentile
from workflow.executions import LOW_CONFIDENCE, classify

FUNCTIONS = ("serializeImageData", "imageClassification", "filterLowInferenceConfidence")
_DURATION = re.compile(r"^REPORT .*?\tDuration: ([\d.]+) ms")
_INTERVAL = 0.02  # seconds between two looks at an execution


def measure(place: Deployed, alone: int = 100, together: int = 1_000) -> dict[str, Any]:
    """Prints and returns the figures."""
    print(f"{alone} executions one after the other, {together} eight at a time …", flush=True)
    own = _own_times(place, alone)
    print(f"\nthe inference workflow on the embedded AWS, {alone} executions one after the other")
    print(f"{'own time':<28}{statistics.median(own):>8.0f} ms median")
    print(f"{'':<28}{percentile(own, 95):>8.0f} ms p95")
    ended, seconds = _many(place, together)
    lost = together - ended["SUCCEEDED"] - ended[LOW_CONFIDENCE]
    print(f"{together} executions, 8 at a time: {seconds:.0f} s, {together / seconds:.1f} a second")
    print(", ".join(f"{count} {status}" for status, count in ended.items()) + f"; {lost} lost")
    print(f"approval until the endpoint serves  {place.approval_seconds:.1f} s")
    print(f"approval until all is done          {place.deployment_seconds:.1f} s")
    return {
        "own_ms_median": statistics.median(own),
        "own_ms_p95": percentile(own, 95),
        "executions": together,
        "executions_seconds": seconds,
        "ended": dict(ended),
        "lost": lost,
        "approval_to_in_service_seconds": place.approval_seconds,
        "approval_to_done_seconds": place.deployment_seconds,
    }


def _own_times(place: Deployed, count: int) -> list[float]:
    """Milliseconds of each execution less those of its functions."""
    states, arn = place.client("stepfunctions"), place.resources().inference_alias_arn
    _run(place, sample_images(place, 3), at_a_time=1)  # the functions' processes start
    since = int(1000 * time.time())
    answers = _run(place, sample_images(place, count), at_a_time=1)
    totals = []
    for answer in answers:
        execution = states.describe_execution(executionArn=answer.execution_arn)
        totals.append(1000 * (execution["stopDate"] - execution["startDate"]).total_seconds())
    spent = [_durations(place, arn, name, since, count) for name in FUNCTIONS]
    return [total - sum(parts) for total, *parts in zip(totals, *spent, strict=True)]


def _durations(place: Deployed, arn: str, name: str, since: int, count: int) -> list[float]:
    """What the function reported of its invocations, in order."""
    logs = place.client("logs")
    (group,) = [
        item["logGroupName"]
        for page in logs.get_paginator("describe_log_groups").paginate()
        for item in page["logGroups"]
        if item["logGroupName"].endswith(f"-{name}")
    ]
    deadline = time.monotonic() + 30
    while True:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=since
        )
        events = sorted((e for page in pages for e in page["events"]), key=lambda e: e["timestamp"])
        found = [float(m[1]) for e in events if (m := _DURATION.match(e["message"]))]
        if len(found) >= count or time.monotonic() > deadline:
            return found[:count]
        time.sleep(0.2)


def _many(place: Deployed, count: int) -> tuple[Counter[str], float]:
    """How the executions ended, as the service lists them, and the seconds for all."""
    states, resources = place.client("stepfunctions"), place.resources()
    began = time.perf_counter()
    answers = _run(place, sample_images(place, count), at_a_time=8)
    seconds = time.perf_counter() - began
    started = {answer.execution_arn for answer in answers}
    if len(started) != count:
        raise SystemExit(f"{count} executions were started and {len(started)} came back")
    machine = resources.inference_state_machine_arn
    listed = {
        item["executionArn"]: item["status"]
        for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine)
        for item in page["executions"]
        if item["executionArn"] in started
    }
    errors = {answer.execution_arn: answer.error for answer in answers}
    return Counter(
        errors[arn] if listed.get(arn) == "FAILED" else listed.get(arn, "MISSING")
        for arn in started
    ), seconds


def _run(place: Deployed, images: Sequence[tuple[str, str]], at_a_time: int) -> list[Any]:
    states, arn = place.client("stepfunctions"), place.resources().inference_alias_arn
    answers = classify(
        images, arn, states, wait=time.sleep, interval=_INTERVAL, at_a_time=at_a_time
    )
    return list(answers)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Prints the figures and returns them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workflow", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--alone", type=int, default=100, help="executions for the own time")
    parser.add_argument("--together", type=int, default=1_000, help="executions, 8 at a time")
    args = parser.parse_args(argv)
    with deployed() as place:
        return measure(place, args.alone, args.together)


if __name__ == "__main__":
    main()
