"""Data capture: records, keys, sampling, and what a stop or a kill leaves."""

import base64
import datetime
import json
import re
from pathlib import Path

import pytest

from localaws.hosting import capture
from localaws.hosting.capture import Capture, Exchange
from tests.hosting_kit import capture_config, poll
from tests.localaws_parts import FolderObjects

NOON = datetime.datetime(2026, 3, 4, 12, 5, 6, 789_000, tzinfo=datetime.UTC)
PNG = b"\x89PNG\r\n"
EXCHANGE = Exchange(PNG, "image/png", b"[0.93,0.07]", "application/json")


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    (tmp_path / "s3" / "bucket").mkdir(parents=True)
    return FolderObjects(tmp_path / "s3")


def make(
    tmp_path: Path, objects: FolderObjects, seconds: float = 60, percent: int = 100
) -> Capture:
    settings = capture_config("s3://bucket/capture/", percent)
    return Capture(objects, tmp_path / "files", "ep", settings, lambda: NOON, seconds)


def test_a_record_has_the_members_and_the_order_of_a_real_one() -> None:
    line = capture.record(EXCHANGE, capture_config("s3://bucket/capture"), NOON)
    event = json.loads(line)["eventMetadata"]["eventId"]
    assert line.decode() == (
        '{"captureData":{"endpointInput":{"observedContentType":"image/png","mode":"INPUT",'
        f'"data":"{base64.b64encode(PNG).decode()}","encoding":"BASE64"}},'
        '"endpointOutput":{"observedContentType":"application/json","mode":"OUTPUT",'
        '"data":"[0.93,0.07]","encoding":"JSON"}},'
        f'"eventMetadata":{{"eventId":"{event}","inferenceTime":"2026-03-04T12:05:06Z"}},'
        '"eventVersion":"0"}\n'
    )


def test_inference_id_and_custom_attributes_are_kept_where_they_were_given() -> None:
    exchange = EXCHANGE._replace(inference_id="image-7", custom_attributes="trace_id=1")
    line = json.loads(capture.record(exchange, capture_config("s3://b/c"), NOON))
    assert list(line["eventMetadata"]) == [
        "eventId",
        "inferenceId",
        "customAttributes",
        "inferenceTime",
    ]
    assert line["eventMetadata"]["inferenceId"] == "image-7"
    assert line["eventMetadata"]["customAttributes"] == ["trace_id=1"]


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("text/csv; charset=utf-8", "CSV"),
        ("Application/JSON", "JSON"),
        ("text/plain", "BASE64"),
        (None, "BASE64"),
    ],
)
def test_the_content_type_chooses_the_encoding(content_type: str | None, encoding: str) -> None:
    exchange = Exchange(b"1,2\n3,4", content_type, b"", None)
    line = json.loads(capture.record(exchange, capture_config("s3://b/c"), NOON))
    half = line["captureData"]["endpointInput"]
    assert half["encoding"] == encoding
    assert half["observedContentType"] == content_type
    data = half["data"]
    assert (data if encoding != "BASE64" else base64.b64decode(data).decode()) == "1,2\n3,4"


def test_without_lists_of_content_types_everything_is_base64() -> None:
    settings = capture_config("s3://b/c", CaptureContentTypeHeader=None)
    line = json.loads(capture.record(EXCHANGE, settings, NOON))
    assert line["captureData"]["endpointOutput"]["encoding"] == "BASE64"


@pytest.mark.parametrize(
    ("mode", "halves"),
    [
        ("Input", ["endpointInput"]),
        ("Output", ["endpointOutput"]),
        ("InputAndOutput", ["endpointInput", "endpointOutput"]),
    ],
)
def test_only_the_wanted_halves_are_kept(mode: str, halves: list[str]) -> None:
    settings = capture_config("s3://b/c", CaptureOptions=[{"CaptureMode": mode}])
    line = json.loads(capture.record(EXCHANGE, settings, NOON))
    assert list(line["captureData"]) == halves


def test_the_key_tells_endpoint_variant_and_the_time_of_the_first_record(
    tmp_path: Path, objects: FolderObjects
) -> None:
    captured = make(tmp_path, objects)
    for _ in range(3):
        captured.add("AllTraffic", EXCHANGE)
    assert not list(objects.list("bucket", ""))  # not before the time has come
    captured.close()
    (item,) = objects.list("bucket", "")
    uuid4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
    key = rf"capture/ep/AllTraffic/2026/03/04/12/05-06-789-{uuid4}\.jsonl"
    assert re.fullmatch(key, item.key)
    assert objects.read("bucket", item.key).count(b"\n") == 3


def test_a_file_is_written_when_its_time_has_come(tmp_path: Path, objects: FolderObjects) -> None:
    captured = make(tmp_path, objects, seconds=0.05)
    captured.add("AllTraffic", EXCHANGE)
    poll(lambda: list(objects.list("bucket", "")), 10)
    captured.close()
    assert not list((tmp_path / "files").iterdir())


def test_sampling_keeps_about_the_share_that_is_asked_for(
    tmp_path: Path, objects: FolderObjects
) -> None:
    captured = make(tmp_path, objects, percent=20)
    for _ in range(1000):
        captured.add("AllTraffic", EXCHANGE)
    captured.close()
    (item,) = objects.list("bucket", "")
    # 200 expected, standard deviation 12.6: six of them on either side.
    assert 124 < objects.read("bucket", item.key).count(b"\n") < 276


def test_what_a_kill_left_is_uploaded_at_the_next_start_without_a_cut_line(
    tmp_path: Path, objects: FolderObjects
) -> None:
    captured = make(tmp_path, objects)
    captured.add("AllTraffic", EXCHANGE)
    (file,) = (tmp_path / "files").glob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"captureData":')
    capture.upload_leftovers(objects, tmp_path)
    captured.close()  # finds its file gone, which is no error
    (item,) = objects.list("bucket", "capture/ep/AllTraffic/2026/03/04/12/")
    assert len(objects.read("bucket", item.key).splitlines()) == 1


def test_a_bucket_that_is_gone_does_not_disturb_the_endpoint(
    tmp_path: Path, objects: FolderObjects, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(FolderObjects):
        def upload(self, *_: object) -> None:  # type: ignore[override]
            self.list("nowhere", "")

    captured = Capture(
        Gone(tmp_path / "s3"), tmp_path / "files", "ep", capture_config("s3://x/y"), lambda: NOON, 9
    )
    captured.add("AllTraffic", EXCHANGE)
    captured.close()
    assert "captured data was not written to s3://x/y/ep/AllTraffic" in caplog.text
