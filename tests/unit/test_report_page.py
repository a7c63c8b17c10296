"""The page and its pictures, as a reader, a parser and a hostile caller meet them."""

import io
import math
import re
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from monitoring.report import ReportInput, figures, least_sure, style, write
from monitoring.report.observations import answers
from monitoring.report.page import compose
from monitoring.report.thumbnails import decode
from tests.unit import report_kit as kit

Pixels = npt.NDArray[np.int64]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(kit.full(120), tmp_path_factory.mktemp("report"))


def _tree(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html.strip().removeprefix("<!DOCTYPE html>"))


def _text(html: str) -> str:
    body = _tree(html).find("body")
    assert body is not None
    return " ".join(" ".join(body.itertext()).split())


def _near(pixels: Pixels, colour: str, tolerance: int = 12) -> npt.NDArray[np.bool_]:
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    near: npt.NDArray[np.bool_] = (np.abs(pixels - wanted) <= tolerance).all(axis=-1)
    return near


def _pixels(png: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.int64)


def test_the_page_is_well_formed_and_needs_nothing_from_outside(report: Path) -> None:
    tree = _tree(report.read_text("utf-8"))
    tags = {element.tag for element in tree.iter()}
    assert not tags & {"script", "link", "iframe", "object", "a", "form"}
    for element in tree.iter():
        for name in ("src", "srcset", "href", "data"):
            assert element.get(name, "data:image/png;base64,").startswith("data:image/png;base64,")
    style_text = tree.findtext("head/style")
    assert style_text
    assert "url(" not in style_text
    assert "@import" not in style_text


def test_every_image_of_the_page_has_a_text_and_both_themes_have_their_own(report: Path) -> None:
    tree = _tree(report.read_text("utf-8"))
    images = list(tree.iter("img"))
    assert len(images) > 10
    assert all(len(image.get("alt", "")) > 15 for image in images)
    for picture in tree.iter("picture"):
        source, image = picture
        assert "dark" in source.get("media", "")
        assert source.get("srcset") != image.get("src")


def test_the_first_sentences_say_what_happened(report: Path) -> None:
    lead = _tree(report.read_text("utf-8")).findtext("body/main/header/p[@class='lead']") or ""
    below = sum(one.confidence < 0.8 for one in kit.traffic(120))
    assert "scones-local gave 120 answers from 2026-11-22 14:00 to 15:00 UTC" in lead
    assert f"; {below} of them ({below / 1.2:.1f} %) were below the confidence threshold" in lead
    assert lead.endswith("1 check against the baseline failed: brightness.")


def test_the_page_answers_the_originals_questions(report: Path) -> None:
    text = _text(report.read_text("utf-8"))
    for part in (
        "The class motorcycle was answered less surely than bicycle",
        "Mann-Whitney U = ",
        "To settle an effect of this size takes",
        "The calibration error (ECE) is 0.0",
        "brightness has drifted: distance 0.322 exceeds 0.1; its mean went from 0.5",
        "The images that were least sure",
        "The same value on both sides: width = 32.",
    ):
        assert part in text


def test_an_accuracy_never_stands_without_the_name_of_its_data_set(report: Path) -> None:
    text = _text(report.read_text("utf-8"))
    assert f"are right on “{kit.DATASET}”" in text
    assert f"At evaluation it was 90.5 % on “{kit.DATASET}”" in text
    nameless = kit.given(kit.traffic(40), evaluation={**kit.EVALUATION, "dataset": {}})
    assert "90.5" not in _text(compose(nameless)[0])
    with style.drawn_in(style.LIGHT):
        figure = figures.timeline(kit.full(4), answers(kit.traffic(4), kit.CLASSES), style.LIGHT)
    assert kit.DATASET in figure.get_supxlabel()


def test_a_hostile_id_is_shown_and_does_nothing() -> None:
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x00\ud800$\\frac{'
    seen = [
        kit.observation(0, 0, 0.6, inference_id=hostile, label=hostile),
        kit.observation(1, 1, 0.7, features={hostile: 0.5}),
    ]
    bad = {"violations": [kit.violation(hostile, "baseline_drift_check", hostile)]}
    given = kit.given(seen, violations=bad, endpoint_name=hostile, dataset_name=hostile)
    html, drawn = compose(given)
    tree = _tree(html)
    assert not list(tree.iter("script"))
    assert not [image for image in tree.iter("img") if image.get("onerror") or not image.get("alt")]
    assert '"><script>alert(1)</script>' in (tree.findtext(".//code") or "")
    assert all(set(one.file) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.") for one in drawn)


def test_the_figures_lie_beside_the_page_and_can_be_read(report: Path) -> None:
    names = {path.name for path in (report.parent / "figures").iterdir()}
    assert {
        "timeline.png",
        "difference.png",
        "calibration.png",
        "confusion.png",
        "least_sure.png",
        "feature_01_brightness.png",
    } <= names
    for name in names:
        with Image.open(report.parent / "figures" / name) as image:
            image.load()
            assert image.format == "PNG"
            assert set(image.info) <= {"dpi"}  # neither a time nor a version
            assert np.asarray(image.convert("L")).std() > 5  # not an empty sheet


def test_the_same_window_gives_the_same_bytes(report: Path, tmp_path: Path) -> None:
    write(kit.full(120), tmp_path)
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8
    for file in files:
        assert (tmp_path / file).read_bytes() == (report.parent / file).read_bytes()


@pytest.mark.parametrize("count", [150, 6000])
def test_the_timeline_shows_both_classes_and_the_threshold_where_it_is(count: int) -> None:
    given = kit.given(kit.traffic(count, labels=False))
    seen = answers(given.observations, given.classes)
    with style.drawn_in(style.LIGHT):
        figure = figures.timeline(given, seen, style.LIGHT)
        pixels = _pixels(style.png(figure))
    for colour in style.LIGHT.classes:
        assert _near(pixels, colour, 40).sum() > 300  # the points let some paper through
    row = len(pixels) - figure.axes[0].transData.transform((0, given.threshold))[1]
    line = _near(pixels[round(row) - 2 : round(row) + 3], style.LIGHT.warning).any(axis=0)
    assert line.mean() > 0.45  # a dashed line from side to side
    elsewhere = _near(pixels[: round(row) - 60], style.LIGHT.warning)
    assert elsewhere.sum() == 0


def test_the_classes_are_told_apart_without_colour() -> None:
    assert len(set(style.MARKERS)) == len(set(style.LINES)) == 2
    given = kit.given(kit.traffic(60))
    with style.drawn_in(style.DARK):
        axes = figures.timeline(given, answers(given.observations, given.classes), style.DARK).axes[
            0
        ]
    corners = {len(points.get_paths()[0]) for points in axes.collections[:2]}
    assert len(corners) == 2


def test_stretches_of_time_keep_the_median_and_leave_out_what_is_empty() -> None:
    times = np.array([0.0, 1, 2, 90, 91, 100])
    parts = figures.stretches(times, np.array([0.5, 0.6, 0.7, 0.9, 0.9, 1.0]), 10)
    assert parts.middles.tolist() == [5, 95]
    assert parts.median.tolist() == pytest.approx([0.6, 0.9])


def test_a_window_without_answers_says_which_one_was_looked_at(tmp_path: Path) -> None:
    text = _text(write(kit.given([]), tmp_path).read_text("utf-8"))
    assert (
        "There is no usable answer of scones-local from 2026-11-22 14:00 to 15:00 UTC below "
        "s3://scones/capture/scones-local/AllTraffic." in text
    )
    assert not list((tmp_path / "figures").iterdir())


def _unlabelled() -> ReportInput:
    return kit.given(kit.traffic(20, labels=False))


def _one_class() -> ReportInput:
    return kit.given([kit.observation(place, 1, 0.9) for place in range(5)])


def _one_answer() -> ReportInput:
    return kit.given([kit.observation(0, 0, 0.55, label="motorcycle")])


def _naive_times() -> ReportInput:
    return kit.given([kit.observation(0, 0, 0.9, inference_time=datetime(2026, 11, 22, 14, 30))])


def _useless() -> ReportInput:
    return kit.given([kit.observation(0, 0, math.nan)])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_unlabelled, "No answer in this window has a label"),
        (_one_class, "Every answer was motorcycle, so the classes cannot be compared."),
        (_one_answer, "1 of 1 answer have a label: 0.0 % are right"),
        (_naive_times, "scones-local gave 1 answer from 2026-11-22 14:00 to 15:00 UTC; 0 of them"),
        (_useless, "1 answer had no confidence between 0 and 1."),
    ],
)
def test_thin_windows_have_a_page_that_says_so(
    make: Callable[[], ReportInput], sentence: str
) -> None:
    assert sentence in _text(compose(make())[0])


def _blank_png(side: int) -> bytes:
    """A good PNG of one bit a pixel: few bytes, many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side * (side // 8 + 1)))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_an_image_that_cannot_be_shown_leaves_its_place_and_its_answer() -> None:
    images = {
        "none": None,
        "empty": b"",
        "nonsense": b"nonsense",
        "truncated": kit.png()[:90],
        "bomb": _blank_png(6_400),
        "too long": b"\0" * 7_000_000,
        "gif": b"GIF89a" + bytes(99),
    }
    assert [name for name, image in images.items() if decode(image) is not None] == []
    seen = [
        kit.observation(place, 0, 0.6, image=image, inference_id=name)
        for place, (name, image) in enumerate(images.items())
    ]
    places = list(_tree(compose(kit.given(seen))[0]).iter("li"))
    assert {place.findtext("code") for place in places} == images.keys()
    for place in places:
        said = " ".join(" ".join(place.itertext()).split())
        assert re.match("image (not captured|cannot be decoded)", said)


def test_an_image_with_the_pixels_of_a_photograph_is_shown() -> None:
    assert decode(_blank_png(4_000)) is not None


def test_a_thumbnail_is_small_and_carries_nothing_but_pixels() -> None:
    target = io.BytesIO()
    big = Image.new("RGB", (900, 300), "red")
    big.save(target, "JPEG", comment=b"secret", exif=b"Exif\0\0secret")
    small = decode(target.getvalue())
    assert small is not None
    assert max(small.size) == 128
    assert small.width > 2 * small.height
    html, _ = compose(kit.given([kit.observation(0, 0, 0.6, image=target.getvalue())]))
    assert "secret" not in html


def test_the_least_sure_come_first_and_the_unusable_not_at_all() -> None:
    seen = [
        kit.observation(place, 0, value) for place, value in enumerate((0.9, 0.6, math.nan, 0.7))
    ]
    assert [one.confidence for one in least_sure(seen, kit.CLASSES, 2)] == [0.6, 0.7]


def test_figures_of_an_earlier_report_go_and_those_of_others_stay(
    report: Path, tmp_path: Path
) -> None:
    shutil.copytree(report.parent, tmp_path, dirs_exist_ok=True)
    (tmp_path / "figures" / "mine.png").write_bytes(b"kept")
    write(_unlabelled(), tmp_path)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"timeline.png", "difference.png", "least_sure.png", "mine.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"figures", "report.html"}


def test_a_hundred_thousand_answers_make_a_small_page_in_time(tmp_path: Path) -> None:
    given = kit.full(100_000)
    started = time.process_time()
    page = write(given, tmp_path)
    assert time.process_time() - started < 30
    assert page.stat().st_size < 5_000_000
    assert "100,000 answers" in _text(page.read_text("utf-8"))
