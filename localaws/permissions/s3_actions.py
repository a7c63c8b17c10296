"""What S3's requests need, by method, path and query.

HeadObject is s3:GetObject; a missing object is told from a forbidden one only to who may list.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, unquote
from wsgiref.types import WSGIEnvironment
from xml.etree import ElementTree

from localaws.permissions.actions import Keys, Need, NotKnown, Place

_OBJECT_PARTS = {
    "tagging": "ObjectTagging",
    "acl": "ObjectAcl",
    "retention": "ObjectRetention",
    "legal-hold": "ObjectLegalHold",
    "attributes": "ObjectAttributes",
}
_BUCKET_PARTS = {
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "acl": "BucketAcl",
    "location": "BucketLocation",
    "versioning": "BucketVersioning",
    "notification": "BucketNotification",
    "tagging": "BucketTagging",
    "encryption": "EncryptionConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "ownershipControls": "BucketOwnershipControls",
    "logging": "BucketLogging",
    "cors": "BucketCORS",
    "website": "BucketWebsite",
    "replication": "ReplicationConfiguration",
    "object-lock": "BucketObjectLockConfiguration",
    "accelerate": "AccelerateConfiguration",
    "inventory": "InventoryConfiguration",
}
_WHEN_DELETED = {"BucketTagging": "PutBucketTagging", "BucketPolicy": "DeleteBucketPolicy"}


@dataclass(frozen=True)
class S3Call:
    """A request to S3: its bucket and key ("" for none), and what may be asked of its headers."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def is_read(self) -> bool:
        return self.method in ("GET", "HEAD") and bool(self.key)


def read(environ: WSGIEnvironment) -> S3Call:
    """The call of a request in path style, or with the bucket in the host's name."""
    bucket, key = _place(environ)
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_X_AMZ_")
    }
    return S3Call(environ["REQUEST_METHOD"], bucket, key, query, headers)


def bucket_of(environ: WSGIEnvironment) -> str:
    """The bucket of a request; "" for none."""
    return _place(environ)[0]


def _place(environ: WSGIEnvironment) -> tuple[str, str]:
    """The bucket and key, in the path, or the bucket in the host's name."""
    host: str = environ.get("HTTP_HOST", "").partition(":")[0]
    match = _HOST.fullmatch(host) if host[-1:].isalpha() else None
    path: str = environ["PATH_INFO"]
    if match:
        return match[1], path[1:]
    bucket, _, key = path.lstrip("/").partition("/")
    return bucket, key


_HOST = re.compile(r"(.+?)\.(?:s3[.-].*|localhost)")


def needs(place: Place, call: S3Call, body: Callable[[], bytes] = bytes) -> Iterator[Need]:
    """The permissions of a call. `body` reads the request's body where it names the objects."""
    bucket = f"arn:{place.partition}:s3:::{call.bucket}"
    if not call.bucket:
        yield Need("s3:ListAllMyBuckets", "*")
    elif call.key:
        yield from _of_object(place, call, f"{bucket}/{call.key}")
    elif call.method == "POST" and "delete" in call.query:
        for key, version in _listed(body()):
            action = "s3:DeleteObjectVersion" if version else "s3:DeleteObject"
            yield Need(action, f"{bucket}/{key}", {"s3:versionid": version} if version else {})
    else:
        yield Need(f"s3:{_bucket_action(call)}", bucket, _list_keys(call.query))


def _of_object(place: Place, call: S3Call, arn: str) -> Iterator[Need]:
    version = call.query.get("versionId", "")
    suffix, keys = ("Version", {"s3:versionid": version}) if version else ("", {})
    part = next((name for q, name in _OBJECT_PARTS.items() if q in call.query), None)
    if part:
        verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}.get(call.method, "Get")
        part = part.replace("Object", f"Object{suffix}")
        if part.endswith("Attributes"):
            yield Need(f"s3:Get{'ObjectVersion' if version else 'Object'}", arn, {**keys})
        yield Need(f"s3:{verb}{part}", arn, {**keys})
    elif call.method in ("GET", "HEAD"):
        name = "ListMultipartUploadParts" if "uploadId" in call.query else f"GetObject{suffix}"
        yield Need(f"s3:{name}", arn, {**keys})
    elif call.method == "DELETE":
        name = "AbortMultipartUpload" if "uploadId" in call.query else f"DeleteObject{suffix}"
        yield Need(f"s3:{name}", arn, {**keys})
    elif "restore" in call.query:
        yield Need("s3:RestoreObject", arn)
    elif "select" in call.query:
        yield Need("s3:GetObject", arn)
    else:
        yield from _written(place, call, arn)


def _written(place: Place, call: S3Call, arn: str) -> Iterator[Need]:
    source = unquote(call.headers.get("x-amz-copy-source", "")).lstrip("/")
    if source:
        path, _, query = source.partition("?")
        versioned = "versionId" in parse_qs(query)
        name = "s3:GetObjectVersion" if versioned else "s3:GetObject"
        yield Need(name, f"arn:{place.partition}:s3:::{path}")
    keys: Keys = {
        f"s3:{name}": value for name, value in call.headers.items() if name in _WRITE_HEADERS
    }
    tagging = call.headers.get("x-amz-tagging", "")
    for name, value in parse_qsl(tagging):
        keys[f"s3:requestobjecttag/{name.lower()}"] = value
    yield Need("s3:PutObject", arn, keys)
    if tagging:
        yield Need("s3:PutObjectTagging", arn, keys)
    if any(name in call.headers for name in ("x-amz-acl", "x-amz-grant-read")):
        yield Need("s3:PutObjectAcl", arn, keys)


_WRITE_HEADERS = frozenset(
    [
        "x-amz-acl",
        "x-amz-copy-source",
        "x-amz-content-sha256",
        "x-amz-metadata-directive",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    ]
)


def _bucket_action(call: S3Call) -> str:
    part = next((name for q, name in _BUCKET_PARTS.items() if q in call.query), None)
    if part:
        if call.method == "DELETE":
            return _WHEN_DELETED.get(part, f"Put{part}")
        return f"{'Get' if call.method == 'GET' else 'Put'}{part}"
    if "uploads" in call.query:
        return "ListBucketMultipartUploads"
    if "versions" in call.query:
        return "ListBucketVersions"
    plain = call.query.keys() <= _LISTING
    names = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket"}
    if plain and call.method in {**names, "DELETE": ""}:
        return names.get(call.method, "DeleteBucket")
    raise NotKnown(f"s3:{call.method} /{call.bucket}?{'&'.join(call.query)}")


_LISTING = frozenset(
    [
        *("prefix", "delimiter", "marker", "max-keys", "encoding-type", "list-type", "x-id"),
        *("continuation-token", "start-after", "fetch-owner"),
    ]
)


def _list_keys(query: Mapping[str, str]) -> Keys:
    return {
        f"s3:{name}": query[name] for name in ("prefix", "delimiter", "max-keys") if name in query
    }


def _listed(body: bytes) -> Iterator[tuple[str, str]]:
    for item in ElementTree.fromstring(body).iter():
        if item.tag.rpartition("}")[2] == "Object":
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in item}
            yield fields.get("Key", ""), fields.get("VersionId", "")
