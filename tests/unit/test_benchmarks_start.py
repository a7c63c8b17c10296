"""How soon a model server answers, as the benchmark measures it."""

from pathlib import Path

import pytest

from benchmarks.start import starts
from tests import hosting_kit


def test_a_start_takes_until_the_model_is_loaded(tmp_path: Path) -> None:
    slow = hosting_kit.HANDLER.replace("return NAME", "time.sleep(0.5); return NAME")
    (tmp_path / "model.tar.gz").write_bytes(hosting_kit.archive(slow))
    figures = starts(tmp_path / "model.tar.gz", 1)
    assert figures["starts_seconds"] == [figures["start_seconds"]]
    assert 0.5 < figures["start_seconds"] < 30


def test_a_model_that_cannot_be_loaded_ends_the_measurement_in_its_own_words(
    tmp_path: Path,
) -> None:
    broken = hosting_kit.HANDLER.replace("return NAME", "raise ValueError('no weights')")
    (tmp_path / "model.tar.gz").write_bytes(hosting_kit.archive(broken))
    with pytest.raises(RuntimeError, match="no weights"):
        starts(tmp_path / "model.tar.gz", 1)
