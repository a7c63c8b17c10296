"""requestRetraining: every wish for a retraining → one start, or the reason why not.

    drift, quality   the alarm rang ("CloudWatch Alarm State Change")
    labels           somebody wrote ground truth ("Object Created" below ground-truth/)
    schedule         EventBridge Scheduler, daily: picks up what was put off
    manual           `scones retraining start`

A request is suppressed, in this order, when

    a retraining that began after its event has answered it (late and out of order events)
    one runs: the retraining pipeline, or the training pipeline by itself
    the last one began less than the cool-down ago
    the day's budget (UTC) is used up
    there are too few new labels: on the same data a run gives the same model

New are labels of ground truth that were written since the last training that succeeded; so the
labels of a run that failed stay new. What is suppressed is written down with its reason and not
kept waiting: the labels are still there, so the next label or the next day's schedule starts what
an alarm could not. A person may insist (`force`); only the interlock then still holds.

Sources: "Alarm events and EventBridge", CloudWatch user guide;
https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_StartPipelineExecution.html
"""

import datetime
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from lambdas import log
from lambdas.clients import client
from lambdas.log import Json
from lambdas.retraining import TRIGGERS, Ledger, Request, Run
from monitoring import ground_truth
from monitoring.window import moment

_RUNNING = ("InProgress", "Stopping", "Executing")
_ABSENT = ("PipelineNotFoundException", "ResourceNotFound", "ResourceNotFoundException")
_TRIES = 10  # each one is lost to another request that has decided meanwhile


class InvalidRequest(Exception):
    """The event is none that asks for a retraining."""


class TooMuchAtOnce(Exception):
    """Others came first at every try; a later delivery will see what they did."""


@dataclass(frozen=True)
class Limits:
    """When a retraining may start. `without_labels`: triggers that need no new label."""

    cool_down: datetime.timedelta
    minimum_new_labels: int
    runs_a_day: int
    without_labels: frozenset[str]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Limits":
        """Raises KeyError for a variable that the template forgot."""
        return cls(
            cool_down=datetime.timedelta(hours=float(environment["COOL_DOWN_HOURS"])),
            minimum_new_labels=int(environment["MINIMUM_NEW_LABELS"]),
            runs_a_day=int(environment["RUNS_A_DAY"]),
            without_labels=frozenset(environment["TRIGGERS_WITHOUT_LABELS"].split(",")) - {""},
        )


@dataclass(frozen=True)
class Site:
    """The pipelines of one environment and the clients to ask about them."""

    retraining: str
    training: str
    bucket: str
    codepipeline: Any
    sagemaker: Any
    s3: Any

    def busy(self) -> str | None:
        """What runs now, in words; None when nothing does."""
        try:
            page = self.codepipeline.list_pipeline_executions(pipelineName=self.retraining)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ABSENT:
                raise
            return f"There is no pipeline {self.retraining}: deploy it first."
        for found in page["pipelineExecutionSummaries"]:
            if found["status"] in _RUNNING:
                name = f"{found['pipelineExecutionId']} of {self.retraining}"
                return f"Execution {name} is {found['status']}: one run at a time."
        for found in self._trainings():
            if found["PipelineExecutionStatus"] in _RUNNING:
                name = found["PipelineExecutionArn"].rpartition("/")[2]
                return f"Execution {name} of {self.training} is running: one run at a time."
        return None

    def trained_at(self) -> datetime.datetime | None:
        """When the last training that succeeded began; None before the first."""
        for found in self._trainings():
            if found["PipelineExecutionStatus"] == "Succeeded":
                started: datetime.datetime = found["StartTime"]
                return started
        return None

    def new_labels(self, since: datetime.datetime | None) -> int:
        """How many inferences have been labelled since that moment."""
        prefix = "ground-truth/"
        start = {"StartAfter": f"{prefix}{since:%Y/%m/%d/%H}"} if since else {}
        pages = self.s3.get_paginator("list_objects_v2")
        labelled: set[str] = set()
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, **start):
            for item in page.get("Contents", []):
                if since is None or item["LastModified"] > since:
                    body = self.s3.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read()
                    labelled |= {label.inference_id for label in ground_truth.labels_of(body)}
        return len(labelled)

    def start(self, run: Run) -> str:
        """Starts the retraining pipeline for a run, once however often; the execution's id."""
        variables = {"TRIGGER": run.trigger, "TRIGGER_ID": run.event_id}
        answer = self.codepipeline.start_pipeline_execution(
            name=self.retraining,
            variables=[{"name": name, "value": value} for name, value in variables.items()],
            clientRequestToken=run.token,
        )
        return str(answer["pipelineExecutionId"])

    def _trainings(self) -> list[Json]:
        """The newest hundred executions of the training pipeline, newest first."""
        try:
            page = self.sagemaker.list_pipeline_executions(
                PipelineName=self.training, SortOrder="Descending", MaxResults=100
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ABSENT:
                raise
            return []
        return list(page["PipelineExecutionSummaries"])


def request_of(event: Json) -> Request:
    """What an event asks for. Raises InvalidRequest."""
    try:
        kind, time = event.get("detail-type"), moment(event["time"])
        if kind == "CloudWatch Alarm State Change":
            name, state = event["detail"]["alarmName"], event["detail"]["state"]["value"]
            trigger = name.rpartition("-")[2]
            if trigger in ("drift", "quality") and state == "ALARM":
                return Request(trigger, str(event["id"]), time)
            raise InvalidRequest(f"Alarm {name} is {state}: that asks for no retraining.")
        if kind == "Object Created":
            return Request("labels", str(event["id"]), time)
        if event["trigger"] in TRIGGERS:
            forced = event["trigger"] == "manual" and event.get("force") is True
            # The Scheduler has an id for each attempt, so the scheduled time is the event's id.
            given = str(event.get("id") or f"{time:%Y%m%dT%H%M%SZ}")
            return Request(event["trigger"], given, time, forced)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"The event lacks or garbles {error}.") from error
    raise InvalidRequest(f"There is no trigger {event['trigger']!r}.")


def decide(
    request: Request, limits: Limits, site: Site, now: Callable[[], datetime.datetime]
) -> Json:
    """Starts a retraining or does not; returns the decision, which is written down."""
    ledger = Ledger(site.bucket, site.s3)
    known = ledger.decision(request)
    if known is not None:
        return known
    for _ in range(_TRIES):
        moment_of = now()
        runs = _recent(ledger, moment_of)
        own = next((run for run in runs if run.event_id == request.event_id), None)
        figures: Json = {}
        if own is None or not own.counts(moment_of):
            reason, figures = judge(request, runs, limits, site, moment_of)
            if reason:
                return ledger.keep(request, _decision(request, moment_of, reason, figures))
            number = runs[0].number + 1 if runs else 1
            own = Run(number, request.event_id, request.trigger, moment_of)
            if not ledger.claim(own):
                continue
        if not own.execution_id:
            own = ledger.confirm(own, site.start(own))
        return ledger.keep(request, _decision(request, moment_of, "", figures, own))
    raise TooMuchAtOnce(f"Other requests came first {_TRIES} times.")


def _recent(ledger: Ledger, now: datetime.datetime) -> list[Run]:
    """The runs that the limits ask about, newest first: of a day, and one before."""
    found: list[Run] = []
    for run in ledger.runs():
        found.append(run)
        if now - run.claimed_at > datetime.timedelta(days=1) and run.counts(now):
            break
    return found


def judge(
    request: Request, runs: list[Run], limits: Limits, site: Site, now: datetime.datetime
) -> tuple[str, Json]:
    """Why the request is suppressed, or nothing; and the figures that say so. Changes nothing."""
    counted = [run for run in runs if run.counts(now)]
    last = counted[0] if counted else None
    today = sum(run.claimed_at.date() == now.date() for run in counted)
    figures: Json = {"runs_today": today, "runs_a_day": limits.runs_a_day}
    if last and not last.execution_id:
        return f"Run {last.number} ({last.trigger}) is just being started.", figures
    if last and request.time <= last.claimed_at and not request.forced:
        return f"Run {last.number} of {last.claimed_at:%F %T}Z began after this event.", figures
    busy = site.busy()
    if busy or request.forced:
        return busy or "", figures
    if last and now < last.claimed_at + limits.cool_down:
        until = last.claimed_at + limits.cool_down
        return (
            f"Run {last.number} began at {last.claimed_at:%F %T}Z; the next may at {until:%F %T}Z.",
            figures,
        )
    if today >= limits.runs_a_day:
        return f"{today} runs began today (UTC); {limits.runs_a_day} a day are allowed.", figures
    since = site.trained_at()
    found = site.new_labels(since)
    figures |= {"new_labels": found, "minimum_new_labels": limits.minimum_new_labels}
    if found >= limits.minimum_new_labels or request.trigger in limits.without_labels:
        return "", figures
    when = f"since the training of {since:%F %T}Z" if since else "so far"
    if not found:
        return f"No image was labelled {when}: the same data gives the same model.", figures
    wanted = limits.minimum_new_labels
    return f"{found} images were labelled {when}; {wanted} are wanted.", figures


def _decision(
    request: Request, now: datetime.datetime, reason: str, figures: Json, run: Run | None = None
) -> Json:
    return {
        "decision": "started" if run else "suppressed",
        "reason": reason or f"Run {run.number if run else ''} for {request.trigger}.",
        "trigger": request.trigger,
        "event_id": request.event_id,
        "event_time": request.time.isoformat(),
        "decided_at": now.isoformat(),
        "forced": request.forced,
        "run": run.number if run else None,
        "execution_id": run.execution_id if run else None,
        "figures": figures,
    }


def handler(event: Json, context: Any) -> Json:
    """Input: one of the events above. Returns the decision."""
    with log.call("requestRetraining", event, context) as call:
        site = Site(
            retraining=os.environ["RETRAINING_PIPELINE_NAME"],
            training=os.environ["TRAINING_PIPELINE_NAME"],
            bucket=os.environ["BUCKET_NAME"],
            codepipeline=client("codepipeline"),
            sagemaker=client("sagemaker"),
            s3=client("s3"),
        )
        found = decide(
            request_of(event),
            Limits.of(os.environ),
            site,
            lambda: datetime.datetime.now(datetime.UTC),
        )
        call.say(f"retraining {found['decision']}", **found)
        return found
