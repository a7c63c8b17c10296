"""moto's Step Functions interpreter, where it differs from the service in what callers notice.

An execution without a name gets one (moto calls each of them `None`, and refuses the second); two
of one name never start both, however close they come; and the clients by which states call services
are made once, not once a state, and call with the rights of the machine's role. Versions and
aliases work as `machine_versions` says, states that start executions as `nested_executions`, and a
Distributed Map as `distributed_map`.
"""

import functools
import threading
import uuid
from collections.abc import Callable
from typing import Any

_installing = threading.Lock()
_installed = False
_key_of: Callable[[str, str], str] | None = None


def act_as_roles(key_of: Callable[[str, str], str]) -> None:
    """From now on the states call as their machine's role.

    `key_of(role_arn, session_name)` gives an access key id of the role.
    """
    global _key_of
    _key_of = key_of


def install() -> None:
    """Called before the first request to Step Functions, because the import takes a second."""
    global _installed
    with _installing:
        if _installed:
            return
        from moto.stepfunctions.parser.models import StepFunctionsParserBackend

        from localaws.moto_side import distributed_map, machine_versions, nested_executions

        machine_versions.install()
        nested_executions.install()
        distributed_map.install()
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
    made: dict[tuple[str, str, str], Any] = {}

    def shared(region: str, service: str, state_credentials: Any = None) -> Any:
        role = getattr(state_credentials, "role_arn", "")
        with lock:
            if (region, service, role) not in made:
                client = make(region=region, service=service)
                if role and _key_of is not None:
                    # The key that moto wrote into its function is nobody's.
                    keys = client._request_signer._credentials
                    keys.access_key = _key_of(role, "StepFunctions")
                made[region, service, role] = client
            return made[region, service, role]

    for module in list(sys.modules.values()):
        if getattr(module, "boto_client_for", None) is make:
            module.boto_client_for = shared  # type: ignore[attr-defined]  # found above
