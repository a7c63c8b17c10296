"""Events of our own services, delivered by moto's EventBridge to the rules that match."""

import datetime
import json
from typing import Any

from localaws.moto_side.state import MotoState


class EventBus:
    """The account's default event bus."""

    def __init__(self, state: MotoState, region: str) -> None:
        self._state, self._region = state, region

    def __call__(self, event: dict[str, Any]) -> None:
        """Delivers an event that is shaped as EventBridge delivers it."""
        self._state.wait_until_loaded()
        from moto.events.models import events_backends

        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event["resources"],
            "Time": datetime.datetime.fromisoformat(event["time"]).timestamp(),
        }
        events_backends[self._state.account][self._region].put_events([entry])
        self._state.changed()
