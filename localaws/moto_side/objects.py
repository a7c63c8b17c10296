"""`Objects` on moto's S3: what is written here is what an S3 client then sees."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

from localaws.errors import NotFound
from localaws.moto_side import s3
from localaws.moto_side.blobs import Blob
from localaws.moto_side.journal import Journal
from localaws.objects import ObjectInfo


class MotoObjects:
    """The objects of one account, in this process and durable when a call returns."""

    def __init__(self, journal: Journal, account: str, partition: str) -> None:
        self._journal = journal
        self._backend = s3_backends[account][partition]

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        keys = self._bucket(bucket).keys
        for name in sorted(name for name in list(keys) if name.startswith(prefix)):
            key = keys.get(name)
            if isinstance(key, s3.Key):
                yield _info(key)

    def read(self, bucket: str, key: str) -> bytes:
        for _ in range(3):
            try:
                return self._journal.blobs.read(self._key(bucket, key).blob)
            except FileNotFoundError:
                continue  # replaced between the look-up and the read
        return self._journal.blobs.read(self._key(bucket, key).blob)

    def write(self, bucket: str, key: str, data: bytes, kms_key: str = "") -> ObjectInfo:
        return self._put(bucket, key, data, kms_key)

    def download(self, bucket: str, key: str, path: Path) -> None:
        for _ in range(3):
            try:
                return self._journal.blobs.copy_out(self._key(bucket, key).blob, path)
            except FileNotFoundError:
                if not path.parent.is_dir():
                    raise
        return self._journal.blobs.copy_out(self._key(bucket, key).blob, path)

    def upload(self, path: Path, bucket: str, key: str, kms_key: str = "") -> ObjectInfo:
        self._bucket(bucket)  # before the bytes are copied
        return self._put(bucket, key, self._journal.blobs.copy_in(path), kms_key)

    def _put(self, bucket: str, key: str, value: bytes | Blob, kms_key: str) -> ObjectInfo:
        owner = self._bucket(bucket)
        with self._journal.change():
            encryption = {"encryption": "aws:kms", "kms_key_id": kms_key} if kms_key else {}
            given: Any = value  # moto's type says bytes; our keys take a blob
            stored: Any = self._backend.put_object(bucket, key, given, **encryption)  # type: ignore[arg-type]  # all of them text
            # moto's HTTP side gives an object its bucket's access list; so does this.
            stored.set_acl(owner.acl)
        return _info(stored)

    def _bucket(self, name: str) -> s3.Bucket:
        try:
            bucket: Any = self._backend.get_bucket(name)
        except S3ClientError:
            raise NotFound(f"The bucket {name!r} does not exist.") from None
        return bucket  # type: ignore[no-any-return]  # moto_s3 has put its own class there

    def _key(self, bucket: str, name: str) -> s3.Key:
        key = self._bucket(bucket).keys.get(name)
        if not isinstance(key, s3.Key):
            raise NotFound(f"There is no object s3://{bucket}/{name}.")
        return key


def _info(key: s3.Key) -> ObjectInfo:
    return ObjectInfo(str(key.bucket_name), key.name, key.size, key.etag.strip('"'))
