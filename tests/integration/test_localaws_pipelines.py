"""Pipelines and the Model Registry through a real server and boto3, with jobs that really run."""

import json
import time
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest

from tests.roles import make_role

Json = dict[str, Any]

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313"
EVALUATE = """
import json, os, pathlib
folder = pathlib.Path("/opt/ml/processing/output")
(folder / "report.json").write_text(json.dumps({"accuracy": float(os.environ["ACCURACY"])}))
"""
TRAIN = "import pathlib; pathlib.Path('/opt/ml/model/weights').write_text('1')"


class Aws:
    """The clients of one server, a bucket and a role."""

    def __init__(self, server: Any, name: str) -> None:
        self.server, self.name = server, name
        self.sagemaker = server.client("sagemaker")
        s3 = server.client("s3")
        s3.create_bucket(Bucket=name)
        self.role = make_role(server, name)

    def create(self, *steps: Json, parameters: tuple[Json, ...] = ()) -> None:
        body = {"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)}
        self.sagemaker.create_pipeline(
            PipelineName=self.name, RoleArn=self.role, PipelineDefinition=json.dumps(body)
        )

    def start(self, **parameters: str) -> str:
        given = [{"Name": name, "Value": value} for name, value in parameters.items()]
        started = self.sagemaker.start_pipeline_execution(
            PipelineName=self.name, PipelineParameters=given
        )
        return str(started["PipelineExecutionArn"])

    def describe(self, arn: str) -> Json:
        answer: Json = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return answer

    def end(self, arn: str) -> Json:
        until(
            lambda: self.describe(arn)["PipelineExecutionStatus"] not in ("Executing", "Stopping")
        )
        return self.describe(arn)

    def steps(self, arn: str) -> dict[str, Json]:
        listed = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def aws(local_aws: Any, request: pytest.FixtureRequest) -> Aws:
    return Aws(local_aws, f"pipelines-{abs(hash(request.node.name)) % 10**8}")


def processing(name: str, program: str, **more: Any) -> Json:
    uri = {
        "Std:Join": {
            "On": "/",
            "Values": [
                "s3:/",
                {"Get": "Execution.PipelineName"},
                {"Get": "Execution.PipelineExecutionId"},
                name,
            ],
        }
    }
    output = {"LocalPath": "/opt/ml/processing/output", "S3Uri": uri, "S3UploadMode": "EndOfJob"}
    application = {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", program]}
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": application,
            "ProcessingResources": {"ClusterConfig": cluster},
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
            **more.pop("arguments", {}),
        },
        **more,
    }


def whole_pipeline() -> list[Json]:
    """Evaluate → Gate → Train → Register, or Refuse."""
    evaluate = processing(
        "Evaluate",
        EVALUATE,
        PropertyFiles=[
            {"PropertyFileName": "Report", "OutputName": "out", "FilePath": "report.json"}
        ],
        CacheConfig={"Enabled": True, "ExpireAfter": "P1D"},
        arguments={"Environment": {"ACCURACY": {"Get": "Parameters.Accuracy"}}},
    )
    file = {"Get": "Steps.Evaluate.PropertyFiles.Report"}
    accuracy = {"Std:JsonGet": {"PropertyFile": file, "Path": "accuracy"}}
    sentence = {"Std:Join": {"On": " ", "Values": ["accuracy", accuracy, "is below 0.85"]}}
    refuse = {"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": sentence}}
    enough = {"Type": "GreaterThanOrEqualTo", "LeftValue": accuracy, "RightValue": 0.85}
    gate = {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [enough],
            "IfSteps": train_and_register(),
            "ElseSteps": [refuse],
        },
    }
    return [evaluate, gate]


def train_and_register() -> list[Json]:
    bucket = {"Std:Join": {"On": "", "Values": ["s3://", {"Get": "Execution.PipelineName"}]}}
    train = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "-c", TRAIN],
            },
            "OutputDataConfig": {"S3OutputPath": bucket},
            "ResourceConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    }
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": {"Get": "Execution.PipelineName"},
            "InferenceSpecification": {
                "Containers": [{"Image": IMAGE, "ModelDataUrl": model}],
                "SupportedContentTypes": ["image/png"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        },
    }
    return [train, register]


def test_a_pipeline_runs_to_a_registered_model_that_can_be_approved(aws: Aws) -> None:
    aws.create(*whole_pipeline(), parameters=({"Name": "Accuracy", "Type": "String"},))
    arn = aws.start(Accuracy="0.9")
    ended = aws.end(arn)
    assert ended["PipelineExecutionStatus"] == "Succeeded", ended
    steps = aws.steps(arn)
    assert steps.keys() == {"Evaluate", "Gate", "Train", "Register"}
    job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    trained = aws.sagemaker.describe_training_job(TrainingJobName=job)
    package_arn = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    package = aws.sagemaker.describe_model_package(ModelPackageName=package_arn)
    container = package["InferenceSpecification"]["Containers"][0]
    assert container["ModelDataUrl"] == trained["ModelArtifacts"]["S3ModelArtifacts"]
    assert package["MetadataProperties"]["GeneratedBy"] == arn
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    aws.sagemaker.update_model_package(ModelPackageArn=package_arn, ModelApprovalStatus="Approved")
    listed = aws.sagemaker.list_model_packages(
        ModelPackageGroupName=aws.name, ModelApprovalStatus="Approved"
    )
    assert [p["ModelPackageArn"] for p in listed["ModelPackageSummaryList"]] == [package_arn]

    again = aws.start(Accuracy="0.9")
    aws.end(again)
    hit = aws.steps(again)["Evaluate"]["CacheHitResult"]
    assert hit == {"SourcePipelineExecutionArn": arn}


def test_a_model_that_is_not_good_enough_is_refused_with_its_figure(aws: Aws) -> None:
    aws.create(*whole_pipeline(), parameters=({"Name": "Accuracy", "Type": "String"},))
    ended = aws.end(aws.start(Accuracy="0.6"))
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert ended["FailureReason"] == "Step failure: Refuse failed: accuracy 0.6 is below 0.85"
    groups = aws.sagemaker.list_model_package_groups(NameContains=aws.name)
    assert groups["ModelPackageGroupSummaryList"] == []


def test_a_failed_job_is_named_with_its_cause(aws: Aws) -> None:
    program = (
        "import pathlib, sys; out = pathlib.Path('/opt/ml/output'); out.mkdir(exist_ok=True);"
        " (out / 'message').write_text(''); sys.exit('no images below the prefix')"
    )
    aws.create(processing("Prepare", program))
    arn = aws.start()
    ended = aws.end(arn)
    assert ended["FailureReason"].startswith("Step failure: Prepare failed: AlgorithmError")
    assert "exit code: 1" in ended["FailureReason"]
    assert aws.steps(arn)["Prepare"]["FailureReason"] in ended["FailureReason"]


def test_a_processing_job_past_its_time_says_so(aws: Aws) -> None:
    slow = processing(
        "Slow",
        "import time; time.sleep(60)",
        arguments={"StoppingCondition": {"MaxRuntimeInSeconds": 1}},
    )
    aws.create(slow)
    ended = aws.end(aws.start())
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert "MaxRuntimeInSeconds" in ended["FailureReason"]


def test_a_stop_in_the_middle_stops_the_job(aws: Aws) -> None:
    aws.create(
        processing("Long", "import time; time.sleep(60)"),
        processing("After", "pass", DependsOn=["Long"]),
    )
    arn = aws.start()
    until(lambda: "ProcessingJob" in aws.steps(arn).get("Long", {}).get("Metadata", {}))
    aws.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert aws.end(arn)["PipelineExecutionStatus"] == "Stopped"
    steps = aws.steps(arn)
    assert {name: step["StepStatus"] for name, step in steps.items()} == {"Long": "Stopped"}
    job = steps["Long"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    described = aws.sagemaker.describe_processing_job(ProcessingJobName=job)
    assert described["ProcessingJobStatus"] == "Stopped"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_was_running_at_the_end_has_failed_and_its_retry_succeeds(
    fresh_local_aws: Any, end: str
) -> None:
    aws = Aws(fresh_local_aws, "killed")
    fresh_local_aws.restart()  # so that the role is not among what the last second takes with it
    aws.create(
        processing("First", "pass"),
        processing("Long", "import time; time.sleep(2)", DependsOn=["First"]),
    )
    arn = aws.start()
    until(lambda: "ProcessingJob" in aws.steps(arn).get("Long", {}).get("Metadata", {}))
    first = aws.steps(arn)["First"]["Metadata"]
    getattr(fresh_local_aws, end)()
    fresh_local_aws.start()
    ended = aws.describe(arn)
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert "retry it with RetryPipelineExecution" in ended["FailureReason"]
    assert aws.steps(arn)["Long"]["StepStatus"] == "Failed"
    aws.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
    ended = aws.end(arn)
    assert ended["PipelineExecutionStatus"] == "Succeeded", ended["FailureReason"]
    assert aws.steps(arn)["First"]["Metadata"] == first, "what had succeeded did not run again"


def test_an_orderly_restart_keeps_everything(fresh_local_aws: Any) -> None:
    aws = Aws(fresh_local_aws, "kept")
    aws.create(*whole_pipeline(), parameters=({"Name": "Accuracy", "Type": "String"},))
    arn = aws.start(Accuracy="0.9")
    aws.end(arn)

    def everything() -> list[Json]:
        answers = [
            aws.sagemaker.describe_pipeline(PipelineName="kept"),
            aws.describe(arn),
            aws.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn),
            aws.sagemaker.list_model_packages(ModelPackageGroupName="kept"),
        ]
        for answer in answers:
            del answer["ResponseMetadata"]
        return answers

    before = everything()
    fresh_local_aws.restart()
    assert everything() == before


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("describe_pipeline", {"PipelineName": "nobody"}, "ResourceNotFound"),
        ("start_pipeline_execution", {"PipelineName": "nobody"}, "ResourceNotFound"),
        ("describe_model_package_group", {"ModelPackageGroupName": "x"}, "ValidationException"),
        (
            "create_pipeline",
            {
                "PipelineName": "broken",
                "RoleArn": "arn:aws:iam::123456789012:role/pipeline",
                "PipelineDefinition": "{}",
            },
            "ValidationException",
        ),
    ],
)
def test_errors_have_the_codes_of_the_service(
    local_aws: Any, operation: str, request_: Json, code: str
) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        getattr(local_aws.client("sagemaker"), operation)(**request_)
    assert refusal.value.response["Error"]["Code"] == code
