"""The README's figures: from `results.json` by the rows of `benchmarks.claims`, never by hand."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import claims, peers, readme, results, table
from benchmarks.claim import NOT_MEASURED, Claim, Line, Number

RATES = {
    "endpoint": 484.2,
    "model server": 930.0,
    "torchserve": 468.0,
    "torchserve x8": 593.7,
    "litserve": 390.3,
}
FIGURES: dict[str, dict[str, Any]] = {
    "prepare": {
        "notebook_over_ours": 4.979,
        "ours_over_floor": 0.8185,
        "full_seconds": 2.59,
        "full_peak_bytes": 331_767_808,
    },
    "engine": {
        "engine_share": 0.0186,
        "engine_seconds": 1.473,
        "localaws_peak_mb": 381,
        "localaws_peak_mb_second": 398,
    },
    "accuracy": {
        "mean": 0.94,
        "accuracies": [0.93, 0.92, 0.95, 0.96, 0.94],
        "training_seconds": [51.2, 55.0, 58.8, 60.3, 70.1],
        "training_seconds_median": 58.8,
    },
    "start": {"start_seconds": 1.52},
    "serving": {
        "endpoint_over_in_process": 1.9,
        **{name: {"p50_ms": 3.0, "rate_2": 99.0, "rate_8": rate} for name, rate in RATES.items()},
    },
    "workflow": {"own_ms_median": 117.4, "lost": 0, "approval_to_in_service_seconds": 5.94},
    "monitoring": {
        **{f"{name}_seconds": {"wall": wall} for name, wall in (("ours", 0.5), ("evidently", 17))},
        "whylogs_seconds": {"wall": 8.2},
        "peak_mb_100000": 159.1,
        "peak_mb_10000000": 164.2,
        "peak_growth": 0.032,
    },
    "features": {
        f"{way}_{writer}_records_per_second": rate
        for way, rate in (("fast", 5_180.0), ("plain", 1_300.0))
        for writer in ("pipeline", "pillow", "imsave")
    },
}


def made_up(**changed: dict[str, Any]) -> results.Results:
    """Results of all benchmarks, with some figures changed."""
    machine = {"processor": "Abacus", "cores": 2, "python": "3.11.7", "torch": "2.13.0"}
    return {
        name: {
            "measured": "2026-11-23",
            "seconds": 60.0,
            "machine": machine,
            "left_out": {},
            "figures": figures | changed.get(name, {}),
        }
        for name, figures in FIGURES.items()
    }


def line(what: str, found: results.Results) -> Line:
    (one,) = (line for line in claims.lines(found) if what in line.what)
    return one


def test_the_readme_says_what_results_json_holds() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert text == readme.updated(text, results.read()), "run `python -m benchmarks.readme`"


def test_results_json_has_every_figure_of_each_benchmark_in_it() -> None:
    found = results.read()
    lacking = [
        line.what
        for line in claims.lines(found)
        if line.benchmark in found and line.figure.startswith(NOT_MEASURED)
        if not found[line.benchmark]["left_out"]
    ]
    assert not lacking


def test_every_claim_has_its_figure_where_all_was_measured() -> None:
    text = readme.section(made_up())
    assert NOT_MEASURED not in text
    assert "**not met**" in line_of(text, "requests a second against the better one")
    assert "| 0.82 times (484 and 594) | at least 1.5 times, **not met** |" in text
    assert "| 5.0 times faster | at least 4 times |" in text
    assert "| 1.9 %, 1.5 s | at most 10 %, at most 8 s |" in text
    assert "| 0.940 (0.930, 0.920, 0.950, 0.960, 0.940) | at least 0.935 |" in text
    assert "| 59 s (51 to 70 s) | at most 60 s |" in text
    assert "| none lost | none |" in text
    assert "| 159 MB, 164 MB (3 % more) | at most 10 % |" in text
    assert "| 5,200 (5,200; 5,200) | at least 5,000 |" in text
    assert "| 1.03 times (484 and 468) | |" in text
    assert "| 1.57 times (930 and 594) | at least 1.5 times |" in text


def line_of(text: str, words: str) -> str:
    (one,) = (line for line in text.splitlines() if words in line)
    return one


@pytest.mark.parametrize(
    ("benchmark", "changed", "what", "figure"),
    [
        ("accuracy", {"mean": 0.93}, "test accuracy", "0.930 (0.930,"),
        ("accuracy", {"training_seconds_median": 60.04}, "training of one", "60 s ("),
        ("workflow", {"lost": 1}, "1,000 executions", "1 lost"),
        ("engine", {"localaws_peak_mb_second": 401}, "peak memory over a whole", "401 MB"),
        ("features", {"plain_imsave_records_per_second": 960.0}, "library alone", "; 1,000)"),
    ],
)
def test_a_figure_that_misses_what_was_asked_for_is_not_met(
    benchmark: str, changed: dict[str, Any], what: str, figure: str
) -> None:
    assert line(what, made_up()).met
    found = made_up(**{benchmark: changed})
    assert line(what, found).met is False
    assert figure in line(what, found).figure
    assert line_of(readme.section(found), what).endswith(", **not met** |")
    assert table.text(claims.lines(found), found).count("NOT MET") == 2


def test_a_missing_peer_is_named_and_the_others_are_compared() -> None:
    found = made_up()
    serving = found["serving"]
    for name in ("torchserve", "torchserve x8"):
        del serving["figures"][name]
    serving["left_out"] = {"torchserve": "there is no `java` here"}
    what = "requests a second against the better one"
    assert line(what, found).figure == "1.24 times (484 and 390), TorchServe left out"
    assert "TorchServe: there is no `java` here" in table.text(claims.lines(found), found)
    del serving["figures"]["litserve"]
    serving["left_out"]["litserve"] = "pip failed"
    assert line(what, found) == Line(
        "serving",
        line(what, found).what,
        f"{NOT_MEASURED}, TorchServe and LitServe left out",
        "at least 1.5 times",
        None,
    )


def test_what_was_not_measured_is_said_and_not_judged() -> None:
    found = made_up()
    del found["accuracy"]
    assert (line("test accuracy", found).figure, line("test accuracy", found).met) == (
        NOT_MEASURED,
        None,
    )
    assert "Nothing was measured yet." in readme.section({})


def test_figures_of_several_machines_and_days_are_told_apart() -> None:
    found = made_up()
    found["engine"]["measured"] = "2026-11-21"
    assert "Abacus" in (first := readme.section(found).splitlines()[1])
    assert first.endswith("2026-11-21 to 2026-11-23.")
    found["serving"]["machine"] = found["serving"]["machine"] | {"processor": "Slide rule"}
    said = " ".join(readme.section(found).split("\n\n")[0].split())
    assert said.endswith(
        "on 2 cores (Slide rule), Python 3.11.7, torch 2.13.0, 2026-11-23 (serving)."
    )


def test_a_readme_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="End of the figures"):
        readme.updated(f"# Scones\n{readme.BEGIN}", {})
    with pytest.raises(ValueError, match="by hand is lost"):
        readme.updated(f"# Scones\n{readme.END}", {})


def test_a_number_is_judged_as_measured_not_as_rounded() -> None:
    claim = Claim("x", "this", "{}", (Number(lambda f: f["s"], "s", at_most=60),))
    for seconds, met in ((60.0, True), (60.04, False)):
        assert claim.line({"x": {"figures": {"s": seconds}}}) == Line(
            "x", "this", "60 s", "at most 60 s", met
        )


def test_each_peer_that_a_claim_names_can_be_left_out_by_that_name() -> None:
    installed = {path.stem for path in peers.LISTS.glob("*.txt")}
    named = {peer for claim in claims.CLAIMS for peer in claim.peers}
    assert named == installed | {"notebook"}


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert results.read(path) == {}
    results.write(path, made_up())
    with pytest.raises(ValueError, match="JSON"):
        results.write(path, made_up(start={"start_seconds": float("nan")}))
    assert results.read(path) == made_up()
