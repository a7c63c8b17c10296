"""Answers that were given elsewhere: by a batch transform, and by an earlier evaluation."""

import json
from pathlib import Path

import pytest

from steps import answers, evaluate
from steps.job import StepError


def test_answers_are_read_in_the_lists_order_in_both_forms_and_from_any_subfolder(
    tmp_path: Path,
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a.png.out").write_text('{"prediction": [0.25, 0.75]}\n')
    (tmp_path / "below/b.png.out").write_text("[1.0, 0.0]")
    found = answers.transformed(tmp_path, ["b.png", "a.png"])
    assert found.tolist() == [[1.0, 0.0], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not one line of JSON"),
        ('{"prediction": [0.5, 0.5]}{', "not one line of JSON"),
        ("[0.5, 0.6]", "not two probabilities"),
        ("[0.2, 0.3, 0.5]", "not two probabilities"),
        ('{"predictions": [0.5, 0.5]}', "not two probabilities"),
        ("[NaN, 1.0]", "not two probabilities"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_its_file(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "a.png.out").write_text(text)
    with pytest.raises(StepError, match=rf"a\.png\.out .*{sentence}"):
        answers.transformed(tmp_path, ["a.png"])


def test_an_image_that_nobody_answered_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"left no answer to a\.png"):
        answers.transformed(tmp_path, ["a.png"])


def transform(prepared: Path, folder: Path, wrong: int = 0) -> None:
    """Leaves the answers that a transform would: right ones, but for the first `wrong` of test."""
    for split in ("test", "validation"):
        (folder / f"{split}-answers").mkdir(parents=True)
        rows = (prepared / f"dataset/{split}.lst").read_text().splitlines()
        for number, row in enumerate(rows):
            _, label, path = row.split("\t")
            p = 0.9 if (label == "1") != (split == "test" and number < wrong) else 0.1
            line = json.dumps({"prediction": [1 - p, p]})
            (folder / f"{split}-answers/{path}.out").write_text(line)


def run(prepared: Path, folder: Path, *more: str) -> dict[str, object]:
    folders = {name: prepared / name for name in ("test", "validation", "dataset")}
    folders |= {name: folder / name for name in ("test-answers", "validation-answers", "output")}
    arguments = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    evaluate.main([*arguments, *more])
    report: dict[str, object] = json.loads(
        (folder / "output/evaluation/evaluation.json").read_text()
    )
    return report


def test_a_model_is_measured_by_the_answers_of_its_transform(
    prepared: Path, tmp_path: Path
) -> None:
    transform(prepared, tmp_path, wrong=6)
    report = run(prepared, tmp_path, "--production", str(tmp_path / "none"))
    figures = report["binary_classification_metrics"]
    assert isinstance(figures, dict)
    assert figures["accuracy"]["value"] == 0.75
    table = (tmp_path / "output/reference/features.csv").read_text().splitlines()
    assert len(table) == 1 + 24 + 6


def test_a_version_that_cannot_be_opened_is_compared_by_what_it_answered(
    prepared: Path, tmp_path: Path
) -> None:
    transform(prepared, tmp_path / "old", wrong=6)
    run(prepared, tmp_path / "old", "--production", str(tmp_path / "none"))
    transform(prepared, tmp_path / "new", wrong=0)
    known = tmp_path / "old/output/evaluation"
    report = run(
        prepared, tmp_path / "new", "--production", str(known), "--production-arn", "arn:old"
    )
    assert report["production"] == {
        "model_package_arn": "arn:old",
        "accuracy": 0.75,
        "only_production_right": 0,
        "only_candidate_right": 6,
    }
    assert report["accuracy_drop"] == -0.25


def test_other_images_than_those_it_was_measured_on_are_refused_with_a_way_out(
    prepared: Path, tmp_path: Path
) -> None:
    transform(prepared, tmp_path)
    table = tmp_path / "known/predictions.csv"
    table.parent.mkdir()
    table.write_text("path,label,p_bicycle,p_motorcycle\nother.png,0,0.9,0.1\n")
    production = ("--production", str(table.parent))
    with pytest.raises(StepError, match=r"other images .*ProductionModelPackageArn=none"):
        run(prepared, tmp_path, *production, "--production-arn", "arn:old")
    assert run(prepared, tmp_path, *production, "--production-arn", "none")["production"] is None
