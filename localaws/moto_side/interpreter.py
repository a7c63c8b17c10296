"""moto's Step Functions interpreter, where it differs from the service in what callers notice.

An execution without a name gets one (moto calls each of them `None`, and refuses the second); two
of one name never start both, however close they come; and the clients by which states call services
are made once, not once a state. Versions and aliases work as `machine_versions` says.
"""

import functools
import threading
import uuid
from typing import Any

_installing = threading.Lock()
_installed = False


def install() -> None:
    """Called before the first request to Step Functions, because the import takes a second."""
    global _installed
    with _installing:
        if _installed:
            return
        from moto.stepfunctions.parser.models import StepFunctionsParserBackend

        from localaws.moto_side import machine_versions

        machine_versions.install()
        start = StepFunctionsParserBackend.start_execution
        starting = threading.Lock()  # moto looks for the name long before it adds the execution

        @functools.wraps(start)
        def start_named(
            self: Any, state_machine_arn: str, name: Any = None, *more: Any, **named: Any
        ) -> Any:
            backend = machine_versions.qualified(self, state_machine_arn)
            with starting:
                return start(backend, state_machine_arn, name or str(uuid.uuid4()), *more, **named)

        StepFunctionsParserBackend.start_execution = start_named  # type: ignore[method-assign]
        _share_clients()
        _installed = True


def _share_clients() -> None:
    import sys

    from moto.stepfunctions.parser.asl.utils import boto_client

    make, lock = boto_client.boto_client_for, threading.Lock()
    made: dict[tuple[str, str], Any] = {}

    def shared(region: str, service: str, state_credentials: Any = None) -> Any:
        with lock:
            if (region, service) not in made:
                made[region, service] = make(region=region, service=service)
            return made[region, service]

    for module in list(sys.modules.values()):
        if getattr(module, "boto_client_for", None) is make:
            module.boto_client_for = shared  # type: ignore[attr-defined]  # found above
