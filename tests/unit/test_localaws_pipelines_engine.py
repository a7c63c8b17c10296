"""Executions of pipelines: values, order, branches and names."""

import re
import threading
import time
from pathlib import Path

import pytest

from tests.localaws_parts import (
    FolderObjects,
    Json,
    fail_with,
    meet,
    until,
    write_json,
)
from tests.pipelines_kit import (
    REPORT,
    Fixture,
    environment,
    fail_step,
    gate,
    output_of,
    processing,
    register,
    training,
)


@pytest.fixture
def aws(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path)


def test_values_flow_from_step_to_step(aws: Fixture) -> None:
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    arn = aws.start(
        processing("Prepare", arguments=environment(EPOCHS={"Get": "Parameters.Epochs"})),
        training("Train", arguments={"HyperParameters": {"data": output_of("Prepare")}}),
        register(model, ModelPackageDescription={"Get": "Execution.PipelineExecutionArn"}),
        parameters=[{"Name": "Epochs", "Type": "String", "DefaultValue": "3"}],
        PipelineParameters=[{"Name": "Epochs", "Value": "5"}],
    )
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    identifier = arn.rpartition("/")[2]
    assert aws.processing.requests()[0]["Environment"] == {"EPOCHS": "5"}
    trained = aws.training.requests()[0]
    assert trained["HyperParameters"] == {"data": f"s3://bucket/{identifier}/Prepare"}
    package_arn = aws.steps(arn)["Register"]["Metadata"]["RegisterModel"]["Arn"]
    package = aws.registry.describe_model_package({"ModelPackageName": package_arn})
    container = package["InferenceSpecification"]["Containers"][0]
    assert container["ModelDataUrl"] == trained["ModelArtifacts"]["S3ModelArtifacts"]
    assert package["ModelPackageDescription"] == arn
    assert package["MetadataProperties"]["GeneratedBy"] == arn


def test_a_job_is_named_tagged_and_listed_as_pipelines_does(aws: Fixture) -> None:
    arn = aws.start(processing("Prepare", DisplayName="Get ready", Description="first"))
    aws.end(arn)
    job = aws.processing.requests()[0]
    identifier = arn.rpartition("/")[2]
    assert job["ProcessingJobName"].startswith(f"pipelines-{identifier}-Prepare-")
    assert job["RoleArn"].endswith("role/pipeline")
    assert {"Key": "sagemaker:pipeline-execution-arn", "Value": arn} in job["Tags"]
    step = aws.steps(arn)["Prepare"]
    assert step["Metadata"] == {"ProcessingJob": {"Arn": job["ProcessingJobArn"]}}
    assert (step["StepDisplayName"], step["StepDescription"]) == ("Get ready", "first")
    assert (step["StepStatus"], step["AttemptCount"]) == ("Succeeded", 1)
    assert step["StartTime"] < step["EndTime"]
    assert not step.keys() & {"Properties", "StepType"}


def test_independent_steps_run_at_the_same_time_and_a_diamond_closes_once(aws: Fixture) -> None:
    aws.programs["meet"] = meet(threading.Barrier(2))
    arn = aws.start(
        processing("Top"),
        processing("Left", "meet", DependsOn=["Top"]),
        processing("Right", "meet", DependsOn=["Top"]),
        processing("Bottom", DependsOn=["Left", "Right"]),
    )
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert aws.processing.started == ["succeed", "meet", "meet", "succeed"]
    steps = aws.steps(arn)
    assert steps["Bottom"]["StartTime"] > max(steps[s]["EndTime"] for s in ("Left", "Right"))


def test_no_more_steps_run_at_once_than_the_execution_allows(aws: Fixture) -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    def count(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        stop.wait(0.02)
        with lock:
            running[0] -= 1

    aws.programs["count"] = count
    arn = aws.start(
        *[processing(f"S{number}", "count") for number in range(6)],
        ParallelismConfiguration={"MaxParallelExecutionSteps": 2},
    )
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert most == [2]


def test_a_running_execution_may_be_allowed_more_steps(aws: Fixture) -> None:
    aws.programs["meet"] = meet(threading.Barrier(2))
    arn = aws.start(
        processing("One", "meet"),
        processing("Two", "meet"),
        ParallelismConfiguration={"MaxParallelExecutionSteps": 1},
    )
    until(lambda: aws.processing.started)
    assert len(aws.states(arn)) == 1
    aws.api.update_pipeline_execution(
        {
            "PipelineExecutionArn": arn,
            "ParallelismConfiguration": {"MaxParallelExecutionSteps": 2},
        }
    )
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"


@pytest.mark.parametrize(("accuracy", "taken"), [(0.9, "Publish"), (0.8, "Refuse")])
def test_a_condition_enables_one_branch_and_skips_the_other(
    aws: Fixture, accuracy: float, taken: str
) -> None:
    aws.programs["evaluate"] = write_json(f'{{"accuracy": {accuracy}}}')
    message = {"Std:Join": {"On": " ", "Values": ["accuracy", accuracy, "is too low"]}}
    arn = aws.start(
        processing("Evaluate", "evaluate", PropertyFiles=[REPORT]),
        gate(
            [processing("Publish"), processing("Announce", DependsOn=["Publish"])],
            [fail_step(message)],
        ),
    )
    ended = aws.end(arn)
    steps = aws.steps(arn)
    if taken == "Publish":
        assert ended["PipelineExecutionStatus"] == "Succeeded"
        assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
        assert steps.keys() == {"Evaluate", "Gate", "Publish", "Announce"}
    else:
        assert ended["PipelineExecutionStatus"] == "Failed"
        assert ended["FailureReason"] == "Step failure: Refuse failed: accuracy 0.8 is too low"
        assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "False"}}
        assert steps["Refuse"]["Metadata"] == {"Fail": {"ErrorMessage": "accuracy 0.8 is too low"}}
        assert steps.keys() == {"Evaluate", "Gate", "Refuse"}


def test_what_waits_for_a_skipped_step_is_skipped_too(aws: Fixture) -> None:
    aws.programs["evaluate"] = write_json('{"accuracy": 0.5}')
    arn = aws.start(
        processing("Evaluate", "evaluate", PropertyFiles=[REPORT]),
        gate([processing("Publish")], []),
        processing("Outside", DependsOn=["Publish"]),
        processing("Further", DependsOn=["Outside"]),
    )
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert aws.states(arn).keys() == {"Evaluate", "Gate"}


def test_a_custom_prefix_begins_the_jobs_name(aws: Fixture) -> None:
    arn = aws.start(training("Train", arguments={"TrainingJobName": "bicycles"}))
    aws.end(arn)
    identifier = arn.rpartition("/")[2]
    assert aws.training.requests()[0]["TrainingJobName"].startswith(f"bicycles-{identifier}-")


def test_a_long_name_is_cut_to_what_a_job_may_have(aws: Fixture) -> None:
    aws.end(aws.start(processing("Prepare_the_images_of_bicycles_and_of_motorcycles", "succeed")))
    name = aws.processing.requests()[0]["ProcessingJobName"]
    assert len(name) == 63
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)


def test_a_reason_of_several_lines_becomes_one_sentence(aws: Fixture) -> None:
    aws.programs["broken"] = fail_with("AlgorithmError: Traceback\n  File x\nValueError: bad")
    ended = aws.end(aws.start(training("Train", "broken")))
    assert ended["FailureReason"] == (
        "Step failure: Train failed: AlgorithmError: Traceback File x ValueError: bad"
    )


def test_a_missing_property_file_fails_the_condition_with_its_address(aws: Fixture) -> None:
    arn = aws.start(
        processing("Evaluate", PropertyFiles=[REPORT]), gate([processing("Publish")], [])
    )
    reason = aws.end(arn)["FailureReason"]
    identifier = arn.rpartition("/")[2]
    assert f"there is no object s3://bucket/{identifier}/Evaluate/report.json" in reason


def test_the_engine_takes_a_few_milliseconds_a_step(aws: Fixture) -> None:
    steps = [processing("S0")]
    steps += [processing(f"S{n}", DependsOn=[f"S{n - 1}"]) for n in range(1, 20)]
    name = aws.create(*steps)
    begin = time.perf_counter()
    arn = aws.api.start_pipeline_execution({"PipelineName": name})["PipelineExecutionArn"]
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert (time.perf_counter() - begin) / 20 < 0.05
