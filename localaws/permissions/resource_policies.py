"""The policies of resources, by ARN: who else may use a bucket, key, queue, topic or function.

moto keeps those of its services; functions are ours (`functions.permissions`).
"""

import json
from typing import Any

from localaws.context import Context
from localaws.permissions.actions import Place
from localaws.permissions.policy import Policy
from localaws.permissions.principal import Principals, text_of

FUNCTION = "lambda-function"  # the kind of the functions' records


class ResourcePolicies:
    """Looks them up."""

    def __init__(self, context: Context, principals: Principals) -> None:
        self._context, self._principals = context, principals
        self._place = Place(context.partition, context.region, context.account)

    def of(self, action: str, resource: str) -> Policy | None:
        """The policy of the resource of an action; None where there is none."""
        service = action.partition(":")[0]
        find = getattr(self, f"_{service}", None)
        text = find(resource) if find and resource.startswith("arn:") else None
        return Policy(resource, text) if text else None

    def agrees(self, action: str, policy: Policy | None) -> bool:
        """Whether the resource's policy must allow too, beside the identity's."""
        return action == "sts:AssumeRole" or (action.startswith("kms:") and policy is not None)

    def _s3(self, resource: str) -> str | None:
        bucket = self.bucket(resource.partition(":::")[2].partition("/")[0])
        return text_of(bucket.policy) if bucket is not None and bucket.policy else None

    def bucket(self, name: str) -> Any:
        """moto's bucket, or None."""
        from moto.s3.models import s3_backends

        backend = s3_backends[self._context.account][self._context.partition]
        return backend.buckets.get(name)

    def has_log_group(self, name: str) -> bool:
        """Whether Logs has the group already."""
        from moto.logs.models import logs_backends

        return name in logs_backends[self._context.account][self._context.region].groups

    def _sqs(self, resource: str) -> str | None:
        from moto.sqs.models import sqs_backends

        queues = sqs_backends[self._context.account][self._context.region].queues
        queue = queues.get(resource.rpartition(":")[2])
        return queue.policy or None if queue is not None else None

    def _sns(self, resource: str) -> str | None:
        from moto.sns.models import sns_backends

        topic = sns_backends[self._context.account][self._context.region].topics.get(resource)
        return topic.policy if topic is not None else None

    def _kms(self, resource: str) -> str | None:
        from moto.kms.models import kms_backends

        keys = kms_backends[self._context.account][self._context.region].keys
        key = keys.get(resource.rpartition("/")[2])
        return text_of(key.policy) if key is not None else None

    def key_arn(self, name: str) -> str:
        """The ARN of a key that is given by its id, alias or ARN."""
        from moto.kms.models import kms_backends

        backend = kms_backends[self._context.account][self._context.region]
        if "alias/" in name:
            alias = name[name.index("alias/") :]
            name = backend.get_key_id_from_alias(alias) or alias
        return name if name.startswith("arn:") else self._place.arn("kms", f"key/{name}")

    def _lambda(self, resource: str) -> str | None:
        parts = resource.split(":")
        record = self._context.store.get(FUNCTION, parts[6]) if len(parts) > 6 else None
        if record is None:
            return None  # there is no such function
        policies = record["policies"]
        qualifier = parts[7] if len(parts) > 7 else "$LATEST"
        statements = [*(policies.get(qualifier) or {"statements": {}})["statements"].values()]
        return json.dumps({"Version": "2012-10-17", "Statement": statements}, sort_keys=True)

    def _sts(self, resource: str) -> str | None:
        role = self._principals.role(resource)
        return text_of(role.assume_role_policy_document) if role is not None else None
