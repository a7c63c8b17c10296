"""Cached steps, and a whole definition as the SDK writes it."""

import threading
from pathlib import Path

import pytest

from tests.localaws_parts import FolderObjects, Json, fail_with
from tests.pipelines_kit import ROLE, Fixture, environment, output_of, processing


@pytest.fixture
def aws(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path)


CACHED = {"Enabled": True, "ExpireAfter": "P1D"}


def _cached_pipeline(seed: str = "1") -> list[Json]:
    inputs = {
        "InputName": "in",
        "S3Input": {"S3Uri": output_of("Prepare"), "S3DataType": "S3Prefix"},
    }
    return [
        processing("Prepare", CacheConfig=CACHED, arguments=environment(SEED=seed)),
        processing("Evaluate", CacheConfig=CACHED, arguments={"ProcessingInputs": [inputs]}),
    ]


def test_a_second_run_with_nothing_changed_is_all_cache_hits(aws: Fixture) -> None:
    first = aws.start(*_cached_pipeline())
    aws.end(first)
    for _ in range(2):
        again = aws.start()
        assert aws.end(again)["PipelineExecutionStatus"] == "Succeeded"
        for name, step in aws.steps(again).items():
            assert step["CacheHitResult"] == {"SourcePipelineExecutionArn": first}, name
            assert step["Metadata"] == aws.steps(first)[name]["Metadata"]
    assert len(aws.processing.started) == 2


def test_a_changed_step_runs_again_and_so_do_those_that_use_its_output(aws: Fixture) -> None:
    aws.end(aws.start(*_cached_pipeline()))
    changed = aws.start(*_cached_pipeline(seed="2"))
    aws.end(changed)
    assert not any("CacheHitResult" in step for step in aws.steps(changed).values())


def test_a_failed_step_is_no_cached_result(aws: Fixture) -> None:
    aws.programs["flaky"] = fail_with("AlgorithmError: bad luck")
    step = processing("Prepare", "flaky", CacheConfig=CACHED)
    assert aws.end(aws.start(step))["PipelineExecutionStatus"] == "Failed"
    second = aws.start(step)
    assert aws.end(second)["PipelineExecutionStatus"] == "Succeeded"
    assert "CacheHitResult" not in aws.steps(second)["Prepare"]


def test_a_cached_result_is_too_old_after_its_time_or_gone_with_its_outputs(aws: Fixture) -> None:
    first = aws.start(*_cached_pipeline())
    aws.end(first)
    aws.clock.advance(days=2)
    second = aws.start()
    aws.end(second)
    assert "CacheHitResult" not in aws.steps(second)["Prepare"]
    aws.objects.delete("bucket", f"{second.rpartition('/')[2]}/Prepare/data.txt")
    third = aws.start()
    aws.end(third)
    assert "CacheHitResult" not in aws.steps(third)["Prepare"]


# `sdk_v3.json` is what `Pipeline.definition()` of SageMaker's SDK 3.27 wrote for a pipeline with
# parameters of every type, caching, both kinds of retry policies, nested conditions, a property
# file, ModelBuilder.register, a Fail step and a StepDependency on a failure.
SDK_DEFINITION = Path(__file__).parent.parent / "events" / "pipelines" / "sdk_v3.json"
SDK_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313"


def start_sdk_pipeline(aws: Fixture, accuracy: float, **parameters: str) -> str:
    def program(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
        for output in (job.get("ProcessingOutputConfig") or {}).get("Outputs", []):
            report = f'{{"metrics": {{"accuracy": {{"value": {accuracy}}}}}}}'
            objects.put(f"{output['S3Output']['S3Uri']}/evaluation.json", report)

    aws.programs.setdefault(SDK_IMAGE, program)
    if not aws.context.store.get("pipeline", "sdk-v3"):
        text = SDK_DEFINITION.read_text()
        aws.api.create_pipeline(
            {"PipelineName": "sdk-v3", "RoleArn": ROLE, "PipelineDefinition": text}
        )
    given = [{"Name": name, "Value": value} for name, value in parameters.items()]
    started = aws.api.start_pipeline_execution(
        {"PipelineName": "sdk-v3", "PipelineParameters": given}
    )
    return str(started["PipelineExecutionArn"])


def test_a_definition_of_the_sdk_runs_to_a_registered_model(aws: Fixture) -> None:
    arn = start_sdk_pipeline(aws, accuracy=0.91, Epochs="7")
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded", aws.describe(arn)
    assert aws.states(arn).keys() == {"Prepare", "Train", "Evaluate", "Gate", "Register"}
    hyperparameters = aws.training.requests()[0]["HyperParameters"]
    assert hyperparameters["epochs"] == "7"
    (package,) = aws.registry.list_model_packages({"ModelPackageGroupName": "sdk"})[
        "ModelPackageSummaryList"
    ]
    described = aws.registry.describe_model_package(
        {"ModelPackageName": package["ModelPackageArn"]}
    )
    assert described["CustomerMetadataProperties"] == {"execution": arn}
    again = start_sdk_pipeline(aws, accuracy=0.91, Epochs="7")
    aws.end(again)
    hits = {name for name, step in aws.steps(again).items() if "CacheHitResult" in step}
    assert hits == {"Prepare", "Train"}


def test_a_definition_of_the_sdk_fails_with_its_own_sentence(aws: Fixture) -> None:
    arn = start_sdk_pipeline(aws, accuracy=0.5)
    ended = aws.end(arn)
    assert ended["FailureReason"] == ("Step failure: Refuse failed: accuracy 0.5 is below 0.85")


def test_a_definition_of_the_sdk_runs_its_step_on_a_failure(aws: Fixture) -> None:
    def program(job: Json, objects: FolderObjects, stop: threading.Event) -> None:
        if "TrainingJobName" in job:
            raise RuntimeError("AlgorithmError: diverged, exit code: 1")

    aws.programs[SDK_IMAGE] = program
    arn = start_sdk_pipeline(aws, accuracy=0)
    assert aws.end(arn)["PipelineExecutionStatus"] == "CompletedWithFailures"
    assert aws.states(arn) == {"Prepare": "Succeeded", "Train": "Failed", "Notify": "Succeeded"}
