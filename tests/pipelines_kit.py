"""Whole pipelines for the unit tests: their steps as a definition has them, and `Fixture`."""

import json
import shutil
from pathlib import Path
from typing import Any

from localaws.pipelines.step_run import Wait
from localaws.sagemaker.models import Models
from localaws.sagemaker.pipelines import Pipelines
from localaws.sagemaker.registry import ModelRegistry
from tests.localaws_parts import (
    Clock,
    FolderObjects,
    InProcessJobs,
    Json,
    Program,
    make_context,
    succeed,
    until,
)

ROLE = "arn:aws:iam::123456789012:role/pipeline"
REPORT = {"PropertyFileName": "Report", "OutputName": "data", "FilePath": "report.json"}


def output_of(step: str) -> Json:
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['data'].S3Output.S3Uri"}


def environment(**values: Any) -> Json:
    return {"Environment": values}


def gate(if_steps: list[Json], else_steps: list[Json], least: Any = 0.85) -> Json:
    file = {"Get": "Steps.Evaluate.PropertyFiles.Report"}
    left = {"Std:JsonGet": {"PropertyFile": file, "Path": "accuracy"}}
    conditions = [{"Type": "GreaterThanOrEqualTo", "LeftValue": left, "RightValue": least}]
    arguments = {"Conditions": conditions, "IfSteps": if_steps, "ElseSteps": else_steps}
    return {"Name": "Gate", "Type": "Condition", "Arguments": arguments}


def fail_step(message: Any) -> Json:
    return {"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def register(model_data: Any, **arguments: Any) -> Json:
    container = {"Image": "image", "ModelDataUrl": model_data}
    specification = {"Containers": [container], "SupportedContentTypes": ["image/png"]}
    request = {"ModelPackageGroupName": "Bicycles", "InferenceSpecification": specification}
    return {"Name": "Register", "Type": "RegisterModel", "Arguments": {**request, **arguments}}


def processing(name: str, image: str = "succeed", **more: Any) -> Json:
    """A Processing step with one output, `data`, below the execution's own prefix."""
    uri = {
        "Std:Join": {
            "On": "/",
            "Values": ["s3://bucket", {"Get": "Execution.PipelineExecutionId"}, name],
        }
    }
    output = {"LocalPath": "/opt/ml/processing/output", "S3Uri": uri, "S3UploadMode": "EndOfJob"}
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": {"ImageUri": image},
            "ProcessingResources": {"ClusterConfig": cluster},
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "data", "S3Output": output}]},
            **more.pop("arguments", {}),
        },
        **more,
    }


def training(name: str, image: str = "succeed", **more: Any) -> Json:
    resources = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
            "ResourceConfig": resources,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **more.pop("arguments", {}),
        },
        **more,
    }


def definition(*steps: Json, parameters: list[Json] | None = None) -> Json:
    return {"Version": "2020-12-01", "Parameters": parameters or [], "Steps": list(steps)}


class Fixture:
    """A whole `Pipelines` with its registry and jobs, and short names for its operations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.wait: Wait = self.clock.wait
        self.programs: dict[str, Program] = {"succeed": succeed}
        self.open()

    def open(self) -> None:
        """Starts as a process does; call it again after a `crash` to come back."""
        self.context = make_context(self.folder, self.clock)
        assert isinstance(self.context.objects, FolderObjects)
        self.objects = self.context.objects
        self.objects.write("bucket", "readme", b"the bucket exists")
        self.processing = InProcessJobs("ProcessingJob", self.context, self.programs)
        self.training = InProcessJobs("TrainingJob", self.context, self.programs)
        self.registry = ModelRegistry(self.context)
        self.api = Pipelines(
            self.context,
            {
                "Processing": self.processing,
                "Training": self.training,
                "RegisterModel": self.registry,
                "Model": Models(self.context),
            },
            self.wait,
        )
        self.api.recover()

    def crash(self) -> None:
        """Goes on with the folder as a kill at this moment leaves it; the old one stays behind."""
        left = self.folder.with_name(self.folder.name + "-after-the-crash")
        shutil.copytree(self.folder, left)
        self.folder = left

    def create(self, *steps: Json, name: str = "Abalone", **more: Any) -> str:
        """Creates or updates the pipeline; its name."""
        request = {
            "PipelineName": name,
            "RoleArn": ROLE,
            "PipelineDefinition": json.dumps(definition(*steps, **more)),
        }
        if self.context.store.get("pipeline", name.lower()):
            self.api.update_pipeline(request)
        else:
            self.api.create_pipeline(request)
        return name

    def start(self, *steps: Json, parameters: list[Json] | None = None, **request: Any) -> str:
        """Creates the pipeline of these steps and starts it; the execution's ARN."""
        name = self.create(*steps, parameters=parameters) if steps else "Abalone"
        started = self.api.start_pipeline_execution({"PipelineName": name, **request})
        return str(started["PipelineExecutionArn"])

    def end(self, arn: str) -> Json:
        """Waits for the end of an execution; its description."""
        until(
            lambda: self.describe(arn)["PipelineExecutionStatus"] not in ("Executing", "Stopping")
        )
        return self.describe(arn)

    def describe(self, arn: str) -> Json:
        return self.api.describe_pipeline_execution({"PipelineExecutionArn": arn})

    def steps(self, arn: str) -> dict[str, Json]:
        """The listed steps by name."""
        listed = self.api.list_pipeline_execution_steps({"PipelineExecutionArn": arn})
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    def states(self, arn: str) -> dict[str, str]:
        return {name: step["StepStatus"] for name, step in self.steps(arn).items()}
