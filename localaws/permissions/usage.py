"""Which permissions of a role anything needs: each is taken away in turn.

A record of decisions (`record`) is asked again with policies that lack one action, or one resource
of several. If every request is still allowed, nothing needs what was taken.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.permissions.conditions import many
from localaws.permissions.policy import Policies, Policy, Principal, Request, decide
from localaws.permissions.record import Entry


@dataclass(frozen=True)
class Permission:
    """One action, or one resource, of a statement."""

    policy: str
    sid: str
    element: str  # Action or Resource
    value: str


def permissions(policy: Policy) -> Iterator[tuple[Permission, Policy]]:
    """Each permission of a policy, and the policy without it."""
    document = json.loads(policy.text)
    statements = many(document["Statement"])
    for place, statement in enumerate(statements):
        if statement["Effect"] != "Allow":
            continue
        for element in ("Action", "Resource"):
            values = many(statement.get(element, []))
            for value in values if element == "Action" or len(values) > 1 else ():
                left = [other for other in values if other != value]
                kept = [{**statement, element: left}] if left else []
                changed = [*statements[:place], *kept, *statements[place + 1 :]]
                text = json.dumps({**document, "Statement": changed})
                found = Permission(policy.name, statement.get("Sid", ""), element, value)
                yield found, Policy(policy.name, text)


def unused(roles: Mapping[str, Sequence[Policy]], entries: Iterable[Entry]) -> list[Permission]:
    """The permissions without which each recorded request is allowed all the same.

    `roles` gives each role's policies by its ARN; a policy that several roles share is needed when
    one of them needs it.
    """
    asked: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.allowed and entry.by == "identity":
            asked.setdefault(entry.principal, []).append(entry)
    needed: dict[Permission, bool] = {}
    for role, policies in roles.items():
        for place, policy in enumerate(policies):
            for permission, less in permissions(policy):
                if needed.get(permission):
                    continue
                others = [*policies[:place], less, *policies[place + 1 :]]
                needed[permission] = any(
                    not _is_allowed(entry, others)
                    for entry in asked.get(role, [])
                    if entry.policy == policy.name
                )
    return [permission for permission, is_needed in needed.items() if not is_needed]


def _is_allowed(entry: Entry, policies: Sequence[Policy]) -> bool:
    principal = Principal(entry.principal, entry.principal.split(":")[4], (entry.principal,))
    request = Request(principal, entry.action, entry.resource, entry.context)
    return decide(request, Policies(policies)).allowed


@dataclass(frozen=True)
class Usage:
    """What each role used and was refused (actions on resources), and what is spare."""

    used: dict[str, list[tuple[str, str]]]
    refused: dict[str, list[tuple[str, str]]]
    spare: list[Permission]

    @classmethod
    def of(cls, roles: Mapping[str, Sequence[Policy]], entries: Sequence[Entry]) -> "Usage":
        def asked(role: str, allowed: bool) -> list[tuple[str, str]]:
            own = [e for e in entries if e.principal == role and e.allowed is allowed]
            return sorted({(e.action, _place(e.resource)) for e in own})

        names = {arn: arn.rpartition("/")[2] for arn in roles}
        used = {name: asked(arn, True) for arn, name in names.items()}
        refused = {name: asked(arn, False) for arn, name in names.items()}
        return cls(used, refused, unused(roles, entries))


def _place(resource: str) -> str:
    """A resource, with `*` in place of what differs from object to object."""
    head, slash, tail = resource.partition("/")
    is_object = ":s3:::" in resource and slash
    return f"{head}/{tail.partition('/')[0]}/*" if is_object else resource


def of_roles(iam: Any, prefix: str = "") -> dict[str, list[Policy]]:
    """The policies of the account's roles whose name starts so, by ARN. `iam` is a boto3 client.

    They are named as in the record: `role/policy`, or the ARN of a managed one.
    """
    found: dict[str, list[Policy]] = {}
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if role["RoleName"].startswith(prefix):
                found[role["Arn"]] = [*_own(iam, role["RoleName"]), *_shared(iam, role["RoleName"])]
    return found


def _own(iam: Any, role: str) -> Iterator[Policy]:
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        yield Policy(f"{role}/{name}", json.dumps(document))


def _shared(iam: Any, role: str) -> Iterator[Policy]:
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        yield Policy(arn, json.dumps(found["Document"]))
