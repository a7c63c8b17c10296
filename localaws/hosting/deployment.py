"""From one fleet to the next: blue/green with baking, alarms and rollback.

    AllAtOnce   100 % ─ bake
    Canary      canary share ─ bake ─ 100 % ─ bake
    Linear      one step ─ bake ─ two steps ─ bake … 100 % ─ bake

All of the new (green) fleet is up before the first request goes there. While it bakes, the alarms
are read twice a second; one in ALARM, an instance that gives up, or the time for the whole
deployment running out takes all traffic back to the old (blue) fleet.
https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localaws.errors import NotImplementedHere, ValidationError
from localaws.hosting.fleet import Fleet
from localaws.hosting.live import Live
from localaws.hosting.spec import FleetSpec, HostingFailed, Interrupted

Json = dict[str, Any]
AlarmStates = Callable[[list[str]], dict[str, str]]
Note = Callable[[str, str], None]  # a status (Creating, ActivatingTraffic, Baking), a sentence

_INTERVAL = 0.5  # seconds between two looks at the alarms
_LARGEST_CANARY = 0.5  # of a variant's instances


@dataclass(frozen=True)
class Step:
    """A share of the traffic for the new fleet, the wait with it, and what Describe calls that."""

    share: float
    seconds: float
    wait: str


@dataclass(frozen=True)
class Plan:
    """A DeploymentConfig, made out for a fleet. ValidationError when it does not fit the fleet."""

    steps: tuple[Step, ...]
    alarms: tuple[str, ...]
    max_seconds: float

    @classmethod
    def of(cls, config: Json | None, spec: FleetSpec) -> "Plan":
        config = config or {}
        if config.get("RollingUpdatePolicy"):
            raise NotImplementedHere(
                "localaws has no RollingUpdatePolicy; use BlueGreenUpdatePolicy."
            )
        policy = config.get("BlueGreenUpdatePolicy") or {}
        routing = policy.get("TrafficRoutingConfiguration") or {"Type": "ALL_AT_ONCE"}
        steps = _steps(routing, policy.get("TerminationWaitInSeconds", 0), spec)
        limit = policy.get("MaximumExecutionTimeoutInSeconds")
        if limit is not None and limit <= sum(step.seconds for step in steps):
            raise ValidationError(
                "MaximumExecutionTimeoutInSeconds must be larger than the total of "
                "WaitIntervalInSeconds and TerminationWaitInSeconds."
            )
        alarms = (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or []
        names = tuple(alarm["AlarmName"] for alarm in alarms)
        return cls(steps, names, float("inf") if limit is None else limit)


def _steps(routing: Json, termination: float, spec: FleetSpec) -> tuple[Step, ...]:
    kind, wait = routing["Type"], routing.get("WaitIntervalInSeconds", 0)
    sizes = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}
    for other, member in sizes.items():
        if (member in routing) != (kind == other):
            verb = "is required" if kind == other else "is not allowed"
            raise ValidationError(f"{member} {verb} with traffic routing of Type {kind}.")
    last = Step(1.0, termination, "TerminationWaitInSeconds")
    if kind == "ALL_AT_ONCE":
        return (last,)
    share = min(_share(routing[sizes[kind]], v.instances, sizes[kind]) for v in spec.variants)
    if kind == "CANARY":
        return (Step(share, wait, "WaitIntervalInSeconds"), last)
    count = math.ceil(1 / share - 1e-9)
    between = (Step(n * share, wait, "WaitIntervalInSeconds") for n in range(1, count))
    return (*between, last)


def _share(size: Json, instances: int, member: str) -> float:
    wanted = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT":
        wanted = math.ceil(instances * size["Value"] / 100)
    if wanted > instances * _LARGEST_CANARY:
        raise ValidationError(
            f"{member} must be at most 50 percent of the variant's instances: it is {wanted} of "
            f"{instances}. Use at least two instances."
        )
    return float(wanted / instances)


class Guard:
    """Watches a new fleet while it bakes."""

    def __init__(
        self, plan: Plan, fleet: Fleet, alarm_states: AlarmStates, stop: threading.Event
    ) -> None:
        self._plan, self._fleet, self._stop = plan, fleet, stop
        self._alarm_states = alarm_states
        self._deadline = time.monotonic() + plan.max_seconds

    def watch(self, seconds: float) -> None:
        """Returns after these seconds. HostingFailed says why it must be rolled back."""
        until = time.monotonic() + seconds
        while True:
            self._check()
            left = until - time.monotonic()
            if left <= 0:
                return
            if self._stop.wait(min(left, _INTERVAL)):
                raise Interrupted

    def _check(self) -> None:
        self._fleet.check()
        if time.monotonic() > self._deadline:
            raise HostingFailed(
                "The deployment took longer than MaximumExecutionTimeoutInSeconds "
                f"({self._plan.max_seconds:g}); traffic was rolled back."
            )
        states = self._alarm_states(list(self._plan.alarms)) if self._plan.alarms else {}
        fired = sorted(name for name, state in states.items() if state == "ALARM")
        if fired:
            raise HostingFailed(
                f"The CloudWatch alarm {', '.join(fired)} went into the ALARM state during the "
                "deployment; traffic was rolled back."
            )


def shift(live: Live, plan: Plan, guard: Guard, note: Note) -> None:
    """Leads the traffic to `live.candidate`, step by step. HostingFailed: roll it back."""
    for step in plan.steps:
        percent = f"{step.share:.0%}"
        note("ActivatingTraffic", f"Shifting {percent} of the traffic to the new fleet.")
        live.share = step.share
        if step.seconds:
            note("Baking", f"Baking for {step.seconds:g} seconds ({step.wait}) at {percent}.")
        guard.watch(step.seconds)
