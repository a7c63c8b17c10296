"""How a job can end: by itself, by its limits, by a stop, by a kill, by a restart."""

import errno
import os
import signal
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path

import pytest

from localaws.errors import ValidationError
from tests.unit.job_kit import (
    Machine,
    eventually,
    processing_input,
    processing_outputs,
    processing_request,
    training_request,
)

OUTPUT = "/opt/ml/processing/output"


def processes(token: str) -> list[int]:
    """The processes of this machine whose command line holds a token."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if token in path.read_text(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended while we looked
    return found


def test_a_non_zero_exit_fails_with_the_text_of_the_failure_file(machine: Machine) -> None:
    job = machine.process(
        "fails",
        f"""
        open("{OUTPUT}/half.txt", "w").write("half")
        open("/opt/ml/output/failure", "w").write("The archive lacks the class motorcycle.")
        raise SystemExit(3)
        """,
        ProcessingOutputConfig=processing_outputs(OUTPUT, "s3://data/result"),
    )
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "AlgorithmError: The archive lacks the class motorcycle., exit code: 3"
    )
    assert job["FailureReason"] in machine.logs.text("fails")
    assert machine.object_keys("result/") == []


def test_a_long_failure_text_keeps_its_head_and_the_exit_code(machine: Machine) -> None:
    job = machine.process(
        "long", "open('/opt/ml/output/failure', 'w').write('é' * 5000); raise SystemExit(1)"
    )
    assert len(job["FailureReason"]) == 1024
    assert job["FailureReason"].startswith("AlgorithmError: ééé")
    assert job["FailureReason"].endswith("é, exit code: 1")


def test_a_job_that_is_killed_fails_with_137(machine: Machine) -> None:
    job = machine.process("killed", "import os; os.kill(os.getpid(), 9)")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].endswith("exit code: 137")


def test_a_program_that_does_not_exist_fails_with_127_and_says_so_in_the_log(
    machine: Machine,
) -> None:
    request = processing_request("missing", "")
    request["AppSpecification"]["ContainerEntrypoint"] = ["no-such-program"]
    machine.processing.create_processing_job(request)
    job = machine.processing.wait("missing", 30)
    assert job["FailureReason"].endswith("exit code: 127")
    assert "cannot run no-such-program: No such file" in machine.logs.text("missing")


def test_an_input_prefix_without_objects_fails_with_the_services_words(machine: Machine) -> None:
    for name, uri in (("prefix", "s3://data/nothing"), ("bucket", "s3://nowhere/x")):
        job = machine.process(
            f"empty-{name}",
            "pass",
            ProcessingInputs=[processing_input("in", uri, "/opt/ml/processing/input")],
        )
        assert job["ProcessingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith(
            f'ClientError: No S3 objects found under S3 URL "{uri}" given in input data source.'
        )
        assert 'role "arn:aws:iam::123456789012:role/scones"' in job["FailureReason"]


def test_a_machine_without_disk_space_is_named_as_the_cause(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.put("in/a", "x")

    def full(bucket: str, key: str, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(machine.objects, "download", full)
    job = machine.process(
        "no-space",
        "pass",
        ProcessingInputs=[processing_input("in", "s3://data/in", "/opt/ml/processing/input")],
    )
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "InternalServerError: this machine has no disk space left; free some and start the job "
        "again."
    )


def test_an_output_bucket_that_is_not_there_fails_the_job(machine: Machine) -> None:
    job = machine.process(
        "lost",
        f"open('{OUTPUT}/a', 'w').close()",
        ProcessingOutputConfig=processing_outputs(OUTPUT, "s3://nowhere/result"),
    )
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == ("ClientError: The specified bucket does not exist: nowhere")


def test_a_training_job_past_its_time_gets_sigterm_and_its_model_is_kept(machine: Machine) -> None:
    job = machine.train(
        "slow",
        """
        import signal, sys, time
        def save(*_):
            open("/opt/ml/model/weights", "w").write("saved on SIGTERM")
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        time.sleep(60)
        """,
        StoppingCondition={"MaxRuntimeInSeconds": 1},
    )
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == (
        "Training job runtime exceeded MaxRuntimeInSeconds provided"
    )
    assert "MaxRuntimeInSeconds (1 seconds)" in machine.logs.text("slow")
    content = BytesIO(machine.get("out/slow/output/model.tar.gz"))
    with tarfile.open(fileobj=content) as archive:
        assert archive.getnames() == ["weights"]


def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(machine: Machine) -> None:
    began = time.monotonic()
    job = machine.process(
        "deaf",
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        """,
        StoppingCondition={"MaxRuntimeInSeconds": 1},
    )
    assert job["ProcessingJobStatus"] == "Stopped"
    assert job["FailureReason"] == "The job ran past MaxRuntimeInSeconds (1 seconds)."
    assert time.monotonic() - began < 10


def test_a_job_that_fills_its_volume_fails_and_says_what_to_ask_for(machine: Machine) -> None:
    fill = """
        import os, time
        file = os.open("{path}", os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(file, 0, 2**30 + 2**20)
        {then}
        """
    for name, path, then in (
        ("full", "/opt/ml/output/big", "time.sleep(60)"),
        ("full-tmp", "/tmp/big", "time.sleep(60)"),
        ("full-and-quick", "/opt/ml/output/big", "pass"),
    ):
        job = machine.process(name, fill.format(path=path, then=then))
        assert job["ProcessingJobStatus"] == "Failed"
        assert job["FailureReason"] == (
            "ClientError: No space left on device: the job filled the volume of 1 GB. "
            "Ask for a larger VolumeSizeInGB."
        )


def test_a_stop_in_the_middle_ends_as_stopped_with_everything_it_started(machine: Machine) -> None:
    machine.processing.create_processing_job(
        processing_request(
            "stopped",
            """
            import subprocess, time
            subprocess.Popen(["sleep", "98761"], start_new_session=True)
            print("running")
            time.sleep(60)
            """,
        )
    )
    eventually(lambda: "running" in machine.logs.text("stopped"), "the job runs")
    assert processes("98761")
    machine.processing.stop_processing_job({"ProcessingJobName": "stopped"})
    status = machine.processing.describe_processing_job({"ProcessingJobName": "stopped"})
    assert status["ProcessingJobStatus"] in ("Stopping", "Stopped")
    job = machine.processing.wait("stopped", 30)
    assert job["ProcessingJobStatus"] == "Stopped"
    assert not processes("98761")
    with pytest.raises(ValidationError, match="the processing job is in status Stopped"):
        machine.processing.stop_processing_job({"ProcessingJobName": "stopped"})


def test_a_stop_at_once_ends_as_stopped_too(machine: Machine) -> None:
    machine.training.create_training_job(training_request("early", "import time; time.sleep(60)"))
    machine.training.stop_training_job({"TrainingJobName": "early"})
    job = machine.training.wait("early", 30)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"


def test_a_shutdown_kills_what_runs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine")
    machine.processing.create_processing_job(
        processing_request("victim", "import time; print('up'); time.sleep(60)")
    )
    eventually(lambda: "up" in machine.logs.text("victim"), "the job runs")
    began = time.monotonic()
    machine.runner.shutdown()
    assert time.monotonic() - began < 1
    job = machine.processing.describe_processing_job({"ProcessingJobName": "victim"})
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "InternalServerError: localaws was stopped while this job was running. Start it again."
    )
    assert not list(machine.home.glob("jobs/*/*"))
    machine.close()


SERVER = """
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from tests.unit.job_kit import Machine, processing_request
machine = Machine(pathlib.Path(sys.argv[1]))
script = "import subprocess, time; subprocess.Popen(['sleep', '98762'], start_new_session=True)"
machine.processing.create_processing_job(
    processing_request("orphan", script + "; time.sleep(60)")
)
machine.processing.wait("orphan")
"""


def test_a_killed_server_takes_its_jobs_along_and_the_next_one_says_so(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    program = tmp_path / "server.py"  # as a file: its command line must not hold the token
    program.write_text(SERVER)
    server = subprocess.Popen([sys.executable, str(program), str(tmp_path / "machine"), root])
    eventually(lambda: processes("98762"), "the job's child runs")
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    eventually(lambda: not processes("98762"), "the job's child is gone", seconds=2)

    machine = Machine(tmp_path / "machine")
    assert list(machine.home.glob("jobs/*/*"))
    machine.processing.recover()
    machine.training.recover()
    job = machine.processing.describe_processing_job({"ProcessingJobName": "orphan"})
    assert job["ProcessingJobStatus"] == "Failed"
    assert "localaws was stopped while this job was running" in job["FailureReason"]
    assert not list(machine.home.glob("jobs/*/*"))
    assert machine.processing.wait("orphan", 0) == job
    machine.close()


def test_a_folder_that_the_job_locked_is_removed_all_the_same(machine: Machine) -> None:
    machine.process(
        "locked",
        """
        import os
        os.makedirs("/opt/ml/processing/a/b")
        os.chmod("/opt/ml/processing/a/b", 0)
        os.chmod("/opt/ml/processing/a", 0)
        """,
    )
    eventually(lambda: not list(machine.home.glob("jobs/*/*")), "the job's folder is removed")
