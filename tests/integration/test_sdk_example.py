"""An ordinary SDK v3 pipeline of somebody else's shape runs unchanged: nothing here is ours.

A ScriptProcessor with inputs, outputs and a property file; a ModelTrainer with a source folder,
requirements and hyperparameters; a condition; and ModelBuilder.register.
"""

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.roles import make_role

EXAMPLE = Path(__file__).with_name("somebody_else")
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313"
INFERENCE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6-cpu-py312"


@pytest.fixture
def session(fresh_local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A PipelineSession with its own bucket and role, made the way that any user makes them."""
    for name, value in fresh_local_aws.environment.items():
        monkeypatch.setenv(name, value)
    s3, role = fresh_local_aws.client("s3"), make_role(fresh_local_aws, "line-fitters")
    s3.create_bucket(Bucket="lines")
    s3.put_object(Bucket="lines", Key="raw/a.csv", Body=b"1,2\n2,4\n,\n3,6\n")
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    session = PipelineSession(default_bucket="lines")
    session.role_arn = role
    return session


def wheel_of_their_own(folder: Path) -> None:
    """A package that is on no index: what requirements.txt names, as a wheel beside it."""
    with zipfile.ZipFile(folder / "tinyfit-1.0-py3-none-any.whl", "w") as wheel:
        body = "sum(x * y for x, y in points) / sum(x * x for x, _ in points)"
        wheel.writestr("tinyfit.py", f"def slope(points):\n    return {body}\n")
        info = "tinyfit-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyfit\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD", f"tinyfit.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    (folder / "requirements.txt").write_text("--no-index\n--find-links .\ntinyfit==1.0\n")


def lines_pipeline(session: Any, source: Path) -> Any:
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

    limit = ParameterInteger("Limit", 100)
    processor = ScriptProcessor(
        image_uri=IMAGE,
        command=["python3"],
        role=session.role_arn,
        instance_count=1,
        instance_type="ml.t3.medium",
        sagemaker_session=session,
    )
    report = PropertyFile("Report", output_name="report", path="report.json")
    clean = ProcessingStep(
        "Clean",
        step_args=processor.run(
            code=str(EXAMPLE / "clean.py"),
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
    fit = TrainingStep(
        "Fit",
        step_args=trainer.train(
            input_data_config=[
                InputData(channel_name="train", data_source=outputs["clean"].S3Output.S3Uri)
            ]
        ),
    )
    builder = ModelBuilder(
        image_uri=INFERENCE,
        s3_model_data_url=fit.properties.ModelArtifacts.S3ModelArtifacts,
        role_arn=session.role_arn,
        sagemaker_session=session,
    )
    register = ModelStep(
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
    enough = ConditionStep(
        "Enough",
        conditions=[
            ConditionGreaterThanOrEqualTo(
                left=JsonGet(step_name="Clean", property_file=report, json_path="rows.kept"),
                right=2,
            )
        ],
        if_steps=[register],
        else_steps=[FailStep("TooFew", error_message="fewer than two rows")],
    )
    return Pipeline(
        name="lines", parameters=[limit], steps=[clean, fit, enough], sagemaker_session=session
    )


def test_somebody_elses_pipeline_trains_and_registers_their_model(
    fresh_local_aws: Any, session: Any, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(EXAMPLE / "source", tmp_path / "source"))
    wheel_of_their_own(source)
    pipeline = lines_pipeline(session, source)
    pipeline.upsert(role_arn=session.role_arn)
    execution = pipeline.start()
    execution.wait(delay=1, max_attempts=120)

    package = fresh_local_aws.client("sagemaker").list_model_packages(ModelPackageGroupName="lines")
    (registered,) = package["ModelPackageSummaryList"]
    described = fresh_local_aws.client("sagemaker").describe_model_package(
        ModelPackageName=registered["ModelPackageArn"]
    )
    url = described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    archive = fresh_local_aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        model = json.load(tar.extractfile("model.json"))  # type: ignore[arg-type]  # it is a file
    assert model == {
        "slope": 1.0,
        "label": "half a slope",
        "hyperparameters": {"shrink": 0.5, "label": "half a slope"},
    }


def test_the_other_branch_fails_the_execution_with_the_users_own_sentence(
    fresh_local_aws: Any, session: Any, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(EXAMPLE / "source", tmp_path / "source"))
    wheel_of_their_own(source)
    pipeline = lines_pipeline(session, source)
    pipeline.upsert(role_arn=session.role_arn)
    execution = pipeline.start(parameters={"Limit": 1})
    with pytest.raises(Exception, match="Waiter PipelineExecutionComplete failed"):
        execution.wait(delay=1, max_attempts=120)
    assert "fewer than two rows" in execution.describe()["FailureReason"]
    assert not fresh_local_aws.client("sagemaker").list_model_package_groups()[
        "ModelPackageGroupSummaryList"
    ]
