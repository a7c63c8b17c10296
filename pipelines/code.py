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
from pathlib import Path, PurePosixPath
from typing import Any

STEPS_FOLDER = Path(__file__).resolve().parent.parent / "steps"
# Evaluate measures the reference images by the features that the monitoring measures traffic by.
MONITORING_FOLDER = STEPS_FOLDER.with_name("monitoring")
PREPROCESSOR = MONITORING_FOLDER / "record_preprocessor.py"

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
    return _followed([("steps", program) for program in PROGRAMS[step]], folder)


def monitoring_bundle(program: str) -> Bundle:
    """A program of `monitoring/` and all that it imports."""
    return _followed([("monitoring", f"{program}.py")], STEPS_FOLDER)


def _followed(waiting: list[tuple[str, str]], folder: Path) -> Bundle:
    packages = {"steps": folder, "monitoring": MONITORING_FOLDER}
    found: dict[str, bytes] = {}
    while waiting:
        package, module = waiting.pop()
        name = f"{package}/{module}"
        if name not in found:
            found[name] = (packages[package] / module).read_bytes()
            waiting += _imported(package, module, packages)
    return bundle(found)


def preprocessor_bundle() -> Bundle:
    """The record preprocessor, the one file that the analyzer's image takes."""
    return bundle({PREPROCESSOR.name: PREPROCESSOR.read_bytes()})


def _imported(package: str, path: str, packages: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """The modules of our packages that a module imports, and the `__init__` of its own ones."""
    for parent in PurePosixPath(path).parents:
        yield package, (parent / "__init__.py").as_posix()
    for node in ast.walk(ast.parse((packages[package] / path).read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            root, *rest = name.split(".")
            module = PurePosixPath(*rest)
            for candidate in (module.with_suffix(".py") if rest else None, module / "__init__.py"):
                if root in packages and candidate and (packages[root] / candidate).is_file():
                    yield root, candidate.as_posix()


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
