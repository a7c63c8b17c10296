"""One run of the benchmarks: what it writes, and what a part that fails leaves behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import claims, results
from benchmarks.__main__ import BENCHMARKS, main, measure_all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.json"


def failing(name: str, error: BaseException) -> Callable[[str], dict[str, Any]]:
    def measure(this: str) -> dict[str, Any]:
        if this == name:
            raise error
        return {"figures": {"of": this}}

    return measure


def test_one_that_fails_is_named_and_leaves_the_figures_of_the_others(path: Path) -> None:
    before = {"b": {"figures": "older"}, "d": {"figures": "kept"}}
    failed = measure_all("abc", failing("b", ValueError("no such thing")), before, path)
    assert failed == {"b": "ValueError: no such thing"}
    assert results.read(path) == {
        "a": {"figures": {"of": "a"}},
        "b": {"figures": "older"},
        "c": {"figures": {"of": "c"}},
        "d": {"figures": "kept"},
    }


def test_the_sentence_of_one_that_gives_up_is_its_reason(path: Path) -> None:
    measure = failing("a", SystemExit("the demo ended with 1"))
    assert measure_all("a", measure, {}, path) == {"a": "the demo ended with 1"}
    assert not path.exists()


def test_an_interruption_ends_the_run_and_keeps_what_was_measured(path: Path) -> None:
    assert measure_all("abc", failing("b", KeyboardInterrupt()), {}, path) == {"b": "interrupted"}
    assert list(results.read(path)) == ["a"]


def test_a_figure_that_json_cannot_hold_fails_its_benchmark_alone(path: Path) -> None:
    entries: dict[str, dict[str, Any]] = {"a": {"x": 1}, "b": {"x": float("inf")}}
    failed = measure_all("ab", entries.__getitem__, {}, path)
    assert list(failed) == ["b"]
    assert list(results.read(path)) == ["a"]


def test_a_quick_run_measures_one_and_writes_only_where_it_was_told(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked = results.PATH.read_bytes() if results.PATH.exists() else None
    results.write(path, {"start": {"measured": "2026-11-01", "seconds": 9.0, "figures": {}}})
    assert main(["features", "--quick", "--results", str(path)]) == 0
    found = results.read(path)
    assert found["start"]["measured"] == "2026-11-01"
    assert found["features"]["figures"]["fast_pipeline_records_per_second"] > 0
    assert found["features"]["machine"] == results.machine()
    assert "features, measured " in capsys.readouterr().out
    assert (results.PATH.read_bytes() if results.PATH.exists() else None) == tracked


def test_an_unknown_benchmark_is_refused_with_the_names_of_the_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    said = capsys.readouterr().err
    assert "speed" in said
    assert all(benchmark.name in said for benchmark in BENCHMARKS)


def test_every_benchmark_has_a_claim_and_every_claim_a_benchmark() -> None:
    assert {b.name for b in BENCHMARKS} == {claim.benchmark for claim in claims.CLAIMS}
