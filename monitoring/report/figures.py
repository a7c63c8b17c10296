"""The figures of the answers: over time and by class.

Each function returns a drawn `Figure`; call it inside `style.drawn_in(theme)`.
"""

from dataclasses import dataclass
from datetime import UTC
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from monitoring.report.difference import Difference, mean
from monitoring.report.observations import (
    Answers,
    Floats,
    ReportInput,
    counted,
    plain,
    seconds,
)
from monitoring.report.style import (
    LINES,
    MARKERS,
    Theme,
    foot,
    percent_axis,
    quiet_grid,
    remark,
    sheet,
)

DAY = 86_400
MOST_POINTS = 2_000  # more would hide one another; then stretches of time are summed up
STRETCHES = 48


@dataclass(frozen=True, slots=True)
class Stretches:
    """The confidence of one class in stretches of time: their middles, median and the values that
    5 % and 95 % of the answers stay below (each K)."""

    middles: Floats
    median: Floats
    low: Floats
    high: Floats


def of_what(given: ReportInput) -> str:
    """The line below each figure."""
    parts = [given.dataset_name, given.endpoint_name]
    parts += [f"version {given.model_version}"] if given.model_version else []
    return " · ".join(plain(part, 48) for part in parts if part)


def names(given: ReportInput) -> tuple[str, str]:
    return plain(given.classes[0], 24), plain(given.classes[1], 24)


def timeline(given: ReportInput, seen: Answers, theme: Theme) -> Figure:
    """The confidence of each answer over the window, with the threshold."""
    figure = sheet(3.5)
    axes = figure.subplots()
    for number, name in enumerate(names(given)):
        values = seen.of(number)
        below = int((values < given.threshold).sum())
        label = f"{name}: {counted(len(values), 'answer')}, {below:,} below the threshold"
        draw = _summed if len(seen) > MOST_POINTS else _points
        draw(axes, seen, number, label, theme)
    _threshold(axes, given.threshold, theme)
    start, end = _span(given, seen)
    axes.set_xlim(start / DAY, end / DAY)
    lowest = float(seen.confidences.min()) if len(seen) else 0.5
    axes.set_ylim(min(0.5, lowest, given.threshold) - 0.02, 1.02)
    _clock(axes)
    axes.set_xlabel("time (UTC)")
    axes.set_ylabel("median and middle 90 %" if len(seen) > MOST_POINTS else "confidence")
    axes.set_title("Confidence of the answers over time", pad=38)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.2, handletextpad=0.4)
    quiet_grid(axes)
    foot(figure, of_what(given), theme)
    return figure


def _points(axes: Axes, seen: Answers, number: int, label: str, theme: Theme) -> None:
    axes.scatter(
        seen.times[seen.said == number] / DAY,
        seen.of(number),
        s=30 if len(seen) <= 200 else 14,
        color=theme.classes[number],
        marker=MARKERS[number],
        edgecolor=theme.paper,
        lw=0.4,
        alpha=0.85,
        label=label,
    )


def _summed(axes: Axes, seen: Answers, number: int, label: str, theme: Theme) -> None:
    parts = stretches(seen.times[seen.said == number], seen.of(number))
    days, colour, line = parts.middles / DAY, theme.classes[number], LINES[number]
    axes.fill_between(days, parts.low, parts.high, color=colour, alpha=0.13, lw=0)
    axes.plot(days, parts.low, color=colour, ls=line, lw=0.9, alpha=0.8)
    axes.plot(
        days, parts.median, color=colour, ls=line, lw=1.2, marker=MARKERS[number], ms=4, label=label
    )


def _clock(axes: Axes) -> None:
    locator: Any = AutoDateLocator  # Any: matplotlib has not annotated these two
    formatter: Any = ConciseDateFormatter
    ticks = locator(tz=UTC, minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(formatter(ticks, tz=UTC))


def stretches(times: Floats, values: Floats, count: int = STRETCHES) -> Stretches:
    """At most `count` equal stretches between the first and the last time; empty ones are left
    out."""
    if not len(times):
        return Stretches(*(np.empty(0) for _ in range(4)))
    edges = np.linspace(times.min(), times.max(), count + 1)
    place = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, count - 1)
    order = np.argsort(place, kind="stable")
    filled, first = np.unique(place[order], return_index=True)
    low, median, high = np.array(
        [np.quantile(part, (0.05, 0.5, 0.95)) for part in np.split(values[order], first[1:])]
    ).T
    return Stretches((edges[filled] + edges[filled + 1]) / 2, median, low, high)


def _span(given: ReportInput, seen: Answers) -> tuple[float, float]:
    """The window, and whatever lies outside of it, with a margin for the markers."""
    start, end = seconds(given.window.start), seconds(given.window.end)
    if len(seen):
        start, end = min(start, float(seen.times[0])), max(end, float(seen.times[-1]))
    margin = max(end - start, 1) * 0.015
    return start - margin, end + margin


def _threshold(axes: Axes, threshold: float, theme: Theme) -> None:
    axes.axhline(threshold, color=theme.warning, lw=1.4, ls=(0, (4, 2)), zorder=3)
    axes.axhspan(0, threshold, color=theme.warning, alpha=0.05, lw=0, zorder=0)
    axes.annotate(
        f"threshold {threshold:.2f}",
        (0.995, threshold),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8.5,
        color=theme.warning,
    )


def difference(
    given: ReportInput, seen: Answers, tested: Difference | None, theme: Theme
) -> Figure:
    """How the confidence of each class is distributed, with the means and their intervals."""
    figure = sheet(3.9)
    rows = figure.subplots(2, 1, sharex=True, sharey=True)
    lowest = min(0.5, float(seen.confidences.min())) if len(seen) else 0.5
    edges = np.linspace(lowest, 1, 26)
    expected = (given.evaluation or {}).get("per_class") or {}
    for number, (axes, name) in enumerate(zip(rows, names(given), strict=True)):
        before = (expected.get(given.classes[number]) or {}).get("mean_confidence")
        _one_class(axes, seen.of(number), name, number, edges, before, theme)
        axes.axvline(given.threshold, color=theme.warning, lw=1.2, ls=(0, (4, 2)))
        percent_axis(axes.yaxis, 3)
        quiet_grid(axes)
    rows[1].set_xlim(lowest - 0.01, 1.01)
    rows[1].set_xlabel(f"confidence (dashed: threshold {given.threshold:.2f})")
    figure.supylabel("share of the class's answers", fontsize=10)
    rows[0].set_title("How sure each class is answered", pad=24)
    says = (
        f"Mann-Whitney test: {p_value(tested.p)}" if tested else "one class only: nothing to test"
    )
    remark(rows[0], says, theme)
    foot(figure, of_what(given), theme)
    return figure


def _one_class(
    axes: Axes,
    values: Floats,
    name: str,
    number: int,
    edges: Floats,
    expected: float | None,
    theme: Theme,
) -> None:
    colour, middle = theme.classes[number], mean(values)
    label = f"{name}: no answer"
    if middle is not None:
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values, edges.tolist(), weights=weights, color=colour, alpha=0.55, rwidth=0.92)
        axes.axvline(middle.value, color=colour, lw=2)
        if middle.interval:
            axes.axvspan(*middle.interval, color=colour, alpha=0.25, lw=0)
        label = f"{name}: {counted(middle.count, 'answer')}\nmean "
        label += interval(middle.value, middle.interval)
    if expected:
        axes.plot(
            [expected], [1.0], "v", ms=8, mfc=theme.paper, mec=theme.ink, mew=1.2,
            transform=axes.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
        label += f"\n▽ at evaluation {expected:.3f}"
    axes.annotate(
        label, (0.015, 0.94), xycoords="axes fraction", va="top", fontsize=9, color=theme.ink,
        bbox={"facecolor": theme.paper, "alpha": 0.8, "edgecolor": "none", "pad": 2},
    )  # fmt: skip


def interval(value: float, bounds: tuple[float, float] | None) -> str:
    """`0.931 (0.902 to 0.960)`."""
    text = f"{value:.3f}" + (f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else "")
    return text.replace("-", "−")


def p_value(p: float) -> str:
    """`p = 0.030`; never `p = 0`."""
    if p < 0.0001:
        return "p < 0.0001"
    return f"p = {p:.3f}" if p >= 0.001 else f"p = {p:.4f}"
