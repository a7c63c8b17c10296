"""The edge of the job programs: exit codes, sentences, and the files that SageMaker reads."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from steps import job


def _raising(error: Exception) -> Callable[[Sequence[str] | None], None]:
    def main(argv: Sequence[str] | None) -> None:
        raise error

    return main


@pytest.fixture
def opt_ml(tmp_path: Path) -> Path:
    """A job's /opt/ml."""
    (tmp_path / "input").mkdir()
    return tmp_path


def test_a_program_that_ends_well_exits_with_0_and_writes_nothing(opt_ml: Path) -> None:
    assert job.run("Prepare", lambda argv: None, [], root=opt_ml) == 0
    assert not (opt_ml / "output").exists()


def test_a_step_error_becomes_the_failure_reason_and_the_exit_message(
    opt_ml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = job.StepError("the archive x.tar.gz is truncated; fetch it again")
    assert job.run("Prepare", _raising(error), [], root=opt_ml) == 1
    sentence = "the archive x.tar.gz is truncated; fetch it again"
    assert (opt_ml / "output/failure").read_text() == sentence
    assert (opt_ml / "output/message").read_text() == sentence
    captured = capsys.readouterr()
    assert captured.err == f"Prepare failed: {sentence}\n"


def test_by_hand_a_failure_writes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.run("Prepare", _raising(job.StepError("no")), [], root=tmp_path) == 1
    assert list(tmp_path.iterdir()) == []
    assert "Prepare failed: no" in capsys.readouterr().err


def test_an_unexpected_error_is_logged_with_its_trace_and_named_in_the_reason(
    opt_ml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.run("Train", _raising(KeyError("weight")), [], root=opt_ml) == 1
    assert (opt_ml / "output/failure").read_text() == "KeyError: 'weight'"
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_told_with_what_to_raise(opt_ml: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/opt/ml/model/model.pt")
    assert job.run("Train", _raising(error), [], root=opt_ml) == 1
    told = (opt_ml / "output/failure").read_text()
    assert "no space left on the volume that holds /opt/ml/model/model.pt" in told
    assert "raise VolumeSizeInGB" in told


def test_a_message_has_at_most_1024_characters(opt_ml: Path) -> None:
    assert job.run("Train", _raising(job.StepError("x" * 3000)), [], root=opt_ml) == 1
    assert len((opt_ml / "output/message").read_text()) == 1024


def test_a_stop_is_no_failure(opt_ml: Path) -> None:
    assert job.run("Train", _raising(job.Stopped("asked to")), [], root=opt_ml) == 143
    assert not (opt_ml / "output").exists()


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        (["--epochs", "0"], "--epochs 0 is out of range: 1 to 1000"),
        (["--epochs", "many"], "--epochs many is not a whole number"),
        (["--rate", "nan"], "--rate nan is out of range: 0 to 1"),
        (["--epoch", "3"], "unrecognized arguments: --epoch 3"),
    ],
)
def test_a_wrong_argument_reaches_the_failure_reason(
    opt_ml: Path, argument: list[str], sentence: str
) -> None:
    def main(argv: Sequence[str] | None) -> None:
        parser = job.parser("train", "Trains.")
        parser.add_argument("--epochs", type=job.whole(1, 1000))
        parser.add_argument("--rate", type=job.real(0, 1))
        parser.parse_args(argv)

    assert job.run("Train", main, argument, root=opt_ml) == 2
    assert (opt_ml / "output/failure").read_text() == sentence
