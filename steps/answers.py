"""Answers that a model gave elsewhere: in a batch transform, or in its own evaluation.

For a model that nothing here can open. A transform leaves one file an image, `<path>.out`, with a
line of JSON as the built-in image-classification algorithm writes it: `{"prediction": [p, p]}`, or
the bare list. An evaluation leaves `predictions.csv`.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html#IC-inference
"""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steps.job import StepError

RECORDED = "predictions.csv"
_TOLERANCE = 1e-4  # of the sum of two probabilities that were written with six digits


def are_probabilities(answer: object) -> bool:
    """Whether an answer is two probabilities that add up to 1."""
    return (
        isinstance(answer, list)
        and len(answer) == 2
        and all(type(p) in (int, float) and 0 <= p <= 1 for p in answer)
        and math.isclose(sum(answer), 1, abs_tol=_TOLERANCE)
    )


def transformed(folder: Path, paths: Sequence[str]) -> npt.NDArray[np.float64]:
    """What a batch transform answered to each image (N, 2).

    By the files' names alone: AWS describes the folders below the output's prefix in two ways.
    """
    written = {file.name: file for file in folder.rglob("*.out")}
    found = []
    for path in paths:
        file = written.get(f"{path}.out")
        if file is None:
            raise StepError(f"the transform left no answer to {path} below {folder}")
        try:
            answer = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise StepError(f"{file} is not one line of JSON ({error})") from error
        if isinstance(answer, dict):
            answer = answer.get("prediction")
        if not are_probabilities(answer):
            raise StepError(
                f"{file} answers {json.dumps(answer)[:80]} and not two probabilities that add up "
                "to 1"
            )
        found.append(answer)
    return np.array(found, np.float64).reshape(len(paths), 2)


def recorded(folder: Path, rows: Sequence[tuple[int, str]]) -> npt.NDArray[np.float64] | None:
    """What an evaluation wrote down for these `(label, path)` images (N, 2).

    None when the folder holds no such table. Other images than these cannot be compared, and raise
    StepError.
    """
    table = folder / RECORDED
    if not table.is_file():
        return None
    try:
        with table.open(encoding="utf-8", newline="") as file:
            known = {
                (int(row["label"]), row["path"]): [
                    float(row["p_bicycle"]),
                    float(row["p_motorcycle"]),
                ]
                for row in csv.DictReader(file)
            }
    except (KeyError, TypeError, ValueError) as error:
        raise StepError(f"{table} is not an evaluation's table ({error!r})") from error
    missing = [path for label, path in rows if (label, path) not in known]
    if missing:
        raise StepError(
            f"the version in production was measured on other images ({missing[0]} is not among "
            "them), and nothing here can ask it again; start with ProductionModelPackageArn=none "
            "to hold the new model to the accuracy threshold alone"
        )
    return np.array([known[row] for row in rows], np.float64).reshape(len(rows), 2)
