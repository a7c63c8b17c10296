"""What the README claims, a row a line of its table, in the order in which it stands there.

The table at the end of `make bench` is made of the same rows.
"""

from collections.abc import Callable, Iterable

from benchmarks import peers
from benchmarks.claim import Claim, Figures, Line, Number
from benchmarks.results import Results

RIVALS = ("torchserve", "litserve")


def lines(results: Results) -> list[Line]:
    """All claims with their figures; those of one benchmark stand together."""
    return [claim.line(results) for claim in CLAIMS]


def _of(name: str, scale: float = 1.0) -> Callable[[Figures], float]:
    return lambda figures: float(figures[name]) * scale


def _over_ours(peer: str) -> Callable[[Figures], float]:
    """How many times our wall time a peer took."""
    return lambda figures: figures[f"{peer}_seconds"]["wall"] / figures["ours_seconds"]["wall"]


def _most(figures: Figures, servers: Iterable[str]) -> float:
    """The most answers a second of these servers, each with the clients that suit it best."""
    rates = [
        float(rate)
        for server in servers
        for name, rate in figures[server].items()
        if name.startswith("rate_")
    ]
    if not rates:
        raise LookupError("none of these servers was measured")
    return max(rates)


def _endpoint(figures: Figures) -> float:
    return _most(figures, ["endpoint"])


def _model_server(figures: Figures) -> float:
    return _most(figures, ["model server"])


def _rival(figures: Figures) -> float:
    """The better of them, with batching of its own or without: `torchserve x8`, `torchserve`."""
    return _most(figures, [name for name in figures if peers.program(name) in RIVALS])


def _plain_rival(figures: Figures) -> float:
    return _most(figures, [name for name in figures if name in RIVALS])


def _records_per_second(way: str, asked: float) -> tuple[Number, ...]:
    return tuple(
        Number(_of(f"{way}_{writer}_records_per_second"), digits=-2, at_least=asked)
        for writer in ("pipeline", "pillow", "imsave")
    )


def _accuracy(seed: int) -> Number:
    return Number(lambda figures: figures["accuracies"][seed], digits=3)


CLAIMS = (
    Claim(
        "prepare",
        "Prepare, a whole process, against the notebook's way (pandas rows, one `imsave` an image)",
        "{} faster",
        (Number(_of("notebook_over_ours"), "times", 1, at_least=4),),
        ("notebook",),
    ),
    Claim(
        "prepare",
        "Prepare against the floor (gunzip, unpickle, encode and write the same PNGs, "
        "nothing else)",
        "{} of its time",
        (Number(_of("ours_over_floor"), digits=2, at_most=1.3),),
    ),
    Claim(
        "prepare",
        "Prepare on an archive of the official size and shape",
        "{}, peak {}",
        (
            Number(_of("full_seconds"), "s", 1),
            Number(_of("full_peak_bytes", 1e-6), "MB", at_most=1_000),
        ),
    ),
    Claim(
        "engine",
        "the embedded AWS's own share of a pipeline run",
        "{}, {}",
        (
            Number(_of("engine_share", 100), "%", 1, at_most=10),
            Number(_of("engine_seconds"), "s", 1, at_most=8),
        ),
    ),
    Claim(
        "engine",
        "the embedded AWS's peak memory over a whole first demo, and over a second one",
        "{}, {}",
        (
            Number(_of("localaws_peak_mb"), "MB", at_most=400),
            Number(_of("localaws_peak_mb_second"), "MB", at_most=400),
        ),
    ),
    Claim(
        "accuracy",
        "test accuracy on the CIFAR-100 cut (200 images; one standard error is 1.8 points), "
        "mean of the five seeds 0 to 4",
        "{} ({}, {}, {}, {}, {})",
        (Number(_of("mean"), digits=3, at_least=0.935), *map(_accuracy, range(5))),
    ),
    Claim(
        "accuracy",
        "training of one of them, a whole process, median",
        "{} ({} to {})",
        (
            Number(_of("training_seconds_median"), "s", at_most=60),
            Number(lambda figures: min(figures["training_seconds"])),
            Number(lambda figures: max(figures["training_seconds"]), "s"),
        ),
    ),
    Claim(
        "start",
        "the model server, from the start of its process until `/ping` answers 200, median",
        "{}",
        (Number(_of("start_seconds"), "s", 1, at_most=2),),
    ),
    Claim(
        "serving",
        "the endpoint's median, one image a request, against the model's own time in process",
        "{}",
        (Number(_of("endpoint_over_in_process"), "times", 1, at_most=2),),
    ),
    Claim(
        "serving",
        "requests a second against the better one of TorchServe and LitServe, same model, "
        "each with its own batching if that is faster",
        "{} ({} and {})",
        (
            Number(lambda f: _endpoint(f) / _rival(f), "times", 2, at_least=1.5),
            Number(_endpoint),
            Number(_rival),
        ),
        RIVALS,
    ),
    Claim(
        "serving",
        "the same against the better one without batching",
        "{} ({} and {})",
        (
            Number(lambda f: _endpoint(f) / _plain_rival(f), "times", 2),
            Number(_endpoint),
            Number(_plain_rival),
        ),
        RIVALS,
    ),
    Claim(
        "serving",
        "the model server alone, without the endpoint in front of it, against the better one, "
        "each with its own batching if that is faster",
        "{} ({} and {})",
        (
            Number(lambda f: _model_server(f) / _rival(f), "times", 2, at_least=1.5),
            Number(_model_server),
            Number(_rival),
        ),
        RIVALS,
    ),
    Claim(
        "workflow",
        "the inference workflow's own time around its functions, median",
        "{}",
        (Number(_of("own_ms_median"), "ms", at_most=250),),
    ),
    Claim(
        "workflow",
        "1,000 executions, 8 at a time",
        "{} lost",
        (Number(_of("lost"), at_most=0),),
    ),
    Claim(
        "workflow",
        "approval until the endpoint serves",
        "{}",
        (Number(_of("approval_to_in_service_seconds"), "s", 1, at_most=15),),
    ),
    Claim(
        "monitoring",
        "statistics and drift of 1,000,000 records of 15 features, against "
        f"Evidently {peers.pinned('evidently')}",
        "{} faster",
        (Number(_over_ours("evidently"), "times", at_least=10),),
        ("evidently",),
    ),
    Claim(
        "monitoring",
        f"the same against whylogs {peers.pinned('whylogs')}",
        "{} faster",
        (Number(_over_ours("whylogs"), "times", at_least=10),),
        ("whylogs",),
    ),
    Claim(
        "monitoring",
        "the analyzer's peak memory, 100,000 and 10,000,000 records",
        "{}, {} ({} more)",
        (
            Number(_of("peak_mb_100000"), "MB"),
            Number(_of("peak_mb_10000000"), "MB"),
            Number(_of("peak_growth", 100), "%", at_most=10),
        ),
    ),
    Claim(
        "features",
        "features of captured 32×32 PNGs with Pillow, a second and core "
        "(PNGs of Pillow; of `imsave`, RGBA)",
        "{} ({}; {})",
        _records_per_second("fast", 5_000),
    ),
    Claim(
        "features",
        "the same in the standard library alone",
        "{} ({}; {})",
        _records_per_second("plain", 1_000),
    ),
)
