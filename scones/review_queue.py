"""What waits for a person: taken from the review queue, and gone from it only when answered.

A message that is taken is hidden from others for a while. It is deleted once its label is written;
whatever else happens (a skip, Ctrl-C, an error) gives it back, and a kill does when HOLD is over.
The queue moves what was taken five times without an answer to its dead-letter queue; the record
below `review/` stays in any case.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from lambdas.serialize_image_data import ImageNotFound
from monitoring.record_preprocessor import CLASSES
from scones.answered import NO_IMAGE, picture

HOLD = 900  # seconds that a person may look at one image
_FIELDS = {"s3_bucket", "s3_key", "inference_id", "inferences", "predicted_class"}


@dataclass(frozen=True)
class Item:
    """One answer that was not sure enough, and how its message is known to the queue."""

    record: dict[str, Any]
    receipt: str

    @property
    def inference_id(self) -> str:
        return str(self.record["inference_id"])

    @property
    def image_url(self) -> str:
        return f"s3://{self.record['s3_bucket']}/{self.record['s3_key']}"

    @property
    def probabilities(self) -> dict[str, float]:
        return dict(zip(CLASSES, map(float, self.record["inferences"]), strict=True))


@dataclass
class Review:
    """One person's session, a context manager. `known`: inferences that have a label already.

    `write` keeps labels, `(inference id, class)`; an error of it leaves the item in the queue.
    """

    queue_url: str
    sqs: Any
    s3: Any
    side: int
    write: Callable[[list[tuple[str, str]]], Any]
    known: set[str] = field(default_factory=set)
    look_seconds: int = 2  # into the queue; a shorter look may miss what lies there
    labelled: int = 0
    _held: list[Item] = field(default_factory=list)

    def next(self) -> Item | None:
        """The next that nobody has labelled, hidden from others; None when nothing waits."""
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=1,
                VisibilityTimeout=HOLD,
                WaitTimeSeconds=self.look_seconds,
            )
            messages = answer.get("Messages")
            if not messages:
                return None
            item = _item(messages[0])
            self._held.append(item)
            if not item.record:
                continue  # no record of ours: in time it moves to the dead letters
            if item.inference_id not in self.known:
                return item
            self._delete(item)

    def image(self, item: Item) -> bytes:
        """As the workflow sent it to the endpoint. Raises ImageNotFound with a sentence."""
        try:
            return picture(item.record, self.s3, self.side)
        except NO_IMAGE as error:
            raise ImageNotFound(str(error)) from error

    def label(self, item: Item, class_name: str) -> None:
        """Writes the label, then takes the item out of the queue."""
        self.write([(item.inference_id, class_name)])
        self.known.add(item.inference_id)
        self.labelled += 1
        self._delete(item)

    def _delete(self, item: Item) -> None:
        self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=item.receipt)
        self._held.remove(item)

    def __enter__(self) -> "Review":
        return self

    def __exit__(self, *error: object) -> None:
        """Gives back what has no answer."""
        for item in self._held:
            with contextlib.suppress(ClientError):  # its time was over, and another has it
                self.sqs.change_message_visibility(
                    QueueUrl=self.queue_url, ReceiptHandle=item.receipt, VisibilityTimeout=0
                )
        self._held.clear()


def _item(message: dict[str, Any]) -> Item:
    """With an empty record when the message is none of ours."""
    try:
        record = json.loads(message["Body"])
        sound = isinstance(record, dict) and set(record) >= _FIELDS
        if sound and len([float(p) for p in record["inferences"]]) == len(CLASSES):
            return Item(record, message["ReceiptHandle"])
    except (ValueError, TypeError):
        pass
    return Item({}, message["ReceiptHandle"])
