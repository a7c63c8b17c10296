"""The check that a container's model data is in S3 before anything is made from it."""

from collections.abc import Iterable
from typing import Any

from localaws.errors import NotFound, ValidationError
from localaws.objects import Objects


def require_model_data(objects: Objects, containers: Iterable[dict[str, Any]]) -> None:
    """Raises ValidationException when a container's model data does not exist.

    Looks at `ModelDataUrl` (one archive) and at `ModelDataSource.S3DataSource` (an archive, or a
    prefix that must hold something).
    """
    for container in containers:
        source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
        for uri in (container.get("ModelDataUrl"), source.get("S3Uri")):
            if uri and uri.startswith("s3://"):
                is_prefix = source.get("S3DataType") == "S3Prefix" and uri == source.get("S3Uri")
                _require(objects, uri, is_prefix)


def _require(objects: Objects, uri: str, is_prefix: bool) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        found = any(is_prefix or item.key == key for item in objects.list(bucket, key))
    except NotFound:
        found = False
    if not found:
        raise ValidationError(f"Could not find model data at {uri}.")
