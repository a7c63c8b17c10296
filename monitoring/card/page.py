"""The card for people: `card.html`, which needs no other file, and `card.json` beside it."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from monitoring.card import schema as texts
from monitoring.card.facts import Facts, Failure
from monitoring.report import labelled
from monitoring.report.observations import (
    Observation,
    ReportInput,
    Window,
    answers,
    percent,
    plain,
)
from monitoring.report.pictures import Picture, picture
from monitoring.report.reliability import Reliability, reliability, wilson
from monitoring.report.templates import data_uri, template
from monitoring.report.thumbnails import decode, png

PAGE, CONTENT = "card.html", "card.json"


def write(facts: Facts, folder: Path) -> Path:
    """Writes both files below `folder`, the page last, and returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        CONTENT: json.dumps(texts.content(facts), indent=2, ensure_ascii=False) + "\n",
        PAGE: compose(facts),
    }
    with tempfile.TemporaryDirectory(prefix=".card-", dir=folder) as temporary:
        for name, text in files.items():
            (Path(temporary) / name).write_text(text, encoding="utf-8")
            os.replace(Path(temporary) / name, folder / name)
    return folder / PAGE


def compose(facts: Facts) -> str:
    """The page."""
    given = _as_answers(facts)
    found = reliability(answers(given.observations, facts.classes))
    return template("card/template.html").render(
        name=plain(facts.name, 63),
        version=facts.version,
        status=plain(facts.status, 40),
        dataset=plain(facts.dataset),
        purpose=texts.PURPOSE,
        uses=texts.USES,
        factors=texts.FACTORS,
        risk=texts.RISK,
        ethics=texts.ETHICS,
        caveats=texts.caveats(facts),
        about=_about(facts),
        figures=_figures(facts),
        classes=_by_class(facts),
        hyperparameters=sorted(texts.hyperparameters(facts).items()),
        pictures=_pictures(given, found) if found else {},
        failures=[_failure(one) for one in facts.failures],
        images=len(facts.predictions),
    )


def _as_answers(facts: Facts) -> ReportInput:
    """The test images as answers of a window, so that the report's figures can be drawn of them."""
    seen = [
        Observation(
            one.path,
            facts.created,
            one.probabilities,
            facts.classes[one.said],
            one.confidence,
            label=facts.classes[one.label],
        )
        for one in facts.predictions
    ]
    threshold = float(facts.evaluation["threshold"]["value"])
    return ReportInput(
        seen,
        Window(facts.created, facts.created),
        threshold,
        facts.classes,
        facts.name,
        str(facts.version),
        facts.dataset,
    )


def _pictures(given: ReportInput, found: Reliability) -> dict[str, Picture]:
    return {
        "calibration": picture(
            "calibration.png",
            f"Share of right answers by confidence; the calibration error is {found.ece:.3f}.",
            lambda theme: labelled.calibration(given, found, theme, "test images"),
        ),
        "confusion": picture(
            "confusion.png",
            f"Confusion matrix of {found.labelled} test images, {found.right} answered rightly.",
            lambda theme: labelled.confusion(given, found, theme),
        ),
    }


def _about(facts: Facts) -> list[tuple[str, str]]:
    dataset = facts.evaluation.get("dataset") or {}
    counts = dataset.get("counts") or {}
    job = facts.training_job or {}
    return [
        ("Registered", f"{facts.created:%Y-%m-%d %H:%M} UTC, {plain(facts.arn, 200)}"),
        ("Data", f"{plain(facts.dataset)}, sha256 {plain(dataset.get('sha256', ''), 64)}"),
        ("Images", plain(_counted(counts), 200)),
        ("Commit", plain(facts.metadata.get("git_commit", "unknown"))),
        ("Training job", plain(job.get("TrainingJobName", "gone"))),
        ("Archive", plain(facts.model_data_url, 300)),
        ("Image", plain(facts.image, 200)),
    ]


def _counted(counts: dict[str, Any]) -> str:
    parts = [
        f"{split}: {', '.join(f'{n} {name}' for name, n in of.items())}"
        if isinstance(of, dict)
        else f"{split}: {of}"
        for split, of in counts.items()
    ]
    return "; ".join(parts) or "not said"


def _figures(facts: Facts) -> list[tuple[str, str, str, str]]:
    """Name, value, deviation and what it means."""
    return [
        (name, f"{value:.3f}", f"{spread:.3f}", meaning)
        for name, meaning, value, spread in texts.figures(facts)
    ]


def _by_class(facts: Facts) -> list[tuple[str, ...]]:
    """Class, images, recall with its interval, precision, mean confidence."""
    found: list[tuple[str, ...]] = []
    for number, name in enumerate(facts.classes):
        row = facts.evaluation["per_class"][name]
        right = int(facts.metrics["confusion_matrix"][str(number)][str(number)])
        low, high = wilson(right, row["images"]) if row["images"] else (0.0, 1.0)
        recall = f"{percent(row['recall'])} ({percent(low)} to {percent(high)})"
        found.append(
            (name, str(row["images"]), recall, percent(row["precision"]),
             f"{row['mean_confidence']:.3f}")
        )  # fmt: skip
    return found


def _failure(one: Failure) -> dict[str, str]:
    shown = decode(one.image)
    return {
        "uri": data_uri(png(shown)) if shown else "",
        "said": plain(one.said, 24),
        "shows": plain(one.shows, 24),
        "confidence": f"{one.confidence:.3f}",
        "path": plain(one.path, 80),
    }
