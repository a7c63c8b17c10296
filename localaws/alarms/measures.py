"""The metrics of functions (`AWS/Lambda`), one statistic set a metric and second.

A datum for each invocation would make moto's list, and so each snapshot, grow with the traffic.
"""

import datetime
import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

_SECONDS = 1.0
_UNITS = {"Duration": "Milliseconds"}

Put = Callable[[str, list[dict[str, Any]]], None]


class Measures:
    """Gathers figures by function and metric, and puts them once a second."""

    def __init__(self, put: Put, now: Callable[[], datetime.datetime]) -> None:
        self._put, self._now = put, now
        self._lock = threading.Lock()
        self._gathered: dict[tuple[str, str], list[float]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="measures", daemon=True)

    def __call__(self, function: str, figures: dict[str, float]) -> None:
        """Notes what one invocation gives."""
        with self._lock:
            for name, value in figures.items():
                self._gathered.setdefault((function, name), []).append(value)

    def recover(self) -> None:
        self._thread.start()

    def shutdown(self) -> None:
        self._closing.set()
        self._thread.join()
        self.flush()

    def flush(self) -> None:
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        if gathered:
            now = self._now()
            data = [{**_datum(*key, values), "Timestamp": now} for key, values in gathered.items()]
            self._put("AWS/Lambda", data)

    def _run(self) -> None:
        while not self._closing.wait(_SECONDS):
            try:
                self.flush()
            except Exception:  # figures that are lost must not stop those that come
                log.exception("the functions' metrics could not be put")


def _datum(function: str, name: str, values: list[float]) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": "FunctionName", "Value": function}],
        "Unit": _UNITS.get(name, "Count"),
        "StatisticValues": {
            "SampleCount": len(values),
            "Sum": sum(values),
            "Minimum": min(values),
            "Maximum": max(values),
        },
    }
