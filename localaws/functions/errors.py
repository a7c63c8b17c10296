"""The errors of Lambda's API, with the codes and statuses of its reference.

https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
"""

from localaws.errors import ApiError


class NoSuchResource(ApiError):
    code, status = "ResourceNotFoundException", 404


class ResourceConflict(ApiError):
    code, status = "ResourceConflictException", 409


class InvalidValue(ApiError):
    code, status = "InvalidParameterValueException", 400


class InvalidContent(ApiError):
    code, status = "InvalidRequestContentException", 400


class PreconditionFailed(ApiError):
    code, status = "PreconditionFailedException", 412


class TooManyRequests(ApiError):
    code, status = "TooManyRequestsException", 429


class TooLarge(ApiError):
    code, status = "RequestTooLargeException", 413
