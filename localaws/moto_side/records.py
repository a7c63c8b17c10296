"""What the journal keeps of S3: a record for each bucket, object and unfinished upload."""

import logging
from typing import Any

import moto.s3.models as models

from localaws.moto_side import pickles
from localaws.moto_side.journal import Journal
from localaws.moto_side.s3 import Bucket, Key, here

log = logging.getLogger(__name__)


def find_bucket(name: str) -> Bucket | None:
    """The bucket with this name, of whichever account."""
    if name not in models.s3_backends.bucket_accounts:
        return None
    partition, account = models.s3_backends.bucket_accounts[name]
    bucket = models.s3_backends[account][partition].buckets.get(name)
    assert bucket is None or isinstance(bucket, Bucket)
    return bucket


def record(kind: str, bucket_name: str, name: str) -> bytes | None:
    """What the journal keeps of a bucket, an object or an upload; None when it is gone."""
    bucket = find_bucket(bucket_name)
    if bucket is None:
        return None
    if kind == "upload":
        upload = bucket.multiparts.get(name)
        return pickles.dumps(upload) if upload is not None else None
    tags = models.s3_backends[bucket.account_id][bucket.partition].tagger.tags
    if kind == "bucket":
        return pickles.dumps((bucket.__getstate__(), tags.get(bucket.arn)))
    versions = bucket.keys.getlist(name)
    if not versions:
        return None
    arns = [version.arn for version in versions if isinstance(version, Key)]
    return pickles.dumps((versions, {arn: tags[arn] for arn in arns if arn in tags}))


def restore(journal: Journal) -> None:
    """Fills moto's S3 with what the journal remembers, and removes bytes that nothing refers to."""
    for _, _, state in journal.rows("bucket"):
        settings, tags = pickles.loads(state)
        bucket: Any = Bucket.__new__(Bucket)
        bucket.__setstate__(settings)
        backend = models.s3_backends[bucket.account_id][bucket.partition]
        backend.buckets[bucket.name] = bucket
        models.s3_backends.bucket_accounts[bucket.name] = (bucket.partition, bucket.account_id)
        if tags:
            backend.tagger.tags[bucket.arn] = tags
    kept: set[str] = set()
    for bucket_name, name, state in journal.rows("object"):
        owner = find_bucket(bucket_name)
        if owner is None:
            continue
        versions, tags = pickles.loads(state)
        versions = [version for version in versions if _is_whole(version, bucket_name)]
        if versions:
            owner.keys.restore(name, versions)
            models.s3_backends[owner.account_id][owner.partition].tagger.tags.update(tags)
            kept.update(version.blob.name for version in versions if isinstance(version, Key))
    for bucket_name, name, state in journal.rows("upload"):
        owner = find_bucket(bucket_name)
        if owner is not None:
            upload = pickles.loads(state)
            dict.__setitem__(owner.multiparts, name, upload)
            kept.update(part.blob.name for part in upload.parts.values())
    if removed := journal.blobs.sweep(kept):
        log.info("removed %d files that no object refers to", removed)


def _is_whole(version: Any, bucket: str) -> bool:
    """False, and said in the log, for an object whose bytes a power failure took."""
    if not isinstance(version, Key) or here.blobs.is_whole(version.blob):
        return True
    log.error("the bytes of s3://%s/%s are gone; the object is dropped", bucket, version.name)
    return False
