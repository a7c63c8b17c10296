"""A DeploymentConfig made out for a fleet: its steps, and what does not fit."""

from typing import Any

import pytest

from localaws.errors import NotImplementedHere, ValidationError
from localaws.hosting.deployment import Plan
from localaws.hosting.spec import FleetSpec, VariantSpec


def fleet(instances: int) -> FleetSpec:
    variant = VariantSpec("v", "m", "i", None, True, {}, "role", False, 60, instances, 1.0)
    return FleetSpec("ep", "cfg", (variant,))


def config(kind: str, wait: int = 60, **members: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **members}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


def size(value: int, kind: str = "INSTANCE_COUNT") -> dict[str, Any]:
    return {"Type": kind, "Value": value}


def shares(plan: Plan) -> list[float]:
    return [round(step.share, 2) for step in plan.steps]


def test_without_a_config_everything_shifts_at_once_without_a_wait() -> None:
    plan = Plan.of(None, fleet(1))
    assert [(step.share, step.seconds) for step in plan.steps] == [(1.0, 0)]
    assert plan.alarms == ()


def test_a_canary_is_one_step_and_then_all() -> None:
    plan = Plan.of(config("CANARY", CanarySize=size(1)), fleet(4))
    assert [(step.share, step.seconds) for step in plan.steps] == [(0.25, 60), (1.0, 0)]


def test_a_canary_by_percent_is_rounded_up_to_instances() -> None:
    plan = Plan.of(config("CANARY", CanarySize=size(30, "CAPACITY_PERCENT")), fleet(4))
    assert shares(plan) == [0.5, 1.0]


def test_linear_goes_on_until_all_of_it_has_shifted() -> None:
    plan = Plan.of(config("LINEAR", LinearStepSize=size(1)), fleet(4))
    assert shares(plan) == [0.25, 0.5, 0.75, 1.0]


def test_a_canary_of_one_instance_is_refused() -> None:
    with pytest.raises(ValidationError, match="Use at least two instances"):
        Plan.of(config("CANARY", CanarySize=size(1)), fleet(1))


@pytest.mark.parametrize(
    ("given", "member"),
    [
        (config("CANARY"), "CanarySize is required"),
        (config("LINEAR"), "LinearStepSize is required"),
        (config("ALL_AT_ONCE", CanarySize=size(1)), "CanarySize is not allowed"),
    ],
)
def test_each_type_has_its_own_size(given: dict[str, Any], member: str) -> None:
    with pytest.raises(ValidationError, match=member):
        Plan.of(given, fleet(4))


def test_the_time_limit_must_be_longer_than_the_waits() -> None:
    given = config("CANARY", wait=600, CanarySize=size(1))
    given["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 600
    with pytest.raises(ValidationError, match="must be larger than the total"):
        Plan.of(given, fleet(2))


def test_rolling_updates_are_refused_by_name() -> None:
    with pytest.raises(NotImplementedHere, match="RollingUpdatePolicy"):
        Plan.of({"RollingUpdatePolicy": {"WaitIntervalInSeconds": 1}}, fleet(2))
