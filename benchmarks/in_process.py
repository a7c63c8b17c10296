"""A model archive's own time for one image, in a process with nothing else in it.

    python benchmarks/in_process.py MODEL_FOLDER IMAGE SECONDS

Prints JSON: the median milliseconds of decoding, forward pass and encoding together, by the number
of threads that torch may use.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch


def median(handlers: Any, model: Any, image: bytes, seconds: float) -> float:
    found = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        prediction = handlers.predict_fn(handlers.input_fn(image, "image/png"), model)
        handlers.output_fn(prediction, "application/json")
        found.append(time.perf_counter() - began)
    return 1000 * statistics.median(found)


def main(folder: str, image: str, seconds: str) -> None:
    sys.path.insert(0, f"{folder}/code")
    import inference  # type: ignore[import-not-found]  # the archive's

    medians = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        model = inference.model_fn(folder)
        medians[threads] = median(inference, model, Path(image).read_bytes(), float(seconds))
    print(json.dumps(medians))


if __name__ == "__main__":
    main(*sys.argv[1:4])
