"""The small pictures: one a feature, baseline against traffic, and the sheet of the least sure.

Each function returns a drawn `Figure`; call it inside `style.drawn_in(theme)`.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from monitoring.report.distributions import Categorical, Feature, Numeric, common_edges
from monitoring.report.figures import of_what
from monitoring.report.observations import Observation, ReportInput, plain
from monitoring.report.style import WIDTH, Theme, foot, percent_axis, quiet_grid, sheet
from monitoring.report.thumbnails import decode, missing

MOST_VALUES = 6  # of a categorical feature; the rest is summed up
COLUMNS = 4


def feature(shown: Feature, remark: str, theme: Theme) -> Figure:
    """The shares of a feature's values on both sides; `remark` says what is wrong with it."""
    figure = sheet(2.35, WIDTH / 2)
    axes = figure.subplots()
    sides = (shown.baseline, shown.traffic)
    if any(isinstance(side, Categorical) for side in sides):
        _bars(axes, shown, theme)
    else:
        _steps(axes, shown, theme)
    # Two lines also where there is no remark, so that neighbouring panels stand level.
    axes.set_title(plain(shown.name, 34), fontsize=10, pad=30)
    axes.annotate(
        remark, (0, 1), xycoords="axes fraction", xytext=(0, 20), textcoords="offset points",
        fontsize=8, color=theme.warning, weight="bold",
    )  # fmt: skip
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, fontsize=8, borderaxespad=0.2,
        handlelength=1.4, columnspacing=1.2,
    )  # fmt: skip
    return figure


def _steps(axes: Axes, shown: Feature, theme: Theme) -> None:
    sides = [side for side in (shown.baseline, shown.traffic) if isinstance(side, Numeric)]
    edges = common_edges(sides)
    if isinstance(shown.baseline, Numeric):
        axes.stairs(shown.baseline.shares(edges), edges, fill=True, color=theme.quiet, alpha=0.4,
                    label="baseline")  # fmt: skip
    if isinstance(shown.traffic, Numeric):
        axes.stairs(
            shown.traffic.shares(edges), edges, color=theme.traffic, lw=1.7, label="traffic"
        )
    axes.margins(x=0.02)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    percent_axis(axes.yaxis, 3)
    axes.tick_params(labelsize=8)
    quiet_grid(axes)


def _bars(axes: Axes, shown: Feature, theme: Theme) -> None:
    before = shown.baseline.shares if isinstance(shown.baseline, Categorical) else {}
    now = shown.traffic.shares if isinstance(shown.traffic, Categorical) else {}
    share = {value: max(before.get(value, 0), now.get(value, 0)) for value in {*before, *now}}
    values = sorted(share, key=lambda value: (-share[value], value))
    rest, values = values[MOST_VALUES:], values[:MOST_VALUES]
    labels = [plain(value, 14) for value in values] + ([f"{len(rest)} more"] if rest else [])
    places = np.arange(len(labels))
    looks = (
        ("baseline", before, -0.2, {"color": theme.quiet, "alpha": 0.4}),
        ("traffic", now, 0.2, {"facecolor": "none", "edgecolor": theme.traffic, "lw": 1.7}),
    )
    for label, side, offset, look in looks:
        lengths = [side.get(value, 0.0) for value in values]
        lengths += [sum(side.get(value, 0.0) for value in rest)] if rest else []
        if side:
            axes.barh(places + offset, lengths, height=0.36, label=label, **look)  # type: ignore[arg-type]  # a dict of mixed values
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    percent_axis(axes.xaxis, 3)
    axes.tick_params(labelsize=8)
    quiet_grid(axes, "x")


def contact_sheet(given: ReportInput, shown: Sequence[Observation], theme: Theme) -> Figure:
    """The images of these answers in rows of four, each with what was said of it."""
    rows = -(-len(shown) // COLUMNS)
    figure = sheet(0.7 + 1.75 * rows)
    figure.suptitle(
        "The images that were least sure", x=0.02, ha="left", weight="bold", fontsize=11
    )
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, one in zip(grid.flat, shown, strict=False):
        _image(axes, one, theme)
    foot(figure, of_what(given), theme)
    return figure


def _image(axes: Axes, one: Observation, theme: Theme) -> None:
    """In a square of side 1 around the origin, whatever the image's shape."""
    picture = decode(one.image)
    if picture is None:
        axes.add_patch(Rectangle((-0.5, -0.5), 1, 1, fill=False, color=theme.grid, lw=1.5))
        axes.text(0, 0, missing(one), ha="center", va="center", fontsize=7, color=theme.quiet)
        axes.set_aspect("equal")
    else:
        wide, high = (side / max(picture.size) / 2 for side in picture.size)
        pixels = np.asarray(picture)
        axes.imshow(pixels, interpolation="nearest", extent=(-wide, wide, -high, high))
    axes.set_xlim(-0.5, 0.5)
    axes.set_ylim(-0.5, 0.5)
    said = f"{plain(one.predicted_class, 16)} {one.confidence:.3f}"
    axes.set_title(said, loc="center", fontsize=8, pad=4)
    below = plain(one.inference_id, 18) + (f"\nshows {plain(one.label, 16)}" if one.label else "")
    axes.text(0, -0.54, below, ha="center", va="top", fontsize=6.5, color=theme.quiet)
