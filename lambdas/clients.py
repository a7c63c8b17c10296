"""The boto3 clients of a function, made at the first call and kept while the function is warm."""

import functools
from typing import Any

import boto3
from botocore.config import Config

# A workflow retries; a client that waits longer than its function may run helps nobody.
_CONFIG = Config(
    connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4}
)


@functools.cache
def client(service: str) -> Any:
    """A client in the function's own region."""
    return boto3.client(service, config=_CONFIG)
