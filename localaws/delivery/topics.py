"""Messages of SNS topics that call functions, by subscriptions of protocol `lambda`."""

import json
import logging
from collections.abc import Callable
from typing import Any

import moto.sns.models as moto_sns

from localaws.context import Context
from localaws.delivery.queue import Again, Entry, Queue
from localaws.delivery.targets import Refused, Sender, Targets

log = logging.getLogger(__name__)

QUEUE = "topic-message"
_RETRIES = 3  # of a message that a function does not take


class TopicMessages:
    """SNS's subscriptions of protocol `lambda`, through the queue."""

    def __init__(self, context: Context, queue: Queue, targets: Targets) -> None:
        self._now, self._queue, self._targets = context.now, queue, targets
        queue.register(QUEUE, self._deliver)

    def recover(self) -> None:
        publish_by_moto: Callable[..., None] = moto_sns.Subscription.publish
        messages = self

        def publish(
            subscription: Any, message: str, message_id: str, *rest: Any, **named: Any
        ) -> None:
            if subscription.protocol != "lambda":
                publish_by_moto(subscription, message, message_id, *rest, **named)
                return
            messages._publish(subscription, message, message_id, *rest, **named)

        moto_sns.Subscription.publish = publish  # type: ignore  # it takes the place of moto's

    def _publish(
        self,
        subscription: Any,
        message: str,
        message_id: str,
        subject: str | None = None,
        message_attributes: dict[str, Any] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        message_structure: str | None = None,
    ) -> None:
        matcher = subscription._filter_policy_matcher
        if matcher is not None and not matcher.matches(message_attributes, message):
            return
        if message_structure == "json":
            message = subscription._parse_message_structure(message, "lambda")
        record = {
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription.arn,
            "Sns": {
                "Type": "Notification",
                "MessageId": message_id,
                "TopicArn": subscription.topic.arn,
                "Subject": subject,
                "Message": message,
                "Timestamp": self._now().strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "SignatureVersion": "1",
                "Signature": "",  # the loopback needs none
                "SigningCertUrl": "",
                "UnsubscribeUrl": "",
                "MessageAttributes": message_attributes or {},
            },
        }
        text = json.dumps({"Records": [record]}, default=str)
        redrive = json.loads(subscription.attributes.get("RedrivePolicy") or "{}")
        dead = redrive.get("deadLetterTargetArn")
        self._queue.put(
            QUEUE,
            function=subscription.endpoint,
            text=text,
            message=message,
            dead=dead,
            topic=subscription.topic.arn,
        )

    def _deliver(self, entry: Entry) -> None:
        sender = Sender("sns.amazonaws.com", entry.get("topic", ""))
        try:
            self._targets.send(entry["function"], entry["text"], sender=sender)
            return
        except Refused as error:
            if not error.is_final and entry["attempt"] < _RETRIES:
                raise Again(2.0 ** entry["attempt"]) from None
            log.warning("SNS cannot reach %s: %s", entry["function"], error)
        if entry["dead"]:
            self._targets.send(entry["dead"], entry["message"], sender=sender)
