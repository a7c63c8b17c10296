"""The errors that a caller of the embedded AWS sees, each shaped as the service shapes it.

ApiError                 a code, a sentence and an HTTP status
├── ValidationError      the request breaks the service model or a documented rule
├── NotFound             the thing named is not there
├── InUse                the name is taken, or the thing is in a state that refuses the call
├── Conflict             two calls want different things of one resource
├── LimitExceeded        an account limit
├── AccessDenied         the caller's policies do not allow it
└── NotImplementedHere   the embedded AWS lacks this operation and says so by name
"""


class ApiError(Exception):
    """An error that AWS would give, with its `code`, `message` and HTTP `status`."""

    code = "InternalFailure"
    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ValidationError(ApiError):
    code, status = "ValidationException", 400


class NotFound(ApiError):
    code, status = "ResourceNotFound", 400


class InUse(ApiError):
    code, status = "ResourceInUse", 400


class Conflict(ApiError):
    code, status = "ConflictException", 400


class LimitExceeded(ApiError):
    code, status = "ResourceLimitExceeded", 400


class AccessDenied(ApiError):
    code, status = "AccessDeniedException", 400


class NotImplementedHere(ApiError):
    code, status = "NotImplemented", 501


class LocalAwsError(Exception):
    """Something about the embedded AWS itself, in one sentence: its folder, port or system."""
