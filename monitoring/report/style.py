"""The look of every figure: colours that colour-blind readers tell apart, on light and on dark.

The colours are Okabe and Ito's ("Color universal design", 2008), lighter ones of the same set on a
dark page. Colour never stands alone: each class has a marker and a line of its own too.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

DPI = 180
WIDTH = 5.2  # inches; text of 10 points can then be read on a phone held upright
MARKERS = ("o", "^")
LINES = ("-", (0, (5, 1.5)))


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a page: paper, ink, what stands back, the two classes, the traffic as a whole,
    what warns, and the map from few to many."""

    name: str
    paper: str
    ink: str
    quiet: str
    grid: str
    classes: tuple[str, str]
    traffic: str
    warning: str
    heat: tuple[str, str]


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1c2126",
    quiet="#5d6670",
    grid="#e4e7ea",
    classes=("#0072b2", "#d55e00"),
    traffic="#008a66",
    warning="#b3261e",
    heat=("#f1f6fa", "#0072b2"),
)
DARK = Theme(
    name="dark",
    paper="#171b20",
    ink="#e8eaed",
    quiet="#a3acb5",
    grid="#2f363d",
    classes=("#56b4e9", "#e69f00"),
    traffic="#2fcf9f",
    warning="#ff8a80",
    heat=("#1d252d", "#56b4e9"),
)
THEMES = (LIGHT, DARK)


@contextmanager
def drawn_in(theme: Theme) -> Iterator[None]:
    """matplotlib's own defaults with this theme, whatever the machine's matplotlibrc says."""
    settings = {
        "font.family": ["DejaVu Sans"],  # comes with matplotlib, so every machine has it
        "font.size": 10,
        "text.parse_math": False,  # a stranger's `$` is a dollar
        "axes.unicode_minus": True,
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.quiet,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "text.color": theme.ink,
        "xtick.color": theme.quiet,
        "ytick.color": theme.quiet,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.frameon": False,
        "legend.fontsize": 9,
    }
    with matplotlib.style.context(settings, after_reset=True):
        yield


def sheet(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, in inches; its parts make room for one another."""
    figure = Figure(figsize=(width, height), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    return figure


def foot(figure: Figure, text: str, theme: Theme) -> None:
    """What the figure is of, below it: a picture leaves the page that explained it."""
    figure.supxlabel(text, x=0.99, ha="right", fontsize=7.5, color=theme.quiet)


def quiet_grid(axes: Axes, axis: str = "y") -> None:
    axes.grid(True, axis=axis)  # type: ignore[arg-type]  # "x", "y" or "both"
    axes.tick_params(length=0)


def percent_axis(axis: Axis, most: int) -> None:
    """Shares as percentages, at `most` places and a few."""
    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axis.set_major_locator(MaxNLocator(most, steps=(1, 2, 5, 10)))


def remark(axes: Axes, text: str, theme: Theme, above: int = 8) -> None:
    """A line so many points above the axes; the title needs 16 more for its pad."""
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, above),
        textcoords="offset points",
        fontsize=9,
        color=theme.quiet,
    )


def png(figure: Figure) -> bytes:
    """The same figure gives the same bytes: neither time nor version is written into them."""
    target = io.BytesIO()
    # `savefig` would draw it twice, the first time for nothing but its layout.
    draw = FigureCanvasAgg(figure).print_png
    draw(target, metadata={"Software": None})  # type: ignore[no-untyped-call]  # it has no types
    return target.getvalue()
