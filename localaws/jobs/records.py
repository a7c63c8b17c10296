"""What Processing and Training jobs share in the API: names, states, lists, waiting, restarts.

A job's record is its request, the members that Describe adds, and three of our own that the API
does not show: `_program_started`, `_program_seconds` and `_stage_seconds` (by name).
"""

import base64
import binascii
import datetime
import json
import threading
from collections.abc import Callable
from typing import Any

import service_model
from localaws.announcements import Announce, nobody
from localaws.context import Context
from localaws.errors import InUse, ValidationError
from localaws.jobs import events
from localaws.jobs.job import SERVER_STOPPED
from localaws.jobs.runner import Runner
from localaws.jobs.spec import COMPLETED, FAILED, STOPPED, JobSpec, Outcome
from localaws.store import Record

IN_PROGRESS, STOPPING = "InProgress", "Stopping"
FINAL = frozenset({COMPLETED, FAILED, STOPPED})
_PAGE = 10  # summaries that a list call answers when it asks for no number

Finish = Callable[[Record, Outcome], Record]


class JobRecords:
    """The records of one kind of job. `noun` is Processing or Training, as members spell it.

    Each change of a job's status is announced; of a training job, each secondary one too.
    """

    def __init__(
        self,
        context: Context,
        runner: Runner,
        noun: str,
        missing: str,
        announce: Announce = nobody,
    ) -> None:
        self.kind = f"{noun.lower()}-job"
        self.name_member = f"{noun}JobName"
        self.arn_member = f"{noun}JobArn"
        self.status_member = f"{noun}JobStatus"
        self._noun = noun
        self._missing = missing  # the service's words for a job that is not there
        self._context, self._runner, self._announce = context, runner, announce
        self._done: dict[str, threading.Event] = {}
        model = service_model.load("sagemaker")
        describe = model.operation_model(f"Describe{noun}Job").output_shape
        listing = model.operation_model(f"List{noun}Jobs").output_shape
        self._described = frozenset(describe.members)
        self._summarised = frozenset(listing.members[f"{noun}JobSummaries"].member.members)

    def arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"{self.kind}/{name}")

    def check_new(self, name: str) -> None:
        """Raises InUse when there is, or was, a job of that name."""
        if self._context.store.get(self.kind, name):
            raise InUse(
                "Job name must be unique within an AWS account and region, and a job with this "
                f"name already exists ({self.arn(name)})"
            )

    def start(self, request: dict[str, Any], spec: JobSpec, finish: Finish) -> str:
        """Records the job, starts it and returns its ARN. `finish` completes the final record."""
        now = self._context.now()
        record = {
            **request,
            self.arn_member: self.arn(spec.name),
            self.status_member: IN_PROGRESS,
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [_transition("Starting", now)],
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        with self._context.store.transaction():
            self.check_new(spec.name)
            self._context.store.put(self.kind, spec.name, record)
            self._done[spec.name] = threading.Event()
            self._tell(record)
        self._runner.start(spec, _Recorder(self, spec.name, finish))
        return self.arn(spec.name)

    def get(self, name: str) -> Record:
        """The record. Raises ValidationError, as the service does, when there is none."""
        record = self._context.store.get(self.kind, name)
        if record is None:
            raise ValidationError(self._missing.format(name=name))
        return record

    def describe(self, name: str) -> dict[str, Any]:
        return {key: value for key, value in self.get(name).items() if key in self._described}

    def stop(self, name: str) -> None:
        """InProgress → Stopping → Stopped. Refused once the job is over."""
        with self._context.store.transaction():
            status = self.get(name)[self.status_member]
            if status in FINAL:
                raise ValidationError(
                    f"The request was rejected because the {self._noun.lower()} job is in status "
                    f"{status}."
                )
            if status == IN_PROGRESS:
                self._tell(self.change(name, "Stopping", **{self.status_member: STOPPING}))
        self._runner.stop(self.kind, name)

    def wait(self, name: str, timeout: float | None = None) -> dict[str, Any]:
        """Describe, once the job is over. TimeoutError after `timeout` seconds."""
        if self.get(name)[self.status_member] not in FINAL and not self.done(name).wait(timeout):
            raise TimeoutError(f"{self.kind} {name} still runs after {timeout} seconds")
        return self.describe(name)

    def done(self, name: str) -> threading.Event:
        """Is set once the job is over. KeyError for a job that this process did not start."""
        return self._done[name]

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """A page of summaries, filtered and sorted as the request asks."""
        found = [
            record
            for record in self._context.store.all(self.kind)
            if self._matches(record, request)
        ]
        by = request.get("SortBy", "CreationTime")
        member = {"Name": self.name_member, "Status": self.status_member}.get(by, by)
        descending = request.get("SortOrder") == "Descending"

        def position(record: Record) -> tuple[str, str]:
            value = record[member]
            text = value.isoformat() if isinstance(value, datetime.datetime) else str(value)
            return text, record[self.name_member]

        found.sort(key=position, reverse=descending)
        if request.get("NextToken"):
            last = _read_token(request["NextToken"])
            found = [
                record
                for record in found
                if (position(record) < last if descending else position(record) > last)
            ]
        size = request.get("MaxResults", _PAGE)
        page: dict[str, Any] = {
            f"{self._noun}JobSummaries": [self._summary(record) for record in found[:size]]
        }
        if len(found) > size:
            page["NextToken"] = _write_token(position(found[size - 1]))
        return page

    def _summary(self, record: Record) -> dict[str, Any]:
        return {key: value for key, value in record.items() if key in self._summarised}

    def _matches(self, record: Record, request: dict[str, Any]) -> bool:
        if request.get("NameContains", "") not in record[self.name_member]:
            return False
        if request.get("StatusEquals", record[self.status_member]) != record[self.status_member]:
            return False
        for member in ("CreationTime", "LastModifiedTime"):
            after, before = request.get(f"{member}After"), request.get(f"{member}Before")
            if (after and record[member] <= after) or (before and record[member] >= before):
                return False
        return True

    def change(self, name: str, secondary: str, **changes: Any) -> Record:
        """Records the next secondary status, closing the one before, and other changes."""
        now = self._context.now()
        with self._context.store.transaction():
            transitions = self.get(name)["SecondaryStatusTransitions"]
            transitions[-1]["EndTime"] = now
            transitions.append(_transition(secondary, now))
            return self._context.store.update(
                self.kind,
                name,
                SecondaryStatus=secondary,
                SecondaryStatusTransitions=transitions,
                LastModifiedTime=now,
                **changes,
            )

    def stage(self, name: str, stage: str) -> None:
        """A stage begins; the first is when the job's time starts to count."""
        if stage == "Downloading":
            self._context.store.update(
                self.kind, name, **{f"{self._noun}StartTime": self._context.now()}
            )
        if self.get(name)[self.status_member] == IN_PROGRESS:
            record = self.change(name, stage)
            if self._noun == "Training":
                self._tell(record)

    def end(self, name: str, outcome: Outcome, finish: Finish) -> None:
        """Writes the final record, all in one transaction."""
        now = self._context.now()
        texts = {"FailureReason": outcome.failure_reason, "ExitMessage": outcome.exit_message}
        secondary = "MaxRuntimeExceeded" if outcome.ran_out_of_time else outcome.status
        with self._context.store.transaction():
            record = self.change(
                name,
                secondary,
                **{self.status_member: outcome.status, f"{self._noun}EndTime": now},
                **{member: text for member, text in texts.items() if text},
                _program_started=outcome.program_started,
                _program_seconds=outcome.program_seconds,
                _stage_seconds=outcome.stage_seconds,
            )
            last = record["SecondaryStatusTransitions"][-1]
            last["EndTime"] = last["StartTime"]
            record = finish(record, outcome)
            self._context.store.put(self.kind, name, record)
            self._tell(record)

    def _tell(self, record: Record) -> None:
        detail = events.DETAILS[self._noun](record)
        kind = f"SageMaker {self._noun} Job State Change"
        self._announce(kind, [record[self.arn_member]], detail)

    def ended(self, name: str) -> None:
        self._done[name].set()

    def recover(self) -> None:
        """After a start: whatever a killed server left running is over, and failed."""
        for record in self._context.store.all(self.kind):
            if record[self.status_member] not in FINAL:
                self.end(
                    record[self.name_member],
                    Outcome(FAILED, failure_reason=SERVER_STOPPED),
                    lambda record, outcome: record,
                )
        self._runner.remove_leftovers(self.kind)


class Jobs:
    """What the operations on all kinds of job share, for the pipelines and after a restart."""

    _records: JobRecords

    def wait(self, name: str, timeout: float | None = None) -> dict[str, Any]:
        """Describe, once the job is over. TimeoutError after `timeout` seconds."""
        return self._records.wait(name, timeout)

    def done(self, name: str) -> threading.Event:
        """Is set once the job is over. KeyError for a job that this process did not start."""
        return self._records.done(name)

    def recover(self) -> None:
        """After a restart: what was running is shown as failed, and its leftovers go."""
        self._records.recover()


class _Recorder:
    """Writes what happens to one job into its record."""

    def __init__(self, records: JobRecords, name: str, finish: Finish) -> None:
        self._records, self._name, self._finish = records, name, finish

    def stage(self, name: str) -> None:
        self._records.stage(self._name, name)

    def end(self, outcome: Outcome) -> None:
        try:
            self._records.end(self._name, outcome, self._finish)
        finally:
            self._records.ended(self._name)


# The service's own words for each status of a training job; Describe shows no others.
_MESSAGES = {
    "Starting": "Launching requested ML instances",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
}


def _transition(status: str, now: datetime.datetime) -> dict[str, Any]:
    return {"Status": status, "StartTime": now, "StatusMessage": _MESSAGES.get(status, status)}


def _write_token(position: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _read_token(token: str) -> tuple[str, str]:
    try:
        value, name = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValidationError("Invalid NextToken: it does not come from a list call.") from error
    return value, name
