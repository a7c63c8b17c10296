"""Invocation metrics in the namespace AWS/SageMaker, by EndpointName and VariantName.

Calls are gathered and put as statistic sets about once a second, so a busy endpoint costs a handful
of data points a second (and has no percentiles). Latencies are in microseconds. Every call adds a 0
or a 1 to the error metrics, so their average is the error rate.
https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

import datetime
import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

NAMESPACE = "AWS/SageMaker"
Put = Callable[[str, list[dict[str, Any]]], None]
_UNITS = {
    "Invocations": "Count",
    "InvocationsPerInstance": "None",
    "Invocation4XXErrors": "None",
    "Invocation5XXErrors": "None",
    "ModelLatency": "Microseconds",
    "OverheadLatency": "Microseconds",
}
_Key = tuple[str, str, str]  # endpoint, variant, metric


class Metrics:
    """Gathers and puts. `put(namespace, data)` takes what PutMetricData takes."""

    def __init__(
        self, put: Put, now: Callable[[], datetime.datetime], interval: float = 1.0
    ) -> None:
        self._put, self._now, self._interval = put, now, interval
        self._lock = threading.Lock()
        self._gathered: dict[_Key, list[float]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="endpoint-metrics", daemon=True)
        self._thread.start()

    def add(
        self,
        endpoint: str,
        variant: str,
        status: int,
        *,
        instances: int,
        model_seconds: float | None,
        total_seconds: float,
    ) -> None:
        """One invocation; `status` is the container's, 5xx also when it did not answer."""
        values = {
            "Invocations": 1.0,
            "InvocationsPerInstance": 1.0 / max(1, instances),
            "Invocation4XXErrors": float(400 <= status < 500),
            "Invocation5XXErrors": float(status >= 500),
        }
        if model_seconds is not None:
            values["ModelLatency"] = model_seconds * 1e6
            values["OverheadLatency"] = max(0.0, total_seconds - model_seconds) * 1e6
        with self._lock:
            for name, value in values.items():
                self._gathered.setdefault((endpoint, variant, name), []).append(value)

    def flush(self) -> None:
        """Puts what was gathered."""
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        if not gathered:
            return
        data = [self._datum(key, values) for key, values in gathered.items()]
        try:
            self._put(NAMESPACE, data)
        except Exception:  # a metric that is lost must not stop those after it
            log.exception("endpoint metrics were not put")

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self.flush()

    def _datum(self, key: _Key, values: list[float]) -> dict[str, Any]:
        endpoint, variant, name = key
        return {
            "MetricName": name,
            "Dimensions": [
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": variant},
            ],
            "Timestamp": self._now(),
            "Unit": _UNITS[name],
            "StatisticValues": {
                "SampleCount": float(len(values)),
                "Sum": sum(values),
                "Minimum": min(values),
                "Maximum": max(values),
            },
        }

    def _run(self) -> None:
        while not self._closing.wait(self._interval):
            self.flush()
