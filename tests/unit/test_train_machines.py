"""Training in several processes: torchrun starts two of them here, which talk through gloo."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from steps import prepare
from steps.job import StepError
from steps.train.machines import Machines, arithmetic, joined
from tests import archives

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, json, sys
from pathlib import Path
import torch
from torch import distributed
from steps.job import Stopped
from steps.train.__main__ import parser, write_model
from steps.train.checkpoint import Checkpoints
from steps.train.data import Images
from steps.train.loop import Hyperparameters, train
from steps.train.machines import joined

def weights(network):
    return hashlib.sha256(b"".join(w.numpy().tobytes() for w in network.state_dict().values()))

torch.set_num_threads(1)
random = torch.Generator().manual_seed(0)
images = Images(torch.rand(20, 3, 32, 32, generator=random), torch.arange(20) % 2)
parameters = Hyperparameters(epochs=3, batch_size=9)
with joined("cpu") as machines:
    whole, result = train(parameters, images, images, machines)
    checkpoints = Checkpoints(Path(sys.argv[1]), 5, "data")
    stopped = ""
    try:  # only the second process is asked to stop
        train(parameters, images, images, machines, checkpoints, lambda: machines.rank == 1)
    except Stopped as reason:
        stopped = str(reason)
    distributed.barrier()
    resumed, _ = train(parameters, images, images, machines, checkpoints)
    mine = [weights(whole).hexdigest(), weights(resumed).hexdigest(), stopped]
    everywhere = [None] * machines.count
    distributed.all_gather_object(everywhere, mine)
    if machines.rank == 0:
        print(json.dumps(everywhere))
    four = Hyperparameters(epochs=4, batch_size=18)
    write_model(parser().parse_args(sys.argv[2:]), four, machines, lambda: False)
"""


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the program printed, and the model that it wrote; a launch takes seconds."""
    folder = tmp_path_factory.mktemp("machines")
    (folder / "program.py").write_text(PROGRAM)
    archive = archives.good_archive(folder / "small.tar.gz")
    prepare.main(["--input", str(archive), "--output", str(folder / "prepared")])
    folders = {name: folder / "prepared" / name for name in ("train", "validation", "dataset")}
    folders["model-dir"] = folder / "model"
    options = [f"--{name}={path}" for name, path in folders.items()]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    program = [str(folder / "program.py"), str(folder / "checkpoints")]
    done = subprocess.run(
        [sys.executable, *launcher, *program, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, folder / "model"


def test_two_processes_hold_the_same_weights_stop_together_and_resume_as_one(
    launched: tuple[str, Path],
) -> None:
    out, _ = launched
    line = next(line for line in out.splitlines() if line.startswith("["))
    first, second = json.loads(line)
    assert first == second
    whole, resumed, stopped = first
    assert whole == resumed
    assert "asked to after epoch 1" in stopped
    assert out.count("epoch=2/3") == 2, "each of the two whole runs prints a line an epoch, once"


def test_two_processes_write_one_model_that_both_have_trained(launched: tuple[str, Path]) -> None:
    out, model = launched
    assert "on 2 × cpu with 1 threads" in out
    assert re.findall(r"^epoch=(\d+)/4", out, re.MULTILINE) == ["1", "2", "3", "4"]
    metadata = json.loads((model / "metadata.json").read_text())
    assert metadata["trained_on"]["processes"] == 2
    assert metadata["validation"]["accuracy"] == 1


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StepError, match="there is no GPU here"), joined("cuda"):
        pass


def test_processes_that_nobody_told_where_to_meet_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StepError, match="the 2 processes did not meet"), joined("cpu"):
        pass


def test_each_process_takes_another_share_of_a_batch() -> None:
    rows = torch.arange(6)
    shares = [Machines(torch.device("cpu"), rank, 3).share(rows).tolist() for rank in range(3)]
    assert shares == [[0, 3], [1, 4], [2, 5]]


def test_the_arithmetic_is_what_was_asked_for() -> None:
    cpu = torch.device("cpu")
    assert arithmetic("bfloat16", cpu) == torch.bfloat16
    assert arithmetic("float32", cpu) == torch.float32
    assert arithmetic("auto", cpu) in (torch.bfloat16, torch.float32)
