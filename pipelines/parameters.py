"""The parameters of the training pipeline: what a run may differ in without a new definition."""

import re
from dataclasses import dataclass
from typing import Any

from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString

from pipelines.settings import Settings

# SageMaker Pipelines takes no empty text as a parameter's value; the programs read this as absent.
NOT_GIVEN = "none"


@dataclass(frozen=True)
class TrainingParameters:
    """The SDK's parameter objects; `hyperparameters` by the name that the program knows."""

    input_data_url: ParameterString
    input_data_sha256: ParameterString
    dataset_name: ParameterString
    accuracy_threshold: ParameterFloat
    production_tolerance: ParameterFloat
    production_model_url: ParameterString
    production_model_package_arn: ParameterString
    processing_instance_type: ParameterString
    training_instance_type: ParameterString
    model_approval_status: ParameterString
    git_commit: ParameterString
    trigger: ParameterString
    trigger_id: ParameterString
    labelled_data_url: ParameterString
    hyperparameters: dict[str, Any]

    def all(self) -> list[Any]:
        """Every parameter, as the pipeline declares them."""
        own = [value for value in vars(self).values() if value is not self.hyperparameters]
        return own + list(self.hyperparameters.values())


def training_parameters(
    settings: Settings, no_production_url: str, no_labels_url: str
) -> TrainingParameters:
    """The parameters with this environment's defaults.

    `no_production_url` is what `ProductionModelUrl` points at while nothing is in production, and
    `no_labels_url` what `LabelledDataUrl` does without labels: an input of a job must exist, so
    they are objects that say so.
    """
    return TrainingParameters(
        input_data_url=ParameterString("InputDataUrl"),
        input_data_sha256=ParameterString("InputDataSha256", NOT_GIVEN),
        dataset_name=ParameterString("DatasetName", NOT_GIVEN),
        accuracy_threshold=ParameterFloat("AccuracyThreshold", settings.gate.accuracy),
        production_tolerance=ParameterFloat(
            "ProductionTolerance", settings.gate.production_tolerance
        ),
        production_model_url=ParameterString("ProductionModelUrl", no_production_url),
        production_model_package_arn=ParameterString("ProductionModelPackageArn", NOT_GIVEN),
        processing_instance_type=ParameterString(
            "ProcessingInstanceType", settings.processing.instance_type
        ),
        training_instance_type=ParameterString(
            "TrainingInstanceType", settings.training.chosen.instance_type
        ),
        model_approval_status=ParameterString(
            "ModelApprovalStatus",
            settings.registry.approval_status,
            enum_values=["PendingManualApproval", "Approved", "Rejected"],
        ),
        git_commit=ParameterString("GitCommit", "unknown"),
        trigger=ParameterString("Trigger", "manual"),
        trigger_id=ParameterString("TriggerId", NOT_GIVEN),
        labelled_data_url=ParameterString("LabelledDataUrl", no_labels_url),
        hyperparameters={
            name: _hyperparameter(name, value)
            for name, value in settings.training.chosen.hyperparameters.items()
        },
    )


def _hyperparameter(name: str, value: int | float | str) -> Any:
    """`batch-size: 50` → the parameter `BatchSize`, typed as its default is."""
    parameter_name = "".join(part.capitalize() for part in re.split("[-_]", name))
    kinds = {int: ParameterInteger, float: ParameterFloat, str: ParameterString}
    return kinds[type(value)](parameter_name, value)
