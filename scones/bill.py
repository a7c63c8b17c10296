"""What a month of an environment costs: quantities from the settings, prices from a file.

    Workload (requests, retrainings)  ─┐
    Settings (instances, retention)   ─┼─► lines (what, how much, of which price) ─► dollars
    infra/prices.yaml (list prices)   ─┘

An estimate to choose a size and a budget by, not a quotation: the assumptions are the constants
below, each with where it comes from. Not counted: data that leaves AWS, traces, support, taxes.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydantic
import yaml

from pipelines.settings import Settings
from scones.connection import PROJECT_ROOT

PRICES = PROJECT_ROOT / "infra" / "prices.yaml"

HOURS = 730  # of a month
PEAK = 4  # times the mean: an ordinary day's busiest hour, rounded up
REQUESTS_A_SECOND = (
    20  # of one ml.m5.large: 20 ms an image on one of two cores, half of it kept free
)
IMAGE_MB = 0.1  # a photograph for the web
CAPTURE_OVERHEAD = 1.4  # base64 and JSON around the picture
CAPTURES_A_FILE = 10  # written together in a busy minute
TRANSITIONS = 5  # of the inference workflow without an error: start and four states
FUNCTION_GB_SECONDS = 0.4  # serializeImageData 1.73 GB · 0.2 s, the two others 0.25 GB · 0.1 s
FUNCTIONS = 3
KMS_CALLS = 0.2  # a request: the bucket key and the workflows' reused data keys spare the rest
LOG_KB = 4  # a request: one JSON line a function, and Lambda's own
MONITOR_MINUTES = 5  # an hour's analysis, with the start of its instance
TRAINING_MINUTES = {"processing": 20, "training": 15}  # Prepare, Evaluate, Baseline · Train
EXECUTION_GB = 0.5  # what a run leaves in executions/
METRICS = 25  # the features' drift, violations, confidence
ALARMS = 7  # as many as the template has; a test counts them
BUILD_MINUTES = 30
VPC_ENDPOINTS = 5  # interfaces that docs/operations.md asks for, in each subnet


class PricesError(Exception):
    """A file of prices that cannot be used, with the member."""


class Price(pydantic.BaseModel):
    """One list price, and how sure we are of it."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    price: float = pydantic.Field(ge=0)
    per: str
    confirmed: Literal["aws", "other", "no"]
    page: str = pydantic.Field(pattern=r"^https://")


class Prices(pydantic.BaseModel):
    """`infra/prices.yaml`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    region: str
    currency: str
    checked: str
    prices: dict[str, Price]

    def of(self, name: str) -> Price:
        """Raises PricesError for a price that the file lacks."""
        if name not in self.prices:
            raise PricesError(f"infra/prices.yaml has no price for {name}: add it with its page.")
        return self.prices[name]


@dataclass(frozen=True)
class Workload:
    """A month's use."""

    requests: int
    retrainings: int
    builds: int


@dataclass(frozen=True)
class Line:
    """So much of one thing, at its list price. Dollars a month."""

    what: str
    quantity: float
    name: str
    price: Price

    @property
    def dollars(self) -> float:
        return self.quantity * self.price.price


SIZES = {
    "small": Workload(requests=10_000, retrainings=1, builds=4),
    "medium": Workload(requests=1_000_000, retrainings=4, builds=10),
    "large": Workload(requests=50_000_000, retrainings=8, builds=20),
}


def read(path: Path = PRICES) -> Prices:
    """The prices. Raises PricesError."""
    try:
        content = yaml.load(path.read_text("utf-8"), yaml.BaseLoader)
        return Prices.model_validate(content)
    except (OSError, yaml.YAMLError) as error:
        raise PricesError(f"{path.name} cannot be read: {error}") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        member = ".".join(str(part) for part in first["loc"])
        raise PricesError(f"{path.name}: {member or 'prices'}: {first['msg']}.") from error


def instances(requests: int, settings: Settings) -> int:
    """Of the endpoint: as many as the busiest hour needs, never fewer than the settings say."""
    peak = PEAK * requests / (HOURS * 3600)
    return max(settings.deployment.instance_count, math.ceil(peak / REQUESTS_A_SECOND))


def lines(load: Workload, settings: Settings, prices: Prices) -> list[Line]:
    """The bill, in the order in which a person would look for it. Raises PricesError."""
    counted = [*_compute(load, settings), *_use(load, settings), *_standing(load, settings)]
    return [Line(what, amount, name, prices.of(name)) for what, amount, name in counted if amount]


_Counted = tuple[str, float, str]


def _compute(load: Workload, settings: Settings) -> list[_Counted]:
    count = instances(load.requests, settings)
    kind = settings.deployment.instance_type
    processing = load.retrainings * TRAINING_MINUTES["processing"] / 60
    training = load.retrainings * TRAINING_MINUTES["training"] / 60
    return [
        (f"endpoint, {count} × {kind}", count * HOURS, kind),
        ("monitoring, hourly", HOURS * MONITOR_MINUTES / 60, settings.monitoring.instance_type),
        ("retraining, processing", processing, settings.processing.instance_type),
        ("retraining, training", training, settings.training.chosen.instance_type),
    ]


def _use(load: Workload, settings: Settings) -> list[_Counted]:
    captured = load.requests * settings.deployment.capture_percent / 100
    months = settings.retention.capture_days / 30
    stored = captured * IMAGE_MB * CAPTURE_OVERHEAD / 1024 * months
    return [
        ("endpoint, data in", load.requests * IMAGE_MB / 1024, "endpoint_data"),
        ("inference workflow", load.requests * TRANSITIONS, "state_transition"),
        ("functions, requests", load.requests * FUNCTIONS, "lambda_request"),
        ("functions, time", load.requests * FUNCTION_GB_SECONDS, "lambda_gb_second"),
        (f"capture, kept {settings.retention.capture_days} days", stored, "s3_storage"),
        ("capture, written", captured / CAPTURES_A_FILE, "s3_put"),
        ("images, read", load.requests, "s3_get"),
        ("key, calls", load.requests * KMS_CALLS, "kms_request"),
        ("logs", load.requests * LOG_KB / 1024**2, "log_ingestion"),
    ]


def _standing(load: Workload, settings: Settings) -> list[_Counted]:
    kept = settings.retention.execution_days / 30 or 12  # kept for good: after the first year
    return [
        ("runs, kept", load.retrainings * EXECUTION_GB * kept, "s3_storage"),
        ("key", 1, "kms_key"),
        ("metrics", METRICS, "metric"),
        ("alarms", ALARMS, "alarm"),
        ("dashboard", 1, "dashboard"),
        ("builds", load.builds * BUILD_MINUTES, "build_minute"),
        (
            "VPC endpoints",
            len(settings.network.subnets) * VPC_ENDPOINTS * HOURS,
            "vpc_endpoint_hour",
        ),
    ]
