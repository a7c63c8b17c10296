"""Who a request is from: an access key id, or a role that a component acts for.

Keys and roles are moto's. A key that STS issued is a session of a role; one of a user is that
user's; one that does not look like AWS's at all is the administrator's. Components that act for a
role for a long time (state machines) get keys of this process by `issue`.
"""

import datetime
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from moto.core.utils import utcnow

from localaws.moto_side.state import MotoState
from localaws.permissions.actions import Keys, Place
from localaws.permissions.policy import Policies, Policy, Principal

_AWS_KEY = re.compile(r"A[KS]IA[A-Z0-9]{12,}")
_EVERYTHING = Policy(
    "AdministratorAccess",
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}',
)


class Rejected(Exception):
    """The credentials are no good: `is_expired`, or not known."""

    def __init__(self, is_expired: bool) -> None:
        super().__init__("expired" if is_expired else "unknown")
        self.is_expired = is_expired


@dataclass(frozen=True)
class Session:
    """A principal with what its credentials add to it."""

    principal: Principal
    name: str  # of the role or user in IAM
    policy: str = ""  # a session policy of AssumeRole
    expires: datetime.datetime | None = None


class Principals:
    """Finds sessions, and the policies and keys that belong to them."""

    def __init__(self, state: MotoState, place: Place) -> None:
        self._state, self._place = state, place
        self._known: dict[str, Session] = {}  # sessions do not change; policies are read anew

    def of_key(self, key: str) -> Session | None:
        """The session of an access key id; None for the administrator. Raises Rejected."""
        session = self._known.get(key)
        if session is None:
            if not _AWS_KEY.fullmatch(key):
                return None
            self._state.wait_until_loaded()
            session = self._assumed(key) or self._of_user(key)
            if session is None:
                raise Rejected(is_expired=False)
            if session.principal.kind == "role":
                self._known[key] = session
        if session.expires is not None and session.expires < utcnow():
            self._known.pop(key, None)
            raise Rejected(is_expired=True)
        return session

    def of_role(self, role_arn: str, session_name: str) -> Session:
        """A session of a role, without credentials."""
        return self._role_session(role_arn, session_name)

    def of_service(self, service: str) -> Session:
        """A service of AWS, such as `events.amazonaws.com`: only resource policies let it."""
        return Session(Principal(service, self._place.account, (service,), "service"), "")

    def anonymous(self) -> Session:
        return Session(Principal("anonymous", "", (), "anonymous"), "")

    def administrator(self) -> Session:
        """The account's own, for what a resource's policy denies to everyone."""
        arn = self._place.arn("iam", "root", region=False)
        return Session(Principal(arn, self._place.account, (arn,), "administrator"), "")

    def issue(self, role_arn: str, session_name: str) -> str:
        """An access key id for a role that is good until this process ends."""
        key = f"ASIA{uuid.uuid4().hex[:16].upper()}"
        self._known[key] = self.of_role(role_arn, session_name)
        return key

    def policies(self, session: Session) -> Policies:
        """The identity policies, the permissions boundary and the session policy."""
        if session.principal.kind == "administrator":
            return Policies([_EVERYTHING])
        if session.principal.kind not in ("role", "user"):
            return Policies()
        owner = self.owner(session)
        if owner is None:
            return Policies()
        limit = getattr(owner, "permissions_boundary_arn", None)
        found = self._iam().managed_policies.get(limit) if limit else None
        boundary = Policy(limit, _managed(found) if found else _NOTHING) if limit else None
        return Policies(
            identity=self._identity(owner),
            boundary=boundary,
            session=Policy("session", session.policy) if session.policy else None,
        )

    def keys(self, session: Session) -> Keys:
        """The condition keys that say who asks."""
        principal = session.principal
        if principal.kind not in ("role", "user"):
            return {"aws:principalisawsservice": str(principal.kind == "service").lower()}
        owner = self.owner(session)
        is_role = principal.kind == "role"
        found: Keys = {
            "aws:principalarn": principal.names[0],
            "aws:principalaccount": principal.account,
            "aws:principaltype": "AssumedRole" if is_role else "User",
            "aws:principalisawsservice": "false",
            "aws:userid": ":".join(
                [getattr(owner, "id", ""), *([principal.arn.rpartition("/")[2]] if is_role else [])]
            ),
        }
        if not is_role:
            found["aws:username"] = session.name
        tags = getattr(owner, "tags", None) or []
        pairs = tags.values() if isinstance(tags, dict) else tags
        for tag in pairs:
            found[f"aws:principaltag/{tag['Key'].lower()}"] = tag["Value"]
        return found

    def owner(self, session: Session) -> Any:
        """moto's role or user; None when it is gone."""
        if session.principal.kind == "user":
            return self._iam().users.get(session.name)
        return self.role(session.principal.names[0])

    def role(self, arn: str) -> Any:
        """moto's role of an ARN, or None."""
        self._state.wait_until_loaded()
        return next((role for role in self._iam().roles.values() if role.arn == arn), None)

    def _identity(self, owner: Any) -> Sequence[Policy]:
        holders = [owner]
        if hasattr(owner, "access_keys"):  # a user has groups
            groups = self._iam().groups.values()
            holders += [group for group in groups if owner in group.users]
        found = []
        for holder in holders:
            inline = holder.policies
            inline = inline.items() if isinstance(inline, dict) else inline
            found += [Policy(f"{holder.name}/{name}", text_of(text)) for name, text in inline]
            managed = holder.managed_policies.values()
            found += [Policy(policy.arn, _managed(policy)) for policy in managed]
        return found

    def _assumed(self, key: str) -> Session | None:
        from moto.sts.models import sts_backends

        roles = sts_backends[self._place.account][self._place.partition].assumed_roles
        found = next((role for role in roles if role.access_key_id == key), None)
        if found is None:
            return None
        return self._role_session(
            found.role_arn, found.session_name, found.policy or "", found.expiration
        )

    def _role_session(
        self,
        role_arn: str,
        session: str,
        policy: str = "",
        expires: datetime.datetime | None = None,
    ) -> Session:
        name = role_arn.rpartition("/")[2]
        arn = self._place.arn("sts", f"assumed-role/{name}/{session}", region=False)
        principal = Principal(arn, role_arn.split(":")[4], (role_arn, arn))
        return Session(principal, name, policy, expires)

    def _of_user(self, key: str) -> Session | None:
        for user in list(self._iam().users.values()):
            if any(k.access_key_id == key and k.status == "Active" for k in user.access_keys):
                principal = Principal(user.arn, self._place.account, (user.arn,), "user")
                return Session(principal, user.name)
        return None

    def _iam(self) -> Any:
        from moto.iam.models import iam_backends

        return iam_backends[self._place.account][self._place.partition]


_NOTHING = json.dumps({"Version": "2012-10-17", "Statement": []})  # a boundary that is gone


def _managed(policy: Any) -> str:
    """The document of a managed policy's default version."""
    version = next(v for v in policy.versions if v.version_id == policy.default_version_id)
    return text_of(version.document)


def text_of(document: Any) -> str:
    """moto keeps a document as text, quoted for a URL or not, or as the object itself."""
    if isinstance(document, bytes):
        return document.decode()
    if not isinstance(document, str):
        return json.dumps(document)
    return document if document.lstrip().startswith("{") else unquote(document)
