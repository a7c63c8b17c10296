"""Where the network looked, as pictures: a small one for the page, a figure for a file."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from PIL import Image

from monitoring.occlusion import Occlusion
from monitoring.report.observations import plain
from monitoring.report.style import Theme, foot, remark, sheet

SIDE = 128  # pixels of a small picture's longest side
FOR, AGAINST = (213, 94, 0), (0, 114, 178)  # Okabe and Ito's vermilion and blue
_GREYED, _STRENGTH = 0.45, 0.75


def overlay(picture: Image.Image, found: Occlusion) -> Image.Image:
    """The greyed picture with what spoke for the answer in vermilion, against it in blue."""
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    base = np.asarray(picture.resize(size, Image.Resampling.NEAREST), np.float64)
    grey = base.mean(axis=2, keepdims=True) * (1 - _GREYED) + 255 * _GREYED
    most = max(float(np.abs(found.importance).max()), 1e-9)
    smooth = Image.fromarray((found.importance / most).astype(np.float32))
    weight = np.asarray(smooth.resize(size, Image.Resampling.BILINEAR), np.float64)[..., None]
    colour = np.where(weight > 0, FOR, AGAINST)
    strength = np.abs(weight) * _STRENGTH
    return Image.fromarray(np.rint(grey * (1 - strength) + colour * strength).astype(np.uint8))


def in_words(found: Occlusion, classes: tuple[str, str]) -> str:
    """What covering did, in a sentence."""
    name = plain(classes[found.said], 24)
    if found.least >= found.confidence:
        return f"No covered part makes the answer {name} less sure than {found.confidence:.3f}."
    return (
        f"Covering the most telling part lowers {name} from {found.confidence:.3f} to "
        f"{found.least:.3f}."
    )


def figure(
    picture: Image.Image, found: Occlusion, classes: tuple[str, str], what: str, theme: Theme
) -> Figure:
    """The picture, and beside it the map with its scale; `what` names model and image."""
    drawn = sheet(3.0)
    left, right = drawn.subplots(1, 2)
    left.imshow(np.asarray(picture), interpolation="nearest")
    left.set_title(f"{plain(classes[found.said], 24)} {found.confidence:.3f}", pad=24)
    remark(left, "the image", theme)
    most = max(float(np.abs(found.importance).max()), 1e-9)
    ends = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in (AGAINST, FOR)]
    shades = LinearSegmentedColormap.from_list("against, for", [ends[0], theme.paper, ends[1]])
    right.imshow(np.asarray(picture.convert("L")), cmap="gray", interpolation="nearest", alpha=0.5)
    heat = right.imshow(
        found.importance,
        cmap=shades,
        norm=TwoSlopeNorm(0, -most, most),
        interpolation="bilinear",
        alpha=0.7,
    )
    right.set_title("Where the network looked", pad=24)
    remark(right, f"covered: down to {found.least:.3f}", theme)
    for axes in (left, right):
        axes.set_axis_off()
    bar = drawn.colorbar(heat, ax=right, shrink=0.75, pad=0.03)
    bar.set_label("log-odds lost when covered", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    foot(drawn, plain(what, 96), theme)
    return drawn
