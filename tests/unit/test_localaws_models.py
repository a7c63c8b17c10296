"""Models, made by a call or by a pipeline's Model step."""

from pathlib import Path

import pytest

from localaws.errors import ValidationError
from localaws.sagemaker.models import Models
from tests.localaws_parts import Clock, Json, make_context
from tests.pipelines_kit import ROLE, Fixture, training

CONTAINER = {"Image": "image", "ModelDataUrl": "s3://bucket/model.tar.gz"}


@pytest.fixture
def models(tmp_path: Path) -> Models:
    context = make_context(tmp_path, Clock())
    context.objects.write("bucket", "model.tar.gz", b"model")
    return Models(context)


def request(name: str = "bicycles", **container: str) -> Json:
    return {
        "ModelName": name,
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {**CONTAINER, **container},
    }


def test_a_model_is_described_as_it_was_created_until_it_is_deleted(models: Models) -> None:
    arn = models.create_model(request())["ModelArn"]
    described = models.describe_model({"ModelName": "bicycles"})
    assert described["ModelArn"] == arn
    assert described["PrimaryContainer"] == CONTAINER
    assert described["EnableNetworkIsolation"] is False
    assert [m["ModelName"] for m in models.list_models({})["Models"]] == ["bicycles"]
    models.delete_model({"ModelName": "bicycles"})
    with pytest.raises(ValidationError, match="Could not find model"):
        models.describe_model({"ModelName": "bicycles"})


def test_a_taken_name_is_refused(models: Models) -> None:
    models.create_model(request())
    with pytest.raises(ValidationError, match="Cannot create already existing model"):
        models.create_model(request())


def test_a_prefix_of_the_model_data_is_not_the_model_data(models: Models) -> None:
    with pytest.raises(ValidationError, match=r"Could not find model data at s3://bucket/model\."):
        models.create_model(request(ModelDataUrl="s3://bucket/model"))


def test_a_model_step_makes_a_model_of_what_was_trained(tmp_path: Path) -> None:
    aws = Fixture(tmp_path)
    data = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    container = {"PrimaryContainer": {"Image": "image", "ModelDataUrl": data}}
    arn = aws.start(training("Train"), {"Name": "Make", "Type": "Model", "Arguments": container})
    assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    model_arn = aws.steps(arn)["Make"]["Metadata"]["Model"]["Arn"]
    (listed,) = Models(aws.context).list_models({})["Models"]
    assert listed["ModelArn"] == model_arn
    described = Models(aws.context).describe_model({"ModelName": listed["ModelName"]})
    trained = aws.training.requests()[0]["ModelArtifacts"]["S3ModelArtifacts"]
    assert described["PrimaryContainer"]["ModelDataUrl"] == trained
    assert described["ExecutionRoleArn"] == ROLE
