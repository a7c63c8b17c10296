"""moto's S3 with its bytes in blobs and with each object's record in SQLite.

moto keeps objects in memory and temporary files. The classes here take the place of moto's own
(`install`): a key's value is a blob, and whatever changes a bucket, a key or an upload says so to
the `Journal`, from wherever the change comes (a request, a job's upload, a stack). The journal
writes the touched records when it is flushed, which happens before a request is answered; the
bytes that an object gave up are removed only then, so a kill at any moment finds either the old
object or the new one.
"""

import datetime
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import moto.s3.models as models
from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.utils import _VersionedKeyStore
from moto.settings import S3_UPLOAD_PART_MIN_SIZE, get_s3_default_key_buffer_size
from moto.utilities.tagging_service import TaggingService
from moto.utilities.utils import md5_hash

from localaws.moto_side import s3_events
from localaws.moto_side.blobs import Blob, Blobs, Stream
from localaws.moto_side.journal import Journal

STREAMED = 1 << 20  # bytes; a larger object comes and goes by its file rather than by memory

_lazy: ContextVar[bool] = ContextVar("lazy", default=False)


class _Installed:
    """What the classes below write to. moto's state is one per process, and so is this."""

    journal: Journal

    @property
    def blobs(self) -> Blobs:
        return self.journal.blobs


here = _Installed()
_changing = [threading.RLock() for _ in range(64)]


def one_by_one(bucket: str, key: str) -> AbstractContextManager[Any]:
    """Held while an object is looked at and then changed, which moto does in two steps.

    So no version is lost of those that several write at once, and of two conditional writes one
    loses. A few objects share a lock; nothing takes a second one while it holds one.
    """
    return _changing[hash((bucket, key)) % len(_changing)]


@contextmanager
def lazy_values() -> Iterator[None]:
    """Inside, the value of a large key is its blob instead of its bytes."""
    token = _lazy.set(True)
    try:
        yield
    finally:
        _lazy.reset(token)


class Key(models.FakeKey):
    """An object version, or a part of an upload, whose bytes are a blob."""

    blob: Blob

    @property
    def value(self) -> Any:
        if _lazy.get() and self.contentsize > STREAMED:
            return here.blobs.open(self.blob)
        return here.blobs.read(self.blob)

    @value.setter
    def value(self, new_value: bytes | str | Blob | Stream) -> None:
        if isinstance(new_value, Blob):
            self.blob = new_value
        elif isinstance(new_value, Stream):
            self.blob = here.blobs.write_stream(new_value)
        else:
            data = new_value.encode() if isinstance(new_value, str) else new_value
            self.blob = here.blobs.write(data)
        self._value_buffer = None  # type: ignore[assignment]  # moto's file is not needed
        self.contentsize = self.blob.size
        if self._etag is None:
            self._etag = self.blob.md5

    def advance(self) -> None:
        if self._expiry is not None:  # only a restored archive object has states to go through
            super().advance()

    def __getstate__(self) -> dict[str, Any]:
        """The attributes that differ from those of a plain private object: a third of them."""
        state = {k: v for k, v in vars(self).items() if k not in _PLAIN or v != _PLAIN[k]}
        for name in ("lock", "_time_progressed", *(["acl"] if repr(self.acl) == _PRIVATE else [])):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(_PLAIN)
        vars(self).update(state)

    def dispose(self, garbage: bool = False) -> None:
        if not garbage and not self.disposed:
            here.journal.discard(self.blob)
            self.disposed = True

    def __del__(self) -> None:
        """A key that leaves the memory keeps its blob: only `dispose` gives it up."""


# What a plain private object has; the lock is never needed, because a blob is never written twice.
_PRIVATE_ACL = models.get_canned_acl("private")
_PRIVATE = repr(_PRIVATE_ACL)
_PLAIN: dict[str, Any] = {
    "acl": _PRIVATE_ACL,
    "lock": None,
    "_value_buffer": None,
    "partition": "aws",
    "website_redirect_location": None,
    "checksum_algorithm": None,
    "_storage_class": "STANDARD",
    "_expiry": None,
    "_version_id": "null",
    "_is_versioned": False,
    "multipart": None,
    "_max_buffer_size": get_s3_default_key_buffer_size(),
    "disposed": False,
    "encryption": None,
    "kms_key_id": None,
    "bucket_key_enabled": None,
    "lock_mode": None,
    "lock_legal_status": None,
    "lock_until": None,
    "checksum_value": None,
    "checksum_type": None,
    "checksum_parts": None,
    "_status": None,
    "_tick": 0,
    "model_name": "s3::keyrestore",
    "_transitions": [(None, "IN_PROGRESS"), ("IN_PROGRESS", "RESTORED")],
    "_time_progressed": datetime.datetime.min,
}


class KeyStore(_VersionedKeyStore):
    """The keys of one bucket, each a list of versions.

    One change at a time: what two replaced at once would else keep its bytes for ever.
    """

    def __init__(self, bucket: str) -> None:
        super().__init__()
        self._bucket = bucket
        self._changing = threading.RLock()

    def __setitem__(self, key: str, value: Any) -> None:
        with self._changing:
            super().__setitem__(key, value)
        here.journal.touch("object", self._bucket, key)

    def setlist(self, key: Any, list_: Any) -> None:
        with self._changing:
            super().setlist(key, list_)
        here.journal.touch("object", self._bucket, key)

    def pop(self, key: str) -> None:  # type: ignore[override]  # moto's returns nothing either
        with self._changing:
            for version in self.getlist(key, []):
                if isinstance(version, Key):
                    version.dispose()
            dict.pop(self, key)
        here.journal.touch("object", self._bucket, key)

    def restore(self, key: str, versions: list[Any]) -> None:
        """Puts a key back that its record remembers."""
        dict.__setitem__(self, key, versions)


class Upload(models.FakeMultipart):
    """A multipart upload; completing it joins the parts' files, whatever their size."""

    bucket = ""

    def set_part(self, part_id: int, value: bytes) -> models.FakeKey:
        key = super().set_part(part_id, value)
        here.journal.touch("upload", self.bucket, self.id)
        return key

    def complete(self, body: Iterator[tuple[int, str]]) -> tuple[Any, str, Any]:
        chosen: list[Key] = []
        for number, etag in body:
            part = self.parts.get(number)
            if not isinstance(part, Key) or part.etag.strip('"') != etag.strip('"'):
                raise InvalidPart()
            if chosen and chosen[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
                raise EntityTooSmall()
            chosen.append(part)
        if not chosen:
            raise MalformedXML
        etag = md5_hash(b"".join(bytes.fromhex(part.blob.md5) for part in chosen)).hexdigest()
        whole = here.blobs.write_chunks(
            chunk for part in chosen for chunk in here.blobs.chunks(part.blob)
        )
        return whole, f"{etag}-{len(chosen)}", self._checksum(chosen)

    def _checksum(self, parts: list[Key]) -> tuple[str, str, int] | None:
        builder = models.MultipartChecksumBuilder(
            self.metadata.get("x-amz-checksum-algorithm"),
            self.metadata.get("x-amz-checksum-type"),
        )
        if builder.checksum_type != "COMPOSITE":
            return None  # a full-object checksum would need all bytes in memory; it is optional
        for part in parts:
            builder.addPart(here.blobs.read(part.blob))
        return builder.build()


class Uploads(models.MultipartDict):
    """The unfinished uploads of one bucket."""

    def __init__(self, bucket: str) -> None:
        super().__init__()
        self._bucket = bucket

    def __setitem__(self, key: str, value: models.FakeMultipart) -> None:
        assert isinstance(value, Upload)
        value.bucket = self._bucket
        super().__setitem__(key, value)
        here.journal.touch("upload", self._bucket, key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        here.journal.touch("upload", self._bucket, key)


class Bucket(models.FakeBucket):
    """A bucket whose every setting that is set reaches its record."""

    keys: KeyStore

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, *args, **kwargs)
        self.keys = KeyStore(name)
        self.multiparts = Uploads(name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        here.journal.touch("bucket", self.name, "")

    def get_permission(self, action: str, resource: str) -> Any:
        """moto overlooks conditions; `localaws.permissions` has decided before it is asked."""
        return PermissionResult.PERMITTED

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("keys", "multiparts")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, keys=KeyStore(state["name"]), multiparts=Uploads(state["name"]))


class Tagger(TaggingService):
    """Tags by ARN; `arn:…:s3:::bucket` or `arn:…:s3:::bucket/key/version`."""

    def delete_all_tags_for_resource(self, arn: str) -> None:
        super().delete_all_tags_for_resource(arn)
        self._touch(arn)

    def tag_resource(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        if tags:
            super().tag_resource(arn, tags)
            self._touch(arn)

    def untag_resource_using_names(self, arn: str, tag_names: list[str]) -> None:
        super().untag_resource_using_names(arn, tag_names)
        self._touch(arn)

    def _touch(self, arn: str) -> None:
        bucket, _, rest = arn.split(":::", 1)[1].partition("/")
        if rest:
            here.journal.touch("object", bucket, rest.rpartition("/")[0])
        else:
            here.journal.touch("bucket", bucket, "")


class Backend(models.S3Backend):
    """S3 of one account; copies link files instead of reading them."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.tagger = Tagger()

    def put_object(
        self, bucket_name: str, key_name: str, *args: Any, **more: Any
    ) -> models.FakeKey:
        with one_by_one(bucket_name, key_name):
            return super().put_object(bucket_name, key_name, *args, **more)

    def delete_object(self, bucket_name: str, key_name: str, *args: Any, **more: Any) -> Any:
        with one_by_one(bucket_name, key_name):
            return super().delete_object(bucket_name, key_name, *args, **more)

    def copy_object(self, src_key: models.FakeKey, *args: Any, **kwargs: Any) -> None:
        with lazy_values():
            super().copy_object(src_key, *args, **kwargs)

    def upload_part_copy(self, *args: Any, **kwargs: Any) -> models.FakeKey:
        with lazy_values():
            return super().upload_part_copy(*args, **kwargs)

    def delete_bucket(self, bucket_name: str) -> models.FakeBucket | None:
        bucket = super().delete_bucket(bucket_name)
        if bucket is not None:
            for upload in list(bucket.multiparts):
                del bucket.multiparts[upload]
            self.tagger.delete_all_tags_for_resource(bucket.arn)
            here.journal.touch("bucket", bucket_name, "")
        return bucket


def install(
    journal: Journal, notified: Callable[[], Any], ready: Callable[[], Any] = lambda: None
) -> None:
    """Puts these classes in the place of moto's; all buckets are gone until `records.restore`.

    `notified` is told when an object's change has changed another service; `ready` returns when the
    other services are there to be told.
    """
    here.journal = journal
    s3_events.install(notified, ready)
    replaced: dict[str, type] = {
        "FakeKey": Key,
        "FakeBucket": Bucket,
        "FakeMultipart": Upload,
        "S3Backend": Backend,
    }
    for name, replacement in replaced.items():
        setattr(models, name, replacement)
    models.s3_backends.backend = Backend
    models.s3_backends.clear()
    models.s3_backends.bucket_accounts.clear()
