"""Roles that a service assumes, with moto's IAM and STS behind it."""

import fnmatch
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from moto.core.utils import utcnow

from localaws.errors import ValidationError
from localaws.moto_side.state import MotoState

HOURS = 12  # that credentials of a job last; SageMaker renews them for as long as the job runs


class Identity:
    """Assumes roles of this account for its services."""

    def __init__(self, state: MotoState, region: str, partition: str) -> None:
        self._state, self._region, self._partition = state, region, partition

    def credentials(
        self, role_arn: str, session_name: str, service: str = "sagemaker.amazonaws.com"
    ) -> dict[str, Any]:
        """AccessKeyId, SecretAccessKey, SessionToken and Expiration of an assumed role.

        Raises ValidationError, worded as SageMaker does, when the role does not exist or its trust
        policy does not let `service` assume it.
        """
        self._state.wait_until_loaded()
        if not self._trusts(role_arn, service):
            raise ValidationError(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows"
                f" principal '{service}' to assume the role."
            )
        from moto.sts.models import sts_backends

        backend = sts_backends[self._state.account][self._partition]
        self._forget_expired(backend)
        assumed = backend.assume_role(
            region_name=self._region,
            role_session_name=session_name,
            role_arn=role_arn,
            policy="",
            duration=HOURS * 3600,
            external_id="",
        )
        self._state.changed()
        return {
            "AccessKeyId": assumed.access_key_id,
            "SecretAccessKey": assumed.secret_access_key,
            "SessionToken": assumed.session_token,
            "Expiration": assumed.expiration,
        }

    def _trusts(self, role_arn: str, service: str) -> bool:
        roles = self._iam().roles.values()
        role = next((role for role in roles if role.arn == role_arn), None)
        if role is None:
            return False
        document = json.loads(unquote(role.assume_role_policy_document))
        statements = [s for s in _many(document["Statement"]) if _applies(s, service)]
        effects = {statement["Effect"] for statement in statements}
        return "Allow" in effects and "Deny" not in effects

    def _iam(self) -> Any:
        from moto.iam.models import iam_backends

        return iam_backends[self._state.account][self._partition]

    def _forget_expired(self, backend: Any) -> None:
        """Else a server that runs for weeks would carry every job's keys."""
        now, keys = utcnow(), self._iam().access_keys
        for role in [role for role in backend.assumed_roles if role.expiration < now]:
            backend.assumed_roles.remove(role)
            keys.pop(role.access_key_id, None)


def _applies(statement: dict[str, Any], service: str) -> bool:
    actions = _many(statement.get("Action", []))
    if not any(fnmatch.fnmatchcase("sts:assumerole", action.lower()) for action in actions):
        return False
    principal = statement.get("Principal", {})
    if principal == "*":
        return True
    return service in _many(principal.get("Service", []))


def _many(value: Any) -> Iterable[Any]:
    """A policy may give one thing or a list of them."""
    return value if isinstance(value, list) else [value]
