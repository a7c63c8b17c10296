"""The code of functions and layers: zip archives, checked, unpacked and named by their hash.

Below `home/functions/code/<sha256>/` lie `code.zip` and `content/`; the same archive is kept once.
"""

import base64
import hashlib
import io
import os
import re
import shutil
import stat
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from localaws.errors import NotFound
from localaws.functions.errors import InvalidValue, NoSuchResource
from localaws.objects import Objects

CODE_PATH = "/_localaws/code/"  # where a caller downloads an archive, by its digest

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MOST_ZIPPED, _MOST_UNZIPPED = 50 << 20, 250 << 20


@dataclass(frozen=True)
class Archive:
    """An unpacked archive: `digest` is its SHA-256 in hexadecimal, `size` the zip's bytes."""

    digest: str
    size: int

    @property
    def sha256(self) -> str:
        """As Lambda gives it, in Base64."""
        return base64.b64encode(bytes.fromhex(self.digest)).decode()


class CodeStore:
    """Archives below one folder."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        self._folder, self._objects = folder, objects

    def content(self, digest: str) -> Path:
        """The folder with the unpacked files."""
        return self._folder / digest / "content"

    def zipped(self, digest: str) -> bytes:
        """The archive itself. NoSuchResource when there is none."""
        if not re.fullmatch("[0-9a-f]{64}", digest) or not self.content(digest).is_dir():
            raise NoSuchResource("There is no such archive.")
        return (self._folder / digest / "code.zip").read_bytes()

    def take(self, source: dict[str, Any]) -> Archive:
        """Unpacks what a request's `Code` or `Content` names. InvalidValue when it is no zip."""
        refused = source.keys() & {"ImageUri", "S3ObjectVersion", "SourceKMSKeyArn"}
        if refused:
            raise InvalidValue(f"localaws does not implement {', '.join(sorted(refused))} of Code.")
        data = self._bytes(source)
        archive = Archive(hashlib.sha256(data).hexdigest(), len(data))
        if not self.content(archive.digest).is_dir():
            self._unpack(archive, data)
        return archive

    def _bytes(self, source: dict[str, Any]) -> bytes:
        if source.get("ZipFile"):
            data: bytes = source["ZipFile"]
            if len(data) > _MOST_ZIPPED:
                raise InvalidValue("The zip archive is larger than 50 MB: upload it to S3.")
            return data
        if "S3Bucket" not in source or "S3Key" not in source:
            raise InvalidValue("Please provide a source for function code.")
        try:
            return self._objects.read(source["S3Bucket"], source["S3Key"])
        except NotFound as error:
            raise InvalidValue(
                f"Error occurred while GetObject. S3 Error Code: NoSuchKey. {error.message}"
            ) from None

    def _unpack(self, archive: Archive, data: bytes) -> None:
        """Writes beside the place and renames, so that nothing half-done stays behind."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=self._folder, prefix="part-"))
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as zipped:
                _extract(zipped, part / "content")
            (part / "code.zip").write_bytes(data)
            part.chmod(0o755)
            if not (self._folder / archive.digest).exists():
                part.rename(self._folder / archive.digest)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise InvalidValue(f"Could not unzip uploaded file. ({error})") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _extract(zipped: zipfile.ZipFile, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    members = zipped.infolist()
    if sum(member.file_size for member in members) > _MOST_UNZIPPED:
        raise InvalidValue(f"Unzipped size must be smaller than {_MOST_UNZIPPED} bytes")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts:
            raise InvalidValue(f"The archive's member {member.filename!r} leaves its folder.")
        target = folder / path
        mode = member.external_attr >> 16
        if stat.S_ISLNK(mode):
            raise InvalidValue(f"The archive's member {member.filename!r} is a symbolic link.")
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipped.open(member) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file)
        os.chmod(target, 0o755 if mode & 0o111 else 0o644)
    for place, folders, _ in os.walk(folder):
        for name in folders:  # the server's own umask is stricter than a function expects
            os.chmod(os.path.join(place, name), 0o755)
