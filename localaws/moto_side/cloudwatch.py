"""moto's CloudWatch, in this process: metrics put into it, states of alarms read from it."""

import datetime
from typing import Any

from localaws.moto_side.state import MotoState


class CloudWatch:
    """The account's metrics and alarms in a region."""

    def __init__(self, state: MotoState, region: str) -> None:
        self._state, self._region = state, region

    def put(self, namespace: str, data: list[dict[str, Any]]) -> None:
        """PutMetricData."""
        # moto compares times without a zone, which it takes for UTC.
        plain = [{**datum, "Timestamp": _without_zone(datum["Timestamp"])} for datum in data]
        self._backend().put_metric_data(namespace, plain)
        self._state.changed()

    def alarm_states(self, names: list[str]) -> dict[str, str]:
        """The state of each alarm that exists: OK, ALARM or INSUFFICIENT_DATA."""
        alarms = self._backend().alarms
        return {name: alarms[name].state_value for name in names if name in alarms}

    def _backend(self) -> Any:
        self._state.wait_until_loaded()
        from moto.cloudwatch.models import cloudwatch_backends

        return cloudwatch_backends[self._state.account][self._region]


def _without_zone(moment: datetime.datetime) -> datetime.datetime:
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)
