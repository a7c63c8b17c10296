"""`model.tar.gz` and `output.tar.gz`: the same files give the same bytes, and nothing gets out.

When an archive is written, members are sorted and carry no time, owner or odd mode, and neither
does the gzip header, so a second training run with the same seed can be recognised by its hash.
When one is unpacked, whatever leads out of the folder is refused (by hand: tarfile's own filters
came with Python 3.11.4 only).
"""

import gzip
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path


def write(folder: Path, path: Path) -> None:
    """Packs what is below `folder` into the archive `path`; an empty folder gives an empty one."""
    with (
        open(path, "wb") as raw,
        # Level 6 packs weights as small as 9 does, in a third of the time.
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for member in _members(folder):
            _add(archive, folder, member)


def _members(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _members(path)


def _add(archive: tarfile.TarFile, folder: Path, path: Path) -> None:
    info = archive.gettarinfo(path, arcname=os.fspath(path.relative_to(folder)))
    if info is None:  # a socket, such as a debugger leaves behind
        return
    if info.islnk():  # a second name of a file that is already in: carried whole, it stands alone
        info.type, info.size = tarfile.REGTYPE, path.stat().st_size
    info.mtime = 0
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    if info.isreg():
        with open(path, "rb") as content:
            archive.addfile(info, content)
    elif info.isdir() or info.issym():
        archive.addfile(info)


def unpack(path: Path, folder: Path) -> None:
    """Fills `folder` from the archive `path`; tarfile.ExtractError for what leads out of it."""
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            _extract(archive, member, folder)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    place = _inside(folder, folder / member.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    if member.isdir():
        place.mkdir(exist_ok=True)
    elif member.issym():
        _inside(folder, place.parent / member.linkname)
        place.symlink_to(member.linkname)
    elif member.islnk():
        shutil.copy(_inside(folder, folder / member.linkname), place)
    elif content := archive.extractfile(member):
        with content, open(place, "wb") as file:
            shutil.copyfileobj(content, file)
        place.chmod(0o755 if member.mode & 0o100 else 0o644)
    else:
        raise tarfile.ExtractError(f"{member.name!r} is a device")


def _inside(folder: Path, place: Path) -> Path:
    """`place` as it is after all links, which must be below `folder`."""
    resolved = place.resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise tarfile.ExtractError(f"{place.name!r} leads out of the archive")
    return resolved
