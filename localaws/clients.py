"""boto3 clients of this very server, for the parts that call another service as a user would."""

import threading
from typing import Any

import boto3
import botocore.config


class Clients:
    """A client a service, made when it is first asked for. Safe to use from several threads."""

    def __init__(self, endpoint_url: str, region: str) -> None:
        self._endpoint_url, self._region = endpoint_url, region
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        with self._lock:
            if service not in self._made:
                session = boto3.session.Session(
                    aws_access_key_id="localaws",
                    aws_secret_access_key="local",  # the loopback asks for no secret
                    region_name=self._region,
                )
                self._made[service] = session.client(
                    service,
                    endpoint_url=self._endpoint_url,
                    config=botocore.config.Config(
                        retries={"total_max_attempts": 1},  # the caller has rules of its own
                        read_timeout=930,  # a function may take fifteen minutes
                        max_pool_connections=50,
                    ),
                )
            return self._made[service]
