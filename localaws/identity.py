"""Roles that a service assumes, with moto's IAM and STS behind it."""

from typing import Any

from moto.core.utils import utcnow

from localaws.context import Context
from localaws.errors import ValidationError
from localaws.moto_side.state import MotoState

HOURS = 12  # that credentials of a job last; SageMaker renews them for as long as the job runs


class Identity:
    """Assumes roles of this account for its services."""

    def __init__(self, context: Context, state: MotoState) -> None:
        self._context, self._state = context, state
        self._region, self._partition = context.region, context.partition

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
        guard = self._context.guard
        return guard is not None and guard.trusts(role_arn, service)

    def _iam(self) -> Any:
        from moto.iam.models import iam_backends

        return iam_backends[self._state.account][self._partition]

    def _forget_expired(self, backend: Any) -> None:
        """Else a server that runs for weeks would carry every job's keys."""
        now, keys = utcnow(), self._iam().access_keys
        for role in [role for role in backend.assumed_roles if role.expiration < now]:
            backend.assumed_roles.remove(role)
            keys.pop(role.access_key_id, None)
