"""Executions that do not go well: failures, stops, retries and restarts."""

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.localaws_parts import (
    FolderObjects,
    Json,
    fail_with,
    until,
    until_stopped,
    when,
    write_json,
)
from tests.pipelines_kit import REPORT, Fixture, fail_step, gate, processing, register, training


@pytest.fixture
def aws(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path)


def policy(*exceptions: str, **more: Any) -> Json:
    return {"ExceptionType": list(exceptions), "IntervalSeconds": 2, "BackoffRate": 3, **more}


def test_a_failure_starts_nothing_new_and_lets_running_steps_finish(aws: Fixture) -> None:
    go_on = threading.Event()
    aws.programs["slow"] = when(go_on)
    aws.programs["broken"] = fail_with("AlgorithmError: no images, exit code: 1")
    arn = aws.start(
        processing("Slow", "slow"),
        processing("Broken", "broken"),
        processing("After", DependsOn=["Slow"]),
    )
    until(lambda: aws.states(arn).get("Broken") == "Failed")
    assert aws.states(arn)["Slow"] == "Executing"
    go_on.set()
    ended = aws.end(arn)
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert ended["FailureReason"] == (
        "Step failure: Broken failed: AlgorithmError: no images, exit code: 1"
    )
    assert aws.states(arn) == {"Slow": "Succeeded", "Broken": "Failed"}


def test_a_step_that_waits_for_a_failure_runs_on_it(aws: Fixture) -> None:
    aws.programs["broken"] = fail_with("AlgorithmError: no")
    arn = aws.start(
        training("Train", "broken"),
        processing("Notify", DependsOn=[{"Step": "Train", "Trigger": "Failed"}]),
        processing("Celebrate", DependsOn=["Train"]),
    )
    assert aws.end(arn)["PipelineExecutionStatus"] == "CompletedWithFailures"
    assert aws.states(arn) == {"Train": "Failed", "Notify": "Succeeded"}


def test_a_request_that_only_the_run_makes_illegal_fails_its_step(aws: Fixture) -> None:
    cluster = {"InstanceCount": 1, "InstanceType": {"Get": "Parameters.Type"}, "VolumeSizeInGB": 1}
    arn = aws.start(
        processing("Prepare", arguments={"ProcessingResources": {"ClusterConfig": cluster}}),
        parameters=[{"Name": "Type", "Type": "String"}],
        PipelineParameters=[{"Name": "Type", "Value": "ml.huge"}],
    )
    reason = aws.end(arn)["FailureReason"]
    assert reason.startswith(
        "Step failure: Prepare failed: ClientError: Failed to invoke sagemaker:CreateProcessingJob."
    )
    assert "'ml.huge'" in reason


def test_a_job_past_its_time_fails_its_step_with_the_limit(aws: Fixture) -> None:
    def too_long(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
        job["SecondaryStatus"] = "MaxRuntimeExceeded"
        stop.set()

    aws.programs["long"] = too_long
    arn = aws.start(training("Train", "long"))
    assert "ran past MaxRuntimeInSeconds (60 seconds)" in aws.end(arn)["FailureReason"]
    assert aws.states(arn) == {"Train": "Failed"}


def test_a_job_stopped_by_somebody_else_stops_its_step_and_fails_the_execution(
    aws: Fixture,
) -> None:
    aws.programs["wait"] = until_stopped
    arn = aws.start(training("Train", "wait"))
    job = until(aws.training.requests)[0]
    aws.training.stop_training_job({"TrainingJobName": job["TrainingJobName"]})  # type: ignore[attr-defined]  # set by noun
    ended = aws.end(arn)
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert ended["FailureReason"].endswith("was stopped")
    assert aws.states(arn) == {"Train": "Stopped"}


def test_a_stop_ends_the_running_jobs_and_nothing_is_registered(aws: Fixture) -> None:
    aws.programs["wait"] = until_stopped
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    arn = aws.start(
        processing("Prepare"), training("Train", "wait", DependsOn=["Prepare"]), register(model)
    )
    until(lambda: aws.states(arn).get("Train") == "Executing")
    aws.api.stop_pipeline_execution({"PipelineExecutionArn": arn})
    assert aws.end(arn)["PipelineExecutionStatus"] == "Stopped"
    assert aws.states(arn) == {"Prepare": "Succeeded", "Train": "Stopped"}
    assert "FailureReason" not in aws.describe(arn)
    assert aws.registry.list_model_package_groups({})["ModelPackageGroupSummaryList"] == []


def test_a_retry_keeps_what_succeeded_and_repeats_what_failed(aws: Fixture) -> None:
    aws.programs["flaky"] = fail_with("AlgorithmError: bad luck")
    arn = aws.start(
        processing("Prepare"),
        training("Train", "flaky", DependsOn=["Prepare"]),
        processing("After", DependsOn=["Train"]),
    )
    assert aws.end(arn)["PipelineExecutionStatus"] == "Failed"
    aws.api.retry_pipeline_execution({"PipelineExecutionArn": arn})
    ended = aws.end(arn)
    assert ended["PipelineExecutionStatus"] == "Succeeded"
    assert "FailureReason" not in ended
    assert aws.states(arn) == dict.fromkeys(("Prepare", "Train", "After"), "Succeeded")
    assert len(aws.processing.started) == 2, "Prepare ran once, and After"


def test_a_retried_condition_keeps_its_outcome(aws: Fixture) -> None:
    aws.programs["evaluate"] = write_json('{"accuracy": 0.9}')
    aws.programs["flaky"] = fail_with("AlgorithmError: bad luck")
    arn = aws.start(
        processing("Evaluate", "evaluate", PropertyFiles=[REPORT]),
        gate([processing("Publish", "flaky")], [fail_step("no")]),
    )
    assert aws.end(arn)["PipelineExecutionStatus"] == "Failed"
    aws.api.retry_pipeline_execution({"PipelineExecutionArn": arn})
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert aws.processing.started == ["evaluate", "flaky", "flaky"]


def test_a_restart_shows_what_was_running_as_failed_and_a_retry_finishes_it(aws: Fixture) -> None:
    aws.programs["wait"] = until_stopped
    arn = aws.start(processing("Prepare"), processing("Long", "wait", DependsOn=["Prepare"]))
    until(lambda: aws.states(arn).get("Long") == "Executing")
    aws.crash()
    aws.programs["wait"] = aws.programs["succeed"]
    aws.open()
    ended = aws.describe(arn)
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert ended["FailureReason"] == (
        "localaws was stopped while this execution was running; "
        "retry it with RetryPipelineExecution"
    )
    assert aws.states(arn) == {"Prepare": "Succeeded", "Long": "Failed"}
    aws.api.retry_pipeline_execution({"PipelineExecutionArn": arn})
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert len(aws.processing.started) == 1, "only Long ran again"


def test_a_shutdown_closes_the_records_of_what_was_running(aws: Fixture) -> None:
    aws.programs["wait"] = until_stopped
    arn = aws.start(processing("Abandoned", "wait"))
    until(lambda: aws.states(arn).get("Abandoned") == "Executing")
    aws.api.shutdown()
    assert aws.describe(arn)["PipelineExecutionStatus"] == "Failed"
    aws.processing.stop_processing_job(  # type: ignore[attr-defined]  # set by noun
        {"ProcessingJobName": aws.processing.requests()[0]["ProcessingJobName"]}
    )
    until(lambda: not any(thread.name == "step Abandoned" for thread in threading.enumerate()))
    assert aws.states(arn) == {"Abandoned": "Failed"}


def test_a_retry_policy_tries_again_after_its_waits(aws: Fixture) -> None:
    aws.programs["flaky"] = fail_with("CapacityError: none left", "CapacityError: none left")
    policies = [policy("SageMaker.CAPACITY_ERROR", MaxAttempts=3)]
    arn = aws.start(training("Train", "flaky", RetryPolicies=policies))
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert aws.steps(arn)["Train"]["AttemptCount"] == 3
    assert aws.clock.waits == [2, 6]
    assert len({job["TrainingJobName"] for job in aws.training.requests()}) == 3


def test_a_retry_policy_ends_and_leaves_other_failures_alone(aws: Fixture) -> None:
    aws.programs["flaky"] = fail_with("CapacityError: none left", "CapacityError: none left")
    policies = [policy("SageMaker.CAPACITY_ERROR", MaxAttempts=1)]
    arn = aws.start(training("Train", "flaky", RetryPolicies=policies))
    assert "CapacityError" in aws.end(arn)["FailureReason"]
    assert aws.steps(arn)["Train"]["AttemptCount"] == 2
    aws.programs["broken"] = fail_with("AlgorithmError: bad data")
    arn = aws.start(training("Train", "broken", RetryPolicies=policies))
    assert "AlgorithmError" in aws.end(arn)["FailureReason"]
    assert aws.steps(arn)["Train"]["AttemptCount"] == 1


def test_a_stop_ends_the_wait_between_two_tries(aws: Fixture) -> None:
    aws.wait = threading.Event.wait
    aws.open()
    aws.programs["flaky"] = fail_with("CapacityError: none left")
    policies = [policy("SageMaker.CAPACITY_ERROR", IntervalSeconds=3600, MaxAttempts=1)]
    arn = aws.start(training("Train", "flaky", RetryPolicies=policies))
    until(lambda: aws.training.requests() and aws.training.requests()[0].get("FailureReason"))
    aws.api.stop_pipeline_execution({"PipelineExecutionArn": arn})
    assert aws.end(arn)["PipelineExecutionStatus"] == "Stopped"
    assert aws.states(arn) == {"Train": "Stopped"}
    assert len(aws.training.started) == 1
