"""A variant's model data: from S3 into the folder that its container sees as /opt/ml/model."""

import tarfile
import zlib
from pathlib import Path, PurePosixPath

from localaws.errors import AccessDenied, NotFound
from localaws.hosting.spec import HostingFailed, VariantSpec
from localaws.jobs.archive import unpack
from localaws.jobs.channels import Download, split_uri
from localaws.jobs.spec import Input, JobFailed
from localaws.objects import Objects

_CONTAINER = "container_1"  # as SageMaker calls the only container of a model


def fetch(objects: Objects, variant: VariantSpec, folder: Path, scratch: Path) -> None:
    """Fills `folder`. HostingFailed, in SageMaker's words, when it is not there or no archive."""
    uri = variant.model_uri
    if uri is None:
        return
    missing = (
        f'Failed to download model data for container "{_CONTAINER}" from URL: "{uri}". Please '
        "ensure that there is an object located at the URL and that the role passed to CreateModel"
        " has permissions to download the model."
    )
    try:
        if variant.is_archive:
            bucket, key = split_uri(uri)
            objects.download(bucket, key, scratch)
        else:
            _copy_prefix(objects, uri, folder, variant.role_arn)
    except (NotFound, AccessDenied, JobFailed):
        raise HostingFailed(missing) from None
    if variant.is_archive:
        _extract(scratch, folder, uri)


def _copy_prefix(objects: Objects, uri: str, folder: Path, role_arn: str) -> None:
    download = Download(objects, Input("model", uri, PurePosixPath()), "", role_arn)
    download.find()
    download.copy(folder, lambda: None)


def _extract(archive: Path, folder: Path, uri: str) -> None:
    try:
        unpack(archive, folder)
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise HostingFailed(
            f'Failed to extract model data archive for container "{_CONTAINER}" from URL "{uri}" '
            f"({error}). Please ensure that the object located at the URL is a valid tar.gz "
            "archive."
        ) from error
    finally:
        archive.unlink(missing_ok=True)
