"""The zip that a build starts from, and the one that it leaves."""

import io
import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

_EPOCH = (1980, 1, 1, 0, 0, 0)


class BadSource(Exception):
    """The source is no zip, or one that leaves its folder."""


def unpack(data: bytes, folder: Path) -> None:
    """Fills `folder`. BadSource for what is no zip, and for members that lead out of it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                path, mode = PurePosixPath(member.filename), member.external_attr >> 16
                if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(mode):
                    raise BadSource(f"The source's member {member.filename!r} is not taken.")
                if member.is_dir():
                    continue
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file)
                target.chmod(0o755 if mode & 0o111 else 0o644)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise BadSource(f"The source is not a zip archive: {error}") from None


def pack(files: dict[str, Path]) -> bytes:
    """A zip of the files by their name; the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return out.getvalue()
