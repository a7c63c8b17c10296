"""Merge: captured answers and the labels that people gave, as one table; a program of a job.

    /opt/ml/processing/input/endpoint/…   capture files, as their keys lay in S3
    /opt/ml/processing/input/labels/…     ground truth files
    /opt/ml/processing/output/merged/labelled.csv    label,prediction,probability: one row a
                                                     labelled inference; probability is class 1's
    /opt/ml/processing/output/counts/counts.json     labelled, unlabelled, unknown, contradicted, …

Model Monitor's own merge image is closed to new accounts, its analyzer is not; and a table is what
the analyzer takes for the quality of a model. A window without labels is no failure: the table is
then empty and `counts.json` says why.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-merge.html
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from monitoring import capture, ground_truth
from monitoring.capture import CaptureError
from monitoring.record import Record
from monitoring.record_preprocessor import probabilities_of
from monitoring.window import Window

HEADER = ("label", "prediction", "probability")


def table(records: Sequence[Record]) -> list[tuple[str, int, float]]:
    """A row for each record that has a label and an answer of two probabilities."""
    rows: list[tuple[str, int, float]] = []
    for record in records:
        probabilities = probabilities_of(record.endpoint_output)
        if probabilities and record.ground_truth:
            rows.append((record.ground_truth.data, int(probabilities[1] > 0.5), probabilities[1]))
    return rows


def merge(captured: Path, labels: Path, window: Window | None, output: Path) -> dict[str, int]:
    """Writes both files and returns the counts. Raises CaptureError for a broken capture."""
    collected = ground_truth.read_labels(labels)
    merged = ground_truth.merge(capture.read(captured, window), collected)
    rows = table(list(merged))
    counts = {
        "labelled": len(rows),
        "unanswered": merged.labelled - len(rows),
        "unlabelled": merged.unlabelled,
        "unknown": merged.unknown,
        "contradicted": collected.contradicted,
        "broken_labels": collected.broken,
    }
    for folder in ("merged", "counts"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    with open(output / "merged/labelled.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows((label, said, f"{score:.6f}") for label, said, score in rows)
    (output / "counts/counts.json").write_text(json.dumps(counts, indent=2) + "\n", "utf-8")
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.merge", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    base = Path("/opt/ml/processing")
    parser.add_argument("--captured", type=Path, default=base / "input/endpoint")
    parser.add_argument("--labels", type=Path, default=base / "input/labels")
    parser.add_argument("--output", type=Path, default=base / "output")
    parser.add_argument("--start-time", help="of the window, ISO")
    parser.add_argument("--end-time", help="of the window, ISO; not included")
    args = parser.parse_args(argv)
    try:
        window = Window.parse(args.start_time, args.end_time) if args.start_time else None
        counts = merge(args.captured, args.labels, window, args.output)
    except (CaptureError, ValueError) as error:
        print(f"Merge failed: {error}", file=sys.stderr)
        message = Path("/opt/ml/output/message")
        if message.parent.is_dir():  # in a job; by hand stderr is enough
            message.write_text(str(error)[:1024], "utf-8")
        return 1
    print(", ".join(f"{name} {count}" for name, count in counts.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
