"""Draws every figure that the input has data for, in both themes, with a text that replaces it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from monitoring.report import figures, labelled, panels, style
from monitoring.report.difference import Difference
from monitoring.report.distributions import Feature
from monitoring.report.observations import Answers, Observation, ReportInput, counted, plain
from monitoring.report.reliability import Reliability
from monitoring.report.violations import Violation

MOST_FEATURES = 24


@dataclass(frozen=True, slots=True)
class Picture:
    """PNG files of one figure for a light and a dark page; `file` is its name without a folder."""

    file: str
    light: bytes
    dark: bytes
    width: int
    height: int
    alt: str


def picture(
    file: str,
    alt: str,
    draw: Callable[[style.Theme], Figure],
    themes: Sequence[style.Theme] = style.THEMES,
) -> Picture:
    """Draws it once for each theme, the light one at least."""
    drawn: dict[str, bytes] = {}
    width = height = 0
    for theme in themes:
        with style.drawn_in(theme):
            figure = draw(theme)
            drawn[theme.name] = style.png(figure)
            width, height = (round(side * 96) for side in figure.get_size_inches())
    return Picture(file, drawn["light"], drawn.get("dark", b""), width, height, alt)


def of_answers(
    given: ReportInput, seen: Answers, tested: Difference | None, found: Reliability | None
) -> dict[str, Picture]:
    """By name: timeline and difference; with labels also calibration and confusion matrix."""
    if not len(seen):
        return {}
    first, second = figures.names(given)
    below = int((seen.confidences < given.threshold).sum())
    drawn = [
        picture(
            "timeline.png",
            f"Confidence of {counted(len(seen), 'answer')} over time, {first} and {second} apart; "
            f"{below:,} lie below the threshold of {given.threshold:.2f}.",
            lambda theme: figures.timeline(given, seen, theme),
        ),
        picture(
            "difference.png",
            f"Distribution of the confidence of {len(seen.of(0)):,} answers {first} and "
            f"{len(seen.of(1)):,} answers {second}, with their means.",
            lambda theme: figures.difference(given, seen, tested, theme),
        ),
    ]
    if found is not None:
        (right_first, wrong_first), (wrong_second, right_second) = found.matrix
        drawn += [
            picture(
                "calibration.png",
                f"Share of right answers in {counted(len(found.bins), 'bin')} of confidence; the "
                f"calibration error is {found.ece:.3f}.",
                lambda theme: labelled.calibration(given, found, theme),
            ),
            picture(
                "confusion.png",
                f"Confusion matrix: of {right_first + wrong_first:,} {first}, {right_first:,} were "
                f"taken for {first}; of {wrong_second + right_second:,} {second}, "
                f"{right_second:,} for {second}. Data set: {plain(given.dataset_name)}.",
                lambda theme: labelled.confusion(given, found, theme),
            ),
        ]
    return {one.file.removesuffix(".png"): one for one in drawn}


def of_features(
    shown: Sequence[Feature], found: Sequence[Violation]
) -> tuple[list[Picture], list[str]]:
    """A panel for each feature, those with violations first, and in sentences what has none."""
    remarks: dict[str, str] = {}
    for violation in found:
        before = remarks.get(violation.name)
        remarks[violation.name] = f"{before}; {violation.short}" if before else violation.short
    same = [one for one in shown if one.constant is not None and one.name not in remarks]
    empty = [one for one in shown if one.baseline is None and one.traffic is None]
    rest = [one for one in shown if one not in same and one not in empty]
    rest.sort(key=lambda one: (one.name not in remarks, one.name))
    drawn = []
    for place, one in enumerate(rest[:MOST_FEATURES]):
        remark = plain(remarks.get(one.name, ""), 40)
        sides = [side for side in ("baseline", "traffic") if getattr(one, side) is not None]
        alt = f"Distribution of {plain(one.name, 60)}, {' against '.join(sides)}."
        name = f"feature_{place + 1:02}_{slug(one.name)}.png"
        drawn.append(picture(name, f"{alt} {remark}".strip(), _panel(one, remark)))
    listed = (
        ("The same value on both sides", [f"{one.name} = {one.constant:g}" for one in same]),
        ("Without values to draw", [one.name for one in empty]),
        ("Not drawn", [one.name for one in rest[MOST_FEATURES:]]),
    )
    return drawn, [
        f"{text}: {', '.join(plain(name, 60) for name in names)}."
        for text, names in listed
        if names
    ]


def _panel(one: Feature, remark: str) -> Callable[[style.Theme], Figure]:
    return lambda theme: panels.feature(one, remark, theme)


def slug(name: str) -> str:
    """What of a stranger's name may stand in a file name."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40] or "unnamed"


def contact_sheet(given: ReportInput, shown: Sequence[Observation]) -> Mapping[str, Picture]:
    """Of the least sure answers, if there are any; the page shows the images one by one instead, so
    there is no dark one."""
    if not shown:
        return {}
    alt = f"The images of the {counted(len(shown), 'answer')} of the lowest confidence."
    light = (style.LIGHT,)
    sheet = picture(
        "least_sure.png", alt, lambda theme: panels.contact_sheet(given, shown, theme), light
    )
    return {"least_sure": sheet}
