"""Evaluates the alarms of moto's CloudWatch, and does what a change of state asks for."""

import datetime
import json
import logging
import threading
from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends

from localaws.alarms.evaluation import COMPARISONS, INSUFFICIENT, evaluate, seconds_of
from localaws.context import Context
from localaws.delivery.queue import Again, Entry, Queue
from localaws.delivery.targets import Refused, Sender, Targets
from localaws.moto_side.events import EventBus
from localaws.moto_side.state import MotoState

log = logging.getLogger(__name__)

QUEUE = "alarm-action"
_LOOK_SECONDS = 1.0  # between two looks at alarms that may change because time passes
_GATHER_SECONDS = 0.02  # for data that comes in a burst
_KEPT = datetime.timedelta(days=15)  # that CloudWatch keeps datapoints of a minute
_RETRIES = 5
_SENDERS = {"sns": "cloudwatch.amazonaws.com", "lambda": "lambda.alarms.cloudwatch.amazonaws.com"}

_put_data_by_moto = CloudWatchBackend.put_metric_data
_put_alarm_by_moto = CloudWatchBackend.put_metric_alarm
_set_state_by_moto = CloudWatchBackend.set_alarm_state


class Alarms:
    """The alarms of the account in one region."""

    def __init__(
        self, context: Context, state: MotoState, queue: Queue, targets: Targets, events: EventBus
    ) -> None:
        self._context, self._state, self._queue = context, state, queue
        self._targets, self._events = targets, events
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
        queue.register(QUEUE, self._act)

    def alarm_state(self, name: str) -> str | None:
        """OK, ALARM or INSUFFICIENT_DATA, evaluated now; None when there is no such alarm."""
        self._state.wait_until_loaded()
        alarm = self._backend().alarms.get(name)
        if alarm is None:
            return None
        self.look()
        return str(alarm.state_value)

    def recover(self) -> None:
        alarms = self

        def put_metric_data(backend: Any, *given: Any, **named: Any) -> None:
            _put_data_by_moto(backend, *given, **named)
            alarms._wake.set()

        def put_metric_alarm(backend: Any, **given: Any) -> Any:
            _check(given)
            before = backend.alarms.get(given["name"])
            alarm = _put_alarm_by_moto(backend, **given)
            alarm.state_value = before.state_value if before else INSUFFICIENT
            if before:
                alarm.history = before.history
            alarms._wake.set()
            return alarm

        def set_alarm_state(
            backend: Any, alarm_name: str, reason: str, reason_data: Any, state_value: str
        ) -> None:
            # Not between a state that `look` has found and its announcement, which would tell this.
            with alarms._lock:
                known = backend.alarms.get(alarm_name)
                before = known.state_value if known else ""
                _set_state_by_moto(backend, alarm_name, reason, reason_data, state_value)
                if before != state_value:
                    alarms._announce(backend.alarms[alarm_name], before)

        for method in (put_metric_data, put_metric_alarm, set_alarm_state):
            setattr(CloudWatchBackend, method.__name__, method)  # in the place of moto's own
        self._thread.start()

    def shutdown(self) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join()

    def look(self) -> None:
        """Evaluates every alarm."""
        with self._lock:
            backend, now = self._backend(), self._context.now()
            alarms = [alarm for alarm in list(backend.alarms.values()) if alarm.metric_name]
            if not alarms:
                return
            data = self._data(backend, alarms, now)
            for alarm in alarms:
                try:
                    state, reason = evaluate(alarm, data[_metric(alarm)], now.timestamp())
                except (KeyError, ValueError) as error:
                    log.warning("the alarm %s cannot be evaluated: %s", alarm.name, error)
                    continue
                if state != alarm.state_value:
                    before = alarm.state_value
                    alarm.update_state(reason, json.dumps({"version": "1.0"}), state)
                    self._state.changed()
                    self._announce(alarm, before)

    def _backend(self) -> Any:
        return cloudwatch_backends[self._context.account][self._context.region]

    def _data(
        self, backend: Any, alarms: list[Any], now: datetime.datetime
    ) -> dict[Any, list[Any]]:
        """The datums of each metric that an alarm watches, in one pass."""
        oldest = (now - _KEPT).timestamp()
        found: dict[Any, list[Any]] = {_metric(alarm): [] for alarm in alarms}
        names = {(alarm.namespace, alarm.metric_name) for alarm in alarms}
        stale = 0
        for datum in list(backend.metric_data):
            if seconds_of(datum) < oldest:
                stale += 1
            elif (datum.namespace, datum.name) in names:
                key = (datum.namespace, datum.name, _dimensions(datum))
                if key in found:
                    found[key].append(datum)
        if stale:
            kept = [datum for datum in list(backend.metric_data) if seconds_of(datum) >= oldest]
            backend.metric_data[: len(kept) + stale] = kept
        return found

    def _run(self) -> None:
        self._state.wait_until_loaded()
        while not self._closing:
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()
            threading.Event().wait(_GATHER_SECONDS)
            try:
                self.look()
            except Exception:  # one alarm that surprises must not stop the others
                log.exception("the alarms could not be evaluated")

    def _announce(self, alarm: Any, before: str) -> None:
        """Queues the actions and sends the event."""
        actions = {
            "OK": alarm.ok_actions,
            "ALARM": alarm.alarm_actions,
            INSUFFICIENT: alarm.insufficient_data_actions,
        }[alarm.state_value]
        text = json.dumps(_notification(alarm, before, self._context))
        if alarm.actions_enabled:
            for arn in actions:
                subject = f'{alarm.state_value}: "{alarm.name}" in {self._context.region}'
                self._queue.put(
                    QUEUE, arn=arn, text=text, subject=subject[:100], alarm=alarm.alarm_arn
                )
        self._events(_event(alarm, before, self._context))

    def _act(self, entry: Entry) -> None:
        try:
            self._targets.send(
                entry["arn"],
                entry["text"],
                parameters={"Subject": entry["subject"]},
                sender=Sender(_SENDERS[entry["arn"].split(":")[2]], entry.get("alarm", "")),
            )
        except Refused as error:
            if not error.is_final and entry["attempt"] < _RETRIES:
                raise Again(2.0 ** entry["attempt"]) from None
            log.warning("the alarm action %s failed: %s", entry["arn"], error)


def _check(given: dict[str, Any]) -> None:
    """Refuses by name what cannot be evaluated."""
    lacking = ""
    if given.get("rule"):
        lacking = "composite alarms"
    elif given.get("metric_data_queries") or given.get("threshold_metric_id"):
        lacking = "alarms on metric math or anomaly detection (Metrics)"
    elif given.get("comparison_operator") not in COMPARISONS:
        lacking = f"the comparison {given.get('comparison_operator')}"
    for kind in ("alarm_actions", "ok_actions", "insufficient_data_actions"):
        for arn in given.get(kind) or []:
            if arn.split(":")[2:3] not in (["sns"], ["lambda"]):
                lacking = f"the alarm action {arn}"
    if lacking:
        raise ValidationError(f"localaws does not implement {lacking}.")


def _metric(alarm: Any) -> tuple[str, str, frozenset[tuple[str, str]]]:
    return alarm.namespace, alarm.metric_name, _dimensions(alarm)


def _dimensions(thing: Any) -> frozenset[tuple[str, str]]:
    return frozenset((dimension.name, dimension.value) for dimension in thing.dimensions)


def _text(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _notification(alarm: Any, before: str, context: Context) -> dict[str, Any]:
    """What the alarm's topic gets."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": context.account,
        "AlarmConfigurationUpdatedTimestamp": _text(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _text(context.now()),
        "Region": context.region,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "Trigger": {
            "MetricName": alarm.metric_name,
            "Namespace": alarm.namespace,
            "StatisticType": "Statistic" if alarm.statistic else "ExtendedStatistic",
            "Statistic": (alarm.statistic or alarm.extended_statistic or "").upper(),
            "Unit": alarm.unit,
            "Dimensions": [{"name": d.name, "value": d.value} for d in alarm.dimensions],
            "Period": int(alarm.period),
            "EvaluationPeriods": int(alarm.evaluation_periods),
            "DatapointsToAlarm": int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
            "ComparisonOperator": alarm.comparison_operator,
            "Threshold": float(alarm.threshold),
            "TreatMissingData": alarm.treat_missing_data or "missing",
        },
    }


def _event(alarm: Any, before: str, context: Context) -> dict[str, Any]:
    moment = context.now()
    stat = {
        "metric": {
            "namespace": alarm.namespace,
            "name": alarm.metric_name,
            "dimensions": {d.name: d.value for d in alarm.dimensions},
        },
        "period": int(alarm.period),
        "stat": alarm.statistic or alarm.extended_statistic,
    }
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "resources": [alarm.alarm_arn],
        "time": moment.isoformat(),
        "detail": {
            "alarmName": alarm.name,
            "state": {
                "value": alarm.state_value,
                "reason": alarm.state_reason,
                "reasonData": alarm.state_reason_data,
                "timestamp": _text(moment),
            },
            "previousState": {"value": before},
            "configuration": {
                "description": alarm.description,
                "metrics": [{"id": "m1", "metricStat": stat, "returnData": True}],
            },
        },
    }
