"""`monitoring.merge`: captured answers and labels become one table."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitoring.merge import main

HOUR = "scones-prod/AllTraffic/2026/11/22/11"
ARGUMENTS = ["--start-time", "2026-11-22T11:00:00Z", "--end-time", "2026-11-22T12:00:00Z"]


def record(number: int, answer: str) -> dict[str, Any]:
    """A captured record as SageMaker writes it, of an image that nobody looks at here."""
    image = {
        "observedContentType": "image/png",
        "mode": "INPUT",
        "data": "AA==",
        "encoding": "BASE64",
    }
    said = {
        "observedContentType": "application/json",
        "mode": "OUTPUT",
        "data": answer,
        "encoding": "JSON",
    }
    event = {
        "eventId": f"00000000-0000-4000-8000-{number:012}",
        "inferenceId": f"id-{number}",
        "inferenceTime": f"2026-11-22T11:00:{number:02}Z",
    }
    data = {"endpointInput": image, "endpointOutput": said}
    return {"captureData": data, "eventMetadata": event, "eventVersion": "0"}


def label(inference_id: str, data: str) -> dict[str, Any]:
    return {
        "groundTruthData": {"data": data, "encoding": "CSV"},
        "eventMetadata": {"eventId": inference_id},
        "eventVersion": "0",
    }


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Three captured answers, as a job's inputs."""
    answers = ["[0.9, 0.1]", "[0.2, 0.8]", "[0.6, 0.4]"]
    write(
        tmp_path / "endpoint" / HOUR / "00-00-000-a.jsonl",
        *(record(number, answer) for number, answer in enumerate(answers)),
    )
    (tmp_path / "labels").mkdir()
    return tmp_path


def write(path: Path, *lines: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def run(job: Path) -> tuple[int, list[str], Any]:
    """Exit code, the table's lines, and the counts."""
    folders = [
        *("--captured", str(job / "endpoint")),
        *("--labels", str(job / "labels")),
        *("--output", str(job / "output")),
    ]
    code = main([*folders, *ARGUMENTS])
    counts = json.loads((job / "output/counts/counts.json").read_text())
    return code, (job / "output/merged/labelled.csv").read_text().splitlines(), counts


def test_a_labelled_answer_becomes_a_row_and_the_last_label_counts(job: Path) -> None:
    folder = job / "labels/2026/11/22"
    write(folder / "12/00-00-a.jsonl", label("id-0", "1"), label("id-1", "1"))
    write(folder / "13/00-00-b.jsonl", label("id-0", "0"), label("nobody", "0"))
    code, lines, counts = run(job)
    assert code == 0
    assert lines == ["label,prediction,probability", "0,0,0.100000", "1,1,0.800000"]
    assert counts["labelled"] == 2
    assert (counts["unlabelled"], counts["unknown"], counts["contradicted"]) == (1, 1, 1)


def test_a_window_without_labels_is_said_and_is_no_failure(job: Path) -> None:
    code, lines, counts = run(job)
    assert (code, lines) == (0, ["label,prediction,probability"])
    assert (counts["labelled"], counts["unlabelled"]) == (0, 3)


def test_a_broken_capture_ends_in_a_sentence(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = job / "endpoint" / HOUR / "00-00-000-a.jsonl"
    path.write_text("{broken\n" * 10)
    captured, labels = str(job / "endpoint"), str(job / "labels")
    code = main(
        ["--captured", captured, "--labels", labels, "--output", str(job / "o"), *ARGUMENTS]
    )
    assert code == 1
    assert "Merge failed: 10 of 10 captured records are broken" in capsys.readouterr().err
    assert not (job / "o").exists()
