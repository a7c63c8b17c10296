"""One captured record, with the attributes of the analyzer's `inference_record`.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-pre-and-post-processing.html
and capture files that real endpoints wrote.
"""

from __future__ import annotations

import copy
import datetime
from typing import Any

from monitoring.window import moment

Json = dict[str, Any]


class RecordError(ValueError):
    """The line is no captured record; says what is wrong with it."""


class Part:
    """One half of the exchange, or the label. The names are those of AWS's own class."""

    __slots__ = ("data", "encoding", "mode", "observedContentType")

    def __init__(self, part: Json) -> None:
        self.encoding: Any = part.get("encoding")
        self.data: Any = part.get("data")
        self.observedContentType: Any = part.get("observedContentType")
        self.mode: Any = part.get("mode")


class EventMetadata:
    """`event_time` is the text of `inferenceTime`; `custom_attribute` a list of texts or None."""

    def __init__(self, metadata: Json) -> None:
        self.event_id: str = metadata["eventId"]
        self.event_time: Any = metadata.get("inferenceTime")
        self.custom_attribute: Any = metadata.get("customAttributes")


class Record:
    """A captured record or a merged one. A part that is not in it is None.

    Raises: RecordError when `event` has no `captureData` object or no `eventId`.
    """

    def __init__(self, event: Any) -> None:
        if not isinstance(event, dict) or not isinstance(event.get("captureData"), dict):
            raise RecordError("it has no captureData object")
        metadata = event.get("eventMetadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("eventId"), str):
            raise RecordError("its eventMetadata has no eventId")
        self.event_dict: Json = event
        self.event_metadata = EventMetadata(metadata)
        self.event_version: Any = event.get("eventVersion")
        parts = event["captureData"].items()
        self._parts = {name: Part(part) for name, part in parts if isinstance(part, dict)}
        self.endpoint_input = self._parts.get("endpointInput")
        self.endpoint_output = self._parts.get("endpointOutput")
        self.batch_transform_output = self._parts.get("batchTransformOutput")
        label = event.get("groundTruthData")
        self.ground_truth = Part(label) if isinstance(label, dict) else None

    def part(self, name: str) -> Part | None:
        """The half with this name in `captureData` (`endpointInput`, …), or None."""
        return self._parts.get(name)

    def as_dict(self) -> Json:
        """A copy of the line. Unconfirmed: the documentation names it without showing a result."""
        return copy.deepcopy(self.event_dict)

    @property
    def inference_id(self) -> str | None:
        """The id that the caller passed to InvokeEndpoint. (AWS has it in `event_dict` only.)"""
        found = self.event_dict["eventMetadata"].get("inferenceId")
        return found if isinstance(found, str) and found else None

    @property
    def join_id(self) -> str:
        """What a label refers to: the caller's inference id, else the event's."""
        return self.inference_id or self.event_metadata.event_id

    @property
    def shadow(self) -> bool:
        """Whether a shadow variant answered, whose traffic the analyzer leaves out."""
        source = self.event_dict["eventMetadata"].get("invocationSource")
        return bool(source == "ShadowExperiment")

    @property
    def time(self) -> datetime.datetime:
        """`inferenceTime`, in UTC. Raises RecordError."""
        try:
            return moment(self.event_metadata.event_time)
        except (TypeError, ValueError):
            text = self.event_metadata.event_time
            raise RecordError(f"its inferenceTime is no time: {text!r}") from None
