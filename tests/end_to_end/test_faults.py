"""Bad input and faults: one sentence that names the step and the cause, and nothing registered.

The sentence stands in three places: what the command prints, the execution's FailureReason, and the
job's log. The next run is unharmed.
"""

import os
import re
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.archives import good_archive, meta, split, two_classes, write_archive
from tests.end_to_end.conftest import User

QUICK = ["-p", "Epochs=1", "-p", "AccuracyThreshold=0"]
GROUPS = {"Prepare": "ProcessingJobs", "Train": "TrainingJobs", "Evaluate": "ProcessingJobs"}


def truncated(path: Path) -> Path:
    whole = good_archive(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def climbing(path: Path) -> Path:
    member = tarfile.TarInfo("../../outside")
    return write_archive(
        path, train=two_classes(30, 1), test=two_classes(12, 2), meta=meta(), more=[(member, b"x")]
    )


def foreign_global(path: Path) -> Path:
    runs_a_command = b"cos\nsystem\n(S'touch /tmp/scones-was-here'\ntR."
    return write_archive(path, train=runs_a_command, test=two_classes(12, 2), meta=meta())


def missing_class(path: Path) -> Path:
    bicycles = split(
        np.arange(20 * 3072, dtype=np.uint32).astype(np.uint8).reshape(20, -1), [8] * 20
    )
    return write_archive(path, train=bicycles, test=two_classes(12, 2), meta=meta())


def wrong_shape(path: Path) -> Path:
    images = split(np.zeros((20, 3000), np.uint8), [8, 48] * 10)
    return write_archive(path, train=images, test=two_classes(12, 2), meta=meta())


def unequal_lengths(path: Path) -> Path:
    table = two_classes(30, 1)
    table[b"fine_labels"] = table[b"fine_labels"][:-1]
    return write_archive(path, train=table, test=two_classes(12, 2), meta=meta())


ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated": (truncated, "truncated|cut|ends"),
    "climbing member": (climbing, r"\.\./\.\./outside"),
    "foreign global": (foreign_global, r"os\.system|posix\.system"),
    "missing class": (missing_class, "motorcycle"),
    "wrong shape": (wrong_shape, "3072|shape"),
    "unequal lengths": (unequal_lengths, "labels"),
}


def stage(user: User, archive: Path) -> str:
    return user.ok("data", "stage", "--data", str(archive)).splitlines()[-1]


def assert_failed(user: User, arguments: list[str], step: str, cause: str) -> None:
    """Starts an execution that must fail, and looks for the sentence in all three places."""
    before = versions(user)
    command = user.run("pipeline", "start", "--wait", *arguments)
    assert command.exit_code == 1, command.out + command.err
    sentence = command.err.strip().splitlines()[-1]
    assert step in sentence
    assert re.search(cause, sentence), sentence
    sagemaker = user.client("sagemaker")
    newest = newest_execution(user)["PipelineExecutionArn"]
    execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=newest)
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert execution["FailureReason"] in sentence
    assert re.search(cause, job_log(user, newest, step)), "the job's log does not say why"
    assert versions(user) == before


def job_log(user: User, execution_arn: str, step: str) -> str:
    rows = user.client("sagemaker").list_pipeline_execution_steps(
        PipelineExecutionArn=execution_arn
    )["PipelineExecutionSteps"]
    (metadata,) = [row["Metadata"] for row in rows if row["StepName"] == step]
    (job,) = metadata.values()
    logs, group = user.client("logs"), f"/aws/sagemaker/{GROUPS[step]}"
    name = job["Arn"].rsplit("/", 1)[-1]
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)["logStreams"]
    return "\n".join(
        event["message"]
        for stream in streams
        for event in logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
    )


def versions(user: User) -> list[Any]:
    """The registered ones, newest first."""
    listed = user.client("sagemaker").list_model_packages(
        ModelPackageGroupName="scones-local", SortBy="CreationTime", SortOrder="Descending"
    )
    return list(listed["ModelPackageSummaryList"])


def newest_execution(user: User) -> Any:
    listed = user.client("sagemaker").list_pipeline_executions(PipelineName="scones-local-training")
    return next(iter(listed["PipelineExecutionSummaries"]), None)


@pytest.mark.parametrize("fault", ARCHIVES)
def test_a_bad_archive_fails_prepare_with_one_sentence(
    user: User, tmp_path: Path, fault: str
) -> None:
    make, cause = ARCHIVES[fault]
    url = stage(user, make(tmp_path / "archive.tar.gz"))
    assert_failed(user, ["--data-url", url, *QUICK], "Prepare", cause)
    assert not Path("/tmp/scones-was-here").exists()


def test_a_wrong_checksum_is_refused(user: User, small_archive: Path) -> None:
    url = stage(user, small_archive)
    wrong = ["--data-url", url, "--data-sha256", "0" * 64, *QUICK]
    assert_failed(user, wrong, "Prepare", "sha256|checksum")


def test_a_hyperparameter_out_of_range_is_refused(user: User, small_archive: Path) -> None:
    url = stage(user, small_archive)
    assert_failed(user, ["--data-url", url, "-p", "Epochs=0"], "Train", "epochs 0 is out of range")


def test_a_model_below_the_threshold_fails_with_the_figures(
    user: User, small_archive: Path
) -> None:
    url = stage(user, small_archive)
    before = versions(user)
    command = user.run(
        *("pipeline", "start", "--wait", "--data-url", url),
        *("-p", "Epochs=1", "-p", "AccuracyThreshold=1.1"),
    )
    assert command.exit_code == 1
    assert "AccuracyTooLow" in command.err
    assert "threshold 1.1" in command.err
    assert versions(user) == before


def test_an_input_prefix_without_objects_is_named(user: User) -> None:
    url = "s3://scones-local-123456789012-us-east-1/raw/nothing/"
    command = user.run("pipeline", "start", "--wait", "--data-url", url, *QUICK)
    assert command.exit_code == 1
    assert "Prepare" in command.err
    assert url in command.err


def test_two_runs_at_once_do_not_disturb_each_other(user: User, tmp_path: Path) -> None:
    urls = [stage(user, good_archive(tmp_path / f"{n}.tar.gz", train=30 + n)) for n in (1, 2)]
    runs = [user.start("pipeline", "start", "--wait", "--data-url", u, *QUICK) for u in urls]
    for run in runs:
        out, err = run.communicate(timeout=300)
        assert run.returncode == 0, out + err
    assert len({row["ModelPackageArn"] for row in versions(user)[:2]}) == 2


def test_ctrl_c_stops_the_execution_and_leaves_nothing_running(user: User, tmp_path: Path) -> None:
    url = stage(user, good_archive(tmp_path / "slow.tar.gz", train=200))
    before = versions(user)
    run = user.start(
        *("pipeline", "start", "--wait", "--data-url", url),
        *("-p", "Epochs=900", "-p", "AccuracyThreshold=0"),
    )
    wait_until(lambda: "Train" in executing(user))
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert newest_execution(user)["PipelineExecutionStatus"] == "Stopped"
    assert versions(user) == before
    jobs = user.client("sagemaker").list_training_jobs(StatusEquals="InProgress")
    assert jobs["TrainingJobSummaries"] == []


def test_after_a_kill_the_running_execution_is_failed_with_the_reason_and_can_be_retried(
    user: User, tmp_path: Path
) -> None:
    url = stage(user, good_archive(tmp_path / "killed.tar.gz", train=60))
    pid = user.run("local", "status", "--json").json["pid"]
    arn = user.ok("pipeline", "start", "--data-url", url, *QUICK).strip()
    wait_until(lambda: "Train" in executing(user))
    os.kill(pid, signal.SIGKILL)  # Train has not even imported torch
    user.ok("local", "up")

    sagemaker = user.client("sagemaker")
    execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert "localaws was stopped" in execution["FailureReason"]
    sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="a" * 32)
    assert "Succeeded" in user.ok("pipeline", "watch", arn)


def executing(user: User) -> set[str]:
    """The steps of the newest execution that run now."""
    newest = newest_execution(user)
    if newest is None:
        return set()
    steps = user.client("sagemaker").list_pipeline_execution_steps(
        PipelineExecutionArn=newest["PipelineExecutionArn"]
    )
    return {
        row["StepName"]
        for row in steps["PipelineExecutionSteps"]
        if row["StepStatus"] == "Executing"
    }


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
