"""Evaluate: what it measures through an archive's own handlers, and which archives it refuses."""

import io
import json
import math
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from steps import evaluate
from steps.job import StepError
from steps.train.__main__ import main as train

ROOT = Path(__file__).parents[2]
HANDLERS = """
import io, json
import numpy as np
from PIL import Image
from steps.train.network import SHARPNESS

def model_fn(model_dir):
    return SHARPNESS

def input_fn(body, content_type):
    assert content_type == "image/png"
    return np.asarray(Image.open(io.BytesIO(body)), float)

def predict_fn(image, sharpness):
    # Motorcycles of these tests are bright below.
    above, below = image[2:12, 8:24].mean(), image[20:30, 8:24].mean()
    p = 1 / (1 + np.exp(-sharpness * (below - above) / 100))
    return [1 - p, p]

def output_fn(prediction, accept):
    assert accept == "application/json"
    return json.dumps(prediction)
"""


def _archive(
    folder: Path, handlers: str = HANDLERS, sharpness: float = 3, metadata: str = ""
) -> Path:
    folder.mkdir(parents=True)
    files = {
        "model.pt": "weights",
        "code/inference.py": handlers,
        "code/steps/__init__.py": "",
        "code/steps/train/__init__.py": "",
        "code/steps/train/network.py": f"SHARPNESS = {sharpness}\n",
    }
    if metadata:
        files["metadata.json"] = metadata
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return folder


def _evaluate(prepared: Path, tmp_path: Path, model: Path, *more: str) -> dict[str, Any]:
    folders = {name: prepared / name for name in ("test", "validation", "dataset")}
    folders |= {"model": model, "output": tmp_path / "out", "production": tmp_path / "production"}
    arguments = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    evaluate.main([*arguments, *more])
    report: dict[str, Any] = json.loads((tmp_path / "out/evaluation/evaluation.json").read_text())
    return report


def test_the_report_has_the_model_quality_format(prepared: Path, tmp_path: Path) -> None:
    report = _evaluate(prepared, tmp_path, _archive(tmp_path / "model"))
    figures = report["binary_classification_metrics"]
    assert figures["confusion_matrix"] == {"0": {"0": 12, "1": 0}, "1": {"0": 0, "1": 12}}
    for name in ("accuracy", "precision", "recall", "f1", "f0_5", "f2", "auc"):
        assert figures[name] == {"value": 1.0, "standard_deviation": 0.0}
    for name in ("true_positive_rate", "true_negative_rate"):
        assert figures[name]["value"] == 1
    for name in ("false_positive_rate", "false_negative_rate"):
        assert figures[name]["value"] == 0
    assert set(figures["receiver_operating_characteristic_curve"]) == {
        "false_positive_rates",
        "true_positive_rates",
    }
    record = json.loads((prepared / "dataset/dataset.json").read_text())
    assert report["dataset"]["name"] == record["name"]
    assert report["dataset"]["sha256"] == record["sha256"]
    assert report["dataset"]["counts"] == record["counts"]
    assert report["per_class"]["bicycle"]["recall"] == 1
    assert report["production"] is None
    assert report["accuracy_drop"] == 0.0
    assert report["threshold"]["value"] == 0.8
    assert report["threshold"]["met"] is True
    numbers = [report["calibration"][name] for name in ("temperature", "bias", "before")]
    assert numbers == [None] * 3, "this archive has no metadata"
    assert report["calibration"]["before"] is None


def test_the_ten_images_that_it_is_least_sure_of_come_least_sure_first(
    prepared: Path, tmp_path: Path
) -> None:
    report = _evaluate(prepared, tmp_path, _archive(tmp_path / "model"))
    confidences = [max(image["probabilities"]) for image in report["least_sure"]]
    assert len(confidences) == 10
    assert confidences == sorted(confidences)
    lines = (tmp_path / "out/evaluation/predictions.csv").read_text().splitlines()
    assert lines[0] == "path,label,p_bicycle,p_motorcycle"
    assert len(lines) == 25
    rows = [line.split(",") for line in lines[1:]]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    least = min(rows, key=lambda row: max(float(row[2]), float(row[3])))
    assert least[0] == report["least_sure"][0]["path"]


def test_the_same_evaluation_twice_gives_the_same_bytes(prepared: Path, tmp_path: Path) -> None:
    model = _archive(tmp_path / "model")
    first = _evaluate(prepared, tmp_path, model)
    assert _evaluate(prepared, tmp_path, model) == first


def test_production_is_asked_about_the_same_images_with_its_own_network(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as in a job: our own `steps` is on the path
    _archive(tmp_path / "production", sharpness=-3)  # it always says the opposite
    model = _archive(tmp_path / "model")
    report = _evaluate(prepared, tmp_path, model, "--production-arn", "the arn of version 3")
    assert report["production"] == {
        "model_package_arn": "the arn of version 3",
        "accuracy": 0.0,
        "only_production_right": 0,
        "only_candidate_right": 24,
    }
    assert report["accuracy_drop"] == -1.0


def test_a_candidate_that_is_worse_than_production_shows_a_drop(
    prepared: Path, tmp_path: Path
) -> None:
    _archive(tmp_path / "production")
    report = _evaluate(prepared, tmp_path, _archive(tmp_path / "model", sharpness=-3))
    assert report["accuracy_drop"] == 1.0


def test_a_named_version_in_production_without_its_archive_is_an_error(
    prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=r"holds no model\.tar\.gz of the version in production"):
        _evaluate(prepared, tmp_path, _archive(tmp_path / "model"), "--production-arn", "arn")


def test_the_threshold_rises_until_the_precision_on_validation_is_reached(
    prepared: Path, tmp_path: Path
) -> None:
    # One validation image is answered wrongly, with a confidence of .9; all others have .95.
    names = [line.split("\t") for line in (prepared / "dataset/validation.lst").open()]
    wrong = (prepared / "validation" / names[0][2].strip()).read_bytes()
    handlers = f"""
import json
WRONG = {wrong!r}
def model_fn(model_dir): return None
def input_fn(body, content_type): return body
def predict_fn(body, model):
    import io
    from PIL import Image
    import numpy as np
    image = np.asarray(Image.open(io.BytesIO(body)), float)
    label = int(image[20:30, 8:24].mean() > image[2:12, 8:24].mean())
    p = 0.95
    if body == WRONG:
        label, p = 1 - label, 0.9
    return [p, 1 - p] if label == 0 else [1 - p, p]
def output_fn(prediction, accept): return json.dumps(prediction)
"""
    report = _evaluate(prepared, tmp_path, _archive(tmp_path / "model", handlers))
    threshold = report["threshold"]
    assert threshold["value"] == 0.95
    assert threshold["validation"] == {"precision": 1.0, "coverage": 5 / 6, "images": 5}
    assert threshold["test"] == {"precision": 1.0, "coverage": 1.0, "images": 24}


def test_the_calibration_before_is_that_of_the_logits_alone(prepared: Path, tmp_path: Path) -> None:
    # Logits of ±1 that are divided by .5: confidences of .881, and .731 before.
    handlers = HANDLERS.replace("sharpness * (below - above) / 100", "2 * np.sign(below - above)")
    model = _archive(tmp_path / "model", handlers, metadata='{"temperature": 0.5}')
    calibration = _evaluate(prepared, tmp_path, model)["calibration"]
    assert calibration["temperature"] == 0.5
    assert calibration["ece"] == pytest.approx(1 - 1 / (1 + math.exp(-2)))
    assert calibration["before"]["ece"] == pytest.approx(1 - 1 / (1 + math.exp(-1)))
    assert [row["from"] for row in calibration["before"]["bins"]] == [0.7]


@pytest.mark.parametrize(
    "metadata",
    [
        "{",
        "[]",
        '{"temperature": "warm"}',
        '{"temperature": 0}',
        '{"temperature": 1, "bias": NaN}',
        '{"temperature": 1, "bias": []}',
    ],
)
def test_a_calibration_that_is_none_is_refused(
    prepared: Path, tmp_path: Path, metadata: str
) -> None:
    model = _archive(tmp_path / "model", metadata=metadata)
    with pytest.raises(StepError, match=r"metadata\.json"):
        _evaluate(prepared, tmp_path, model)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("def output_fn(p, accept): return '[0.2, 0.3, 0.5]'", r"answers \[0.2, 0.3, 0.5\] to"),
        ("def output_fn(p, accept): return '[NaN, 1.0]'", r"answers \[NaN, 1.0\] to"),
        ("def output_fn(p, accept): return '[0.9, 0.9]'", "two probabilities that add up to 1"),
        ("def output_fn(p, accept): return '\"bicycle\"'", 'answers "bicycle" to'),
        ("def output_fn(p, accept): return 'bicycle'", "the handlers failed on .*JSONDecodeError"),
        ("def predict_fn(x, model): raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("def model_fn(folder): raise KeyError('weights')", "model_fn failed: KeyError"),
        ("import a_module_that_is_not_there", "model_fn failed: ModuleNotFoundError"),
        ("import os; os._exit(3)", "exit code 3"),
    ],
)
def test_handlers_that_raise_or_answer_nonsense_are_an_error_with_one_sentence(
    prepared: Path, tmp_path: Path, broken: str, sentence: str
) -> None:
    model = _archive(tmp_path / "model", HANDLERS + "\n" + broken + "\n")
    with pytest.raises(StepError, match=sentence):
        _evaluate(prepared, tmp_path, model)
    assert not (tmp_path / "out").exists()


def _archive_of(folder: Path, members: Sequence[tarfile.TarInfo]) -> Path:
    folder.mkdir()
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return folder


def test_a_model_archive_with_a_climbing_member_or_a_link_is_refused(
    prepared: Path, tmp_path: Path
) -> None:
    climbing = _archive_of(tmp_path / "climbing", [tarfile.TarInfo("../evil")])
    with pytest.raises(StepError, match=r"'\.\./evil' climbs out of the folder"):
        _evaluate(prepared, tmp_path, climbing)
    link = tarfile.TarInfo("code")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with pytest.raises(StepError, match="is a link or a device"):
        _evaluate(prepared, tmp_path, _archive_of(tmp_path / "link", [link]))


def test_a_truncated_or_incomplete_model_archive_is_refused(prepared: Path, tmp_path: Path) -> None:
    model = _archive(tmp_path / "model")
    archive = model / "model.tar.gz"
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(StepError, match="is no sound model archive"):
        _evaluate(prepared, tmp_path, model)
    incomplete = _archive_of(tmp_path / "incomplete", [tarfile.TarInfo("model.pt")])
    with pytest.raises(StepError, match=r"has no code/inference\.py"):
        _evaluate(prepared, tmp_path, incomplete)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StepError, match=r"holds no model\.tar\.gz"):
        _evaluate(prepared, tmp_path, tmp_path / "empty")


def test_a_model_that_was_trained_is_evaluated_through_the_code_in_its_archive(
    prepared: Path, tmp_path: Path
) -> None:
    folders = {name: prepared / name for name in ("train", "validation", "dataset")}
    folders |= {"model-dir": tmp_path / "trained", "checkpoint-dir": tmp_path / "checkpoints"}
    arguments = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    train([*arguments, "--epochs", "8", "--batch-size", "9", "--threads", "1"])
    (tmp_path / "model").mkdir()
    with tarfile.open(tmp_path / "model/model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "trained", arcname=".")
    report = _evaluate(prepared, tmp_path, tmp_path / "model")
    metadata = json.loads((tmp_path / "trained/metadata.json").read_text())
    assert report["binary_classification_metrics"]["accuracy"]["value"] > 0.9
    # The validation accuracy that training saw is the one that the served code has.
    assert metadata["validation"]["accuracy"] > 0.9
    calibration = report["calibration"]
    assert calibration["temperature"] == metadata["temperature"]
    assert calibration["bias"] == metadata["bias"]
    assert calibration["before"]["ece"] > calibration["ece"], "after twelve epochs it is too modest"
