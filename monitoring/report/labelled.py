"""The figures that need labels: is the confidence to be believed, and what is taken for what.

Each function returns a drawn `Figure`; call it inside `style.drawn_in(theme)`.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from monitoring.report.figures import names, of_what
from monitoring.report.observations import ReportInput, percent, plain
from monitoring.report.reliability import Reliability, wilson
from monitoring.report.style import Theme, foot, percent_axis, quiet_grid, remark, sheet


def calibration(
    given: ReportInput, found: Reliability, theme: Theme, seen: str = "this window"
) -> Figure:
    """The reliability plot: were the answers right as often as they were sure? `seen` names them
    in the legend."""
    figure = sheet(4.4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0.5, 1], [0.5, 1], color=theme.quiet, lw=1, ls=(0, (4, 2)), label="as sure as right")
    bins, dataset = at_evaluation(given)
    if bins:
        xs, ys = [row["confidence"] for row in bins], [row["accuracy"] for row in bins]
        label = "at evaluation" if dataset == given.dataset_name else f"on {plain(dataset, 30)}"
        top.plot(xs, ys, "s", ms=6, mfc="none", mec=theme.quiet, label=label)
    _shares_right(top, found, theme, seen)
    top.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        borderaxespad=0.2,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    top.set_title("Can the confidence be believed?", pad=58)
    error = f"calibration error (ECE) {found.ece:.3f}, of {found.labelled:,} labelled answers"
    remark(top, error, theme, above=42)
    _counts(bottom, found, theme)
    foot(figure, of_what(given), theme)
    return figure


def _shares_right(axes: Axes, found: Reliability, theme: Theme, seen: str) -> None:
    confidence, accuracy, counts = (
        np.array([row[key] for row in found.bins]) for key in ("confidence", "accuracy", "images")
    )
    right = np.rint(accuracy * counts).astype(int).tolist()
    bounds = np.array([wilson(*pair) for pair in zip(right, counts.tolist(), strict=True)]).T
    axes.errorbar(
        confidence,
        accuracy,
        yerr=np.abs(bounds - accuracy),
        fmt="o",
        ms=6.5,
        lw=1.4,
        capsize=3,
        color=theme.traffic,
        label=f"{seen}, 95 % interval",
    )
    axes.set_ylim(max(-0.04, min(0.46, float(bounds.min()) - 0.04)), 1.04)
    axes.set_ylabel("right")
    percent_axis(axes.yaxis, 6)
    quiet_grid(axes)


def _counts(axes: Axes, found: Reliability, theme: Theme) -> None:
    middles = [(row["from"] + row["to"]) / 2 for row in found.bins]
    counts = [row["images"] for row in found.bins]
    bars = axes.bar(middles, counts, width=0.042, color=theme.traffic, alpha=0.55)
    axes.bar_label(bars, [f"{count:,}" for count in counts], fontsize=7.5, padding=1)
    axes.margins(y=0.28)
    axes.set_ylabel("answers")
    axes.set_xlabel("confidence")
    axes.set_xlim(0.49, 1.01)
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    quiet_grid(axes)


def at_evaluation(given: ReportInput) -> tuple[list[dict[str, Any]], str]:
    """The bins of evaluation.json and its data set's name; without a name no accuracy is shown."""
    measured = given.evaluation or {}
    dataset = (measured.get("dataset") or {}).get("name") or ""
    bins = (measured.get("calibration") or {}).get("bins") or []
    return (bins, dataset) if dataset else ([], "")


def confusion(given: ReportInput, found: Reliability, theme: Theme) -> Figure:
    """What the images show against what the model said; the shade is the share of the row."""
    figure = sheet(3.7, 4.2)
    axes = figure.subplots()
    counts = np.array(found.matrix, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shade = LinearSegmentedColormap.from_list("few to many", theme.heat)
    axes.imshow(shares, cmap=shade, vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        colour = theme.ink if share < 0.5 else theme.paper
        axes.text(column, row - 0.06, f"{counts[row, column]:,.0f}", ha="center", va="center",
                  color=colour, fontsize=17)  # fmt: skip
        axes.text(column, row + 0.2, f"{percent(share)} of the row", ha="center", va="center",
                  color=colour, fontsize=8.5)  # fmt: skip
    axes.set_xticks((0, 1), names(given))
    axes.set_yticks((0, 1), names(given), rotation=90, va="center")
    axes.set_xlabel("the model said")
    axes.set_ylabel("the image shows")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{percent(found.accuracy)} right", pad=24)
    low, high = found.interval
    bounds = f"95 % interval {percent(low)} to {percent(high)}, {found.labelled:,} labels"
    remark(axes, bounds, theme)
    foot(figure, of_what(given), theme)
    return figure
