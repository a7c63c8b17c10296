"""The AWS CLI drives the pipeline and the registry, unchanged."""

from pathlib import Path

from tests.end_to_end.conftest import User

PIPELINE = "scones-local-training"
QUICK = ["Epochs=1", "AccuracyThreshold=0"]


def test_the_aws_cli_starts_describes_lists_steps_and_approves(
    user: User, small_archive: Path
) -> None:
    url = user.ok("data", "stage", "--data", str(small_archive)).splitlines()[-1]
    parameters = [f"Name={p.split('=')[0]},Value={p.split('=')[1]}" for p in QUICK]
    started = user.aws(
        "sagemaker",
        "start-pipeline-execution",
        "--pipeline-name",
        PIPELINE,
        "--pipeline-parameters",
        f"Name=InputDataUrl,Value={url}",
        *parameters,
    )
    arn = started["PipelineExecutionArn"]
    user.ok("pipeline", "watch", arn)

    described = user.aws(
        "sagemaker", "describe-pipeline-execution", "--pipeline-execution-arn", arn
    )
    assert described["PipelineExecutionStatus"] == "Succeeded"
    steps = user.aws(
        "sagemaker",
        "list-pipeline-execution-steps",
        "--pipeline-execution-arn",
        arn,
        "--sort-order",
        "Ascending",
    )["PipelineExecutionSteps"]
    assert [step["StepName"] for step in steps if step["StepStatus"] == "Succeeded"] == [
        "Prepare",
        "Train",
        "Evaluate",
        "AccuracyGate",
        "Baseline",
        "Register",
    ]

    (package,) = user.aws(
        "sagemaker", "list-model-packages", "--model-package-group-name", "scones-local"
    )["ModelPackageSummaryList"]
    user.aws(
        "sagemaker",
        "update-model-package",
        "--model-package-arn",
        package["ModelPackageArn"],
        "--model-approval-status",
        "Approved",
    )
    (row,) = user.run("models", "list", "--json").json
    assert (row["version"], row["approval_status"]) == (1, "Approved")


def test_the_jobs_logs_are_in_cloudwatch(user: User) -> None:
    streams = user.aws(
        "logs", "describe-log-streams", "--log-group-name", "/aws/sagemaker/TrainingJobs"
    )["logStreams"]
    events = user.aws(
        "logs",
        "get-log-events",
        "--log-group-name",
        "/aws/sagemaker/TrainingJobs",
        "--log-stream-name",
        streams[0]["logStreamName"],
    )["events"]
    assert any("epoch=1/1" in event["message"] for event in events)
