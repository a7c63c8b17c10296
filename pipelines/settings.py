"""Settings: `config/base.yaml` with one environment's overrides, checked as a whole.

An unknown name, a wrong type or a value out of range is one sentence that names the file and the
member, before anything is built or called.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

ENVIRONMENTS = ("local", "staging", "prod")
CONFIG_FOLDER = Path(__file__).resolve().parent.parent / "config"


class SettingsError(Exception):
    """A configuration that cannot be used, with the file and the member."""


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Processing(_Section):
    instance_type: str
    volume_gb: int = pydantic.Field(ge=1, le=16384)
    max_runtime_seconds: int = pydantic.Field(ge=1, le=432_000)
    validation_share: float = pydantic.Field(gt=0, lt=0.5)


class Training(_Section):
    instance_type: str
    instance_count: int = pydantic.Field(ge=1)
    volume_gb: int = pydantic.Field(ge=1)
    max_runtime_seconds: int = pydantic.Field(ge=1, le=2_419_200)
    spot: bool
    max_wait_seconds: int = pydantic.Field(ge=1)
    framework_version: str
    python_version: str
    hyperparameters: dict[str, int | float | str]

    @pydantic.model_validator(mode="after")
    def _spot_waits_at_least_as_long_as_it_runs(self) -> "Training":
        if self.spot and self.max_wait_seconds < self.max_runtime_seconds:
            raise ValueError("max_wait_seconds must be at least max_runtime_seconds")
        return self


class Range(_Section):
    """What a hyperparameter may be: from `minimum` to `maximum`, or one of `values`.

    Whole ends make a range of whole numbers.
    """

    minimum: int | float | None = None
    maximum: int | float | None = None
    scaling: Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"] = "Auto"
    values: list[str] | None = pydantic.Field(default=None, min_length=1, max_length=30)

    @pydantic.model_validator(mode="after")
    def _ends_or_values(self) -> "Range":
        ends = (self.minimum, self.maximum)
        if (self.values is None) == (ends == (None, None)) or ends.count(None) == 1:
            raise ValueError("give minimum and maximum, or values")
        if None not in ends:
            if type(self.minimum) is not type(self.maximum):
                raise ValueError("minimum and maximum must both be whole numbers, or neither")
            if self.minimum > self.maximum:  # type: ignore[operator]  # neither is None here
                raise ValueError("minimum is greater than maximum")
        return self


class Tuning(_Section):
    trials: int = pydantic.Field(ge=1, le=500)
    parallel: int = pydantic.Field(ge=1, le=10)
    strategy: Literal["Random", "Bayesian"]
    seed: int = pydantic.Field(ge=1)
    objective: str
    direction: Literal["Maximize", "Minimize"]
    ranges: dict[str, Range] = pydantic.Field(min_length=1, max_length=30)


class Serving(_Section):
    framework_version: str
    python_version: str
    instance_types: list[str] = pydantic.Field(min_length=1)


class Gate(_Section):
    accuracy: float = pydantic.Field(ge=0, le=1)
    production_tolerance: float = pydantic.Field(ge=0, le=1)
    wanted_precision: float = pydantic.Field(gt=0, le=1)
    minimum_confidence: float = pydantic.Field(ge=0.5, lt=1)


class Registry(_Section):
    approval_status: Literal["PendingManualApproval", "Approved", "Rejected"]


class Alarms(_Section):
    errors_a_minute: int = pydantic.Field(ge=0)
    latency_milliseconds: int = pydantic.Field(ge=1)
    low_confidence_share: float = pydantic.Field(ge=0, le=1)


class Deployment(_Section):
    instance_type: str
    instance_count: int = pydantic.Field(ge=1)
    capture_percent: int = pydantic.Field(ge=0, le=100)
    canary_percent: int = pydantic.Field(ge=1, le=50)
    bake_seconds: int = pydantic.Field(ge=0, le=3600)
    poll_seconds: int = pydantic.Field(ge=1, le=300)
    smoke_images: int = pydantic.Field(ge=2, le=200)
    thumbnail_side: int = pydantic.Field(ge=32, le=512)
    runtime: Literal["python3.12", "python3.13", "python3.14"]
    log_retention_days: Literal[7, 30, 90, 365]
    alarms: Alarms


class Monitoring(_Section):
    backend: Literal["schedule", "processing"]
    cron: str = pydantic.Field(pattern=r"^cron\(.+\)$")
    instance_type: str
    volume_gb: int = pydantic.Field(ge=1, le=16384)
    max_runtime_seconds: int = pydantic.Field(ge=60, le=3600)


class Network(_Section):
    subnets: list[Annotated[str, pydantic.Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]]
    security_groups: list[Annotated[str, pydantic.Field(pattern=r"^sg-[0-9a-f]{8,17}$")]]
    vpc: str = pydantic.Field(default="", pattern=r"^(vpc-[0-9a-f]{8,17})?$")

    @pydantic.model_validator(mode="after")
    def _both_or_none(self) -> "Network":
        if bool(self.subnets) != bool(self.security_groups):
            raise ValueError("subnets and security_groups go together: give both or neither")
        if self.vpc and not self.subnets:
            raise ValueError("vpc says whose the subnets are: give subnets and security_groups too")
        return self


class Retention(_Section):
    capture_days: int = pydantic.Field(ge=1, le=3650)
    execution_days: int = pydantic.Field(ge=0, le=3650)
    decision_days: int = pydantic.Field(ge=2, le=3650)
    noncurrent_days: int = pydantic.Field(ge=1, le=3650)


class Account(_Section):
    permissions_boundary: str = pydantic.Field(
        pattern=r"^(arn:[a-z-]+:iam::[0-9]{12}:policy/[A-Za-z0-9+=,.@_/-]+)?$"
    )
    access_log_bucket: str = pydantic.Field(pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    cost_centre: str = pydantic.Field(pattern=r"^[A-Za-z0-9 _.:/=+@-]{1,256}$")
    monthly_dollars: int = pydantic.Field(ge=0, le=1_000_000)


class Retraining(_Section):
    cool_down_hours: float = pydantic.Field(ge=0.02, le=720)
    minimum_new_labels: int = pydantic.Field(ge=1)
    runs_a_day: int = pydantic.Field(ge=0, le=24)
    cron: str = pydantic.Field(pattern=r"^(cron|rate)\(.+\)$")
    triggers_without_labels: list[Literal["drift", "quality", "schedule"]]


class PipelineOptions(_Section):
    cache: bool
    cache_expires_after: str = pydantic.Field(pattern=r"^P(\d+D)?(T(\d+H)?(\d+M)?)?$")
    parallel_steps: int = pydantic.Field(ge=1, le=100)
    retries: int = pydantic.Field(ge=0, le=20)


class Settings(_Section):
    """One environment's settings."""

    environment: str
    project: str = pydantic.Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")
    processing: Processing
    training: Training
    tuning: Tuning
    serving: Serving
    gate: Gate
    registry: Registry
    pipeline: PipelineOptions
    deployment: Deployment
    monitoring: Monitoring
    retraining: Retraining
    network: Network
    retention: Retention
    account: Account

    def tags(self) -> dict[str, str]:
        """What everything that bills is tagged with; `stack` is what the budget counts by."""
        return {
            "project": self.project,
            "environment": self.environment,
            "stack": self.name(),
            "cost-centre": self.account.cost_centre,
        }

    def name(self, what: str = "") -> str:
        """The name of a resource, such as `scones-local-training` for `name("training")`."""
        return "-".join(part for part in (self.project, self.environment, what) if part)


def load(environment: str, folder: Path = CONFIG_FOLDER) -> Settings:
    """The settings of `local`, `staging` or `prod`. Raises SettingsError."""
    if environment not in ENVIRONMENTS:
        known = ", ".join(ENVIRONMENTS)
        raise SettingsError(f"There is no environment {environment!r}; choose one of {known}.")
    override_path = folder / f"{environment}.yaml"
    merged = _merge(_read(folder / "base.yaml"), _read(override_path))
    try:
        return Settings(environment=environment, **merged)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        member = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{override_path.name} over base.yaml: {member or 'settings'}: {first['msg']}."
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path.name} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path.name} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path.name} must hold a mapping of settings.")
    return content


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """`override` over `base`, member by member; lists and values are replaced whole."""
    merged = dict(base)
    for key, value in override.items():
        both_mappings = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both_mappings else value
    return merged
