"""The metrics that a monitoring job left as files, as CloudWatch takes them.

A line is a datum of PutMetricData; the namespace is the platform's. Sources: "CloudWatch Metrics
for Bring Your Own Containers" of the SageMaker guide, and alarms that are known to work for the
namespace and the dimensions (the guide's own text has a slash before it and other names).
"""

import datetime
import json
import logging
from collections.abc import Iterable
from typing import Any

log = logging.getLogger(__name__)

Json = dict[str, Any]

NAMESPACE = "aws/sagemaker/Endpoints/data-metrics"
_MEMBERS = ("MetricName", "Dimensions", "Value", "StatisticValues", "Unit", "StorageResolution")


def data(lines: Iterable[str], now: datetime.datetime) -> list[Json]:
    """The data of these lines; one that is none is left out, and the log says so."""
    found = []
    for line in lines:
        try:
            found.append(_datum(json.loads(line), now))
        except (ValueError, KeyError, TypeError) as error:
            log.warning("a monitoring job's metric is left out (%r): %.200s", error, line)
    return found


def _datum(given: Json, now: datetime.datetime) -> Json:
    datum = {name: given[name] for name in _MEMBERS if name in given}
    datum["MetricName"] = str(given["MetricName"])
    datum["Dimensions"] = [
        {"Name": str(pair["Name"]), "Value": str(pair["Value"])}
        for pair in given.get("Dimensions") or []
    ]
    if "StatisticValues" in given:
        names = ("SampleCount", "Sum", "Minimum", "Maximum")
        datum["StatisticValues"] = {name: float(given["StatisticValues"][name]) for name in names}
    else:
        datum["Value"] = float(given["Value"])
    datum["Timestamp"] = _moment(given["Timestamp"]) if given.get("Timestamp") else now
    return datum


def _moment(value: str | float) -> datetime.datetime:
    if isinstance(value, str):
        moment = datetime.datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    seconds = value / 1000 if value > 1e11 else value  # BYOC examples write either
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
