"""Peers of the benchmarks: installed once, and named when they cannot be."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import peers


def test_a_peer_gets_an_environment_of_its_own_that_is_made_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("# it needs nothing\n")
    python = peers.python("empty", tmp_path, tmp_path / "home")
    assert python is not None
    prefix = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert Path(prefix.stdout.strip()) == tmp_path / "home" / "empty"
    assert "installing empty" in capsys.readouterr().out
    peers.python.cache_clear()  # as in another run
    assert peers.python("empty", tmp_path, tmp_path / "home") == python
    assert "installing" not in capsys.readouterr().out


def test_a_peer_that_cannot_be_installed_is_named_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone.txt").write_text(f"{tmp_path}/no-such-package.whl\n")
    assert peers.python("gone", tmp_path, tmp_path / "home") is None
    assert "gone is left out: " in capsys.readouterr().out
    assert not (tmp_path / "home" / "gone").exists()
