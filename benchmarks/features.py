"""Features of captured records, a second and core. Run: `python -m benchmarks.features`.

A capture file as an endpoint writes it (32×32 PNG in BASE64, JSON out), of real images where they
are (SCONES_DATA), goes from its lines to rows by both ways, in one process each, turn about:

- fast: `monitoring.features`, with Pillow and numpy, reading and checks of `monitoring.capture`
  included;
- plain: `record_preprocessor.preprocess_handler` in the standard library, a line at a time, as
  Model Monitor's container calls it; Pillow and numpy cannot be imported there.

Each for PNGs as the pipeline writes them (`steps.png`, no filters), as Pillow writes them (filters
chosen by row), and with an opacity besides (RGBA), as matplotlib's `imsave` has Pillow do: such
were the original project's images. CPU seconds count, so a busy machine costs less.
"""

import argparse
import base64
import io
import json
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from benchmarks.prepare import ROOT, shared_archive
from scones.datasets import rendered
from steps import cifar, png

FAST = """
import sys, time
from pathlib import Path
from monitoring.capture import read
from monitoring.features import features
started = time.process_time()
count = sum(row["decode_ok"] == 1.0 for row in features(read(Path(sys.argv[1]))))
print(count / (time.process_time() - started))
"""
WRITERS = ("pipeline", "pillow", "imsave")
PLAIN = """
import json, sys, time
sys.modules["PIL"] = sys.modules["numpy"] = None  # as if they were not installed
from monitoring.record import Record
from monitoring.record_preprocessor import preprocess_handler
count, started = 0, time.process_time()
for line in open(sys.argv[1], encoding="utf-8"):
    count += preprocess_handler(Record(json.loads(line)), None)["decode_ok"] == 1.0
print(count / (time.process_time() - started))
"""


def main(argv: Sequence[str] | None = None) -> dict[str, object]:
    """Measures, prints a table and returns its figures: records a second and core."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, default=shared_archive(), help="the archive")
    parser.add_argument("--records", type=int, default=6_000)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        folder = Path(temporary)
        files = _captured(args.data, args.records, folder)
        rates: dict[str, list[float]] = {}
        for repeat in range(args.repeats):
            print(f"run {repeat + 1} of {args.repeats} …", flush=True)
            for written, path in files.items():
                for way, program in (("fast", FAST), ("plain", PLAIN)):
                    rates.setdefault(f"{way}_{written}", []).append(_rate(program, path))
    print(f"\n{args.records} captured 32×32 PNGs, records a second and core, {args.repeats} runs")
    print(f"{'way':<8}{'PNGs of':<12}{'median':>9}{'best':>9}")
    for name, found in rates.items():
        way, written = name.split("_")
        print(f"{way:<8}{written:<12}{statistics.median(found):>9.0f}{max(found):>9.0f}")
    return {f"{name}_records_per_second": statistics.median(found) for name, found in rates.items()}


def _rate(program: str, path: Path) -> float:
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _captured(archive: Path | None, count: int, folder: Path) -> dict[str, Path]:
    """The capture files, by who wrote their PNGs."""
    files = {written: folder / f"{written}.jsonl" for written in WRITERS}
    if archive is None:
        print("no archive of two classes here (set SCONES_DATA): drew images instead")
    for written, path in files.items():
        with open(path, "w", encoding="utf-8") as file:
            for image in _images(archive, count, written, folder):
                file.write(_line(image))
    return files


def _images(archive: Path | None, count: int, written: str, folder: Path) -> Iterator[bytes]:
    if archive is None:
        archive = folder / "rendered.tar.gz"
        if not archive.exists():
            rendered.render(archive)
    train = next(part for _, part in cifar.read(archive) if isinstance(part, cifar.Split))
    for place in range(count):
        pixels = train.pixels(place % len(train.labels))
        if written == "pipeline":
            yield png.encode(pixels)
        else:
            buffer = io.BytesIO()
            bands = [
                Image.frombytes("L", (32, 32), pixels[at : at + 1024]) for at in (0, 1024, 2048)
            ]
            image = Image.merge("RGB", bands)
            (image if written == "pillow" else image.convert("RGBA")).save(buffer, "PNG")
            yield buffer.getvalue()


def _line(image: bytes) -> str:
    data = {
        "endpointInput": {
            "observedContentType": "image/png",
            "mode": "INPUT",
            "data": base64.b64encode(image).decode(),
            "encoding": "BASE64",
        },
        "endpointOutput": {
            "observedContentType": "application/json",
            "mode": "OUTPUT",
            "data": "[0.9312345, 0.0687655]",
            "encoding": "JSON",
        },
    }
    event = {"eventId": str(uuid.uuid4()), "inferenceTime": "2026-10-20T09:00:00Z"}
    line = {"captureData": data, "eventMetadata": event, "eventVersion": "0"}
    return json.dumps(line, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    main()
