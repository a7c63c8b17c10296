"""Training: the recipe's parts, repeatable runs, interruptions, and the archive it leaves."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from steps.job import StepError, Stopped
from steps.train import calibration, data
from steps.train import loop as training_loop
from steps.train.__main__ import main
from steps.train.checkpoint import Checkpoints
from steps.train.loop import Hyperparameters
from steps.train.machines import Machines
from steps.train.network import Network
from steps.train.optimiser import COEFFICIENTS, SGD, Muon, orthogonal

ROOT = Path(__file__).parents[2]
QUICK = ["--epochs", "3", "--batch-size", "9", "--threads", "1", "--device", "cpu"]
LINE = re.compile(
    r"epoch=(\d+)/3 train_loss=\d\.\d{4} train_accuracy=[01]\.\d{4} "
    r"(validation_loss=\d\.\d{4} validation_accuracy=[01]\.\d{4} )?seconds=\d+\.\d\d"
)


def _channels(prepared: Path, output: Path) -> list[str]:
    folders = {name: prepared / name for name in ("train", "validation", "dataset")}
    folders["model-dir"] = output / "model"
    folders["checkpoint-dir"] = output / "checkpoints"
    return [word for name, path in folders.items() for word in (f"--{name}", str(path))]


def _train(prepared: Path, output: Path, *more: str) -> dict[str, bytes]:
    main([*_channels(prepared, output), *QUICK, *more])
    return _files(output / "model")


def _files(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_same_seed_gives_the_same_bytes_also_when_run_as_a_script(
    prepared: Path, tmp_path: Path
) -> None:
    one = _train(prepared, tmp_path / "one")
    script = [sys.executable, str(ROOT / "steps/train/__main__.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "5"}
    command = [*script, *_channels(prepared, tmp_path / "two"), *QUICK]
    done = subprocess.run(
        command, check=True, env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert _files(tmp_path / "two/model") == one
    lines = list(LINE.finditer(done.stdout))
    assert [line[1] for line in lines] == ["1", "2", "3"]
    assert [bool(line[2]) for line in lines] == [False, False, True], "validated at the end"


def test_another_seed_gives_other_weights(prepared: Path, tmp_path: Path) -> None:
    one = _train(prepared, tmp_path / "one", "--epochs", "1")
    two = _train(prepared, tmp_path / "two", "--epochs", "1", "--seed", "1")
    assert one["model.pt"] != two["model.pt"]


def test_a_run_that_is_interrupted_and_resumed_ends_in_the_same_weights(
    prepared: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    parameters = Hyperparameters(epochs=4, batch_size=9, patience=3)
    training = data.load(prepared / "train", prepared / "dataset/train.lst")
    validation = data.load(prepared / "validation", prepared / "dataset/validation.lst")
    here = Machines(torch.device("cpu"))
    images = (training, validation, here)
    whole, _ = training_loop.train(parameters, *images)
    checkpoints = Checkpoints(tmp_path, 5, "some data")
    for epoch in (1, 2):
        with pytest.raises(Stopped, match=f"after epoch {epoch}; a checkpoint is in"):
            training_loop.train(parameters, *images, checkpoints, lambda: True)
    resumed, _ = training_loop.train(parameters, *images, checkpoints)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_with_patience_it_stops_early_and_keeps_the_best_epoch(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = data.load(prepared / "train", prepared / "dataset/train.lst")
    validation = data.load(prepared / "validation", prepared / "dataset/validation.lst")
    upside_down = validation._replace(labels=1 - validation.labels)  # the loss soon only rises
    parameters = Hyperparameters(epochs=40, batch_size=9, patience=3, precision="float32")
    images = (training, upside_down, Machines(torch.device("cpu")))
    checkpoints = Checkpoints(tmp_path, 5, "some data")
    network, result = training_loop.train(parameters, *images, checkpoints)
    losses = [float(x) for x in re.findall(r"validation_loss=(\S+)", capsys.readouterr().out)]
    assert len(losses) < 40
    assert min(losses) == losses[-4], "three epochs without a better one"
    assert result.loss == pytest.approx(min(losses), abs=1e-4)
    again, _ = training_loop.train(parameters, *images, checkpoints)
    assert "epoch=" not in capsys.readouterr().out, "it had ended"
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_each_epoch_draws_other_augmentations(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _train(prepared, tmp_path, "--learning-rate", "1e-6", "--muon-learning-rate", "1e-6")
    losses = re.findall(r"train_loss=(\S+)", capsys.readouterr().out)
    assert len(set(losses)) == 3  # the weights hardly move, so what differs is what was drawn


def test_sigterm_leaves_a_checkpoint_and_no_model(prepared: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "steps.train", *_channels(prepared, tmp_path), *QUICK]
    with subprocess.Popen(
        [*command, "--epochs", "1000", "--checkpoint-every", "1000"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("epoch="):
                break
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert "a checkpoint is in" in process.stderr.read()
    assert process.returncode == 143
    assert os.listdir(tmp_path / "checkpoints") == ["checkpoint.pt"]
    assert not (tmp_path / "model").exists()


def test_a_full_disk_is_known_as_such_and_leaves_no_half_of_a_file(
    prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/.checkpoint.pt.partial").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        _train(prepared, tmp_path, "--epochs", "1")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path / "checkpoints") == []


def test_a_checkpoint_of_other_settings_is_refused(prepared: Path, tmp_path: Path) -> None:
    _train(prepared, tmp_path, "--epochs", "1")
    with pytest.raises(StepError, match="was made with epochs 1 and not 2; remove it"):
        _train(prepared, tmp_path, "--epochs", "2")


def test_a_damaged_checkpoint_is_refused(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/checkpoint.pt").write_bytes(b"half of it")
    with pytest.raises(StepError, match=r"checkpoint\.pt cannot be read"):
        _train(prepared, tmp_path)


def test_the_archive_holds_weights_metadata_and_code(prepared: Path, tmp_path: Path) -> None:
    files = _train(prepared, tmp_path, "--epochs", "1")
    assert sorted(files) == [
        "code/inference.py",
        "code/steps/__init__.py",
        "code/steps/train/__init__.py",
        "code/steps/train/forward.py",
        "code/steps/train/network.py",
        "code/steps/train/picture.py",
        "metadata.json",
        "model.pt",
    ]
    metadata = json.loads(files["metadata.json"])
    record = json.loads((prepared / "dataset/dataset.json").read_text())
    assert metadata["classes"] == ["bicycle", "motorcycle"]
    assert metadata["dataset"] == {"name": record["name"], "sha256": record["sha256"]}
    assert metadata["hyperparameters"]["epochs"] == 1
    assert metadata["hyperparameters"]["seed"] == 0
    assert 0 <= metadata["validation"]["accuracy"] <= 1
    assert metadata["versions"]["torch"] == torch.__version__
    assert metadata["trained_on"]["processes"] == 1
    assert metadata["trained_on"]["arithmetic"] in ("torch.bfloat16", "torch.float32")
    state = torch.load(tmp_path / "model/model.pt", weights_only=True)
    Network().load_state_dict(state)


def test_simple_images_are_learned(prepared: Path, tmp_path: Path) -> None:
    files = _train(prepared, tmp_path, "--epochs", "12")
    assert json.loads(files["metadata.json"])["validation"]["accuracy"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--epochs 0", "--epochs 0 is out of range: 1 to 1000"),
        ("--epochs 1.5", "--epochs 1.5 is not a whole number"),
        ("--batch-size 1", "--batch-size 1 is out of range: 2 to 4096"),
        ("--learning-rate -1", "--learning-rate -1 is out of range: 1e-06 to 10"),
        ("--momentum inf", "--momentum inf is out of range: 0 to 0.999"),
        ("--patience -1", "--patience -1 is out of range: 0 to 1000"),
        ("--square 33", "--square 33 is out of range: 0 to 32"),
        ("--momemtum 0.5", "unrecognized arguments: --momemtum 0.5"),
    ],
)
def test_a_hyperparameter_out_of_range_is_refused_with_one_sentence(
    arguments: str, sentence: str
) -> None:
    with pytest.raises(StepError) as caught:
        main(arguments.split())
    assert str(caught.value) == sentence


def test_a_channel_without_its_list_is_named(tmp_path: Path, prepared: Path) -> None:
    (tmp_path / "dataset.json").write_bytes((prepared / "dataset/dataset.json").read_bytes())
    with pytest.raises(StepError, match=r"train\.lst does not exist; give the output of Prepare"):
        main([*_channels(prepared, tmp_path), "--dataset", str(tmp_path)])
    with pytest.raises(StepError, match=r"dataset\.json cannot be read"):
        main([*_channels(prepared, tmp_path), "--dataset", str(tmp_path / "none")])


@pytest.mark.parametrize("row", ["0\t2\ta.png", "0\t1\t../a.png", "0\t1", "0\t1\t/a.png", ""])
def test_a_line_of_a_list_that_means_nothing_or_climbs_is_refused(tmp_path: Path, row: str) -> None:
    listing = tmp_path / "train.lst"
    listing.write_text(f"0\t0\tb.png\n{row}\n")
    with pytest.raises(StepError, match=r"train\.lst, line 2: "):
        data.load(tmp_path, listing)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "train.lst").write_text("0\t0\ta.png\n1\t1\tb.png\n")
    with pytest.raises(StepError, match=r"a\.png \(named in train\.lst\) is no 32×32 image"):
        data.load(tmp_path, tmp_path / "train.lst")


def test_the_network_has_as_many_weights_as_the_recipe_says() -> None:
    assert round(sum(weight.numel() for weight in Network().parameters()), -3) == 294_000


@pytest.mark.parametrize("least", [0.5, -0.5], ids=["positive factors", "negative ones too"])
def test_the_folded_network_is_the_same_function(least: float) -> None:
    torch.manual_seed(0)
    network = Network()
    network.fit_input(torch.rand(50, 3, 32, 32))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, least, 1.5)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    network(torch.rand(100, 3, 32, 32))  # statistics that are not those of a new network
    network.eval()
    images = torch.rand(8, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network.folded()(images), network(images), rtol=1e-4, atol=1e-5)


def test_whitening_makes_patches_uncorrelated() -> None:
    images = torch.rand(200, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network = Network()
    network.fit_input(images)
    with torch.no_grad():
        out = network.whitening((images - network.mean) / network.deviation)[:, :12]
    flat = out.permute(1, 0, 2, 3).flatten(1)
    covariance = flat @ flat.T / flat.shape[1]
    torch.testing.assert_close(covariance, torch.eye(12), atol=0.01, rtol=0)


def test_the_muon_update_is_nearly_orthogonal() -> None:
    matrix = torch.randn(16, 40, generator=torch.Generator().manual_seed(0))
    for shape in (matrix, matrix.T):
        values = torch.linalg.svdvals(orthogonal(shape, steps=5))
        assert values.min() > 0.5
        assert values.max() < 1.5


def test_the_muon_update_is_that_of_newton_schulz_steps_on_the_whole_matrix() -> None:
    a, b, c = COEFFICIENTS
    scales = torch.logspace(0, -4, 16)[:, None]  # as uneven as gradients are
    matrix = torch.randn(16, 40, generator=torch.Generator().manual_seed(0)) * scales
    x = matrix / matrix.norm()
    for _ in range(3):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    torch.testing.assert_close(orthogonal(matrix), x, atol=1e-5, rtol=0)


def test_muon_scales_the_weight_before_it_moves_it() -> None:
    weight = torch.nn.Parameter(torch.full((4, 2, 3, 3), 5.0))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, momentum=0.6).step()
    assert weight.norm().item() == pytest.approx(math.sqrt(4))


def test_sgd_moves_as_that_of_torch_does() -> None:
    ours, theirs = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    reference = torch.optim.SGD([theirs], 0.1, momentum=0.9, weight_decay=0.05, nesterov=True)
    optimiser = SGD([ours], 0.1, momentum=0.9, weight_decay=0.05)
    for _ in range(5):
        for weight in (ours, theirs):
            weight.grad = weight.detach() ** 2  # another one each time
        optimiser.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_training_does_without_the_compiler_that_takes_seconds_to_import(
    prepared: Path, tmp_path: Path
) -> None:
    program = (
        "import sys; from steps.train.__main__ import main; main(); "
        "assert 'torch._dynamo' not in sys.modules"
    )
    words = [*_channels(prepared, tmp_path), *QUICK, "--epochs", "1"]
    subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, check=True)


def test_an_augmentation_of_nothing_but_flips_and_crops_keeps_the_pixels() -> None:
    images = torch.arange(6.0).reshape(2, 3, 1, 1).expand(2, 3, 32, 32) / 6
    random = torch.Generator().manual_seed(0)
    same = data.Augmentation(colour=0, shift=0, grey=0, square=0)(images, torch.zeros(3), random)
    torch.testing.assert_close(same, images)


def test_the_square_covers_so_many_pixels_with_the_mean_colour() -> None:
    images = torch.ones(5, 3, 32, 32)
    mean = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    random = torch.Generator().manual_seed(0)
    covered = data.Augmentation(colour=0, shift=0, grey=0, square=8)(images, mean, random)
    for channel, value in enumerate((0.1, 0.2, 0.3)):
        assert ((covered[:, channel] - value).abs() < 1e-6).sum(dim=(1, 2)).tolist() == [64] * 5


def test_grey_images_have_equal_channels() -> None:
    images = torch.rand(4, 3, 32, 32)
    random = torch.Generator().manual_seed(0)
    grey = data.Augmentation(colour=0, shift=0, grey=1, square=0)(images, torch.zeros(3), random)
    torch.testing.assert_close(grey[:, 0], grey[:, 1])
    torch.testing.assert_close(grey[:, 0], grey[:, 2])


def test_the_calibration_undoes_a_wrong_scale_and_a_leaning_to_one_class() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(5000, 2, generator=random) * 2
    drawn = torch.rand(5000, generator=random) < logits.softmax(1)[:, 1]
    leaning = (logits + torch.tensor([0, 0.8])) * 3
    found = calibration.fit(leaning, drawn.long())
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.bias == pytest.approx(-0.8, abs=0.1)


def test_a_few_images_hardly_move_the_bias() -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, 1.0]])  # both taken for class 1, and one is not
    found = calibration.fit(logits, torch.tensor([0, 1]))
    assert -0.5 < found.bias < 0


def test_the_temperature_of_a_faultless_model_stays_within_bounds() -> None:
    logits = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    found = calibration.fit(logits, torch.tensor([0, 1]))
    assert found == pytest.approx((0.25, 0), abs=0.001)
