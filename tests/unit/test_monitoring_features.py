"""The fast way gives the rows of the plain way, to the last digit, and writes the baseline."""

import base64
import csv
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monitoring import record_preprocessor as plain
from monitoring.features import (
    BATCH,
    NAMES,
    baseline_table,
    features,
    features_of,
    features_of_image,
)
from monitoring.record import Record
from steps import png
from tests.unit import png_kit

EVENTS = Path(__file__).parents[1] / "events/capture"


def record(image: bytes, answer: str = "[0.4,0.6]") -> Record:
    parts = {
        "endpointInput": {"data": base64.b64encode(image).decode(), "encoding": "BASE64"},
        "endpointOutput": {"data": answer, "encoding": "JSON"},
    }
    return Record({"captureData": parts, "eventMetadata": {"eventId": "1"}, "eventVersion": "0"})


def slow(*records: Record) -> list[plain.Row]:
    return [plain.preprocess_handler(record, None) for record in records]


@settings(max_examples=100, deadline=None)
@given(st.lists(png_kit.pngs(largest=12), min_size=1, max_size=4))
def test_both_ways_give_the_same_rows_for_every_kind_of_png(made: list[png_kit.Made]) -> None:
    records = [record(one.data) for one in made]
    assert list(features(records)) == slow(*records)


@settings(max_examples=100, deadline=None)
@given(png_kit.pngs(largest=8), st.data())
def test_both_ways_agree_on_what_is_damaged(made: png_kit.Made, data: st.DataObject) -> None:
    damaged = bytearray(made.data)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    one = record(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    assert features_of(one) == slow(one)[0]


@pytest.mark.parametrize("number", [5, 7, 255])
def test_both_ways_refuse_an_unknown_filter(number: int) -> None:
    one = record(png_kit.plain(rows=bytes(25 * 5) + bytes([number]) + bytes(24)))
    assert features_of(one) == slow(one)[0]
    assert features_of(one)["decode_ok"] == 0.0


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "WEBP"])
def test_both_ways_agree_on_other_formats(kind: str) -> None:
    one = record(png_kit.other(kind))
    assert features_of(one) == slow(one)[0]
    assert features_of(one)["decode_ok"] == 1.0


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (3, 3), (700, 300)])
def test_both_ways_agree_on_every_shape(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (*shape, 3), np.uint8)
    rows = b"".join(b"\0" + line.tobytes() for line in pixels)
    one = record(png_kit.plain(shape[1], shape[0], rows))
    assert features_of(one) == slow(one)[0]


def test_real_records_pass_both_ways() -> None:
    names = sorted(path for path in EVENTS.glob("*.jsonl") if path.stem != "ground_truth")
    records = [Record(json.loads(path.read_text())) for path in names]
    assert list(features(records)) == slow(*records)


def test_rows_come_in_the_order_of_records_of_different_sizes() -> None:
    def images() -> Iterator[bytes]:
        for number in range(BATCH + 40):
            yield png_kit.plain(width=3 + number % 5)

    rows = list(features(record(image) for image in images()))
    assert [row["width"] for row in rows] == [3.0 + number % 5 for number in range(BATCH + 40)]


def test_memory_does_not_grow_with_the_number_of_large_images() -> None:
    image = png_kit.plain(1000, 800, bytes(3001 * 800))
    tracemalloc.start()
    rows = list(features(record(image) for _ in range(30)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows) == 30
    assert peak < 60 << 20  # their pixels together are 72 MB


def test_an_image_has_the_same_row_from_a_file_and_from_traffic() -> None:
    image = png_kit.plain()
    assert features_of_image(image, [0.4, 0.6]) == features_of(record(image))


def test_what_pillow_writes_and_what_the_pipeline_writes_have_the_same_features(
    tmp_path: Path,
) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (3, 32, 32), np.uint8)
    path = tmp_path / "image.png"
    Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    assert features_of_image(path.read_bytes()) == features_of_image(png.encode(pixels.tobytes()))


def test_the_baseline_table_holds_the_text_of_the_rows(tmp_path: Path) -> None:
    image, path = png_kit.plain(), tmp_path / "baseline.csv"
    assert baseline_table([(image, [0.9, 0.1]), (b"no image", None)], path) == 2
    with open(path, encoding="utf-8", newline="") as file:
        header, first, second = csv.reader(file)
    assert header == sorted(NAMES)
    row = slow(record(image, "[0.9, 0.1]"))[0]
    assert first == [str(row[name]) for name in header]
    assert dict(zip(header, second, strict=True))["decode_ok"] == "0.0"
    assert second.count("") == len(header) - 1


def test_a_baseline_that_fails_leaves_no_table(tmp_path: Path) -> None:
    def examples() -> Iterator[tuple[bytes, None]]:
        yield png_kit.plain(), None
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        baseline_table(examples(), tmp_path / "baseline.csv")
    assert list(tmp_path.iterdir()) == []
