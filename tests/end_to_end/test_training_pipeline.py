"""The training pipeline: started by the AWS CLI, and what it promises between two runs.

That is the cache, and the version in production.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import execution
from pipelines.code import STEPS_FOLDER
from pipelines.resources import of_stack
from pipelines.settings import Network, Settings, load
from tests.archives import good_archive
from tests.end_to_end.conftest import Command, User
from tests.end_to_end.test_faults import stage

PIPELINE = "scones-local-training"
QUICK = {"Epochs": "2", "AccuracyThreshold": "0"}


def start(user: User, url: str, *more: str) -> Command:
    """A quick execution, to its end."""
    quick = [f"--parameter={name}={value}" for name, value in QUICK.items()]
    return user.run("pipeline", "start", "--wait", "--data-url", url, *quick, *more)


def run(user: User, url: str, *more: str) -> dict[str, dict[str, Any]]:
    """Starts an execution, waits, and returns its steps by name."""
    answer = start(user, url, "--json", *more)
    assert answer.exit_code == 0, answer.out + answer.err
    return {step["name"]: step for step in answer.json["steps"]}


@pytest.fixture(scope="module")
def first(user: User, small_archive: Path) -> str:
    """The first execution, which the AWS CLI started and which succeeded: its ARN."""
    arguments = [f"Name=InputDataUrl,Value={stage(user, small_archive)}"]
    arguments += [f"Name={name},Value={value}" for name, value in QUICK.items()]
    started = user.aws(
        *("sagemaker", "start-pipeline-execution", "--pipeline-name", PIPELINE),
        *("--pipeline-parameters", *arguments),
    )
    arn: str = started["PipelineExecutionArn"]
    assert "Succeeded" in user.ok("pipeline", "watch", arn)
    return arn


def test_the_aws_cli_describes_an_execution_and_lists_its_steps(user: User, first: str) -> None:
    execution = ("--pipeline-execution-arn", first)
    described = user.aws("sagemaker", "describe-pipeline-execution", *execution)
    assert described["PipelineExecutionStatus"] == "Succeeded"
    listed = user.aws(
        *("sagemaker", "list-pipeline-execution-steps", *execution, "--sort-order", "Ascending")
    )["PipelineExecutionSteps"]
    succeeded = [step["StepName"] for step in listed if step["StepStatus"] == "Succeeded"]
    assert succeeded == ["Prepare", "Train", "Evaluate", "AccuracyGate", "Baseline", "Register"]
    assert not any("CacheHitResult" in step for step in listed)


def test_the_jobs_logs_are_in_cloudwatch(user: User, first: str) -> None:
    group = ("--log-group-name", "/aws/sagemaker/TrainingJobs")
    streams = user.aws("logs", "describe-log-streams", *group)["logStreams"]
    name = ("--log-stream-name", streams[0]["logStreamName"])
    events = user.aws("logs", "get-log-events", *group, *name)["events"]
    assert any("epoch=2/2" in event["message"] for event in events)


def cached(steps: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, step in steps.items() if step["cached"]}


def test_a_second_run_is_cached_and_a_changed_program_reruns_from_there(
    user: User, small_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = stage(user, small_archive)
    assert cached(run(user, url)) == set()
    assert cached(run(user, url)) == {"Prepare", "Train", "Evaluate", "Baseline"}
    assert cached(run(user, url, "-p", "Seed=7")) == {"Prepare"}

    changed = Path(shutil.copytree(STEPS_FOLDER, tmp_path / "steps"))
    with (changed / "evaluate.py").open("a") as program:
        program.write("# changed\n")
    submit(user, load("local"), monkeypatch, changed)
    assert cached(run(user, url)) == {"Prepare", "Train"}
    user.ok("pipeline", "upsert")


def submit(
    user: User,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    steps_folder: Path = STEPS_FOLDER,
) -> None:
    """Upserts the pipeline with other settings or other programs, through the SDK."""
    for name, value in user.aws_environment().items():
        if name.startswith(("AWS_", "SAGEMAKER_")):
            monkeypatch.setenv(name, value)
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    from pipelines.training import training_pipeline

    resources = of_stack("scones-local", user.client("cloudformation"))
    session = PipelineSession(default_bucket=resources.bucket_name)
    pipeline = training_pipeline(settings, resources, session, steps_folder)
    pipeline.upsert(role_arn=resources.pipeline_role_arn)


def test_a_new_model_is_held_against_the_version_that_the_aws_cli_has_approved(
    user: User, tmp_path: Path
) -> None:
    url = stage(user, good_archive(tmp_path / "first.tar.gz", train=60))
    run(user, url, "-p", "Epochs=8")
    newest = user.run("models", "list", "--json").json[0]
    group = ("--model-package-group-name", "scones-local")
    listed = user.aws("sagemaker", "list-model-packages", *group)["ModelPackageSummaryList"]
    assert newest["arn"] in [package["ModelPackageArn"] for package in listed]
    approved = ("--model-package-arn", newest["arn"], "--model-approval-status", "Approved")
    user.aws("sagemaker", "update-model-package", *approved)
    known = user.run("models", "list", "--json").json[0]
    assert (known["version"], known["approval_status"]) == (newest["version"], "Approved")

    steps = run(user, url, "-p", "ProductionTolerance=1")
    report = evaluation(user, steps["Evaluate"]["job_arn"])
    assert report["production"]["model_package_arn"] == newest["arn"]
    own = report["binary_classification_metrics"]["accuracy"]["value"]
    assert report["accuracy_drop"] == pytest.approx(report["production"]["accuracy"] - own)

    command = start(user, url, "-p", "ProductionTolerance=-1.1")
    assert command.exit_code == 1
    assert "below the version in production" in command.err
    user.ok("models", "reject", str(newest["version"]))


def evaluation(user: User, job_arn: str) -> Any:
    job = user.client("sagemaker").describe_processing_job(
        ProcessingJobName=job_arn.rsplit("/", 1)[-1]
    )
    outputs = job["ProcessingOutputConfig"]["Outputs"]
    uris = {output["OutputName"]: output["S3Output"]["S3Uri"] for output in outputs}
    bucket, _, prefix = uris["evaluation"].removeprefix("s3://").partition("/")
    answer = user.client("s3").get_object(Bucket=bucket, Key=f"{prefix}/evaluation.json")
    return json.load(answer["Body"])


def test_the_package_carries_where_it_comes_from(user: User, small_archive: Path) -> None:
    url = stage(user, small_archive)
    # What serves may be another's model, of other images.
    steps = run(user, url, "--trigger", "new-labels", "-p", "ProductionTolerance=1")
    arn = steps["Register"]["model_package_arn"]
    package = user.client("sagemaker").describe_model_package(ModelPackageName=arn)
    metadata = package["CustomerMetadataProperties"]
    assert metadata["trigger"] == "new-labels"
    assert metadata["dataset_name"].startswith("archive small")
    assert float(metadata["accuracy"]) <= 1
    assert float(metadata["confidence_threshold"]) >= 0.8
    newest = execution.executions(PIPELINE, user.client("sagemaker"))
    assert next(newest)["PipelineExecutionArn"].endswith(metadata["execution_id"])
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    bucket, _, key = statistics.removeprefix("s3://").partition("/")
    assert user.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0


def test_the_best_trial_is_registered_and_can_be_explained_and_has_a_card(
    user: User, small_archive: Path, tmp_path: Path
) -> None:
    url = stage(user, small_archive)
    steps = run(user, url, "--tune", "-p", "Trials=2", "-p", "ProductionTolerance=1")
    tuning = steps["Tune"]["job_arn"].rpartition("/")[2]
    sagemaker = user.client("sagemaker")
    job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning)
    assert job["TrainingJobStatusCounters"]["Completed"] == 2
    best = job["BestTrainingJob"]["TrainingJobName"]
    arn = steps["Register"]["model_package_arn"]
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"].endswith(f"/{best}/output/model.tar.gz")

    version = arn.rpartition("/")[2]
    page = Path(user.ok("models", "card", version, "--out", str(tmp_path)).strip())
    assert best in page.read_text("utf-8")
    card = json.loads((tmp_path / "card.json").read_text("utf-8"))
    assert card["model_overview"]["model_version"] == int(version)

    bucket, _, prefix = (
        package["CustomerMetadataProperties"]["test_images_url"]
        .removeprefix("s3://")
        .partition("/")
    )
    listed = user.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    image = f"s3://{bucket}/{listed['Contents'][0]['Key']}"
    explained = user.run("explain", image, "--version", version, "--out", str(tmp_path), "--json")
    assert explained.exit_code == 0, explained.err
    assert 0.5 <= explained.json["confidence"] <= 1
    assert Path(explained.json["picture"]).read_bytes().startswith(b"\x89PNG")


def definition_of(user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in user.aws_environment().items():
        if name.startswith(("AWS_", "SAGEMAKER_")):
            monkeypatch.setenv(name, value)
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    from pipelines.training import training_pipeline

    assert os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1")
    resources = of_stack("scones-local", user.client("cloudformation"))
    session = PipelineSession(default_bucket=resources.bucket_name)
    return str(training_pipeline(settings, resources, session).definition())


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_every_environments_definition_builds_and_passes_the_check(
    user: User, environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.check import check

    check(definition_of(user, load(environment), monkeypatch))


def test_the_built_in_algorithm_changes_how_the_model_is_trained_and_asked_and_nothing_else(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.check import check

    text = definition_of(user, built_in(load("prod")), monkeypatch)
    check(text)
    steps = {step["Name"]: step for step in json.loads(text)["Steps"]}
    own = {s["Name"] for s in json.loads(definition_of(user, load("prod"), monkeypatch))["Steps"]}
    asked = {"CreateCandidate", "AskTest", "AskValidation"}
    assert steps.keys() == own | asked

    train = steps["Train"]["Arguments"]
    algorithm = train["AlgorithmSpecification"]
    assert algorithm.keys() == {"TrainingImage", "TrainingInputMode"}  # no program, no metrics
    assert "/image-classification:" in algorithm["TrainingImage"]
    channels = {channel["ChannelName"]: channel for channel in train["InputDataConfig"]}
    assert channels.keys() == {"train", "validation", "train_lst", "validation_lst"}
    assert {channel["ContentType"] for channel in channels.values()} == {"application/x-image"}
    assert train["HyperParameters"]["num_classes"] == "2"
    [trained_on] = train["HyperParameters"]["num_training_samples"]["Std:Join"]["Values"]
    assert trained_on["Std:JsonGet"]["Path"] == "images.train"
    model = steps["CreateCandidate"]["Arguments"]
    assert model["EnableNetworkIsolation"] is True
    assert model["PrimaryContainer"]["Image"] == algorithm["TrainingImage"]
    ask = steps["AskTest"]["Arguments"]
    assert ask["TransformInput"]["ContentType"] == "application/x-image"
    key = of_stack("scones-local", user.client("cloudformation")).key_arn
    assert ask["TransformOutput"]["KmsKeyId"] == ask["TransformResources"]["VolumeKmsKeyId"] == key
    inputs = {item["InputName"] for item in steps["Evaluate"]["Arguments"]["ProcessingInputs"]}
    assert {"test_answers", "validation_answers"} < inputs
    assert "model" not in inputs


def built_in(settings: Settings) -> Settings:
    """The settings with `training.algorithm: built-in`."""
    training = settings.training.model_copy(update={"algorithm": "built-in"})
    return settings.model_copy(update={"training": training})


def test_every_job_is_encrypted_and_goes_into_the_network_that_the_settings_name(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load("prod")
    network = Network(subnets=["subnet-12345678"], security_groups=["sg-12345678"])
    inside = settings.model_copy(update={"network": network})
    key = of_stack("scones-local", user.client("cloudformation")).key_arn

    steps = {
        step["Name"]: step["Arguments"]
        for step in json.loads(definition_of(user, inside, monkeypatch))["Steps"]
    }
    baseline = next(s for s in steps["AccuracyGate"]["IfSteps"] if s["Name"] == "Baseline")
    for job in (steps["Prepare"], steps["Evaluate"], baseline["Arguments"]):
        assert job["NetworkConfig"]["VpcConfig"]["Subnets"] == network.subnets
        assert job["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == key
        assert job["ProcessingOutputConfig"]["KmsKeyId"] == key
    train = steps["Train"]
    assert train["VpcConfig"]["SecurityGroupIds"] == network.security_groups
    assert train["ResourceConfig"]["VolumeKmsKeyId"] == train["OutputDataConfig"]["KmsKeyId"] == key


def test_several_machines_train_through_the_sdks_torchrun(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load("prod")
    several = settings.training.model_copy(update={"instance_count": 2})
    body = definition_of(user, settings.model_copy(update={"training": several}), monkeypatch)
    train = next(s["Arguments"] for s in json.loads(body)["Steps"] if s["Name"] == "Train")
    assert train["ResourceConfig"]["InstanceCount"] == 2
    drivers = next(c for c in train["InputDataConfig"] if c["ChannelName"] == "sm_drivers")
    bucket, _, prefix = (
        drivers["DataSource"]["S3DataSource"]["S3Uri"].removeprefix("s3://").partition("/")
    )
    s3 = user.client("s3")
    script = s3.get_object(Bucket=bucket, Key=f"{prefix.rstrip('/')}/sm_train.sh")["Body"].read()
    assert b"torchrun_driver.py" in script
