"""One captured record becomes one row, whatever is in it, and by every rule of the container."""

import ast
import base64
import io
import json
import math
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monitoring import record_preprocessor as script
from monitoring.record import Record
from tests.unit import png_kit as images

EVENTS = Path(__file__).parents[1] / "events/capture"
SOURCE = Path(script.__file__)
NAMES = [
    *("blue", "brightness", "confidence", "contrast", "decode_ok", "green", "height", "margin"),
    *("p_bicycle", "p_motorcycle", "predicted_class", "red", "saturation", "sharpness", "width"),
]


def event(name: str) -> Record:
    return Record(json.loads((EVENTS / f"{name}.jsonl").read_text()))


def captured(image: bytes, answer: str = "[0.93, 0.07]", encoding: str = "JSON") -> Record:
    parts = {
        "endpointInput": {"data": base64.b64encode(image).decode(), "encoding": "BASE64"},
        "endpointOutput": {"data": answer, "encoding": encoding},
    }
    return Record({"captureData": parts, "eventMetadata": {"eventId": "1"}, "eventVersion": "0"})


def rows_of(image: bytes, **more: str) -> script.Row:
    row = script.preprocess_handler(captured(image, **more), None)
    assert list(row) == NAMES
    json.dumps(row, allow_nan=False)
    for name, value in row.items():
        assert value is None or type(value) is (str if name == "predicted_class" else float)
        assert "e" not in repr(value) or isinstance(value, str) or value is None
    return row


def test_a_real_record_becomes_the_row_of_its_image_and_answer() -> None:
    row = script.preprocess_handler(event("image"), None)
    assert row == {
        "blue": row["blue"],
        "brightness": row["brightness"],
        "confidence": 0.93,
        "contrast": row["contrast"],
        "decode_ok": 1.0,
        "green": row["green"],
        "height": 32.0,
        "margin": 0.86,
        "p_bicycle": 0.93,
        "p_motorcycle": 0.07,
        "predicted_class": "bicycle",
        "red": row["red"],
        "saturation": row["saturation"],
        "sharpness": row["sharpness"],
        "width": 32.0,
    }
    assert list(row) == NAMES


@pytest.mark.parametrize(
    "name", ["image_with_inference_id", "image_in_json", "no_header_lists", "shadow"]
)
def test_the_row_does_not_depend_on_how_the_halves_were_encoded(name: str) -> None:
    assert script.preprocess_handler(event(name), None) == script.preprocess_handler(
        event("image"), None
    )


def test_a_missing_input_leaves_the_answer() -> None:
    row = script.preprocess_handler(event("output_only"), None)
    assert (row["decode_ok"], row["width"], row["brightness"]) == (0.0, None, None)
    assert row["confidence"] == 0.93


@pytest.mark.parametrize(
    ("answer", "encoding"),
    [("0.25,0.75\n", "CSV"), ("[[0.25, 0.75]]", "JSON"), ("WzAuMjUsIDAuNzVd", "BASE64")],
)
def test_an_answer_is_read_by_its_own_encoding(answer: str, encoding: str) -> None:
    row = rows_of(images.plain(), answer=answer, encoding=encoding)
    assert (row["p_bicycle"], row["margin"], row["predicted_class"]) == (0.25, 0.5, "motorcycle")


@pytest.mark.parametrize(
    "answer",
    [
        "[NaN, 0.5]",
        "[0.2, 0.3, 0.5]",
        "[1.2, -0.2]",
        "{}",
        "",
        "[1e999, 0]",
        '["a", 1]',
        "[" * 9999,
    ],
)
def test_an_answer_that_is_no_pair_of_probabilities_is_missing(answer: str) -> None:
    row = rows_of(images.plain(), answer=answer)
    assert [row[name] for name in script.OF_ANSWER] == [None] * 5
    assert row["decode_ok"] == 1.0


def test_small_numbers_have_no_exponent() -> None:
    row = rows_of(images.plain(), answer="[0.99995, 0.00005]")
    assert repr(row["p_motorcycle"]) in ("0.0", "0.0001")
    row = rows_of(images.plain(), answer="[1, 1e-300]")
    assert repr(row["p_motorcycle"]) == "0.0"


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@settings(max_examples=150, deadline=None)
@given(images.pngs())
def test_every_kind_of_png_has_the_pixels_that_pillow_finds(made: images.Made) -> None:
    seen = script.picture(made.data)
    with Image.open(io.BytesIO(made.data)) as opened:
        if opened.mode.startswith("I"):  # grey of 16 bits, where Pillow's own ways vary
            expected = [bytes((np.asarray(opened) >> 8).astype(np.uint8))] * 3
        else:
            expected = [band.tobytes() for band in opened.convert("RGB").split()]
    assert (seen.width, seen.height) == (made.width, made.height)
    assert seen.planes == tuple(expected)


def test_filters_come_off_over_the_borders_of_bands() -> None:
    random = np.random.default_rng(0)
    width, height = 21, 2 * script._BAND_ROWS + 5
    filtered = random.integers(0, 256, (height, 1 + 3 * width), np.uint8)
    filtered[:, 0] %= 5
    image = images.plain(width, height, filtered.tobytes())
    with Image.open(io.BytesIO(image)) as opened:
        assert script.picture(image).planes == tuple(band.tobytes() for band in opened.split())


@settings(max_examples=60, deadline=None)
@given(images.pngs(largest=9))
def test_the_features_follow_their_definitions(made: images.Made) -> None:
    seen = script.picture(made.data)
    assert seen.planes is not None
    red, green, blue = (
        np.frombuffer(plane, np.uint8).reshape(made.height, made.width).astype(float)
        for plane in seen.planes
    )
    luma = np.floor((77 * red + 150 * green + 29 * blue + 128) / 256)
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    edges = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1]
    edges = edges - luma[1:-1, :-2] - luma[1:-1, 2:]
    expected = {
        "brightness": luma.mean() / 255,
        "contrast": luma.std() / 255,
        "saturation": (high - low).sum() / max(1, high.sum()),
        "sharpness": edges.var() if edges.size else 0.0,
        "red": red.mean() / 255,
        "green": green.mean() / 255,
        "blue": blue.mean() / 255,
    }
    row = rows_of(made.data)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, abs=5.1e-5), name


def test_the_sums_are_the_same_over_the_borders_of_bands() -> None:
    random = np.random.default_rng(0)
    width, height = 700, 300  # more than three bands
    pixels = random.integers(0, 256, (3, height, width), np.uint8)
    planes = tuple(plane.tobytes() for plane in pixels)
    sums = script.sums_of(script.Picture(width, height, (planes[0], planes[1], planes[2])))
    red, green, blue = pixels.astype(np.int64)
    luma = (77 * red + 150 * green + 29 * blue + 128) // 256
    edges = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] + 1020
    edges -= luma[1:-1, :-2] + luma[1:-1, 2:]
    assert (sums.luma, sums.luma_squared) == (luma.sum(), (luma * luma).sum())
    assert (sums.largest, sums.smallest) == (pixels.max(0).sum(), pixels.min(0).sum())
    assert (sums.edges, sums.edges_squared) == (edges.sum(), (edges * edges).sum())


def test_darkening_an_image_leaves_its_saturation() -> None:
    bright = images.plain(rows=b"\0" + bytes((200, 100, 40)) * 8, height=1)
    dark = images.plain(rows=b"\0" + bytes((100, 50, 20)) * 8, height=1)
    one, other = rows_of(bright), rows_of(dark)
    assert one["saturation"] == other["saturation"] == 0.8
    assert one["brightness"] != other["brightness"]


@settings(max_examples=150, deadline=None)
@given(images.pngs(largest=8), st.data())
def test_a_damaged_image_gives_a_row_and_never_an_exception(
    made: images.Made, data: st.DataObject
) -> None:
    damaged = bytearray(made.data)
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    row = rows_of(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    pixels = [row[name] for name in script.OF_PIXELS]
    assert (row["decode_ok"] == 1.0) == (None not in pixels)


@pytest.mark.parametrize(
    "image",
    [
        images.plain()[:-40],
        images.plain().replace(b"IDAT", b"IDAT", 1)[:50] + b"\0" + images.plain()[51:],
        images.plain(rows=b"\7" + bytes(24) + bytes(25 * 5)),
        images.header(8, 6, colour=3) + images.chunk(b"IDAT", zlib.compress(bytes(9 * 6))),
    ],
    ids=["cut off", "wrong checksum", "unknown filter", "no palette"],
)
def test_damage_is_a_row_with_the_size_and_without_pixels(image: bytes) -> None:
    row = rows_of(image)
    assert (row["decode_ok"], row["width"], row["height"]) == (0.0, 8.0, 6.0)
    assert row["brightness"] is None


def test_an_image_that_claims_too_much_is_not_decoded() -> None:
    row = rows_of(images.header(100_000, 100_000) + images.chunk(b"IDAT", zlib.compress(b"\0")))
    assert (row["decode_ok"], row["width"]) == (0.0, 100_000.0)


def test_a_bomb_unpacks_no_more_than_its_header_announces() -> None:
    bomb = zlib.compress(bytes(100 << 20))
    image = images.header(4, 4) + images.chunk(b"IDAT", bomb) + images.chunk(b"IEND", b"")
    tracemalloc.start()
    row = rows_of(image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert row["decode_ok"] == 1.0
    assert peak < 4 << 20


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "WEBP"])
def test_other_formats_are_decoded_where_pillow_is(kind: str) -> None:
    row = rows_of(images.other(kind))
    assert (row["decode_ok"], row["width"], row["height"]) == (1.0, 9.0, 7.0)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP"])
def test_without_a_decoder_the_header_still_tells_the_size(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = images.other(kind)
    monkeypatch.setitem(sys.modules, "PIL", None)
    row = rows_of(image)
    assert (row["decode_ok"], row["width"], row["height"]) == (0.0, 9.0, 7.0)
    assert row["sharpness"] is None
    assert row["confidence"] == 0.93


@pytest.mark.parametrize("record", [None, object(), {"captureData": 3}])
def test_something_else_than_a_record_gives_the_same_keys(record: Any) -> None:
    row = script.preprocess_handler(record, None)
    assert list(row) == NAMES
    assert row["decode_ok"] == 0.0


def test_an_error_goes_to_the_logger_and_not_to_the_job() -> None:
    class Trap:
        @property
        def endpoint_input(self) -> None:
            raise RuntimeError("boom")

    said: list[str] = []

    class Logger:
        def warning(self, text: str, *rest: object) -> None:
            said.append(text % rest)

    assert list(script.preprocess_handler(Trap(), Logger())) == NAMES
    assert said == ["a captured record was not understood: RuntimeError('boom')"]
    assert list(script.preprocess_handler(Trap(), None)) == NAMES


def test_the_file_is_python_3_7_and_needs_the_standard_library_only() -> None:
    tree = ast.parse(SOURCE.read_text("utf-8"), feature_version=(3, 7))
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert top <= sys.stdlib_module_names


def test_the_file_alone_writes_nothing_to_stdout(tmp_path: Path) -> None:
    (tmp_path / "record_preprocessor.py").write_bytes(SOURCE.read_bytes())
    program = (
        "import record_preprocessor as r\n"
        "class Part: encoding, data = 'BASE64', 'bm8gaW1hZ2U='\n"
        "class Record: endpoint_input = endpoint_output = Part\n"
        "assert r.preprocess_handler(Record, None)['decode_ok'] == 0.0\n"
    )
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = ['.']\n{program}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_feature_is_infinite_for_a_black_or_a_white_image() -> None:
    for value in (0, 255):
        row = rows_of(images.plain(rows=(b"\0" + bytes([value]) * 24) * 6))
        assert all(math.isfinite(float(row[name] or 0)) for name in script.OF_PIXELS)
        assert (row["contrast"], row["saturation"], row["sharpness"]) == (0.0, 0.0, 0.0)
