"""AWS's own managed policies, which moto brings along: 1,600 of them, 4 MB in each snapshot.

They stay out of the snapshot; a role that has one keeps a reference, and how often one is attached
is counted again.
"""

import sys
from typing import Any

KIND = "aws policy"


def refer(value: Any) -> tuple[str, ...] | None:
    """The reference in place of one of AWS's policies; None for anything else."""
    module = sys.modules.get("moto.iam.models")
    if module is not None and type(value) is module.AWSManagedPolicy:
        return KIND, value.account_id, value.partition, value.arn
    return None


def resolve(account: str, partition: str, arn: str) -> Any:
    from moto.iam.models import iam_backends

    return iam_backends[account][partition].managed_policies[arn]


def without_aws_policies(attributes: dict[str, Any]) -> dict[str, Any]:
    """A backend's attributes, less AWS's policies if it is the one of IAM."""
    if "aws_managed_policies" not in attributes:
        return attributes
    own = {a: p for a, p in attributes["managed_policies"].items() if refer(p) is None}
    left = {name: value for name, value in attributes.items() if name != "aws_managed_policies"}
    return {**left, "managed_policies": own}


def with_aws_policies(backend: Any, attributes: dict[str, Any]) -> dict[str, Any]:
    """The reverse, for a freshly made backend of IAM."""
    if not hasattr(backend, "aws_managed_policies"):
        return attributes
    policies = {policy.arn: policy for policy in backend.aws_managed_policies}
    holders = [*attributes["roles"].values(), *attributes["users"].values()]
    for holder in [*holders, *attributes["groups"].values()]:
        for arn in holder.managed_policies:
            if arn in policies:
                policies[arn].attachment_count += 1
    return {**attributes, "managed_policies": {**policies, **attributes["managed_policies"]}}
