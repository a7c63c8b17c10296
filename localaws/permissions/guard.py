"""Asks the policies about what a session wants, and refuses in AWS's words.

The one place that collects what bears on a request. HTTP requests come from `enforcement`; a
component that acts for a role or as a service of AWS comes here itself.
"""

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from localaws.context import Context
from localaws.errors import AccessDenied
from localaws.permissions import s3_actions, service_actions
from localaws.permissions.actions import Keys, Need, NotKnown, Place
from localaws.permissions.policy import Decision, Policies, Request, decide
from localaws.permissions.principal import Principals, Session
from localaws.permissions.record import Record
from localaws.permissions.resource_policies import ResourcePolicies
from localaws.permissions.s3_actions import S3Call


class Denied(AccessDenied):
    """A permission that is not there; the message is IAM's."""


class Guard:
    """Decides for sessions of limited principals; nobody asks for the administrator."""

    def __init__(
        self, context: Context, principals: Principals, record: Record | None = None
    ) -> None:
        self._context, self.principals, self._record = context, principals, record
        self._place = Place(context.partition, context.region, context.account)
        self.resources = ResourcePolicies(context, principals)

    def as_role(self, role_arn: str, session_name: str) -> Session:
        """The session of a component that acts for a role."""
        return self.principals.of_role(role_arn, session_name)

    def as_service(self, service: str) -> Session:
        """The session of a service of AWS, such as `events.amazonaws.com`."""
        return self.principals.of_service(service)

    def trusts(self, role_arn: str, service: str, source: str = "") -> bool:
        """Whether a role's trust policy lets a service assume it, for the resource `source`."""
        if self.principals.role(role_arn) is None:
            return False
        session, need = self.as_service(service), Need("sts:AssumeRole", role_arn)
        return self.decide(session, need, self.source_keys(source)).allowed

    def source_keys(self, source: str) -> Keys:
        """The keys of a request that a service makes for a resource of this account."""
        found: Keys = {
            "aws:sourceaccount": self._place.account,
            "aws:sourceowner": self._place.account,
        }
        return {**found, "aws:sourcearn": source} if source else found

    def require_call(
        self,
        session: Session,
        service: str,
        operation: str,
        given: dict[str, Any],
        keys: Keys | None = None,
    ) -> None:
        """Raises Denied unless the session may call the operation with these parameters."""
        try:
            needs = service_actions.needs(self._place, service, operation, given)
        except NotKnown as unknown:
            raise self._unknown(session, unknown) from None
        if service == "sagemaker":
            needs += self._of_endpoint(operation, given)
        self.require(session, needs, keys)

    def require_s3(self, session: Session, call: S3Call, body: Callable[[], bytes] = bytes) -> None:
        """Raises Denied unless the session may make this request to S3, and use its key."""
        try:
            needs = list(s3_actions.needs(self._place, call, body))
        except NotKnown as unknown:
            raise self._unknown(session, unknown) from None
        self.require(session, needs)
        if call.is_read and self._is_missing(call):
            bucket = f"arn:{self._place.partition}:s3:::{call.bucket}"
            self.require(session, [Need("s3:ListBucket", bucket)])
        self.require(session, self._keys_of(call))

    def has_policy(self, bucket: str) -> bool:
        """Whether a bucket has a policy, which holds for everyone."""
        found = self.resources.bucket(bucket)
        return found is not None and bool(found.policy)

    def require(self, session: Session, needs: Iterable[Need], keys: Keys | None = None) -> None:
        """Raises Denied for the first permission that is missing."""
        for need in needs:
            decision = self.decide(session, need, keys)
            if not decision.allowed:
                raise Denied(sentence(session.principal.arn, need, decision.because))

    def decide(self, session: Session, need: Need, keys: Keys | None = None) -> Decision:
        """What the policies say about one permission; it is recorded."""
        resource = need.resource
        if need.action.startswith("kms:") and resource != "*":
            resource = self.resources.key_arn(resource.partition(":key/")[2] or resource)
        own, found = self.principals.policies(session), self.resources.of(need.action, resource)
        context = {**self._common(), **self.principals.keys(session), **need.keys, **(keys or {})}
        request = Request(session.principal, need.action, resource, context)
        agrees = self.resources.agrees(need.action, found)
        decision = decide(request, Policies(own.identity, own.boundary, own.session, found, agrees))
        if self._record is not None and session.principal.kind in ("role", "user"):
            self._record.add(request, decision)
        return decision

    def _common(self) -> Keys:
        """The loopback counts as a secure transport, because nothing leaves the machine."""
        now = datetime.datetime.now(datetime.UTC)
        return {
            "aws:securetransport": "true",
            "aws:sourceip": "127.0.0.1",
            "aws:requestedregion": self._place.region,
            "aws:resourceaccount": self._place.account,
            "aws:viaawsservice": "false",
            "aws:currenttime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:epochtime": str(int(now.timestamp())),
        }

    def _of_endpoint(self, operation: str, given: dict[str, Any]) -> list[Need]:
        """Who makes an endpoint lets SageMaker use the key of its volumes."""
        if operation not in ("CreateEndpoint", "UpdateEndpoint"):
            return []
        config = self._context.store.get("endpoint-config", str(given.get("EndpointConfigName")))
        key = (config or {}).get("KmsKeyId")
        keys: Keys = {"kms:grantisforawsresource": "true"}
        return [Need(f"kms:{a}", key, keys) for a in ("DescribeKey", "CreateGrant")] if key else []

    def _is_missing(self, call: S3Call) -> bool:
        bucket = self.resources.bucket(call.bucket)
        return bucket is not None and bucket.keys.get(call.key) is None

    def _keys_of(self, call: S3Call) -> list[Need]:
        """What is asked of KMS for an object under a customer's key; aws/s3 lets everyone."""
        bucket = self.resources.bucket(call.bucket)
        if bucket is None or not call.key:
            return []
        object_arn = f"arn:{self._place.partition}:s3:::{call.bucket}/{call.key}"
        keys: Keys = {
            "kms:viaservice": f"s3.{self._place.region}.amazonaws.com",
            "kms:calleraccount": self._place.account,
            "kms:encryptioncontext:aws:s3:arn": object_arn,
        }
        if call.is_read:
            found = _version(bucket, call)
            key = found.kms_key_id if found is not None and _is_kms(found.encryption) else None
            return [Need("kms:Decrypt", str(key), keys)] if _is_own(key) else []
        if call.method not in ("PUT", "POST") or not call.query.keys() <= _WRITES:
            return []
        key = _key_for(call, bucket)
        if not _is_own(key):
            return []
        actions = ["GenerateDataKey", *(["Decrypt"] if call.query.keys() & _PARTS else [])]
        return [Need(f"kms:{action}", str(key), keys) for action in actions]

    def _unknown(self, session: Session, operation: NotKnown) -> Denied:
        return Denied(
            f"User: {session.principal.arn} is not authorized to perform: {operation} because"
            " localaws does not know which permissions it needs; only the administrator may."
        )


def sentence(arn: str, need: Need, because: str) -> str:
    """IAM's words for a refusal."""
    where = f" on resource: {need.resource}"
    return f"User: {arn} is not authorized to perform: {need.action}{where} {because}"


_WRITES = frozenset({"uploads", "partNumber", "uploadId", "x-id"})
_PARTS = frozenset({"uploads", "partNumber"})


def _version(bucket: Any, call: S3Call) -> Any:
    """The object version that is read; None where there is none, or a delete marker."""
    wanted = call.query.get("versionId")
    versions = bucket.keys.getlist(call.key, [])
    chosen = [v for v in versions if str(v.version_id) == wanted] if wanted else versions[-1:]
    return next((v for v in chosen if hasattr(v, "encryption")), None)


def _is_kms(encryption: str | None) -> bool:
    return encryption in ("aws:kms", "aws:kms:dsse")


def _is_own(key: str | None) -> bool:
    return bool(key) and "alias/aws/" not in str(key)


def _key_for(call: S3Call, bucket: Any) -> str | None:
    """The key that an upload is encrypted with: the request's, or the bucket's default."""
    default = ((bucket.encryption or {}).get("Rule") or {}).get(
        "ApplyServerSideEncryptionByDefault"
    ) or {}
    kind = call.headers.get("x-amz-server-side-encryption", default.get("SSEAlgorithm"))
    if not _is_kms(kind):
        return None
    own = call.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
    return own or default.get("KMSMasterKeyID")
