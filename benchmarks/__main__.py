"""`make bench`: every benchmark, one after the other, into `benchmarks/results.json`."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks import engine, features, monitoring, prepare, serving, workflow
from benchmarks.deployed import deployed

RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Measures, prints, and writes the figures together with where they were measured."""
    results = {
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "python": platform.python_version(),
            "torch": version("torch"),
            "sagemaker": version("sagemaker"),
        },
        "prepare": prepare.main([]),
        "engine": engine.main([]),
        "features": features.main([]),
        "monitoring": monitoring.main([]),
    }
    with deployed() as place:
        results["workflow"] = workflow.measure(place)
        results["serving"] = serving.measure(place)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {RESULTS}")


def _processor() -> str:
    """The processor's name as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
