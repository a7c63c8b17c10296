"""Where a network looked: found for black boxes of which it is known."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from monitoring.occlusion import COARSE, FINE, Floats, occlusions
from monitoring.report import looked, style
from tests.unit.report_kit import CLASSES, given, observation, png

PICTURE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.int64).astype(np.uint8)
)


def corner_watcher(pictures: Sequence[Image.Image]) -> Floats:
    """Says class 1, the surer the more the upper right quarter varies, and looks nowhere else."""
    odds = []
    for picture in pictures:
        pixels = np.asarray(picture.convert("L"), np.float64)
        odds.append(pixels[: len(pixels) // 2, pixels.shape[1] // 2 :].std() / 20)
    score = 1 / (1 + np.exp(-np.array(odds)))
    return np.stack([1 - score, score], axis=1)


@pytest.mark.parametrize("places", [COARSE, FINE])
def test_the_map_is_high_where_the_network_looks_and_zero_elsewhere(places: int) -> None:
    (found,) = occlusions([PICTURE], corner_watcher, places)
    assert found.importance.shape == (32, 48)
    assert found.said == 1
    watched, unseen = found.importance[:16, 24:], found.importance[:, :12]
    assert watched.mean() > 0.05
    assert np.abs(unseen).max() == 0
    assert found.least < found.confidence == pytest.approx(corner_watcher([PICTURE])[0, 1])


def test_the_network_is_asked_once_about_all_pictures() -> None:
    asked: list[int] = []

    def ask(pictures: Sequence[Image.Image]) -> Floats:
        asked.append(len(pictures))
        return corner_watcher(pictures)

    both = occlusions([PICTURE, PICTURE.resize((20, 20))], ask)
    assert asked == [2 * (1 + COARSE**2)]
    assert [one.importance.shape for one in both] == [(32, 48), (20, 20)]
    assert occlusions([], ask) == []
    assert asked == [100]


def test_a_network_that_is_sure_beyond_measure_still_has_a_map() -> None:
    (found,) = occlusions([PICTURE], lambda pictures: np.tile([1.0, 0.0], (len(pictures), 1)))
    assert np.isfinite(found.importance).all()
    assert "No covered part" in looked.in_words(found, CLASSES)


def test_the_overlay_is_vermilion_where_the_network_looked() -> None:
    (found,) = occlusions([PICTURE], corner_watcher)
    small = np.asarray(looked.overlay(PICTURE, found), np.float64)
    assert max(small.shape) == looked.SIDE
    redness = small[..., 0] - small[..., 2]
    half = small.shape[1] // 2
    assert redness[: small.shape[0] // 2, half:].mean() > 30
    assert abs(redness[:, : half // 2].mean()) < 1


def test_the_figure_of_one_image_is_a_png_and_the_same_twice() -> None:
    (found,) = occlusions([PICTURE], corner_watcher)

    def drawn() -> bytes:
        with style.drawn_in(style.LIGHT):
            return style.png(looked.figure(PICTURE, found, CLASSES, "version 1", style.LIGHT))

    assert drawn().startswith(b"\x89PNG")
    assert drawn() == drawn()


def test_the_report_shows_the_maps_of_the_images_that_have_one() -> None:
    from monitoring.report.page import compose

    (found,) = occlusions([PICTURE], corner_watcher)
    seen = [observation(0, 0, 0.51, image=png()), observation(1, 1, 0.6, image=png())]
    page, _ = compose(given(seen, occlusions={"id-000000": found}))
    assert page.count("Where the network looked in it") == 1
    assert "Each map has its own scale" in page
    without, _ = compose(given(seen))
    assert "where the network looked" not in without.lower()
