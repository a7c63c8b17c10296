"""A pipeline as somebody else writes it, with the SDK v3: Clean, Fit, and Register if enough."""

from pathlib import Path
from typing import Any

from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import (
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.functions import JsonGet
from sagemaker.core.workflow.parameters import ParameterInteger
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode

HERE = Path(__file__).parent
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313"
INFERENCE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6-cpu-py312"


def lines_pipeline(session: Any, source: Path) -> Pipeline:
    """`source` is the folder of the training script."""
    limit = ParameterInteger("Limit", 100)
    report = PropertyFile("Report", output_name="report", path="report.json")
    clean = _clean(session, limit, report)
    fit = _fit(session, source, clean)
    kept = JsonGet(step_name="Clean", property_file=report, json_path="rows.kept")
    enough = ConditionStep(
        "Enough",
        conditions=[ConditionGreaterThanOrEqualTo(left=kept, right=2)],
        if_steps=[_register(session, fit)],
        else_steps=[FailStep("TooFew", error_message="fewer than two rows")],
    )
    return Pipeline(
        name="lines", parameters=[limit], steps=[clean, fit, enough], sagemaker_session=session
    )


def _clean(session: Any, limit: ParameterInteger, report: PropertyFile) -> ProcessingStep:
    processor = ScriptProcessor(
        image_uri=IMAGE,
        command=["python3"],
        role=session.role_arn,
        instance_count=1,
        instance_type="ml.t3.medium",
        sagemaker_session=session,
    )
    return ProcessingStep(
        "Clean",
        step_args=processor.run(
            code=str(HERE / "clean.py"),
            arguments=["--limit", limit.to_string()],
            inputs=[
                ProcessingInput(
                    input_name="raw",
                    s3_input=ProcessingS3Input(
                        s3_uri="s3://lines/raw",
                        local_path="/opt/ml/processing/input/raw",
                        s3_data_type="S3Prefix",
                        s3_input_mode="File",
                    ),
                )
            ],
            outputs=[
                ProcessingOutput(
                    output_name=name,
                    s3_output=ProcessingS3Output(
                        s3_uri=f"s3://lines/{name}",
                        local_path=f"/opt/ml/processing/output/{name}",
                        s3_upload_mode="EndOfJob",
                    ),
                )
                for name in ("clean", "report")
            ],
        ),
        property_files=[report],
    )


def _fit(session: Any, source: Path, clean: ProcessingStep) -> TrainingStep:
    trainer = ModelTrainer(
        training_image=IMAGE,
        role=session.role_arn,
        sagemaker_session=session,
        base_job_name="lines",
        source_code=SourceCode(
            source_dir=str(source), entry_script="fit.py", requirements="requirements.txt"
        ),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters={"shrink": 0.5, "label": "half a slope"},
    )
    outputs = clean.properties.ProcessingOutputConfig.Outputs
    return TrainingStep(
        "Fit",
        step_args=trainer.train(
            input_data_config=[
                InputData(channel_name="train", data_source=outputs["clean"].S3Output.S3Uri)
            ]
        ),
    )


def _register(session: Any, fit: TrainingStep) -> ModelStep:
    builder = ModelBuilder(
        image_uri=INFERENCE,
        s3_model_data_url=fit.properties.ModelArtifacts.S3ModelArtifacts,
        role_arn=session.role_arn,
        sagemaker_session=session,
    )
    return ModelStep(
        "Register",
        step_args=builder.register(
            model_package_group_name="lines",
            content_types=["text/csv"],
            response_types=["text/csv"],
            inference_instances=["ml.m5.large"],
            transform_instances=["ml.m5.large"],
            approval_status="PendingManualApproval",
        ),
    )
