"""`scones demo`, as a newcomer runs it: from the archive to answers about images."""

import json
from pathlib import Path
from typing import Any

import pytest

from scones.datasets import Dataset
from tests.end_to_end.conftest import Command, User
from tests.end_to_end.test_training_pipeline import evaluation

JOBS = ["Prepare", "Train", "Evaluate"]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> User:
    return User(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture(scope="module")
def first(newcomer: User, dataset: Dataset) -> tuple[Command, Any]:
    """The first demo: what it printed and its summary."""
    return demo(newcomer, dataset)


def demo(user: User, dataset: Dataset) -> tuple[Command, Any]:
    out = user.folder / "out"
    command = user.run("demo", "--data", str(dataset.path), "--out", str(out), timeout=600)
    assert command.exit_code == 0, command.out + command.err
    return command, json.loads((out / "summary.json").read_text())


def test_the_demo_registers_a_model_and_approves_it(first: tuple[Command, Any]) -> None:
    _, summary = first
    assert summary["pipeline"]["status"] == "Succeeded"
    names = [step["name"] for step in summary["pipeline"]["steps"]]
    assert names == [*JOBS, "AccuracyGate", "Baseline", "Register"]
    assert summary["model_package"]["version"] == 1
    assert summary["model_package"]["approval_status"] == "Approved"


def test_the_approved_version_serves_and_answers_through_the_workflow(
    first: tuple[Command, Any],
) -> None:
    _, summary = first
    assert summary["deployment"]["status"] == "SUCCEEDED"
    assert {"UpdateEndpoint", "SmokeTest", "PublishInferenceWorkflow"} <= set(
        summary["deployment"]["states"]
    )
    assert summary["endpoint"]["status"] == "InService"
    assert summary["endpoint"]["version"] == 1
    workflow = summary["workflow"]
    assert workflow["executions"] == 20 == workflow["succeeded"] + workflow["low_confidence"]
    assert workflow["errors"] == 0
    assert set(workflow["by_class"]) == {"bicycle", "motorcycle"}


def test_clean_traffic_shows_no_violation_and_each_disturbance_shows_its_own(
    first: tuple[Command, Any],
) -> None:
    command, summary = first
    runs = {run["traffic"]: run for run in summary["monitoring"]}
    violated = {
        name: {violation["feature_name"] for violation in run["violations"]}
        for name, run in runs.items()
    }
    assert runs["clean"]["records"] == 200
    assert violated["clean"] == set()
    assert "brightness" in violated["darker"]
    assert "sharpness" in violated["blurred"]
    assert "predicted_class" in violated["one class only"]
    assert "brightness: Baseline drift distance: " in command.out


def test_the_report_is_one_file_that_needs_no_other(first: tuple[Command, Any]) -> None:
    command, summary = first
    assert summary["report"] in command.out
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert summary["dataset"]["name"] in page
    assert "data:image/png;base64," in page
    assert 'src="http' not in page


def test_the_model_is_as_good_as_promised(first: tuple[Command, Any]) -> None:
    _, summary = first
    evaluation = summary["evaluation"]
    assert evaluation["accuracy"] >= 0.90
    assert 0 < evaluation["accuracy_standard_deviation"] < 0.05
    assert evaluation["auc"] > 0.95
    assert set(evaluation["recall"]) == {"bicycle", "motorcycle"}
    assert 0.8 <= evaluation["threshold"] <= 1


def test_every_accuracy_says_on_which_data_it_was_measured(
    first: tuple[Command, Any], dataset: Dataset
) -> None:
    command, summary = first
    assert f"from {dataset.path}, as --data says" in command.out
    assert summary["dataset"]["name"] == dataset.name == summary["evaluation"]["dataset"]
    assert summary["dataset"]["sha256"] == dataset.sha256
    (accuracy,) = [line for line in command.out.splitlines() if line.startswith("  accuracy ")]
    assert dataset.name in accuracy


def test_the_screen_shows_each_step_and_where_everything_lies(
    first: tuple[Command, Any], newcomer: User
) -> None:
    command, summary = first
    for name in [*JOBS, "AccuracyGate", "Baseline", "Register"]:
        assert f"✓ {name}" in command.out
    assert "epoch=" in command.out, "the job's own progress is on the screen"
    assert summary["model_package"]["arn"] in command.out
    assert str(newcomer.folder / "out" / "summary.json") in command.out
    picture = newcomer.folder / "out" / "confusion_matrix.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_demo_leaves_nothing_running(first: tuple[Command, Any], newcomer: User) -> None:
    assert newcomer.run("local", "status").exit_code == 3


def test_a_second_run_trains_nothing_anew_and_is_held_against_the_first(
    first: tuple[Command, Any], newcomer: User
) -> None:
    _, before = first
    newcomer.ok("local", "up")
    try:
        after = newcomer.run("pipeline", "start", "--wait", "--json").json
        steps = {step["name"]: step for step in after["steps"]}
        report = evaluation(newcomer, steps["Evaluate"]["job_arn"])
    finally:
        newcomer.ok("local", "down")
    cached = {name: step["cached"] for name, step in steps.items()}
    # Evaluate runs again: there is a version in production now, which it did not know.
    assert (cached["Prepare"], cached["Train"], cached["Evaluate"]) == (True, True, False)
    assert report["production"]["accuracy"] == before["evaluation"]["accuracy"]
    assert report["accuracy_drop"] == 0
    assert steps["Register"]["model_package_arn"].endswith("/2")


def test_the_model_archive_is_plain_tensors_with_the_code_that_serves_them(
    first: tuple[Command, Any], newcomer: User, tmp_path: Path
) -> None:
    import tarfile

    newcomer.ok("local", "up")
    try:
        arn = first[1]["model_package"]["arn"]
        package = newcomer.client("sagemaker").describe_model_package(ModelPackageName=arn)
        url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
        bucket, _, key = url.removeprefix("s3://").partition("/")
        newcomer.client("s3").download_file(bucket, key, str(tmp_path / "model.tar.gz"))
    finally:
        newcomer.ok("local", "down")
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
    assert {"model.pt", "metadata.json", "code/inference.py"} <= names
