"""How fast the endpoint answers, and its model server alone, beside TorchServe and LitServe.

All have the same model archive. The peers are model servers: what the endpoint does besides
(signatures, permissions, metrics, data capture) they do not do.

All are asked in turn, round after round, with the same PNGs by the same client, so that a busy
machine is busy for all of them; one image a request. Peers that are not asked are halted. Each peer
serves twice, with and without its own batching (`servers` says why), and the fastest counts. In
each round the archive's own time in a process with nothing else is measured as well (decoding,
network, encoding; with the number of threads that is best for it). Figures are medians of rounds.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import servers
from benchmarks.deployed import Deployed, deployed, sample_images
from benchmarks.load import Target, latencies, percentile, rate

CLIENTS = (2, 4, 8)
OURS = ("endpoint", "model server")
IMAGES = 50
_WARM_UP = 0.5  # seconds, not counted: a server that was halted finds its memory again
Figures = dict[str, float]


def measure(place: Deployed, rounds: int = 3, seconds: float = 3.0) -> dict[str, Any]:
    """Prints a table and returns its figures."""
    images = _images(place)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        folder = Path(temporary)
        with contextlib.ExitStack() as stack:
            others = [
                stack.enter_context(serve(place.archive, folder / f"{name}{batch}", images, batch))
                for name, serve in (("ts", servers.torchserve), ("ls", servers.litserve))
                for batch in (1, servers.BATCH)
            ]
            ours = stack.enter_context(servers.model_server(place.archive, folder / "ms", images))
            peers = [target for target in others if target is not None]
            found = [servers.endpoint(place, images), ours, *peers]
            model = servers.unpacked(place.archive, folder)
            (folder / "image.png").write_bytes(images[0])
            for target in found:
                rate(target, max(CLIENTS), seconds / 2)  # everybody is warm
            alone: list[float] = []
            results: dict[str, list[Figures]] = {target.name: [] for target in found}
            for _ in range(rounds):
                with servers.alone(found[0], found):
                    alone.append(_in_process(model, folder / "image.png", seconds / 2))
                for target in found:
                    with servers.alone(target, found):
                        results[target.name].append(_one_round(target, seconds))
    return _report(alone, {name: _medians(of) for name, of in results.items()})


def _images(place: Deployed) -> list[bytes]:
    s3 = place.client("s3")
    return [
        s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        for bucket, key in sample_images(place, IMAGES)
    ]


def _in_process(model: Path, image: Path, seconds: float) -> float:
    program = str(Path(__file__).with_name("in_process.py"))
    command = [sys.executable, program, str(model), str(image), str(seconds)]
    # As deployed: `steps` must be the archive's own.
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": ""}, check=True, stdout=subprocess.PIPE
    )
    return float(min(json.loads(done.stdout).values()))


def _one_round(target: Target, seconds: float) -> Figures:
    rate(target, max(CLIENTS), _WARM_UP)
    found = [1000 * second for second in latencies(target, seconds)]
    figures = {f"p{percent}_ms": percentile(found, percent) for percent in (50, 95, 99)}
    return figures | {f"rate_{count}": rate(target, count, seconds) for count in CLIENTS}


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


def _report(alone: Sequence[float], results: dict[str, Figures]) -> dict[str, Any]:
    own = statistics.median(alone)
    columns = list(results["endpoint"])
    print("\none image a request: milliseconds with one client, requests a second with several")
    print(f"{'server':<15}" + "".join(f"{name:>10}" for name in columns))
    for name, values in results.items():
        print(f"{name:<15}" + "".join(f"{values[column]:>10.1f}" for column in columns))
    print(f"{'in process':<15}{own:>10.1f}")
    figures: dict[str, Any] = {"in_process_ms": own, **results}
    figures["endpoint_over_in_process"] = results["endpoint"]["p50_ms"] / own
    print(f"endpoint over in process, medians: {figures['endpoint_over_in_process']:.2f}")
    best = {name: max(f[f"rate_{n}"] for n in CLIENTS) for name, f in results.items()}
    rivals = {name: value for name, value in best.items() if name not in OURS}
    if rivals:
        better = max(rivals, key=rivals.__getitem__)
        print(f"requests a second over the better peer's ({better}), each at its best:")
        for name in OURS:
            ratio = figures[f"{name.replace(' ', '_')}_over_better_peer"] = (
                best[name] / rivals[better]
            )
            print(f"  {name:<13}{ratio:.2f}")
    return figures


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Prints the figures and returns them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    args = parser.parse_args(argv)
    with deployed() as place:
        return measure(place, args.rounds, args.seconds)


if __name__ == "__main__":
    main()
