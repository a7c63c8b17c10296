"""Policies, and what they decide about one request. Pure functions of their arguments.

    an explicit deny anywhere                          → denied
    the resource's policy allows the principal itself  → allowed (within one account)
    an identity policy allows, and the permissions boundary and the session policy do not leave it
    out                                                → allowed
    otherwise                                          → denied, implicitly

Where the resource's policy must agree (KMS keys, trust policies of roles), it names the principal,
or the account: then the identity policies decide.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.permissions.conditions import Unsupported, holds, many
from localaws.permissions.patterns import Context, matches

_ELEMENTS = frozenset(
    ["Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"]
)
SELF, ACCOUNT = "principal", "account"  # how a resource's policy names who asks


@dataclass(frozen=True)
class Principal:
    """Who asks: an ARN for messages, and every name by which a policy may mean it.

    `names` are ARNs of a role and of its session, of a user, or the name of a service.
    """

    arn: str
    account: str
    names: tuple[str, ...]
    kind: str = "role"  # role, user, administrator, service, anonymous


@dataclass(frozen=True)
class Request:
    """One action on one resource, by whom, with the condition keys in lower case."""

    principal: Principal
    action: str
    resource: str
    context: Context


@dataclass(frozen=True)
class Policy:
    """A document with the name under which it is known."""

    name: str
    text: str


@dataclass(frozen=True)
class Policies:
    """All that bears on a request; None where there is no such policy."""

    identity: Sequence[Policy] = ()
    boundary: Policy | None = None
    session: Policy | None = None
    resource: Policy | None = None
    resource_must_agree: bool = False


@dataclass(frozen=True)
class Decision:
    """`because` ends the refusal's sentence; `policy` and `sid` name the statement that decided."""

    allowed: bool
    because: str
    policy: str = ""
    sid: str = ""


@dataclass(frozen=True)
class Statement:
    """One statement of a document."""

    sid: str
    allows: bool
    elements: Mapping[str, Any]
    variables: bool  # policy variables came with version 2012-10-17

    def applies(self, request: Request) -> bool:
        """Action, resource and conditions; not the principal. Raises Unsupported."""
        context = request.context if self.variables else None
        if not self._names("Action", request.action.lower(), None, lower=True):
            return False
        if not self._names("Resource", request.resource, context):
            return False
        unknown = self.elements.keys() - _ELEMENTS
        if unknown:
            raise Unsupported(f"the policy element {min(unknown)}")
        return holds(self.elements.get("Condition") or {}, request.context, self.variables)

    def names(self, principal: Principal) -> str | None:
        """SELF, ACCOUNT or None, by the statement's Principal."""
        given = self.elements.get("Principal", {})
        if given == "*":
            return SELF
        for kind, values in given.items():
            for value in many(values):
                if kind == "AWS" and value == "*":
                    return SELF
                if kind in ("AWS", "Service") and value in principal.names:
                    return SELF
        is_account = any(
            principal.kind in ("role", "user")
            and (value == principal.account or value.endswith(f":iam::{principal.account}:root"))
            for value in many(given.get("AWS", []))
        )
        return ACCOUNT if is_account else None

    def _names(self, element: str, text: str, context: Context | None, lower: bool = False) -> bool:
        def is_in(values: Any) -> bool:
            found = (value.lower() if lower else value for value in many(values))
            return any(matches(value, text, context) for value in found)

        if f"Not{element}" in self.elements:
            return not is_in(self.elements[f"Not{element}"])
        if element not in self.elements:
            return element == "Resource"  # a trust policy has none: it is about its role
        return is_in(self.elements[element])


@functools.lru_cache(maxsize=2048)
def parse(text: str) -> tuple[Statement, ...]:
    """The statements of a document, read once for each content. ValueError for no document."""
    document = json.loads(text)
    variables = document.get("Version") == "2012-10-17"
    return tuple(
        Statement(str(given.get("Sid", "")), given["Effect"] == "Allow", given, variables)
        for given in many(document["Statement"])
    )


def decide(request: Request, policies: Policies) -> Decision:
    """What the policies say. What they hold and localaws does not know denies, by its name."""
    try:
        return _decide(request, policies)
    except Unsupported as element:
        return Decision(False, f"localaws does not evaluate {element}")


def _decide(request: Request, policies: Policies) -> Decision:
    found = _explicit_deny(request, policies)
    if found is not None:
        return found
    action = request.action
    how, granted = _resource_grant(request, policies.resource)
    if how != SELF:
        if policies.resource_must_agree and how is None:
            kind = "resource-based policy"
            return Decision(False, f"because no {kind} allows the {action} action")
        granted = _grant(request, policies.identity)
        if granted is None:
            return Decision(False, f"because no identity-based policy allows the {action} action")
    for kind, limit in (
        ("permissions boundary", policies.boundary),
        ("session policy", policies.session),
    ):
        if limit is not None and _grant(request, [limit]) is None:
            return Decision(False, f"because no {kind} allows the {action} action")
    assert granted is not None
    return granted


def _explicit_deny(request: Request, policies: Policies) -> Decision | None:
    kinds: list[tuple[str, Iterable[Policy | None]]] = [
        ("an identity-based policy", policies.identity),
        ("a resource-based policy", [policies.resource]),
        ("a permissions boundary", [policies.boundary]),
        ("a session policy", [policies.session]),
    ]
    for kind, found in kinds:
        for policy in found:
            for statement in parse(policy.text) if policy else ():
                if statement.allows or not _concerns(statement, request.principal):
                    continue
                if statement.applies(request):
                    because = f"with an explicit deny in {kind}"
                    return Decision(False, because, policy.name if policy else "", statement.sid)
    return None


def _concerns(statement: Statement, principal: Principal) -> bool:
    if "NotPrincipal" in statement.elements:
        raise Unsupported("the policy element NotPrincipal")
    return "Principal" not in statement.elements or statement.names(principal) is not None


def _grant(request: Request, policies: Iterable[Policy]) -> Decision | None:
    for policy in policies:
        for statement in parse(policy.text):
            if statement.allows and statement.applies(request):
                return Decision(True, "identity", policy.name, statement.sid)
    return None


def _resource_grant(request: Request, policy: Policy | None) -> tuple[str | None, Decision | None]:
    best: str | None = None
    for statement in parse(policy.text) if policy else ():
        how = statement.names(request.principal) if statement.allows else None
        if how is None or not statement.applies(request):
            continue
        if how == SELF:
            name = policy.name if policy else ""
            return SELF, Decision(True, "resource", name, statement.sid)
        best = how
    return best, None
