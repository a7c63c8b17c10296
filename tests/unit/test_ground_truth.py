"""Labels find their inferences."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from monitoring.capture import read
from monitoring.ground_truth import (
    GroundTruthError,
    label_line,
    merge,
    read_labels,
    write_labels,
    write_merged,
)
from monitoring.record import Record
from monitoring.window import Window

EVENTS = Path(__file__).parents[1] / "events/capture"
NOW = datetime.datetime(2026, 10, 20, 11, 7, 8, tzinfo=datetime.UTC)


class Bucket:
    """What an S3 client keeps."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, **request: Any) -> None:
        self.objects[f"{request['Bucket']}/{request['Key']}"] = request["Body"]


def captured(*names: str) -> list[Record]:
    return [Record(json.loads((EVENTS / f"{name}.jsonl").read_text())) for name in names]


def label(folder: Path, hour: str, *lines: bytes, name: str = "07-08-a.jsonl") -> None:
    path = folder / "2026/10/20" / hour / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))


def test_a_label_is_written_as_the_merge_job_reads_it() -> None:
    line = label_line("demo/bicycle-17", "motorcycle")
    assert line == (EVENTS / "ground_truth.jsonl").read_bytes()


def test_labels_go_below_the_hour_of_their_collection() -> None:
    s3 = Bucket()
    key = write_labels([("a", "bicycle"), ("b", "motorcycle")], "scones", "ground-truth//", s3, NOW)
    assert key.startswith("ground-truth/2026/10/20/11/07-08-")
    assert s3.objects[f"scones/{key}"].count(b"\n") == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([("a", "bicycle"), ("b", "tandem")], "no class 'tandem'; the label must be bicycle or"),
        ([("", "bicycle")], "1 to 64 characters"),
        ([], "no label to write"),
    ],
)
def test_one_wrong_label_means_that_none_is_written(
    labels: list[tuple[str, str]], message: str
) -> None:
    s3 = Bucket()
    with pytest.raises(GroundTruthError, match=message):
        write_labels(labels, "scones", "ground-truth", s3, NOW)
    assert s3.objects == {}


def test_a_label_joins_on_the_inference_id_and_else_on_the_event_id(tmp_path: Path) -> None:
    event_id = "695344c2-3858-45e5-a14d-33deaf4310c7"
    label(tmp_path, "11", label_line("demo/bicycle-17", "motorcycle"))
    label(tmp_path, "11", label_line(event_id, "bicycle"), name="08-00-b.jsonl")
    merging = merge(captured("image", "image_with_inference_id"), read_labels(tmp_path))
    found = {record.join_id: record.ground_truth for record in merging}
    assert {key: part.data for key, part in found.items() if part} == {
        event_id: "0",
        "demo/bicycle-17": "1",
    }
    assert (merging.labelled, merging.unlabelled, merging.unknown) == (2, 0, 0)


def test_the_event_id_does_not_count_where_the_caller_chose_an_id(tmp_path: Path) -> None:
    (record,) = captured("image_with_inference_id")
    label(tmp_path, "11", label_line(record.event_metadata.event_id, "bicycle"))
    merging = merge([record], read_labels(tmp_path))
    assert list(merging) == []
    assert (merging.unlabelled, merging.unknown) == (1, 1)


def test_the_last_collected_label_wins_and_the_contradiction_is_counted(tmp_path: Path) -> None:
    (record,) = captured("image")
    one, other = (label_line(record.join_id, name) for name in ("bicycle", "motorcycle"))
    label(tmp_path, "12", other)
    label(tmp_path, "11", one, one)
    labels = read_labels(tmp_path)
    (found,) = merge([record], labels)
    assert found.ground_truth is not None
    assert found.ground_truth.data == "1"
    assert labels.contradicted == 1


def test_a_repeated_label_is_no_contradiction(tmp_path: Path) -> None:
    label(tmp_path, "11", label_line("a", "bicycle"), label_line("a", "bicycle"))
    assert read_labels(tmp_path).contradicted == 0


def test_labels_of_other_hours_are_left_out(tmp_path: Path) -> None:
    label(tmp_path, "11", label_line("a", "bicycle"))
    label(tmp_path, "12", label_line("b", "bicycle"))
    window = Window.parse("2026-10-20T12:00:00Z", "2026-10-20T13:00:00Z")
    assert list(read_labels(tmp_path, window).by_id) == ["b"]


def test_broken_labels_are_counted_and_named(tmp_path: Path) -> None:
    good = label_line("a", "bicycle")
    label(tmp_path, "11", good, good[:30] + b"\n", b"[]\n", good.replace(b'"0"', b'"0,1"', 1))
    labels = read_labels(tmp_path)
    assert (labels.lines, labels.broken, list(labels.by_id)) == (4, 3, ["a"])
    assert labels.problems[0].endswith("07-08-a.jsonl line 2: it is no label")


def test_no_labels_are_no_error(tmp_path: Path) -> None:
    merging = merge(captured("image"), read_labels(tmp_path / "nothing"))
    assert list(merging) == []
    assert (merging.labelled, merging.unlabelled) == (0, 1)


def test_merged_records_are_read_back_with_their_labels(tmp_path: Path) -> None:
    label(tmp_path / "labels", "11", label_line("demo/bicycle-17", "motorcycle"))
    records = captured("image", "image_with_inference_id")
    path = tmp_path / "merged.jsonl"
    assert write_merged(merge(records, read_labels(tmp_path / "labels")), path) == 1
    (record,) = read(path)
    assert record.event_dict["groundTruthData"] == {"data": "1", "encoding": "CSV"}
    assert record.event_dict["captureData"] == records[1].event_dict["captureData"]
