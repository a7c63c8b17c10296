"""State changes of jobs and pipelines as events, in the documented shapes."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localaws.announcements import Announcements
from localaws.delivery.queue import Queue
from localaws.moto_side import s3_events
from localaws.sagemaker.pipelines import Pipelines
from localaws.sagemaker.processing import ProcessingJobs
from localaws.sagemaker.training import TrainingJobs
from tests.localaws_parts import Clock, fail_with, make_context, until
from tests.pipelines_kit import Fixture, processing
from tests.unit.job_kit import (
    Machine,
    processing_input,
    processing_outputs,
    processing_request,
    training_request,
)

Json = dict[str, Any]
Told = list[tuple[str, list[str], Json]]


def listen(told: Told) -> Any:
    def announce(kind: str, resources: list[str], detail: Json) -> None:
        told.append((kind, resources, detail))

    return announce


@pytest.fixture
def told() -> Told:
    return []


def test_a_processing_job_tells_its_start_and_its_end(tmp_path: Path, told: Told) -> None:
    machine = Machine(tmp_path)
    machine.put("in/a", "x")
    jobs = ProcessingJobs(machine.context, machine.runner, listen(told))
    request = processing_request("job", "raise SystemExit(3)")
    request["ProcessingInputs"] = [processing_input("i", "s3://data/in", "/opt/ml/processing/i")]
    request["ProcessingOutputConfig"] = processing_outputs("/opt/ml/processing/o", "s3://data/o")
    arn = jobs.create_processing_job(request)["ProcessingJobArn"]
    jobs.wait("job", 30)
    machine.close()
    (_, _, first), (kind, resources, last) = told
    assert (kind, resources) == ("SageMaker Processing Job State Change", [arn])
    assert first["ProcessingJobStatus"] == "InProgress"
    assert last["ProcessingJobStatus"] == "Failed"
    assert last["FailureReason"].endswith("exit code: 3")
    assert last["ProcessingInputs"][0]["S3Input"]["S3DataType"] == "S3_PREFIX"
    assert last["ProcessingInputs"][0]["S3Input"]["S3InputMode"] == "FILE"
    output = last["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]
    assert output["S3UploadMode"] == "END_OF_JOB"
    assert output["S3Uri"] == "s3://data/o"
    assert isinstance(last["ProcessingEndTime"], int)
    assert last["ProcessingEndTime"] > 1.7e12
    assert "ExitMessage" not in last
    assert "Environment" not in last


def test_a_training_job_tells_each_of_its_stages(tmp_path: Path, told: Told) -> None:
    machine = Machine(tmp_path)
    jobs = TrainingJobs(machine.context, machine.runner, listen(told))
    jobs.create_training_job(
        training_request("job", "open('/opt/ml/model/m', 'w')", Tags=[{"Key": "a", "Value": "b"}])
    )
    jobs.wait("job", 30)
    machine.close()
    stages = [detail["SecondaryStatus"] for _, _, detail in told]
    assert stages == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    kind, _, last = told[-1]
    assert kind == "SageMaker Training Job State Change"
    assert last["TrainingJobStatus"] == "Completed"
    assert last["Tags"] == {"a": "b"}
    assert isinstance(last["SecondaryStatusTransitions"][0]["StartTime"], int)


def test_a_pipeline_tells_the_states_of_its_execution_and_steps(tmp_path: Path, told: Told) -> None:
    aws = Fixture(tmp_path)
    aws.programs["fail"] = fail_with("ClientError: no data")
    steps: Any = {"Processing": aws.processing, "Training": aws.training}
    others: Any = {"RegisterModel": aws.registry, "Model": aws.registry}
    aws.api = Pipelines(aws.context, {**steps, **others}, aws.wait, listen(told))
    arn = aws.start(processing("Good"), processing("Bad", "fail", DependsOn=["Good"]))
    aws.end(arn)
    executions = [detail for kind, _, detail in told if "Step" not in kind]
    assert [
        (detail.get("previousPipelineExecutionStatus"), detail["currentPipelineExecutionStatus"])
        for detail in executions
    ] == [(None, "Executing"), ("Executing", "Failed")]
    assert executions[1]["executionEndTime"].endswith("Z")
    assert executions[1]["pipelineExecutionArn"] == arn
    kind, resources, bad = [event for event in told if "Step" in event[0]][-1]
    assert kind == "SageMaker Model Building Pipeline Execution Step Status Change"
    assert resources == [bad["pipelineArn"], arn]
    assert (bad["stepName"], bad["stepType"]) == ("Bad", "Processing")
    assert (bad["previousStepStatus"], bad["currentStepStatus"]) == ("Executing", "Failed")
    assert "no data" in bad["failureReason"]
    assert bad["metadata"]["processingJob"]["arn"].startswith("arn:aws:sagemaker:")


def test_an_event_that_was_kept_is_delivered_after_a_kill(tmp_path: Path) -> None:
    context = make_context(tmp_path, Clock())
    before = Announcements(context, Queue(context), lambda event: None)
    before("SageMaker Processing Job State Change", ["arn"], {"a": 1})
    # The queue of the killed process never started; the next one finds the entry.
    heard: list[Json] = []
    queue = Queue(dataclasses.replace(context))
    Announcements(context, queue, heard.append)
    queue.recover()
    until(lambda: heard)
    queue.shutdown()
    (event,) = heard
    assert event["source"] == "aws.sagemaker"
    assert event["time"] == "2026-01-01T00:00:00Z"
    assert (event["resources"], event["detail"]) == (["arn"], {"a": 1})


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("s3:ObjectCreated:Put", "Object Created", "PutObject"),
        ("s3:ObjectCreated:Copy", "Object Created", "CopyObject"),
        (
            "s3:ObjectCreated:CompleteMultipartUpload",
            "Object Created",
            "CompleteMultipartUpload",
        ),
        ("s3:ObjectRemoved:Delete", "Object Deleted", "DeleteObject"),
    ],
)
def test_an_object_is_told_as_s3_tells_it(name: str, kind: str, reason: str) -> None:
    bucket = SimpleNamespace(name="b", arn="arn:aws:s3:::b", region_name="us-east-1")
    key = SimpleNamespace(name="a/ü.json", size=3, etag='"e"', version_id="null")
    events = [s3_events.event("1", bucket, name, key) for _ in range(2)]
    event = events[0]
    assert (event["detail-type"], event["source"]) == (kind, "aws.s3")
    assert event["resources"] == ["arn:aws:s3:::b"]
    assert event["detail"]["reason"] == reason
    thing = event["detail"]["object"]
    assert (thing["key"], thing["size"], thing["etag"]) == ("a/ü.json", 3, "e")
    assert "version-id" not in thing
    assert events[1]["detail"]["object"]["sequencer"] > thing["sequencer"]
