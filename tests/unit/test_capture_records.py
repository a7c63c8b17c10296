"""Captured records are read as they lie: of the window, once each, with an honest count."""

import base64
import datetime
import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from monitoring.capture import CaptureError, EmptyWindow, Reading, Record, TooManyBroken, read
from monitoring.seen import Seen
from monitoring.window import Window, offset

EVENTS = Path(__file__).parents[1] / "events/capture"
WINDOW = Window.parse("2026-10-20T09:00:00Z", "2026-10-20T10:00:00Z")
FOLDER = "scones/AllTraffic/2026/10/20/09"


def line(number: int, time: str = "2026-10-20T09:05:00Z", **changes: Any) -> str:
    """A captured record; `changes` replace members of its halves or its metadata."""
    event = json.loads((EVENTS / "image.jsonl").read_text())
    event["captureData"]["endpointInput"]["data"] = base64.b64encode(b"%d" % number).decode()
    event["eventMetadata"] = {"eventId": f"event-{number}", "inferenceTime": time}
    event["eventMetadata"] |= changes.pop("metadata", {})
    for half, members in changes.items():
        if members is None:
            del event["captureData"][half]
        else:
            event["captureData"][half] |= members
    return json.dumps(event, separators=(",", ":")) + "\n"


def write(root: Path, text: str | bytes, name: str = f"{FOLDER}/05-00-000-a.jsonl") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def good(count: int, start: int = 1000) -> str:
    return "".join(line(start + number) for number in range(count))


def ids(reading: Reading) -> list[str]:
    return [record.event_metadata.event_id for record in reading]


def test_a_real_record_has_the_attributes_of_an_inference_record() -> None:
    (record,) = read(EVENTS / "image_with_inference_id.jsonl")
    assert record.endpoint_input is not None
    assert record.endpoint_output is not None
    assert record.endpoint_input.encoding == "BASE64"
    assert record.endpoint_input.observedContentType == "image/png"
    assert record.endpoint_output.data == "[0.93, 0.07]"
    assert record.endpoint_output.mode == "OUTPUT"
    assert record.event_metadata.event_time == "2026-10-20T09:05:13Z"
    assert record.event_metadata.custom_attribute == ["trace_id=8d1f"]
    assert record.event_version == "0"
    assert record.inference_id == record.join_id == "demo/bicycle-17"
    assert record.batch_transform_output is None
    assert record.ground_truth is None
    assert record.as_dict() == record.event_dict


def test_files_of_other_hours_and_endpoints_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, line(1))
    write(tmp_path, line(2), "scones/AllTraffic/2026/10/20/08/59-59-000-b.jsonl")
    write(tmp_path, line(3), "scones/AllTraffic/2026/10/20/10/00-00-000-c.jsonl")
    write(tmp_path, line(4), "other/AllTraffic/2026/10/20/09/05-00-000-d.jsonl")
    reading = read(tmp_path, WINDOW, endpoint="scones")
    assert ids(reading) == ["event-1"]
    assert reading.counts.other_files == 3


@pytest.mark.parametrize("root", ["scones", "scones/AllTraffic", "scones/AllTraffic/2026"])
def test_the_root_may_lie_anywhere_above_the_files(tmp_path: Path, root: str) -> None:
    write(tmp_path, line(1))
    assert ids(read(tmp_path / root, endpoint="scones")) == ["event-1"]


def test_a_record_on_the_edge_of_an_hour_is_read_exactly_once(tmp_path: Path) -> None:
    late = line(1, "2026-10-20T09:59:59Z") + line(2, "2026-10-20T10:00:03Z")
    write(tmp_path, late, f"{FOLDER}/59-40-000-a.jsonl")
    following = Window.parse("2026-10-20T10:00:00Z", "2026-10-20T11:00:00Z")
    assert ids(read(tmp_path, WINDOW)) == ["event-1", "event-2"]
    with pytest.raises(EmptyWindow):
        ids(read(tmp_path, following))


def test_a_window_within_the_hour_goes_by_the_records_own_times(tmp_path: Path) -> None:
    times = ["09:10:00", "09:19:59", "09:20:00", "09:09:59", "10:00:02"]
    write(tmp_path, "".join(line(i, f"2026-10-20T{time}Z") for i, time in enumerate(times)))
    reading = read(tmp_path, Window.parse("2026-10-20T09:10:00Z", "2026-10-20T09:20:00Z"))
    assert ids(reading) == ["event-0", "event-1"]
    assert reading.counts.outside == 3
    after = read(tmp_path, Window.parse("2026-10-20T10:00:00Z", "2026-10-20T10:00:30Z"))
    assert ids(after) == ["event-4"]


def test_a_file_outside_of_such_folders_goes_by_time(tmp_path: Path) -> None:
    write(tmp_path, line(1) + line(2, "2026-10-20T10:00:00Z"), "copied.jsonl")
    assert ids(read(tmp_path, WINDOW)) == ["event-1"]


def test_duplicates_in_any_file_are_dropped_and_counted(tmp_path: Path) -> None:
    write(tmp_path, line(2) + line(1) + line(2))
    write(tmp_path, line(1) + line(3), f"{FOLDER}/01-00-000-b.jsonl")
    reading = read(tmp_path, WINDOW)
    assert sorted(ids(reading)) == ["event-1", "event-2", "event-3"]
    assert reading.counts.duplicates == 2


def test_more_ids_than_are_kept_as_objects_are_remembered() -> None:
    seen = Seen()
    assert all(seen.add(str(number)) for number in range(150_000))
    assert not any(seen.add(str(number)) for number in range(0, 150_000, 97))


def test_as_many_ids_as_asked_for_are_remembered_and_older_ones_are_forgotten() -> None:
    kept, count = 1 << 15, 150_000
    seen = Seen(kept)
    assert all(seen.add(str(number)) for number in range(count))
    assert not any(seen.add(str(number)) for number in range(count - kept, count, 7))
    assert all(seen.add(str(number)) for number in range(0, 1_000))


def test_shadow_traffic_is_dropped_and_counted(tmp_path: Path) -> None:
    write(tmp_path, line(1) + (EVENTS / "shadow.jsonl").read_text())
    reading = read(tmp_path, WINDOW)
    assert ids(reading) == ["event-1"]
    assert reading.counts.shadow == 1


def test_gzip_and_empty_files_and_blank_lines_are_fine(tmp_path: Path) -> None:
    write(tmp_path, gzip.compress((line(1) + "\n" + line(2)).encode()), f"{FOLDER}/a.jsonl.gz")
    write(tmp_path, gzip.compress(line(3).encode()), f"{FOLDER}/b.jsonl")
    write(tmp_path, "", f"{FOLDER}/c.jsonl")
    reading = read(tmp_path, WINDOW)
    assert sorted(ids(reading)) == ["event-1", "event-2", "event-3"]
    assert (reading.counts.files, reading.counts.broken) == (3, 0)


@pytest.mark.parametrize(
    ("broken", "passed_on", "what"),
    [
        (line(1)[:-40], False, "the line is no JSON, and the file ends in the middle of it"),
        ("{oops}\n", False, "the line is no JSON"),
        ("[1]\n", False, "it has no captureData object"),
        ('{"captureData":{},"eventMetadata":{}}\n', False, "its eventMetadata has no eventId"),
        (line(1, endpointInput=None), True, "endpointInput is missing"),
        (line(1, endpointOutput=None), True, "endpointOutput is missing"),
        (line(1, endpointInput={"data": "ab=c"}), True, "endpointInput is no base64"),
        (line(1, endpointInput={"data": "äöü="}), True, "endpointInput is no base64"),
        (line(1, endpointInput={"data": "abc"}), True, "endpointInput is no base64"),
        (line(1, endpointInput={"data": 7}), True, "endpointInput has no data"),
        (line(1, endpointInput={"encoding": "ION"}), True, "has the unknown encoding 'ION'"),
        (line(1, endpointOutput={"data": "[NaN, 0.1]"}), True, "endpointOutput holds NaN"),
        (line(1, endpointOutput={"data": "[0.1"}), True, "endpointOutput is no JSON"),
        (
            line(1, endpointOutput={"data": "0.1,nan", "encoding": "CSV"}),
            True,
            "endpointOutput holds nan",
        ),
        (
            line(1, endpointOutput={"data": "W05hTl0=", "encoding": "BASE64"}),
            True,
            "endpointOutput holds NaN",
        ),
    ],
)
def test_one_broken_record_is_counted_and_named(
    tmp_path: Path, broken: str, passed_on: bool, what: str
) -> None:
    path = write(tmp_path, good(150) + broken)
    reading = read(tmp_path, WINDOW)
    assert len(ids(reading)) == 150 + passed_on
    assert reading.counts.broken == 1
    (problem,) = reading.problems
    assert str(problem).startswith(f"{path} line 151: ")
    assert str(problem).endswith(what)


def test_a_gzip_file_that_breaks_off_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    cut = gzip.compress(good(150).encode())[:-20]
    path = write(tmp_path, cut, f"{FOLDER}/a.jsonl.gz")
    write(tmp_path, good(300, start=5000), f"{FOLDER}/b.jsonl")
    reading = read(tmp_path, WINDOW)
    assert len(ids(reading)) > 300
    assert "damaged or cut off" in reading.problems[-1].what
    assert reading.problems[-1].path == str(path)


def test_a_share_of_one_percent_passes_and_one_above_does_not(tmp_path: Path) -> None:
    write(tmp_path, good(99) + "{oops}\n")
    assert len(ids(read(tmp_path, WINDOW))) == 99
    write(tmp_path, good(98) + "{oops}\n" * 2)
    with pytest.raises(
        TooManyBroken, match=r"2 of 100 captured records are broken \(2\.00%"
    ) as raised:
        ids(read(tmp_path, WINDOW))
    assert "05-00-000-a.jsonl line 99: the line is no JSON" in str(raised.value)


def test_a_missing_half_is_fine_where_it_is_not_captured() -> None:
    reading = read(EVENTS / "output_only.jsonl", halves=["endpointOutput"])
    assert len(ids(reading)) == 1
    assert reading.counts.broken == 0


def test_an_empty_window_says_where_and_when_was_looked(tmp_path: Path) -> None:
    write(tmp_path, line(1), "scones/AllTraffic/2026/10/20/07/05-00-000-a.jsonl")
    with pytest.raises(EmptyWindow) as raised:
        ids(read(tmp_path, WINDOW, endpoint="scones"))
    said = str(raised.value)
    assert str(tmp_path) in said
    assert "endpoint 'scones'" in said
    assert "hours 2026/10/20/09" in said
    assert "1 of other hours" in said
    assert isinstance(raised.value, CaptureError)


def test_a_folder_that_is_not_there_is_an_empty_window(tmp_path: Path) -> None:
    with pytest.raises(EmptyWindow, match=r"There is no .*nowhere"):
        ids(read(tmp_path / "nowhere", WINDOW))


def test_reading_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path, good(3))
    reading = read(tmp_path, WINDOW)
    assert ids(reading) == ids(reading)
    assert reading.counts.records == 3


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    path = write(tmp_path, "")

    def peak(count: int) -> int:
        with open(path, "w") as file:
            file.writelines(line(number) for number in range(count))
        tracemalloc.start()
        for record in read(path):
            assert isinstance(record, Record)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(500), peak(5_000)
    assert many - few < 4_500 * 200  # their ids at most; a line has 400 bytes and its objects 3,000


def test_windows_count_hours() -> None:
    now = datetime.datetime(2026, 10, 20, 9, 42, 1, tzinfo=datetime.UTC)
    assert str(Window.hour_of(now)) == str(WINDOW)
    assert Window.last_hours(2, now).prefixes() == ["2026/10/20/07", "2026/10/20/08"]
    assert Window.from_offsets("-PT1H", "-PT0H", now) == Window.last_hours(1, now)
    assert WINDOW.start in WINDOW
    assert WINDOW.end not in WINDOW
    assert WINDOW.whole_hours
    east = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    assert Window.hour_of(now.astimezone(east)) == WINDOW
    assert offset("-P1DT2H30M") == -datetime.timedelta(days=1, hours=2, minutes=30)


def test_a_window_without_time_is_refused() -> None:
    with pytest.raises(ValueError, match="its start must lie before its end"):
        Window.parse("2026-10-20T10:00:00Z", "2026-10-20T10:00:00Z")
    with pytest.raises(ValueError, match="is no offset"):
        offset("1 hour")
    with pytest.raises(ValueError, match="names no time zone"):
        Window(datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 2))
