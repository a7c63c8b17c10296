"""The built-in image through boto3: trained, transformed with, served; what AWS documents of it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steps import prepare
from tests import archives
from tests.conftest import LocalAws
from tests.hosting_kit import config_request, model_request, poll
from tests.roles import make_role

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
BUCKET = "built-in"
HYPERPARAMETERS = {
    "num_classes": "2",
    "num_training_samples": "54",
    "image_shape": "3,32,32",
    "num_layers": "20",
    "epochs": "6",
    "mini_batch_size": "16",
    "learning_rate": "0.05",
}


class Account:
    """A role, and the images and lists of a small archive in a bucket."""

    def __init__(self, aws: LocalAws, prepared: Path) -> None:
        self.sagemaker, self.runtime = aws.client("sagemaker"), aws.client("sagemaker-runtime")
        self.s3, self.logs = aws.client("s3"), aws.client("logs")
        self.role = make_role(aws, "built-in")
        self.s3.create_bucket(Bucket=BUCKET)
        for split in ("train", "validation", "test", "dataset"):
            for file in (prepared / split).iterdir():
                key = f"{split}/{file.name}"
                self.s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
        lines = (prepared / "dataset/test.lst").read_text().splitlines()
        self.labels = {line.split("\t")[2]: int(line.split("\t")[1]) for line in lines}

    def train(self, name: str, **hyperparameters: str) -> Any:
        """Describe, once the job is over."""
        prefixes = {
            "train": "train/",
            "validation": "validation/",
            "train_lst": "dataset/train.lst",
            "validation_lst": "dataset/validation.lst",
        }
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=self.role,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            HyperParameters=HYPERPARAMETERS | hyperparameters,
            InputDataConfig=[
                {
                    "ChannelName": channel,
                    "ContentType": "application/x-image",
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{key}"}
                    },
                }
                for channel, key in prefixes.items()
            ],
            ResourceConfig={
                "InstanceType": "ml.p3.2xlarge",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/models"},
            StoppingCondition={"MaxRuntimeInSeconds": 300},
        )

        def ended() -> Any:
            job = self.sagemaker.describe_training_job(TrainingJobName=name)
            return job if job["TrainingJobStatus"] not in ("InProgress", "Stopping") else None

        return poll(ended, 120)

    def answers(self, prefix: str) -> dict[str, list[float]]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
        return {
            Path(item["Key"]).name.removesuffix(".out"): json.loads(
                self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            )["prediction"]
            for item in listed
        }


@pytest.fixture(scope="module")
def account(local_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Account:
    folder = tmp_path_factory.mktemp("prepared")
    archive = archives.good_archive(folder / "small.tar.gz")
    prepare.main(["--input", str(archive), "--output", str(folder)])
    return Account(local_aws, folder)


@pytest.fixture(scope="module")
def model(account: Account) -> str:
    """A model of a job that was trained, by its name."""
    job = account.train("trained")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    metrics = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert set(metrics) == {"train:accuracy", "validation:accuracy"}
    assert metrics["train:accuracy"] >= 0.8
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    container = {"Image": IMAGE, "ModelDataUrl": uri, "Environment": {"SAGEMAKER_PROGRAM": ""}}
    request = model_request("built-in", account.role, uri, PrimaryContainer=container)
    account.sagemaker.create_model(**request)
    return "built-in"


def test_a_transform_and_an_endpoint_give_the_same_answers(account: Account, model: str) -> None:
    account.sagemaker.create_transform_job(
        TransformJobName="asked",
        ModelName=model,
        TransformInput={
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/test/"}
            },
            "ContentType": "application/x-image",
        },
        TransformOutput={
            "S3OutputPath": f"s3://{BUCKET}/answers",
            "Accept": "application/jsonlines",
        },
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    account.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName="asked", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    transformed = account.answers("answers/")
    assert transformed.keys() == account.labels.keys()
    right = [p.index(max(p)) == account.labels[name] for name, p in transformed.items()]
    assert sum(right) >= 0.8 * len(right)

    account.sagemaker.create_endpoint_config(**config_request(model, model))
    account.sagemaker.create_endpoint(EndpointName=model, EndpointConfigName=model)
    account.sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=model, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    for name in sorted(transformed)[:4]:
        body = account.s3.get_object(Bucket=BUCKET, Key=f"test/{name}")["Body"].read()
        answer = account.runtime.invoke_endpoint(
            EndpointName=model, ContentType="application/x-image", Body=body
        )
        assert answer["ContentType"] == "application/json"
        assert json.loads(answer["Body"].read()) == pytest.approx(transformed[name])
    large = io.BytesIO()
    Image.new("RGB", (640, 480), (40, 90, 160)).save(large, "JPEG")
    answer = account.runtime.invoke_endpoint(
        EndpointName=model, ContentType="image/jpeg", Body=large.getvalue()
    )
    assert sum(json.loads(answer["Body"].read())) == pytest.approx(1)
    with pytest.raises(account.runtime.exceptions.ModelError, match=r"client error \(400\)"):
        account.runtime.invoke_endpoint(
            EndpointName=model, ContentType="application/x-image", Body=b"text"
        )
    account.sagemaker.delete_endpoint(EndpointName=model)


def test_a_job_that_the_algorithm_refuses_says_so_as_aws_does(account: Account) -> None:
    job = account.train("refused-rate", learning_rate="2")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "ClientError: learning_rate: 2 is greater than the maximum of 1, exit code: 2"
    )
