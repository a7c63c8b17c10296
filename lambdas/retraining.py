"""What is written down about retraining: its runs in their order, and what each request came to.

    retraining/runs/00000007.json                           one for each start
    retraining/decisions/yyyy/mm/dd/hhmmss-<trigger>-<event id>.json   one for each request

Runs are numbered without a gap, and a number is taken by a conditional write (`If-None-Match: *`).
Who decides has read run n and takes n + 1: should anybody have come first, the write is refused and
everything is looked at again. So of any number of requests at the same moment one starts a run, and
S3 is all the database there is. Day, cool-down and budget are read off the same list.

A run is claimed first and confirmed once the pipeline has started. Who crashes between the two and
comes again (EventBridge and Lambda deliver again) finds its own claim and goes on with it, under
the same token; and a claim that nobody confirmed within LEASE counts no more.

A decision lies under the time and the id of its event, so a second delivery finds it.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import datetime
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from lambdas.log import Json
from monitoring.window import moment

RUNS, DECISIONS = "retraining/runs/", "retraining/decisions/"
LEASE = datetime.timedelta(minutes=15)  # longer than a function with its two retries takes
TRIGGERS = ("drift", "quality", "schedule", "labels", "manual")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_MISSING = ("NoSuchKey", "404")


@dataclass(frozen=True)
class Request:
    """One wish for a retraining. `forced`: a person insists; only the interlock still holds."""

    trigger: str
    event_id: str
    time: datetime.datetime
    forced: bool = False

    @property
    def key(self) -> str:
        """Where its decision lies, whenever and however often it comes."""
        name = re.sub(r"[^A-Za-z0-9._-]", "-", self.event_id)[:128]
        return f"{DECISIONS}{self.time:%Y/%m/%d/%H%M%S}-{self.trigger}-{name}.json"


@dataclass(frozen=True)
class Run:
    """One start of the retraining pipeline; `execution_id` is empty until it is confirmed."""

    number: int
    event_id: str
    trigger: str
    claimed_at: datetime.datetime
    execution_id: str = ""

    @property
    def token(self) -> str:
        """Of the start: the same for each try of this run, and never that of another."""
        text = f"{self.number} {self.event_id} {self.claimed_at.isoformat()}"
        return hashlib.sha256(text.encode()).hexdigest()

    def counts(self, now: datetime.datetime) -> bool:
        """Whether it started, or may be just about to."""
        return bool(self.execution_id) or now - self.claimed_at < LEASE


class Ledger:
    """Runs and decisions in the environment's bucket."""

    def __init__(self, bucket: str, s3: Any) -> None:
        self._bucket, self._s3 = bucket, s3

    def runs(self) -> Iterator[Run]:
        """Newest first; each is read when it is asked for."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=RUNS)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        for key in sorted(keys, reverse=True):
            found = self._read(key)
            if found is not None:
                yield Run(**{**found, "claimed_at": moment(found["claimed_at"])})

    def claim(self, run: Run) -> bool:
        """Takes the run's number; False when it is taken."""
        return self._write(_key(run), _json(run), once=True)

    def confirm(self, run: Run, execution_id: str) -> Run:
        """Writes down what was started."""
        confirmed = replace(run, execution_id=execution_id)
        self._write(_key(run), _json(confirmed))
        return confirmed

    def decision(self, request: Request) -> Json | None:
        """What was decided about this request before."""
        return self._read(request.key)

    def keep(self, request: Request, decision: Json) -> Json:
        """Writes a decision down; returns the one that counts, which is the first."""
        if self._write(request.key, decision, once=True):
            return decision
        return self.decision(request) or decision

    def decisions(self) -> Iterator[Json]:
        """All of them, the newest event first; each is read when it is asked for."""
        pages = self._s3.get_paginator("list_objects_v2")
        keys = [
            item["Key"]
            for page in pages.paginate(Bucket=self._bucket, Prefix=DECISIONS)
            for item in page.get("Contents", [])
        ]
        for key in sorted(keys, reverse=True):
            found = self._read(key)
            if found is not None:
                yield found

    def _read(self, key: str) -> Json | None:
        try:
            found: Json = json.load(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"])
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        return found

    def _write(self, key: str, content: Json, once: bool = False) -> bool:
        condition = {"IfNoneMatch": "*"} if once else {}
        body = json.dumps(content, indent=1, ensure_ascii=False).encode()
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                **condition,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _TAKEN:
                return False
            raise
        return True


def _key(run: Run) -> str:
    return f"{RUNS}{run.number:08}.json"


def _json(run: Run) -> Json:
    return {**asdict(run), "claimed_at": run.claimed_at.isoformat()}
