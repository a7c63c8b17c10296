"""Unpacks a `model.tar.gz` and asks the model in it about images, in a process of its own."""

import gzip
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from steps import answers
from steps.job import StepError

NAME = "model.tar.gz"
SIZE_LIMIT = 2 << 30  # bytes of all members
MEMBER_LIMIT = 10_000


def find(folder: Path) -> Path | None:
    """The only `model.tar.gz` below `folder`, or None."""
    found = sorted(folder.rglob(NAME)) if folder.is_dir() else []
    if len(found) > 1:
        raise StepError(f"{folder} holds {len(found)} files named {NAME}; it must hold one")
    return found[0] if found else None


def unpack(archive: Path, target: Path) -> None:
    """Unpacks into `target`; raises `StepError` for what is no sound or harmless archive."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            size = 0
            for count, member in enumerate(tar, 1):
                size += member.size
                if size > SIZE_LIMIT or count > MEMBER_LIMIT:
                    raise StepError(
                        f"{archive} unfolds to more than {SIZE_LIMIT >> 20} MB or "
                        f"{MEMBER_LIMIT} members"
                    )
                _extract(tar, member, target)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StepError(f"{archive} is no sound model archive: {error}") from error
    for file in ("model.pt", "code/inference.py"):
        if not (target / file).is_file():
            raise StepError(f"{archive} has no {file}; give an archive that Train wrote")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Writes a file or folder. By hand: tarfile's own filters came with Python 3.11.4 only."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise StepError(f"the model archive's member {member.name!r} climbs out of the folder")
    content = tar.extractfile(member) if member.isfile() else None
    if content is not None:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        with content, open(target / path, "wb") as file:
            shutil.copyfileobj(content, file)
    elif member.isdir():
        (target / path).mkdir(parents=True, exist_ok=True)
    else:
        raise StepError(f"the model archive's member {member.name!r} is a link or a device")


def calibration(archive: Path) -> tuple[float, float] | None:
    """Temperature and bias in the model's `metadata.json`; None if it says nothing of them.

    Raises `StepError` when it says something else than numbers, the temperature above 0.
    """
    with tempfile.TemporaryDirectory(prefix="model-") as temporary:
        unpack(archive, Path(temporary))
        file = Path(temporary) / "metadata.json"
        try:
            metadata = json.loads(file.read_bytes()) if file.is_file() else {}
            if metadata.get("temperature") is None:
                return None
            temperature, bias = float(metadata["temperature"]), float(metadata.get("bias", 0))
        except (ValueError, TypeError, AttributeError) as error:
            raise StepError(f"{archive}: metadata.json cannot be read ({error})") from error
    if not 0 < temperature < math.inf or not math.isfinite(bias):
        raise StepError(
            f"{archive}: metadata.json has the temperature {temperature} and the bias {bias}; the"
            " one must be above 0, and both finite"
        )
    return temperature, bias


def probabilities(archive: Path, images: Sequence[Path]) -> npt.NDArray[np.float64]:
    """What the archive's own handlers answer: (N, 2), each row adding up to 1."""
    with tempfile.TemporaryDirectory(prefix="model-") as temporary:
        model = Path(temporary) / "model"
        unpack(archive, model)
        asked, answered = Path(temporary) / "images.json", Path(temporary) / "answers.json"
        asked.write_text(json.dumps([str(path.absolute()) for path in images]), "utf-8")
        worker = Path(__file__).with_name("predict.py")
        command = [sys.executable, str(worker), str(model), str(asked), str(answered)]
        # The archive's code needs no rights of whoever asks it, so it gets none.
        world = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(
            command,
            env={**world, "HOME": temporary},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise StepError(f"the model in {archive} cannot be asked: {said[-1]}")
        sys.stderr.write(done.stderr)
        found = json.loads(answered.read_text("utf-8"))
    for path, answer in zip(images, found, strict=True):
        if not answers.are_probabilities(answer):
            raise StepError(
                f"the model in {archive} answers {json.dumps(answer)[:80]} to {path.name} and not "
                "two probabilities that add up to 1"
            )
    return np.array(found, np.float64).reshape(len(images), 2)
