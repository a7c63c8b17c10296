"""Which exception of the retry policies a failure is.

AWS also retries faults of its own services without being asked; here a fault of a service is a bug
in this process, which a second try does not mend, so only the policies of the definition count.
"""

from localaws.errors import ApiError, LimitExceeded, NotImplementedHere
from pipeline_definition.retries import (
    CAPACITY_ERROR,
    INTERNAL_ERROR,
    RESOURCE_LIMIT,
    SERVICE_FAULT,
    THROTTLING,
)

# How a job's FailureReason begins when the fault is not the algorithm's.
_REASONS = {
    "InternalServerError": INTERNAL_ERROR,
    "InternalServerException": INTERNAL_ERROR,
    "CapacityError": CAPACITY_ERROR,
    "InsufficientCapacityError": CAPACITY_ERROR,
    "ResourceLimitExceeded": RESOURCE_LIMIT,
}


def exception_of_reason(reason: str) -> str | None:
    """The exception type of a failed job's reason; None for the algorithm's own errors."""
    return next((kind for start, kind in _REASONS.items() if reason.startswith(start)), None)


def exception_of_error(error: ApiError) -> str | None:
    """The exception type of a call that was refused; None when a second try is no use."""
    if isinstance(error, NotImplementedHere):
        return None
    if isinstance(error, LimitExceeded):
        return RESOURCE_LIMIT
    if error.code in ("ThrottlingException", "TooManyRequestsException"):
        return THROTTLING
    return SERVICE_FAULT if error.status >= 500 else None
