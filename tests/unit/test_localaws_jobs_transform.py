"""Batch transforms: each object to the model, each answer to an object; and the built-in image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.errors import NotImplementedHere, ValidationError
from localaws.sagemaker.models import Models
from localaws.sagemaker.transform import TransformJobs
from tests.hosting_kit import archive, model_request
from tests.unit.job_kit import ROLE, Machine, training_request

BUILT_IN = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"


class Site(Machine):
    """A machine with models, and transforms of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.models = Models(self.context)
        self.transforms = TransformJobs(self.context, self.runner, self.models)

    def model(self, name: str = "one", **members: Any) -> None:
        self.put(f"models/{name}.tar.gz", archive(name=name))
        uri = f"s3://data/models/{name}.tar.gz"
        self.models.create_model(model_request(name, ROLE, uri, **members))

    def transform(self, name: str, **changes: Any) -> dict[str, Any]:
        """Runs a transform job to its end."""
        self.transforms.create_transform_job(request(name, **changes))
        return self.transforms.wait(name, timeout=60)


def request(name: str, **changes: Any) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/in/"}}
    return {
        "TransformJobName": name,
        "ModelName": "one",
        "TransformInput": {"DataSource": source, "ContentType": "application/x-image"},
        "TransformOutput": {"S3OutputPath": "s3://data/out", "Accept": "application/jsonlines"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **changes,
    }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site")
    yield site
    site.close()


def test_every_object_is_answered_below_the_output_path_with_out_after_its_name(
    site: Site,
) -> None:
    site.model()
    site.put("in/a.png", b"abc")
    site.put("in/below/b.png", b"abcd")
    job = site.transform("whole")
    assert job["TransformJobStatus"] == "Completed", job
    assert site.object_keys("out/") == ["out/a.png.out", "out/below/b.png.out"]
    assert site.get("out/a.png.out") == b'["one",3]'
    assert site.get("out/below/b.png.out") == b'["one",4]'
    assert job["TransformEndTime"] >= job["TransformStartTime"]
    assert "RoleArn" not in job
    [summary] = site.transforms.list_transform_jobs({})["TransformJobSummaries"]
    assert summary["TransformJobName"] == "whole"
    assert "2 objects transformed" in site.logs.text("whole")


def test_an_object_that_the_model_refuses_fails_the_job_as_the_requests_fault(site: Site) -> None:
    site.model()
    site.put("in/a.png", b"bad")
    reason = site.transform("refused")["FailureReason"]
    assert reason.startswith("ClientError: a.png: Bad HTTP status received from algorithm: 400")
    assert "the body is not an image" in reason
    assert site.object_keys("out/") == []


def test_a_model_that_fails_and_one_that_does_not_load_are_the_algorithms_fault(
    site: Site,
) -> None:
    site.model()
    site.put("in/a.png", b"fail")
    reason = site.transform("failing")["FailureReason"]
    assert reason.startswith("AlgorithmError: a.png: Bad HTTP status received from algorithm: 500")
    site.put("models/broken.tar.gz", archive("import nothing_of_this_name"))
    broken = model_request("broken", ROLE, "s3://data/models/broken.tar.gz")
    site.models.create_model(broken)
    reason = site.transform("broken", ModelName="broken")["FailureReason"]
    assert reason.startswith("AlgorithmError: The model cannot be loaded: ModuleNotFoundError")


def test_an_object_larger_than_the_payload_and_a_prefix_without_objects_fail(site: Site) -> None:
    site.model()
    assert "data" in site.transform("empty")["FailureReason"]
    site.put("in/a.png", bytes((1 << 20) + 1))
    reason = site.transform("large", MaxPayloadInMB=1)["FailureReason"]
    assert reason.startswith("ClientError: a.png has more than 1 MB: raise MaxPayloadInMB")


def test_a_container_is_told_that_it_is_in_a_batch_transform(site: Site) -> None:
    handler = """
    import json, os

    def model_fn(model_dir):
        return {name: os.environ.get(name) for name in os.environ if "SAGEMAKER" in name}

    def transform_fn(model, body, content_type, accept):
        own = os.environ["OWN"]
        return json.dumps({**model, "kind": content_type, "accept": accept, "OWN": own})
    """
    site.put("models/told.tar.gz", archive(handler))
    told = model_request("told", ROLE, "s3://data/models/told.tar.gz")
    site.models.create_model(told)
    site.put("in/a.png", b"abc")
    site.transform("told", ModelName="told", MaxPayloadInMB=3, Environment={"OWN": "7"})
    answer = site.get("out/a.png.out").decode()
    for part in (
        '"SAGEMAKER_BATCH": "true"',
        '"SAGEMAKER_MAX_PAYLOAD_IN_MB": "3"',
        '"kind": "application/x-image"',
        '"accept": "application/jsonlines"',
        '"OWN": "7"',
    ):
        assert part in answer


def test_what_is_not_done_here_is_refused_by_name(site: Site) -> None:
    site.model()
    lines = request("lines")
    lines["TransformInput"]["SplitType"] = "Line"
    with pytest.raises(NotImplementedHere, match="SplitType must be None, not Line"):
        site.transforms.create_transform_job(lines)
    filtered = request("filtered", DataProcessing={"JoinSource": "Input"})
    with pytest.raises(NotImplementedHere, match="no DataProcessing"):
        site.transforms.create_transform_job(filtered)
    with pytest.raises(ValidationError, match="Could not find model"):
        site.transforms.create_transform_job(request("nothing", ModelName="none"))
    two = request("two", TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 2})
    with pytest.raises(NotImplementedHere, match="one instance a job"):
        site.transforms.create_transform_job(two)
    scikit = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1"
    container = {"Image": scikit, "ModelDataUrl": "s3://data/models/one.tar.gz"}
    site.models.create_model(model_request("other", ROLE, "", PrimaryContainer=container))
    with pytest.raises(ValidationError, match="no model server for image"):
        site.transforms.create_transform_job(request("other", ModelName="other"))


def test_a_transform_is_stopped(site: Site) -> None:
    site.model()
    site.put("in/a.png", b"sleep")
    site.transforms.create_transform_job(request("long"))
    site.transforms.stop_transform_job({"TransformJobName": "long"})
    job = site.transforms.wait("long", timeout=30)
    assert job["TransformJobStatus"] == "Stopped"


# Training with the built-in image


def built_in(name: str, **changes: Any) -> dict[str, Any]:
    given = training_request(name, "", **changes)
    given["AlgorithmSpecification"] = {"TrainingImage": BUILT_IN, "TrainingInputMode": "File"}
    return given


def test_a_hyperparameter_that_the_algorithm_refuses_is_a_client_error(site: Site) -> None:
    site.training.create_training_job(built_in("refused", HyperParameters={"epoch": "3"}))
    job = site.training.wait("refused", timeout=60)
    assert job["FailureReason"] == (
        "ClientError: Additional hyperparameters are not allowed ('epoch' was unexpected), "
        "exit code: 2"
    )
    assert [item["Name"] for item in job["AlgorithmSpecification"]["MetricDefinitions"]] == [
        "train:accuracy",
        "validation:accuracy",
    ]


def test_what_the_stand_in_lacks_is_an_algorithm_error(site: Site) -> None:
    given = {"num_classes": "2", "num_training_samples": "9", "use_pretrained_model": "1"}
    site.training.create_training_job(built_in("lacking", HyperParameters=given))
    reason = site.training.wait("lacking", timeout=60)["FailureReason"]
    assert reason.startswith("AlgorithmError: localaws's stand-in")
    assert "no pretrained weights" in reason


def test_the_metrics_of_a_built_in_algorithm_are_its_own(site: Site) -> None:
    given = built_in("metrics")
    given["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "a", "Regex": "a=(.*)"}]
    with pytest.raises(ValidationError, match="can't override the metric definitions for Amazon"):
        site.training.create_training_job(given)
