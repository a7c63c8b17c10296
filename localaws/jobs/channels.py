"""A job's inputs and outputs: objects to files before the program starts, files to objects after.

How a key becomes a path in File mode: an S3Prefix names every object whose key starts with it, and
a file keeps what follows the prefix.

    prefix p/train     key p/train/a/b.csv   a/b.csv
    prefix p/train/    key p/train/b.csv     b.csv
    prefix p/b.csv     key p/b.csv           b.csv      (a prefix that is one object keeps its name)
    prefix p/part-     key p/part-01.csv     part-01.csv (as does a prefix that ends inside a name)

A manifest lists a prefix and suffixes; a file keeps its suffix. Keys that end in `/` are the folder
markers that S3's console makes. Source: S3DataSource and ProcessingS3Input in
https://docs.aws.amazon.com/sagemaker/latest/APIReference/.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from localaws.errors import AccessDenied, NotFound, ValidationError
from localaws.jobs import archive
from localaws.jobs.spec import ML, Input, JobFailed, Output
from localaws.objects import ObjectInfo, Objects


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/key` as its bucket and key. ValidationError for anything else."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValidationError(f"Invalid S3 URI '{uri}': it must look like s3://bucket/prefix.")
    return parts.netloc, uri[len(f"s3://{parts.netloc}") :].lstrip("/")


class Download:
    """One input: finds its objects, then copies them below a folder."""

    def __init__(self, objects: Objects, channel: Input, region: str, role_arn: str) -> None:
        self._objects, self.channel = objects, channel
        self._region, self._role_arn = region, role_arn
        self.files: list[tuple[str, ObjectInfo]] = []

    def find(self) -> int:
        """Lists the objects and returns their size in bytes. JobFailed when there are none."""
        bucket, prefix = split_uri(self.channel.s3_uri)
        try:
            if self.channel.is_manifest:
                self.files = list(self._manifest(bucket, prefix))
            else:
                found = self._objects.list(bucket, prefix)
                self.files = [(relative_path(item.key, prefix), item) for item in found]
        except (NotFound, AccessDenied) as problem:
            if isinstance(problem, AccessDenied) and self.channel.is_manifest:
                raise JobFailed(_forbidden("Data download", problem)) from None
            self.files = []
            if isinstance(problem, AccessDenied):
                raise JobFailed(f"{self._none_found(bucket)} {problem.message}") from None
        if not self.files and not self.channel.may_be_empty:
            raise JobFailed(self._none_found(bucket))
        return sum(item.size for _, item in self.files)

    def copy(self, folder: Path, between_files: Callable[[], None]) -> None:
        """Writes the files. `between_files` is called before each and may raise."""
        folder.mkdir(parents=True, exist_ok=True)
        made = {folder}
        for path, item in self.files:
            between_files()
            target = folder / _checked(path, item)
            parent = target if path.endswith("/") else target.parent
            try:
                if parent not in made:
                    parent.mkdir(parents=True, exist_ok=True)
                    made.add(parent)
                if not path.endswith("/"):
                    self._objects.download(item.bucket, item.key, target)
            except AccessDenied as problem:
                raise JobFailed(_forbidden("Data download", problem)) from None
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise JobFailed(
                    f"ClientError: s3://{item.bucket}/{item.key} cannot be a file and a folder at "
                    "once: another object of the input has its key as a folder."
                ) from error

    def _manifest(self, bucket: str, key: str) -> Iterator[tuple[str, ObjectInfo]]:
        where = f"manifest s3://{bucket}/{key}"
        try:
            entries = json.loads(self._objects.read(bucket, key))
            prefix, suffixes = entries[0]["prefix"], [str(suffix) for suffix in entries[1:]]
            source, start = split_uri(prefix)
        except (ValueError, KeyError, IndexError, TypeError, ValidationError) as error:
            raise JobFailed(
                f"ClientError: {where} is not a JSON list of a prefix and suffixes."
            ) from error
        for suffix in suffixes:
            found = {item.key: item for item in self._objects.list(source, start + suffix)}
            if start + suffix not in found:
                raise JobFailed(
                    f"ClientError: {where} names s3://{source}/{start + suffix}, "
                    "which does not exist."
                )
            yield suffix, found[start + suffix]

    def _none_found(self, bucket: str) -> str:
        return (
            f'ClientError: No S3 objects found under S3 URL "{self.channel.s3_uri}" given in input'
            " data source. Please ensure that the bucket exists in the selected region"
            f" ({self._region}), that objects exist under that S3 prefix, and that the role"
            f' "{self._role_arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
        )


def _forbidden(what: str, problem: AccessDenied) -> str:
    """SageMaker's words for what a job's role may not do, with IAM's reason."""
    return f"ClientError: {what} failed:AccessDenied (403): {problem.message}"


def relative_path(key: str, prefix: str) -> str:
    """The path of an object below its channel's folder; a trailing `/` stays."""
    if key.startswith(f"{prefix}/") or prefix.endswith("/") or not prefix:
        return key[len(prefix) :].removeprefix("/") or "./"
    return key[prefix.rfind("/") + 1 :]


def _checked(path: str, item: ObjectInfo) -> PurePosixPath:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise JobFailed(
            f"ClientError: the key of s3://{item.bucket}/{item.key} leads out of the input's "
            "folder, so it was not downloaded."
        )
    return pure


class Upload:
    """One output: uploads each file that is new or changed since the last time."""

    def __init__(self, objects: Objects, output: Output, ml: Path, scratch: Path) -> None:
        self._objects, self.output = objects, output
        self._ml, self._scratch = ml, scratch
        self._seen: dict[str, tuple[int, int]] = {}

    @property
    def folder(self) -> Path:
        """The output's folder, which the job may have removed or replaced meanwhile."""
        folder = self._ml / self.output.folder
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(self._ml)):
            raise JobFailed(
                f"ClientError: {ML}/{self.output.folder} leads out of {ML}, so nothing of it was "
                "uploaded."
            )
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def know(self) -> None:
        """Takes what is there now as uploaded: checkpoints that just came from S3."""
        self._seen = {path: _state(file) for path, file in self._files()}

    def sync(self) -> None:
        """Uploads what changed. JobFailed for a link that leads out of `/opt/ml`."""
        try:
            self._sync(*split_uri(self.output.s3_uri))
        except AccessDenied as problem:
            raise JobFailed(_forbidden("Artifact upload", problem)) from None

    def _sync(self, bucket: str, prefix: str) -> None:
        if self.output.archived:
            self._archive(bucket, prefix)
            return
        prefix = prefix and prefix.rstrip("/") + "/"
        for path, file in self._files():
            try:
                state = _state(file)
                if self._seen.get(path) != state:
                    self._objects.upload(file, bucket, prefix + path, self.output.kms_key)
                    self._seen[path] = state
            except FileNotFoundError:
                continue  # removed since it was listed; a running job does that

    def _archive(self, bucket: str, key: str) -> None:
        folder = self.folder
        if not self.output.may_be_empty or any(folder.iterdir()):
            packed = self._scratch / "upload.tar.gz"
            archive.write(folder, packed)
            self._objects.upload(packed, bucket, key, self.output.kms_key)
            packed.unlink()

    def _files(self) -> Iterator[tuple[str, Path]]:
        return self._walk(os.fspath(self.folder), "")

    def _walk(self, folder: str, below: str) -> Iterator[tuple[str, Path]]:
        """Each file's path below the output's folder, and where it lies; in order."""
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except FileNotFoundError:
            return  # removed since it was listed; a running job does that
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(entry.path, f"{below}{entry.name}/")
                continue
            path = Path(entry.path)
            if entry.is_symlink():
                path = self._inside(path)
            if entry.is_file(follow_symlinks=False) or path.is_file():  # no socket, no pipe
                yield f"{below}{entry.name}", path

    def _inside(self, link: Path) -> Path:
        """What a link in the job means here: `/opt/ml` is the job's own, all else is refused."""
        target = os.readlink(link)
        if target.startswith(f"{ML}/"):
            target = os.fspath(self._ml / target[len(ML) + 1 :])
        real = Path(os.path.realpath(link.parent / target))
        if not real.is_relative_to(os.path.realpath(self._ml)):
            shown = f"{ML}/{link.relative_to(self._ml)}"
            raise JobFailed(
                f"ClientError: {shown} is a link that leads out of {ML}, so it was not uploaded."
            )
        return real


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
