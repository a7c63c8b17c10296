"""The programs of `steps/`, as the jobs find them in S3.

Each step gets a bundle: its programs and what they import, under their package paths, at
`code/<sha256 of the contents>/`. The prefix changes when a file of that step changes and not
otherwise, so the step cache notices an edit of the one step and of no other. (The SDK's own
uploads carry a time stamp, and a time stamp is a cache miss: sagemaker-python-sdk #4142, #2736.)
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS_FOLDER = Path(__file__).resolve().parent.parent / "steps"

# The programs of each step; what they import of `steps` comes along. `train/inference.py` is not
# run by Train but goes on into the model archive, and `predict.py` runs in Evaluate's child.
PROGRAMS: dict[str, tuple[str, ...]] = {
    "prepare": ("prepare.py", "inflate.py"),
    "train": ("train/__main__.py", "train/inference.py"),
    "evaluate": ("evaluate.py", "predict.py"),
}


@dataclass(frozen=True)
class Bundle:
    """Files by their path inside the bundle, such as `steps/prepare.py`, and their common hash."""

    files: dict[str, bytes]
    sha256: str

    def prefix(self, bucket: str) -> str:
        return f"s3://{bucket}/code/{self.sha256}/"


def bundle(files: dict[str, bytes]) -> Bundle:
    """A bundle of these files; its hash covers the paths and the contents."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return Bundle(dict(sorted(files.items())), digest.hexdigest())


def step_bundle(step: str, folder: Path = STEPS_FOLDER) -> Bundle:
    """The bundle of `prepare`, `train` or `evaluate`: its programs and all that they import."""
    found: dict[str, bytes] = {}
    waiting = [folder / program for program in PROGRAMS[step]]
    while waiting:
        path = waiting.pop()
        name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
        if name not in found:
            found[name] = path.read_bytes()
            waiting += _imported(path, folder)
    return bundle(found)


def _imported(path: Path, folder: Path) -> Iterator[Path]:
    """The files of `folder`'s package that a module imports, and its own packages' `__init__`."""
    for parent in path.relative_to(folder).parents:
        yield folder / parent / "__init__.py"
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            package, *rest = name.split(".")
            module = folder.joinpath(*rest)
            if package == folder.name:
                candidates = (module.with_suffix(".py"), module / "__init__.py")
                yield from (candidate for candidate in candidates if candidate.is_file())


def upload(code: Bundle, bucket: str, s3: Any) -> str:
    """Puts the bundle where it belongs, unless it is there already, and returns its S3 prefix.

    The last file in order is put last and marks the bundle complete, so an upload that was cut off
    is done again.
    """
    *_, last = code.files
    if not _exists(s3, bucket, f"code/{code.sha256}/{last}"):
        for path, content in code.files.items():
            s3.put_object(Bucket=bucket, Key=f"code/{code.sha256}/{path}", Body=content)
    return code.prefix(bucket)


def _exists(s3: Any, bucket: str, key: str) -> bool:
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    return any(item["Key"] == key for item in listed)
