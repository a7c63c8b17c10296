"""When a failed step is tried again, as its retry policies say.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html.
"""

from dataclasses import dataclass
from typing import Any

SERVICE_FAULT, THROTTLING = "Step.SERVICE_FAULT", "Step.THROTTLING"
INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"
CAPACITY_ERROR = "SageMaker.CAPACITY_ERROR"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"
EXCEPTION_TYPES = (SERVICE_FAULT, THROTTLING, INTERNAL_ERROR, CAPACITY_ERROR, RESOURCE_LIMIT)


@dataclass(frozen=True)
class RetryPolicy:
    """One policy; times in seconds. The n-th wait, from 0, lasts `interval · backoff^n`."""

    exceptions: frozenset[str]
    interval: float = 1
    backoff: float = 2.0
    max_attempts: int | None = 5
    expire_after: float | None = None

    @classmethod
    def read(cls, body: dict[str, Any]) -> "RetryPolicy":
        """A policy of a definition. Raises ValueError with a sentence."""
        exceptions = frozenset(body.get("ExceptionType") or ())
        unknown = exceptions - set(EXCEPTION_TYPES)
        if unknown or not exceptions:
            given = ", ".join(sorted(map(str, unknown))) or "nothing"
            raise ValueError(f"ExceptionType must name {', '.join(EXCEPTION_TYPES)}, not {given}")
        expire = body.get("ExpireAfterMin")
        if "MaxAttempts" in body and expire is not None:
            raise ValueError("only one of MaxAttempts and ExpireAfterMin can be given")
        attempts = body.get("MaxAttempts", None if expire is not None else 5)
        bounds = (
            ("IntervalSeconds", body.get("IntervalSeconds", 1), 0, 43200),
            ("BackoffRate", body.get("BackoffRate", 2.0), 0, float("inf")),
            ("MaxAttempts", attempts, 0, 20),
            ("ExpireAfterMin", expire, 0, 14400),
        )
        for name, value, low, high in bounds:
            if value is not None and not (isinstance(value, int | float) and low <= value <= high):
                raise ValueError(f"{name} must be a number between {low} and {high}")
        return cls(
            exceptions,
            body.get("IntervalSeconds", 1),
            body.get("BackoffRate", 2.0),
            attempts,
            None if expire is None else expire * 60,
        )

    def delay(self, retries: int, elapsed: float) -> float | None:
        """Seconds to wait before the next try, or None when there is to be none.

        `retries` were made already under this policy, `elapsed` seconds after the step's start.
        """
        if self.max_attempts is not None and retries >= self.max_attempts:
            return None
        wait = self.interval * self.backoff**retries
        if self.expire_after is not None and elapsed + wait > self.expire_after:
            return None
        return wait
