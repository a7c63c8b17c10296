"""Puts the report together: `report.html`, which needs no other file, and `figures/*.png`."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitoring.report import looked, pictures, summary
from monitoring.report.difference import between_classes
from monitoring.report.distributions import features
from monitoring.report.figures import names
from monitoring.report.observations import Answers, Observation, ReportInput, answers, plain
from monitoring.report.pictures import Picture
from monitoring.report.reliability import reliability
from monitoring.report.templates import data_uri, template
from monitoring.report.thumbnails import decode, least_sure, missing, png
from monitoring.report.violations import in_words

NAME = "report.html"
FIGURES = "figures"
OURS = ("timeline", "difference", "calibration", "confusion", "least_sure", "feature_[0-9]*")


def write(given: ReportInput, folder: Path) -> Path:
    """Writes `report.html` and `figures/*.png` below `folder` and returns the page's path.

    Figures of an earlier report that this one does not have are removed. The files are made aside
    and moved into place at the end, the page last.
    """
    html, drawn = compose(given)
    target = folder / FIGURES
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as temporary:
        stage = Path(temporary)
        (stage / NAME).write_text(html, encoding="utf-8")
        for one in drawn:
            (stage / one.file).write_bytes(one.light)
        new = {one.file for one in drawn}
        for pattern in OURS:
            for old in target.glob(f"{pattern}.png"):
                if old.name not in new:
                    old.unlink()
        for name in sorted(new):
            os.replace(stage / name, target / name)
        os.replace(stage / NAME, folder / NAME)
    return folder / NAME


def compose(given: ReportInput) -> tuple[str, list[Picture]]:
    """The page and its pictures, the sheet of the least sure among them, which the page shows image
    by image instead."""
    seen = answers(given.observations, given.classes)
    tested, found = between_classes(seen), reliability(seen)
    compared = features(given.baseline_statistics, given.traffic_statistics, given.observations)
    wrong = in_words(given.violations, {one.name: one for one in compared})
    unsure = least_sure(given.observations, given.classes)
    drawn = pictures.of_answers(given, seen, tested, found)
    panels, remarks = pictures.of_features(compared, wrong)
    sheet = pictures.contact_sheet(given, unsure)
    html = template("report/template.html").render(
        endpoint=plain(given.endpoint_name, 63),
        window=summary.window(given),
        state=summary.state(given, wrong),
        headline=summary.headline(given, seen, wrong),
        left_out=seen.left_out,
        facts=facts(given, seen),
        checks=summary.checks(given, wrong),
        violations=wrong,
        answered=len(seen) > 0,
        pictures=drawn,
        about_classes=summary.about_classes(given, seen, tested),
        about_labels=summary.about_labels(given, seen, found),
        panels=panels,
        remarks=remarks,
        least_sure=[_thumbnail(one, given) for one in unsure],
        looked=bool(given.occlusions),
        dataset=plain(given.dataset_name),
    )
    return html, [*drawn.values(), *panels, *sheet.values()]


def facts(given: ReportInput, seen: Answers) -> list[tuple[str, str]]:
    """What was looked at, as names and values."""
    said = [
        f"{int((seen.said == number).sum()):,} {name}" for number, name in enumerate(names(given))
    ]
    labelled = int(seen.labelled.sum())
    return [
        ("Window", summary.window(given)),
        ("Endpoint", plain(given.endpoint_name)),
        ("Model version", plain(given.model_version)),
        ("Data set", plain(given.dataset_name)),
        ("Answers", f"{len(seen):,}: {', '.join(said)}" if len(seen) else "none"),
        ("Labelled", f"{labelled:,}"),
        ("Captured in", plain(given.window.source, 300) or "not said"),
    ]


def _thumbnail(one: Observation, given: ReportInput) -> Mapping[str, Any]:
    picture = decode(one.image)
    found = given.occlusions.get(one.inference_id) if picture else None
    said = plain(one.predicted_class, 24)
    label = plain(one.label, 24) if one.label is not None else ""
    return {
        "uri": data_uri(png(picture)) if picture else "",
        "map": data_uri(png(looked.overlay(picture, found))) if picture and found else "",
        "missing": missing(one),
        "alt": f"The image that was answered {said} with confidence {one.confidence:.3f}",
        "said": said,
        "confidence": f"{one.confidence:.3f}",
        "label": label,
        "wrong": one.label in given.classes and one.label != one.predicted_class,
        "id": plain(one.inference_id, 80),
    }
