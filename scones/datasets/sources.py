"""Which data: what was asked for, or else the best that can be had here, and why it is that."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scones.datasets.dataset import (
    CUT,
    OFFICIAL,
    RENDERED_NAME,
    Dataset,
    DatasetError,
    KnownArchive,
    Progress,
    checksum,
    silent,
)
from scones.datasets.download import download, shown

FORMS = "a path, an s3:// or https:// address of an archive, cifar100 or rendered"
BESIDE = Path("shared/data/cifar-100-python-bicycle-motorcycle.tar.gz")


def resolve(
    data: str | None,
    *,
    environ: Mapping[str, str],
    project_root: Path,
    cache: Path,
    progress: Progress = silent,
    official: KnownArchive = OFFICIAL,
) -> Dataset:
    """Finds the archive that `data` names, downloading or drawing it into `cache` where needed.

    Without `data`: what SCONES_DATA names, else the cut that lies beside the project, else the
    official archive (from the cache or the web), else, where that cannot be had, drawn images.
    SCONES_CIFAR100_URL names a mirror of the official archive; its checksum stays the same.

    Raises: DatasetError.
    """
    if url := environ.get("SCONES_CIFAR100_URL"):
        _check_address(url, by="SCONES_CIFAR100_URL")
        official = replace(official, url=url)
    finder = _Finder(cache, progress, official)
    if data:
        return finder.named(data, by="--data")
    if data := environ.get("SCONES_DATA"):
        return finder.named(data, by="SCONES_DATA")
    if (beside := project_root.parent / BESIDE).is_file():
        return finder.local(beside, "because it lies beside the project")
    try:
        return finder.cifar100("because no other data was named")
    except DatasetError as error:
        return finder.rendered(f"because CIFAR-100 cannot be had here ({str(error).rstrip('.')})")


class _Finder:
    """One way for each form of `--data`; each ends in a Dataset that says why it was taken."""

    def __init__(self, cache: Path, progress: Progress, official: KnownArchive) -> None:
        self._cache = cache
        self._progress = progress
        self._official = official

    def named(self, data: str, *, by: str) -> Dataset:
        why = f"as {by} says"
        scheme = data.partition("://")[0].lower() if "://" in data else ""
        if data == "cifar100" or data == self._official.url:
            return self.cifar100(why)
        if data == "rendered":
            return self.rendered(why)
        if scheme == "s3":
            return self._s3(data, why, by)
        if scheme in ("http", "https"):
            return self._web(data, why, by)
        if scheme:
            raise DatasetError(f"{by} {data} is an unknown kind of address: pass {FORMS}.")
        return self.local(Path(data).expanduser(), why, by)

    def local(self, path: Path, why: str, by: str = "--data") -> Dataset:
        if os.path.isdir(path):
            raise DatasetError(f"{by} {path} is a folder: pass the archive (.tar.gz) itself.")
        if not os.path.isfile(path):
            raise DatasetError(f"{by} {path} is no file that is there: pass {FORMS}.")
        path = path.resolve()
        return self._identified(path, str(path), f"from {path}, {why}")

    def cifar100(self, why: str) -> Dataset:
        known = self._official
        target = self._cache / "cifar-100-python.tar.gz"
        before = target.stat().st_mtime_ns if target.exists() else None
        download(known.url, target, size=known.size, md5=known.md5, progress=self._progress)
        kept = before == target.stat().st_mtime_ns
        source = f"from the cache, {target}" if kept else f"downloaded from {shown(known.url)}"
        return self._identified(target, shown(known.url), f"{source}, {why}")

    def rendered(self, why: str) -> Dataset:
        from scones.datasets.rendered import render  # with numpy: most commands need no image

        path = render(self._cache / "rendered-images.tar.gz")
        return self._identified(path, str(path), f"drawn by this project, {why}")

    def _web(self, url: str, why: str, by: str) -> Dataset:
        _check_address(url, by)
        address = shown(url)
        folder = hashlib.sha256(url.encode()).hexdigest()[:16]  # two addresses, two files
        path = self._cache / "downloads" / folder / _file_name(urlsplit(url).path)
        download(url, path, progress=self._progress)
        return self._identified(path, address, f"downloaded from {address}, {why}")

    def _s3(self, uri: str, why: str, by: str) -> Dataset:
        bucket, _, key = uri[len("s3://") :].partition("/")
        if not bucket or not key or key.endswith("/"):
            raise DatasetError(f"{by} {uri} names no object: pass s3://bucket/key of the archive.")
        name = f"archive {key.rpartition('/')[2]}"
        return Dataset(
            name=name,
            description=f"{_capital(name)} in S3, {uri}, {why}.",
            origin=uri,
            uri=f"s3://{bucket}/{key}",
        )

    def _identified(self, path: Path, origin: str, source: str) -> Dataset:
        """Reads the archive once and names it by what it is."""
        try:
            size, sha256 = path.stat().st_size, checksum(path)
        except OSError as error:
            raise DatasetError(
                f"{path} cannot be read ({error.strerror}): check its permissions."
            ) from error
        if size == 0:
            raise DatasetError(f"{path} is empty: pass {FORMS}.")
        from scones.datasets.rendered import is_rendered  # as above

        rendered = is_rendered(path)
        known = {archive.sha256: archive.name for archive in (self._official, CUT)}
        name = RENDERED_NAME if rendered else known.get(sha256, f"archive {path.name}")
        return Dataset(
            name=name,
            description=f"{_capital(name)}, {source}.",
            origin=origin,
            path=path,
            sha256=sha256,
            size=size,
            rendered=rendered,
        )


def _check_address(url: str, by: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme.lower() in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        valid = False
    if not valid:
        raise DatasetError(
            f"{by} is no valid web address: write it as https://host/folder/archive.tar.gz."
        )


def _file_name(url_path: str) -> str:
    """The address's last part as a file name that is safe below any folder."""
    last = unquote(url_path).rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-100:] or "archive.tar.gz"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
