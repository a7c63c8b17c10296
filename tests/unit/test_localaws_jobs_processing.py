"""Processing jobs: what the program finds, what comes out, and what is refused."""

import json
from typing import Any

import pytest

from localaws.errors import InUse, NotImplementedHere, ValidationError
from tests.unit.job_kit import (
    IMAGE,
    ROLE,
    Machine,
    eventually,
    processing_input,
    processing_outputs,
    processing_request,
)

OUTPUT = "/opt/ml/processing/output"


def test_a_job_reads_its_inputs_and_its_outputs_land_in_s3(machine: Machine) -> None:
    machine.put("in/a.txt", "one")
    machine.put("in/deep/b.txt", "two")
    job = machine.process(
        "copy",
        f"""
        import pathlib, shutil
        shutil.copytree("/opt/ml/processing/input/in", "{OUTPUT}/again")
        pathlib.Path("relative.txt").write_text("the working folder is writable, as on AWS")
        """,
        ProcessingInputs=[processing_input("in", "s3://data/in", "/opt/ml/processing/input/in")],
        ProcessingOutputConfig=processing_outputs(OUTPUT, "s3://data/result"),
    )
    assert job["ProcessingJobStatus"] == "Completed", job
    assert machine.object_keys("result/") == ["result/again/a.txt", "result/again/deep/b.txt"]
    assert machine.get("result/again/deep/b.txt") == b"two"
    assert job["ProcessingEndTime"] >= job["ProcessingStartTime"] >= job["CreationTime"]
    assert "FailureReason" not in job
    eventually(lambda: not list(machine.home.glob("jobs/*/*")), "the job's folder is removed")


def test_entrypoint_and_arguments_are_run_as_they_are(machine: Machine) -> None:
    request = processing_request("words", "")
    request["AppSpecification"] = {
        "ImageUri": IMAGE,
        "ContainerEntrypoint": ["/bin/sh", "-c", 'printf "<%s>" "$@"', "sh"],
        "ContainerArguments": ["--a", "b c", "*", ""],
    }
    machine.processing.create_processing_job(request)
    machine.processing.wait("words", 30)
    assert machine.logs.text("words") == "<--a><b c><*><>"


def test_the_configuration_files_are_those_of_sagemaker(machine: Machine) -> None:
    job = machine.process(
        "config",
        f"""
        import shutil
        shutil.copytree("/opt/ml/config", "{OUTPUT}", dirs_exist_ok=True)
        """,
        Environment={"GREETING": "hello"},
        ProcessingOutputConfig=processing_outputs(OUTPUT, "s3://data/result"),
    )
    config = json.loads(machine.get("result/processingjobconfig.json"))
    assert config["ProcessingJobArn"] == job["ProcessingJobArn"]
    assert config["ProcessingJobName"] == "config"
    assert config["Environment"] == {"GREETING": "hello"}
    assert config["AppSpecification"]["ImageUri"] == IMAGE
    assert config["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 1
    resources = json.loads(machine.get("result/resourceconfig.json"))
    assert resources == {"current_host": "algo-1", "hosts": ["algo-1"]}


def test_the_environment_is_clean_and_names_no_region(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_SECRET", "not for jobs")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    machine.process(
        "env",
        """
        import json, os
        print(json.dumps(dict(os.environ)))
        """,
        Environment={"GREETING": "hello", "LANG": "de_CH.UTF-8"},
    )
    environment = json.loads(machine.logs.text("env"))
    assert environment["GREETING"] == "hello"
    assert environment["LANG"] == "de_CH.UTF-8"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    assert environment["AWS_ACCESS_KEY_ID"] == "ASIAJOB"
    assert environment["AWS_SESSION_TOKEN"] == "SageMaker-env"
    absent = {"SERVER_SECRET", "AWS_REGION", "AWS_DEFAULT_REGION", "PYTHONPATH"}
    assert not absent & environment.keys()


def test_a_continuous_output_is_uploaded_while_the_job_runs(machine: Machine) -> None:
    machine.processing.create_processing_job(
        processing_request(
            "live",
            f"""
            import pathlib, time
            folder = pathlib.Path("{OUTPUT}")
            (folder / "first.txt").write_text("early")
            while not pathlib.Path("/opt/ml/processing/never").exists():
                time.sleep(0.05)
            """,
            ProcessingOutputConfig=processing_outputs(OUTPUT, "s3://data/live/", "Continuous"),
        )
    )
    eventually(
        lambda: machine.object_keys("live/") == ["live/first.txt"], "the upload of first.txt"
    )
    assert machine.processing.describe_processing_job({"ProcessingJobName": "live"})[
        "ProcessingJobStatus"
    ] == ("InProgress")


def test_the_exit_message_is_what_the_job_left_in_its_message_file(machine: Machine) -> None:
    job = machine.process("message", "open('/opt/ml/output/message', 'w').write('3 rows dropped')")
    assert job["ExitMessage"] == "3 rows dropped"


def test_the_log_is_there_while_the_job_runs(machine: Machine) -> None:
    machine.processing.create_processing_job(
        processing_request("talks", "import sys, time; print('halfway', file=sys.stderr); input()")
    )
    eventually(lambda: "halfway" in machine.logs.text("talks"), "the line in the log")
    job = machine.processing.wait("talks", 30)  # standard input is empty, so input() fails
    assert "EOFError" in machine.logs.text("talks")
    assert job["FailureReason"] == (
        "AlgorithmError: See job logs for more information, exit code: 1"
    )
    group, stream = next(iter(machine.logs.streams))
    assert group == "/aws/sagemaker/ProcessingJobs"
    assert stream.startswith("talks/algo-1-")


def test_a_name_can_be_used_once(machine: Machine) -> None:
    machine.process("once", "pass")
    with pytest.raises(InUse, match=r"must be unique.*already exists \(arn:aws:sagemaker:"):
        machine.processing.create_processing_job(processing_request("once", "pass"))


def test_a_job_that_does_not_exist_cannot_be_described_or_stopped(machine: Machine) -> None:
    with pytest.raises(ValidationError, match="Could not find requested job with name: ghost"):
        machine.processing.describe_processing_job({"ProcessingJobName": "ghost"})
    with pytest.raises(ValidationError, match="Could not find requested job with name: ghost"):
        machine.processing.stop_processing_job({"ProcessingJobName": "ghost"})


def _with(**changes: Any) -> dict[str, Any]:
    return {**processing_request("refused", "pass"), **changes}


def _cluster(**changes: Any) -> dict[str, Any]:
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
    return {"ClusterConfig": {**cluster, **changes}}


REFUSED = {
    "two instances": (
        _with(ProcessingResources=_cluster(InstanceCount=2)),
        NotImplementedHere,
        "one instance a job",
    ),
    "a role that does not exist": (
        _with(RoleArn=ROLE + "x"),
        ValidationError,
        "Could not assume role",
    ),
    "an image without a stand-in": (
        _with(AppSpecification={"ImageUri": "public.ecr.aws/x/y:1", "ContainerEntrypoint": ["a"]}),
        ValidationError,
        "no program for image public.ecr.aws/x/y:1; known are image-classification, pytorch",
    ),
    "an image whose entrypoint is inside": (
        _with(AppSpecification={"ImageUri": IMAGE}),
        ValidationError,
        "give one in the request",
    ),
    "an input outside of /opt/ml/processing": (
        _with(ProcessingInputs=[processing_input("in", "s3://data/in", "/opt/ml/model")]),
        ValidationError,
        "must begin with /opt/ml/processing/",
    ),
    "an input that climbs out": (
        _with(
            ProcessingInputs=[
                processing_input("in", "s3://data/in", "/opt/ml/processing/../../../etc")
            ]
        ),
        ValidationError,
        "must begin with /opt/ml/processing/",
    ),
    "two inputs of one name": (
        _with(
            ProcessingInputs=[processing_input("in", "s3://data/in", "/opt/ml/processing/a")] * 2
        ),
        ValidationError,
        "given twice: in",
    ),
    "pipe mode": (
        _with(
            ProcessingInputs=[
                processing_input("in", "s3://data/in", "/opt/ml/processing/a", S3InputMode="Pipe")
            ]
        ),
        NotImplementedHere,
        "no Pipe mode",
    ),
    "gzip in file mode": (
        _with(
            ProcessingInputs=[
                processing_input(
                    "in", "s3://data/in", "/opt/ml/processing/a", S3CompressionType="Gzip"
                )
            ]
        ),
        ValidationError,
        "only in Pipe mode",
    ),
    "an address that is not S3": (
        _with(ProcessingInputs=[processing_input("in", "https://x/y", "/opt/ml/processing/a")]),
        ValidationError,
        "must look like s3://bucket/prefix",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_request_is_refused_before_anything_is_recorded(
    machine: Machine, case: tuple[dict[str, Any], type[Exception], str]
) -> None:
    request, error, words = case
    with pytest.raises(error, match=words):
        machine.processing.create_processing_job(request)
    assert machine.processing.list_processing_jobs({}) == {"ProcessingJobSummaries": []}


def test_an_image_of_the_own_account_runs_its_entrypoint_and_the_log_says_by_what(
    machine: Machine,
) -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/my/tool:3"
    job = machine.process(
        "own",
        "",
        AppSpecification={"ImageUri": image, "ContainerEntrypoint": ["python", "--version"]},
    )
    assert job["ProcessingJobStatus"] == "Completed"
    assert f"localaws cannot pull {image}: the project's Python" in machine.logs.text("own")


def test_lists_are_filtered_sorted_and_paged(machine: Machine) -> None:
    for name in ("b-1", "a-2", "a-1"):
        machine.process(name, "pass" if name != "a-2" else "raise SystemExit(3)")

    def names(**request: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = machine.processing.list_processing_jobs(request)
            found += [job["ProcessingJobName"] for job in page["ProcessingJobSummaries"]]
            if "NextToken" not in page:
                return found
            request["NextToken"] = page["NextToken"]

    assert names() == ["b-1", "a-2", "a-1"]
    assert names(SortBy="Name", MaxResults=1) == ["a-1", "a-2", "b-1"]
    assert names(SortOrder="Descending", MaxResults=2) == ["a-1", "a-2", "b-1"]
    assert names(NameContains="a-") == ["a-2", "a-1"]
    assert names(StatusEquals="Failed") == ["a-2"]
    middle = machine.processing.describe_processing_job({"ProcessingJobName": "a-2"})
    assert names(CreationTimeAfter=middle["CreationTime"]) == ["a-1"]
    assert names(CreationTimeBefore=middle["CreationTime"]) == ["b-1"]
    with pytest.raises(ValidationError, match="Invalid NextToken"):
        names(NextToken="nonsense")
