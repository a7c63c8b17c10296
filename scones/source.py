"""The sources as one artefact: what a release is built from, and a retraining later runs again.

Tracked files in a checkout; in a folder without git (a build's) all files that `.gitignore` does
not name. The commit goes along in `.source-version`, since an archive has no history. The same
files of the same commit give the same bytes.

    python -m scones.source FOLDER      copies them there; needs nothing but Python and git
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
VERSION_FILE = ".source-version"
_COMMIT = re.compile(r"[0-9a-f]{40}(-dirty)?")


class SourceError(Exception):
    """The sources cannot be listed, and why."""


def commit(root: Path = PROJECT_ROOT) -> str:
    """The commit of these sources, `-dirty` when they were changed since, or `unknown`."""
    kept = root / VERSION_FILE
    if kept.is_file():  # before git, which would find a repository around an unpacked archive
        return kept.read_text(encoding="utf-8").strip()
    built_from = os.environ.get("CODEBUILD_RESOLVED_SOURCE_VERSION", "")
    if not (root / ".git").exists() and _COMMIT.fullmatch(built_from):
        return built_from
    try:
        return _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").strip()
    except SourceError:
        return "unknown"


def files(root: Path = PROJECT_ROOT) -> dict[str, bytes]:
    """The sources by their path, `.source-version` among them. Raises SourceError."""
    found = {
        name: (root / name).read_bytes()
        for name in _names(root)
        if (root / name).is_file() and not (root / name).is_symlink()
    }
    return found | {VERSION_FILE: f"{commit(root)}\n".encode()}


def copy(folder: Path, root: Path = PROJECT_ROOT) -> int:
    """Puts the sources into `folder`, in the place of what was there; returns how many."""
    found = files(root)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in found.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o755 if os.access(root / name, os.X_OK) else 0o644)
    return len(found)


def _names(root: Path) -> list[str]:
    if (root / ".git").exists():
        listed = _git(root, "ls-files", "-z")
    else:
        with tempfile.TemporaryDirectory() as empty:
            _git(root, "init", "--quiet", "--bare", empty)
            where = (f"--git-dir={empty}", f"--work-tree={root}")
            listed = _git(root, *where, "ls-files", "--others", "--exclude-standard", "-z")
    return sorted(name for name in listed.split("\0") if name)


def _git(root: Path, *arguments: str) -> str:
    try:
        command = ["git", "-c", "core.bare=false", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise SourceError("git is not installed: it says which files are the sources.") from None
    except subprocess.CalledProcessError as error:
        raise SourceError(f"git {arguments[0]}: {error.stderr.strip()}") from None


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scones.source FOLDER")
    try:
        print(f"{copy(Path(sys.argv[1]))} files of {commit()} in {sys.argv[1]}")
    except SourceError as problem:
        sys.exit(str(problem))
