"""The stand-in for the built-in algorithm: what it takes, what it keeps, what it answers."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from localaws.image_classification import serve
from localaws.image_classification.__main__ import ALGORITHM_ERROR, CLIENT_ERROR, main

HYPERPARAMETERS = {
    "num_classes": "2",
    "num_training_samples": "54",
    "image_shape": "3,32,32",
    "num_layers": "20",
    "epochs": "4",
    "mini_batch_size": "16",
}
CHANNELS = ("train", "validation", "train_lst", "validation_lst")


class Job:
    """The folders of a training job, as SageMaker lays them out."""

    def __init__(self, prepared: Path, ml: Path) -> None:
        self.ml, self.data = ml, ml / "input/data"
        for split in ("train", "validation"):
            shutil.copytree(prepared / split, self.data / split)
            (self.data / f"{split}_lst").mkdir()
            shutil.copy(prepared / f"dataset/{split}.lst", self.data / f"{split}_lst")
        (ml / "input/config").mkdir()
        (ml / "model").mkdir()
        self.channels = {name: {"ContentType": "application/x-image"} for name in CHANNELS}
        self.instance = "ml.p3.2xlarge"

    def run(self, **given: str) -> int:
        documents: dict[str, Any] = {
            "hyperparameters": HYPERPARAMETERS | given,
            "inputdataconfig": self.channels,
            "resourceconfig": {"current_instance_type": self.instance},
        }
        for name, document in documents.items():
            (self.ml / f"input/config/{name}.json").write_text(json.dumps(document))
        return main(self.ml)

    def refused(self, status: int = CLIENT_ERROR, **given: str) -> str:
        """Why the job ended with this exit status."""
        assert self.run(**given) == status
        assert not list((self.ml / "model").iterdir())
        return (self.ml / "output/failure").read_text()

    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.ml / "model").glob("*.params"))


@pytest.fixture
def job(prepared: Path, tmp_path: Path) -> Job:
    return Job(prepared, tmp_path / "ml")


def test_the_log_has_the_algorithms_lines_and_the_best_epoch_is_kept(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.run() == 0
    log = capsys.readouterr().out
    accuracies = [float(a) for a in re.findall(r"Epoch\[\d\] Validation-accuracy=(\S+)", log)]
    assert len(accuracies) == len(re.findall(r"Epoch\[\d\] Train-accuracy=\d\.\d{6}\n", log)) == 4
    best = accuracies.index(max(accuracies))
    assert job.kept() == [f"image-classification-{best + 1:04d}.params"]
    names = {path.name for path in (job.ml / "model").iterdir()}
    assert {"image-classification-symbol.json", "model-shapes.json"} < names


def test_what_was_learned_is_answered_as_json_and_as_json_lines(job: Job, prepared: Path) -> None:
    assert job.run(epochs="8", learning_rate="0.05", augmentation_type="crop") == 0
    model = serve.model_fn(str(job.ml / "model"))
    right = 0
    rows = (prepared / "dataset/test.lst").read_text().splitlines()
    for row in rows:
        _, label, name = row.split("\t")
        body = (prepared / "test" / name).read_bytes()
        text, kind = serve.transform_fn(model, body, "application/x-image", "application/json")
        line, lines = serve.transform_fn(model, body, "image/png", "application/jsonlines")
        found = json.loads(text)
        assert (kind, lines) == ("application/json", "application/jsonlines")
        assert line == json.dumps({"prediction": found}) + "\n"
        assert sum(found) == pytest.approx(1)
        right += found.index(max(found)) == int(label)
    assert right >= 0.8 * len(rows)
    for sent, kind, accept, sentence in (
        (b"text", "image/png", "application/json", "not a whole PNG or JPEG"),
        (body, "text/csv", "application/json", "'text/csv' is not one of"),
        (body, "image/png", "text/csv", "accept 'text/csv' is not one of"),
    ):
        with pytest.raises(ValueError, match=sentence):
            serve.transform_fn(model, sent, kind, accept)


@pytest.mark.parametrize("optimizer", ["sgd", "nag", "adam", "rmsprop"])
def test_every_optimizer_and_augmentation_trains(job: Job, optimizer: str) -> None:
    kind = {"sgd": "crop", "nag": "crop_color"}.get(optimizer, "crop_color_transform")
    rate = "0.001" if optimizer in ("adam", "rmsprop") else "0.1"
    given = {"optimizer": optimizer, "augmentation_type": kind, "learning_rate": rate}
    assert job.run(**given, epochs="2", lr_scheduler_step="1", top_k="2") == 0


def test_checkpoint_frequency_keeps_every_so_many_epochs(job: Job) -> None:
    assert job.run(checkpoint_frequency="2") == 0
    assert job.kept() == [f"image-classification-000{n}.params" for n in (2, 4)]


def test_early_stopping_ends_when_validation_has_stopped_to_improve(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    patient = {"early_stopping_min_epochs": "3", "early_stopping_patience": "2"}
    # Nothing is learned at this rate, so nothing gets better.
    assert job.run(epochs="20", learning_rate="0", early_stopping="True", **patient) == 0
    log = capsys.readouterr().out
    assert log.count("Validation-accuracy") == 3
    assert "Early stopping criterion is met" in log


def test_the_same_job_twice_gives_the_same_weights(prepared: Path, tmp_path: Path) -> None:
    weights = []
    for name in ("one", "two"):
        job = Job(prepared, tmp_path / name)
        job.run(epochs="2", augmentation_type="crop")
        weights.append((job.ml / "model" / job.kept()[0]).read_bytes())
    assert weights[0] == weights[1]


def test_hyperparameters_are_refused_in_the_algorithms_words(job: Job) -> None:
    assert job.refused(epoch="3") == (
        "Additional hyperparameters are not allowed ('epoch' was unexpected)"
    )
    assert "optimizer: 'muon' is not one of" in job.refused(optimizer="muon")


@pytest.mark.parametrize("name", CHANNELS)
def test_a_missing_channel_is_refused_by_name(job: Job, name: str) -> None:
    del job.channels[name]
    assert f"{name!r} is a required property" in job.refused()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("0 1 a.png", "is not index<TAB>label<TAB>path"),
        ("0\tbicycle\ta.png", "is not index<TAB>label<TAB>path"),
        ("0\t1\ta.png\t", "is not index<TAB>label<TAB>path"),
        ("0\t2\ta.png", "label 2 is not below num_classes, 2"),
        ("0\t1\t../config/hyperparameters.json", "not relative to the channel"),
        ("0\t1\tmissing.png", "missing.png of the list is not in the channel train"),
        ("", "lists no image"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(job: Job, line: str, sentence: str) -> None:
    (job.data / "train_lst/train.lst").write_text(line and f"{line}\n")
    assert sentence in job.refused()


def test_a_repeated_index_a_second_list_and_a_broken_image_are_refused(job: Job) -> None:
    listing = job.data / "train_lst/train.lst"
    lines = listing.read_text().splitlines()
    listing.write_text(f"{lines[0]}\n{lines[0]}\n")
    assert "line 2: index 0 is not unique" in job.refused()
    shutil.copy(listing, listing.with_name("more.lst"))
    assert "must hold one .lst file, not 2" in job.refused()
    listing.with_name("more.lst").unlink()
    listing.write_text(f"{lines[0]}\n")
    (job.data / "train" / lines[0].split("\t")[2]).write_bytes(b"text")
    assert "it is not a whole PNG or JPEG" in job.refused()


def test_a_cpu_instance_is_refused(job: Job) -> None:
    job.instance = "ml.c5.xlarge"
    assert "GPU instances only, and ml.c5.xlarge is none" in job.refused()


def test_what_the_stand_in_lacks_it_refuses_by_name(job: Job) -> None:
    pretrained = {"use_pretrained_model": "1", "num_layers": "18"}
    assert "no pretrained weights" in job.refused(ALGORITHM_ERROR, **pretrained)
    assert "no multi-label training" in job.refused(ALGORITHM_ERROR, multi_label="1")
    job.channels["train"]["ContentType"] = "application/x-recordio"
    assert "no RecordIO" in job.refused(ALGORITHM_ERROR)


def test_an_archive_of_the_algorithm_itself_is_not_taken_for_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "image-classification-0010.params").write_bytes(b"\x12\x01\0\0\0\0\0\0")
    (tmp_path / "image-classification-symbol.json").write_text('{"nodes": []}')
    (tmp_path / "model-shapes.json").write_text('[{"name": "data", "shape": [1, 3, 32, 32]}]')
    with pytest.raises(ValueError, match="no archive of localaws's stand-in"):
        serve.model_fn(str(tmp_path))
