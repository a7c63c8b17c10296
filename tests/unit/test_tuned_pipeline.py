"""The tuned variant's definition: Tune in Train's place, and the best model goes on."""

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipelines.check import check
from pipelines.resources import Resources
from pipelines.settings import Settings, load

Json = dict[str, Any]
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "SAGEMAKER_VALIDATE_ROLE": "false",
}


def resources() -> Resources:
    arn = "arn:aws:iam::123456789012:role/"
    values = {
        field.name: f"{arn}{field.name}" if field.name.endswith("role_arn") else "scones-x"
        for field in dataclasses.fields(Resources)
    }
    values["key_arn"] = "arn:aws:kms:us-east-1:123456789012:key/abc"
    return Resources(**values)


def steps(settings: Settings, tuned: bool) -> tuple[str, dict[str, Json], list[str]]:
    """The pipeline's name, its steps by name with those of branches, and its parameters."""
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    from pipelines.training import training_pipeline

    session = PipelineSession(boto_session=boto3.Session(), default_bucket="scones-x")
    built = training_pipeline(settings, resources(), session, tuned=tuned)
    text = built.definition()
    check(text)
    definition = json.loads(text)
    found = {step["Name"]: step for step in definition["Steps"]}
    for step in list(found.values()):
        found |= {inner["Name"]: inner for inner in step["Arguments"].get("IfSteps", [])}
    return built.name, found, [p["Name"] for p in definition["Parameters"]]


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="scones-x")
        yield


def test_the_best_trials_model_is_evaluated_and_registered() -> None:
    name, tuned, parameters = steps(load("local"), tuned=True)
    _, plain, _ = steps(load("local"), tuned=False)
    assert name == "scones-local-tuning"
    assert set(plain) - set(tuned) == {"Train"}
    assert set(tuned) - set(plain) == {"Tune"}
    assert "Trials" in parameters
    best = {
        "Std:Join": {
            "On": "/",
            "Values": [
                {"Get": "Steps.Tune.TrainingJobDefinition.OutputDataConfig.S3OutputPath"},
                {"Get": "Steps.Tune.BestTrainingJob.TrainingJobName"},
                "output/model.tar.gz",
            ],
        }
    }
    inputs = tuned["Evaluate"]["Arguments"]["ProcessingInputs"]
    given = {one["InputName"]: one["S3Input"]["S3Uri"] for one in inputs}
    assert given["model"] == best
    register = next(step for step in tuned.values() if step["Type"] == "RegisterModel")
    (container,) = register["Arguments"]["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == best


def test_a_trial_is_trains_own_job_isolated_encrypted_and_without_checkpoints() -> None:
    for environment in ("local", "staging"):  # staging trains on spot instances
        _, tuned, _ = steps(load(environment), tuned=True)
        _, plain, _ = steps(load(environment), tuned=False)
        train, tune = plain["Train"]["Arguments"], tuned["Tune"]["Arguments"]
        trial = tune["TrainingJobDefinition"]
        assert trial["EnableNetworkIsolation"] is True
        assert "CheckpointConfig" not in trial
        for member in ("RoleArn", "OutputDataConfig", "StoppingCondition", "Environment"):
            assert trial[member] == train[member]
        assert (
            trial["ResourceConfig"]["VolumeKmsKeyId"] == train["ResourceConfig"]["VolumeKmsKeyId"]
        )
        channels, own = (
            {c["ChannelName"]: c["DataSource"] for c in job["InputDataConfig"]}
            for job in (train, trial)
        )
        # All of Train's but the SDK's drivers, which an entrypoint would run.
        assert own == {name: at for name, at in channels.items() if name != "sm_drivers"}
        static = trial["StaticHyperParameters"]
        assert static["sagemaker_program"] == "steps/train/__main__.py"
        assert static["sagemaker_submit_directory"] == "/opt/ml/input/data/code"
        limits = tune["HyperParameterTuningJobConfig"]["ResourceLimits"]
        assert limits["MaxNumberOfTrainingJobs"] == {"Get": "Parameters.Trials"}
        assert limits["MaxParallelTrainingJobs"] == 2


def test_what_is_tuned_is_what_train_takes_and_measures() -> None:
    from pipelines.own import METRICS
    from steps.train.__main__ import parser

    options = {action.dest.replace("_", "-"): action for action in parser()._actions}
    settings = load("local").tuning
    assert settings.objective in METRICS
    for name, one in settings.ranges.items():
        kind = options[name].type
        assert callable(kind)
        for end in (one.minimum, one.maximum):
            kind(str(end))  # refuses what it does not take
