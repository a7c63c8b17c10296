"""Finds the component that answers a SageMaker operation."""

from collections.abc import Callable
from typing import Any

from botocore import xform_name

from localaws.errors import NotImplementedHere

Request = dict[str, Any]
Response = dict[str, Any]


class SageMaker:
    """The components together; `call` dispatches by the operation's name."""

    def __init__(self, components: list[object]) -> None:
        self._components = components

    def call(self, operation: str, request: Request) -> Response:
        """The operation's response. Raises `ApiError`, or `NotImplementedHere` by name."""
        method = self._method(xform_name(operation))
        if method is None:
            raise NotImplementedHere(
                f"localaws does not implement sagemaker:{operation}; it runs on AWS only."
            )
        return method(request)

    def _method(self, name: str) -> Callable[[Request], Response] | None:
        for component in self._components:
            method = getattr(component, name, None)
            if method is not None:
                return method  # type: ignore[no-any-return]  # getattr knows no types
        return None
