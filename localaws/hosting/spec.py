"""What is to be served, in plain terms; the endpoint's record keeps it as JSON (`to_json`).

A fleet's specification is made when an endpoint is created or updated and holds all that its
instances need, since the configuration and the models may be deleted while the endpoint serves.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


class HostingFailed(Exception):
    """A fleet cannot serve; the message is the FailureReason."""


class Interrupted(Exception):
    """The server goes down while a fleet starts or traffic shifts; the next start goes on."""


@dataclass(frozen=True)
class VariantSpec:
    """One production variant. `model_uri` is an archive, or a prefix when not `is_archive`."""

    name: str
    model_name: str
    image: str
    model_uri: str | None
    is_archive: bool
    environment: dict[str, str]
    role_arn: str
    is_isolated: bool
    startup_seconds: float
    instances: int
    weight: float


@dataclass(frozen=True)
class FleetSpec:
    """An endpoint configuration with its models; `capture` is the DataCaptureConfig or None."""

    endpoint: str
    config: str
    variants: tuple[VariantSpec, ...]
    capture: Json | None = None

    def to_json(self) -> Json:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Json) -> "FleetSpec":
        variants = tuple(VariantSpec(**variant) for variant in value["variants"])
        return cls(**{**value, "variants": variants})

    def with_variants(self, changes: Mapping[str, Json]) -> "FleetSpec":
        """The same with members of some variants changed, by the variant's name."""
        variants = (dataclasses.replace(v, **changes.get(v.name, {})) for v in self.variants)
        return dataclasses.replace(self, variants=tuple(variants))


@dataclass(frozen=True)
class Limits:
    """Seconds: `capture` until a file of capture records is written, `answer` for a model, the
    longest `startup` of a container whatever its variant asks for."""

    capture: float = 60.0
    answer: float = 60.0
    startup: float = float("inf")

    @classmethod
    def from_environment(cls) -> "Limits":
        """LOCALAWS_CAPTURE_SECONDS, LOCALAWS_ANSWER_SECONDS, LOCALAWS_STARTUP_SECONDS."""
        found = {
            field.name: os.environ.get(f"LOCALAWS_{field.name.upper()}_SECONDS")
            for field in dataclasses.fields(cls)
        }
        return cls(**{name: float(value) for name, value in found.items() if value})
