"""EventBridge rules whose targets are really called.

moto matches events with rules; what it does with the targets is replaced: for each target an entry
with the finished input goes into the queue before PutEvents answers.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
"""

import datetime
import json
import logging
import random
import uuid
from typing import Any

import moto.events.models as moto_events

from localaws.context import Context
from localaws.delivery.inputs import input_for
from localaws.delivery.queue import Again, Entry, Queue
from localaws.delivery.targets import Refused, Sender, Targets

log = logging.getLogger(__name__)

QUEUE = "event"
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
_RETRIES, _AGE = 185, 24 * 3600
_LONGEST_WAIT = 60.0  # seconds between two tries

Event = dict[str, Any]


class Rules:
    """Takes events from moto's rules and delivers them to the targets."""

    def __init__(self, context: Context, queue: Queue, targets: Targets) -> None:
        self._context, self._queue, self._targets = context, queue, targets
        queue.register(QUEUE, self._deliver)

    def recover(self) -> None:
        rules = self

        def send_to_targets(rule: Any, original_event: Event, transform_input: bool = True) -> None:
            has_pattern = rule.event_pattern.get_pattern()
            if rule.state != "ENABLED" or not has_pattern:
                return  # moto would send every event to a rule that has only a schedule
            event = rules._shaped(original_event)
            if rule.event_pattern.matches_event(event):
                for target in rule.targets:
                    rules.send(rule.arn, target, event)

        moto_events.Rule.send_to_targets = send_to_targets  # type: ignore  # it takes the place of moto's

    def send(self, source_arn: str, target: dict[str, Any], event: Event) -> None:
        """Queues the event for a target of a rule."""
        now = self._context.now()
        try:
            text = input_for(target, event, source_arn, now)
        except ValueError as error:
            self._bury(source_arn, target, json.dumps(event), "INVALID_JSON", str(error), 0)
            return
        self.queue(source_arn, target, text)

    def queue(self, source_arn: str, target: dict[str, Any], text: str) -> None:
        """Queues a finished input for a target of a rule or a schedule."""
        self._queue.put(QUEUE, source=source_arn, target=target, text=text)

    def _shaped(self, event: Event) -> Event:
        """As EventBridge delivers it: the time as text, nothing of moto's own."""
        time = event["time"]
        if not isinstance(time, str):
            moment = datetime.datetime.fromtimestamp(float(time), datetime.UTC)
            time = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        order = [
            "version",
            "id",
            "detail-type",
            "source",
            "account",
            "time",
            "region",
            "resources",
            "detail",
        ]
        shaped = {**event, "version": "0", "time": time, "id": event.get("id") or str(uuid.uuid4())}
        return {name: shaped[name] for name in order if name in shaped}

    def _deliver(self, entry: Entry) -> None:
        target, attempt = entry["target"], entry["attempt"]
        try:
            self._targets.send(
                target["Arn"],
                entry["text"],
                parameters=target,
                token=entry["id"],
                sender=_sender(entry["source"], target),
            )
            return
        except Refused as error:
            refusal = error
        policy = target.get("RetryPolicy") or {}
        wait = min(2.0**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.0)
        age = self._context.now().timestamp() - entry["since"] + wait
        is_old = age > policy.get("MaximumEventAgeInSeconds", _AGE)
        is_spent = attempt >= policy.get("MaximumRetryAttempts", _RETRIES)
        if not (refusal.is_final or is_spent or is_old):
            raise Again(wait)
        code = "EVENT_AGE_EXCEEDED" if is_old and not refusal.is_final else refusal.code
        self._bury(entry["source"], target, entry["text"], code, refusal.message, attempt)

    def _bury(
        self,
        source: str,
        target: dict[str, Any],
        text: str,
        code: str,
        message: str,
        attempts: int,
    ) -> None:
        """Hands what could not be delivered to the dead-letter queue, with the reason."""
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            log.warning("%s could not be reached and is given up: %s", target["Arn"], message)
            return
        kind = "SCHEDULE_ARN" if ":scheduler:" in source else "RULE_ARN"
        attributes = {
            kind: source,
            "TARGET_ARN": target["Arn"],
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message[:1024],
            "RETRY_ATTEMPTS": str(attempts),
        }
        try:
            self._targets.send(queue, text, attributes, sender=_sender(source, target, dead=True))
        except Refused as error:
            log.error("the dead-letter queue %s could not be reached: %s", queue, error)


def _sender(source: str, target: dict[str, Any], dead: bool = False) -> Sender:
    """Scheduler does everything with its target's role; a rule uses it for the target only."""
    if ":scheduler:" in source:
        return Sender("scheduler.amazonaws.com", source, target.get("RoleArn", ""))
    return Sender("events.amazonaws.com", source, "" if dead else target.get("RoleArn") or "")
