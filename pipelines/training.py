"""The training pipeline: Prepare → Train → Evaluate → AccuracyGate → Register, or a Fail step.

    raw/<dataset>/archive ─► Prepare ─► train/ validation/ test/ dataset/
                             Train    ─► model.tar.gz      (never sees test/)
                             Evaluate ─► evaluation.json   (candidate and production, same images)
                             AccuracyGate: accuracy ≥ AccuracyThreshold, and not more than
                                           ProductionTolerance below the version in production
                               ├─ yes ─► Register               (pending a person's approval)
                               └─ no  ─► AccuracyTooLow         (fails with the figures)

Every run writes below `executions/<execution id>/`. Programs lie at content-addressed prefixes, so
a step runs again when its own code, its arguments or its inputs change, and else comes from the
step cache. No job needs the network, so none has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagemaker.core import image_uris
from sagemaker.core.drift_check_baselines import DriftCheckBaselines
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    CheckpointConfig,
    OutputDataConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.workflow.conditions import (
    ConditionGreaterThanOrEqualTo,
    ConditionLessThanOrEqualTo,
)
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.configs import (
    Compute,
    InputData,
    MetricDefinition,
    Networking,
    SourceCode,
    StoppingCondition,
)

from pipelines.code import PROGRAMS, STEPS_FOLDER, bundle, step_bundle, upload
from pipelines.parameters import TrainingParameters, training_parameters
from pipelines.resources import Resources
from pipelines.settings import Settings
from pipelines.trainer import ContentAddressedTrainer

# What Train's log lines carry, `epoch=12/40 train_loss=0.1234 …`, as CloudWatch metrics.
METRICS = {
    "train:loss": r"train_loss=([0-9.]+)",
    "train:accuracy": r"train_accuracy=([0-9.]+)",
    "validation:loss": r"validation_loss=([0-9.]+)",
    "validation:accuracy": r"validation_accuracy=([0-9.]+)",
}
PROCESSING = "/opt/ml/processing"
CODE_OF_TRAINING = "/opt/ml/input/data/code"


@dataclass(frozen=True)
class _Build:
    """What every step of one definition shares."""

    settings: Settings
    resources: Resources
    session: PipelineSession
    parameters: TrainingParameters
    code: dict[str, str]

    def execution(self, *path: str) -> Join:
        """`s3://<bucket>/executions/<this execution>/<path>`."""
        root = f"s3://{self.resources.bucket_name}/executions"
        return Join(on="/", values=[root, ExecutionVariables.PIPELINE_EXECUTION_ID, *path])

    def image(self, scope: str, instance_type: str) -> str:
        """The PyTorch image for `training` or `inference`, from the SDK's table for the region."""
        chosen = self.settings.training if scope == "training" else self.settings.serving
        return str(
            image_uris.retrieve(
                framework="pytorch",
                region=self.session.boto_region_name,
                version=chosen.framework_version,
                py_version=chosen.python_version,
                instance_type=instance_type,
                image_scope=scope,
            )
        )

    def job_policies(self) -> dict[str, Any]:
        """Caching and retries of a step that runs a job."""
        options = self.settings.pipeline
        cache = CacheConfig(enable_caching=options.cache, expire_after=options.cache_expires_after)
        if not options.retries:
            return {"cache_config": cache}
        # Only what can pass on a second try: a program that failed would fail again.
        service = StepRetryPolicy(
            exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
            interval_seconds=10,
            max_attempts=options.retries,
        )
        capacity = SageMakerJobStepRetryPolicy(
            exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
            failure_reason_types=[
                SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
                SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
            ],
            interval_seconds=60,
            max_attempts=options.retries,
        )
        return {"cache_config": cache, "retry_policies": [service, capacity]}


def training_pipeline(
    settings: Settings,
    resources: Resources,
    session: PipelineSession,
    steps_folder: Path = STEPS_FOLDER,
) -> Pipeline:
    """The pipeline of an environment, its code uploaded; nothing is created or started."""
    s3 = session.boto_session.client("s3")
    bucket = resources.bucket_name
    code = {step: upload(step_bundle(step, steps_folder), bucket, s3) for step in PROGRAMS}
    nothing = bundle({"none": b"No model is in production.\n"})
    parameters = training_parameters(settings, upload(nothing, bucket, s3))
    build = _Build(settings, resources, session, parameters, code)

    prepare = _prepare(build)
    train = _train(build, prepare)
    report = PropertyFile("EvaluationReport", output_name="evaluation", path="evaluation.json")
    evaluate = _evaluate(build, prepare, train, report)
    return Pipeline(
        name=settings.name("training"),
        parameters=parameters.all(),
        steps=[prepare, train, evaluate, _gate(build, train, evaluate, report)],
        sagemaker_session=session,
        pipeline_experiment_config=None,  # Experiments are in maintenance; the registry has it all
    )


def _prepare(build: _Build) -> ProcessingStep:
    parameters, outputs = build.parameters, ("train", "validation", "test", "dataset")
    return _processing_step(
        build,
        "Prepare",
        role=build.resources.prepare_role_arn,
        arguments=[
            *("--sha256", parameters.input_data_sha256),
            *("--dataset-name", parameters.dataset_name),
            *("--validation-share", str(build.settings.processing.validation_share)),
        ],
        inputs={"raw": parameters.input_data_url},
        outputs={name: build.execution(name) for name in outputs},
    )


def _train(build: _Build, prepare: ProcessingStep) -> TrainingStep:
    options = build.settings.training
    trainer = ContentAddressedTrainer(
        sagemaker_session=build.session,
        role=build.resources.train_role_arn,
        base_job_name=build.settings.name("training"),
        training_image=build.image("training", options.instance_type),
        source_code=SourceCode(
            source_dir=build.code["train"], entry_script="steps/train/__main__.py"
        ),
        compute=Compute(
            instance_type=build.parameters.training_instance_type,
            instance_count=options.instance_count,
            volume_size_in_gb=options.volume_gb,
            enable_managed_spot_training=options.spot,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=options.max_runtime_seconds,
            max_wait_time_in_seconds=options.max_wait_seconds if options.spot else None,
        ),
        networking=Networking(enable_network_isolation=True),
        hyperparameters={  # a hyperparameter is text, whatever the parameter's type
            name: parameter.to_string()
            for name, parameter in build.parameters.hyperparameters.items()
        },
        environment={"PYTHONPATH": CODE_OF_TRAINING},
        output_data_config=OutputDataConfig(s3_output_path=build.execution("model")),
        checkpoint_config=(
            CheckpointConfig(s3_uri=build.execution("checkpoints")) if options.spot else None
        ),
        input_data_config=[
            InputData(channel_name=name, data_source=_output(prepare, name))
            for name in ("train", "validation", "dataset")
        ],
    ).with_metric_definitions([MetricDefinition(name=n, regex=r) for n, r in METRICS.items()])
    return TrainingStep(name="Train", step_args=trainer.train(), **build.job_policies())


def _evaluate(
    build: _Build, prepare: ProcessingStep, train: TrainingStep, report: PropertyFile
) -> ProcessingStep:
    gate, parameters = build.settings.gate, build.parameters
    return _processing_step(
        build,
        "Evaluate",
        role=build.resources.evaluate_role_arn,
        arguments=[
            *("--production-arn", parameters.production_model_package_arn),
            *("--wanted-precision", str(gate.wanted_precision)),
            *("--minimum-threshold", str(gate.minimum_confidence)),
        ],
        inputs={
            "model": train.properties.ModelArtifacts.S3ModelArtifacts,
            "test": _output(prepare, "test"),
            "validation": _output(prepare, "validation"),
            "dataset": _output(prepare, "dataset"),
            "production": parameters.production_model_url,
        },
        outputs={"evaluation": build.execution("evaluation")},
        property_files=[report],
    )


def _gate(
    build: _Build, train: TrainingStep, evaluate: ProcessingStep, report: PropertyFile
) -> ConditionStep:
    def figure(path: str) -> JsonGet:
        return JsonGet(step_name=evaluate.name, property_file=report, json_path=path)

    accuracy = figure("binary_classification_metrics.accuracy.value")
    drop = figure("accuracy_drop")
    parameters = build.parameters
    too_low = FailStep(
        name="AccuracyTooLow",
        error_message=Join(
            on="",
            values=[
                *("The model is not good enough: accuracy ", accuracy),
                *(" on ", figure("dataset.name"), " (threshold ", parameters.accuracy_threshold),
                *("), ", drop, " below the version in production (tolerance "),
                *(parameters.production_tolerance, ")."),
            ],
        ),
    )
    return ConditionStep(
        name="AccuracyGate",
        conditions=[
            ConditionGreaterThanOrEqualTo(left=accuracy, right=parameters.accuracy_threshold),
            ConditionLessThanOrEqualTo(left=drop, right=parameters.production_tolerance),
        ],
        if_steps=[_register(build, train, evaluate, report, figure)],
        else_steps=[too_low],
    )


def _register(
    build: _Build,
    train: TrainingStep,
    evaluate: ProcessingStep,
    report: PropertyFile,
    figure: Callable[[str], JsonGet],
) -> ModelStep:
    serving, parameters = build.settings.serving, build.parameters
    # From the step's output, not from this execution's prefix: a cached evaluation lies elsewhere.
    evaluation = MetricsSource(
        "application/json",
        Join(on="/", values=[_output(evaluate, report.output_name), report.path]),
    )
    builder = ModelBuilder(
        image_uri=build.image("inference", serving.instance_types[0]),
        s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
        role_arn=build.resources.pipeline_role_arn,
        sagemaker_session=build.session,
        env_vars={
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        },
    )
    return ModelStep(
        name="Register",
        step_args=builder.register(
            model_package_group_name=build.resources.model_package_group_name,
            content_types=["image/png", "image/jpeg", "application/x-image"],
            response_types=["application/json"],
            inference_instances=serving.instance_types,
            transform_instances=serving.instance_types,
            approval_status=parameters.model_approval_status,
            model_metrics=ModelMetrics(model_statistics=evaluation),
            drift_check_baselines=DriftCheckBaselines(model_statistics=evaluation),
            domain="COMPUTER_VISION",
            task="IMAGE_CLASSIFICATION",
            skip_model_validation="All",
            customer_metadata_properties={
                "dataset_name": figure("dataset.name"),
                "dataset_sha256": figure("dataset.sha256"),
                "accuracy": _text(figure("binary_classification_metrics.accuracy.value")),
                "confidence_threshold": _text(figure("threshold.value")),
                "execution_id": ExecutionVariables.PIPELINE_EXECUTION_ID,
                "git_commit": parameters.git_commit,
                "trigger": parameters.trigger,
            },
        ),
    )


def _processing_step(
    build: _Build,
    name: str,
    *,
    role: str,
    arguments: list[Any],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    property_files: list[PropertyFile] | None = None,
) -> ProcessingStep:
    """A step that runs `steps/<name>.py` over S3 prefixes mounted by their names."""
    options, program = build.settings.processing, name.lower()
    processor = Processor(
        sagemaker_session=build.session,
        role=role,
        image_uri=build.image("training", options.instance_type),
        instance_type=build.parameters.processing_instance_type,
        instance_count=1,
        volume_size_in_gb=options.volume_gb,
        max_runtime_in_seconds=options.max_runtime_seconds,
        entrypoint=["python3", "-m", f"steps.{program}"],
        env={"PYTHONPATH": f"{PROCESSING}/input/code"},
        network_config=NetworkConfig(enable_network_isolation=True),
    )
    step_args = processor.run(
        inputs=[_input(key, uri) for key, uri in {"code": build.code[program], **inputs}.items()],
        outputs=[
            ProcessingOutput(
                output_name=key,
                s3_output=ProcessingS3Output(
                    s3_uri=uri, local_path=f"{PROCESSING}/output/{key}", s3_upload_mode="EndOfJob"
                ),
            )
            for key, uri in outputs.items()
        ],
        arguments=arguments,
    )
    return ProcessingStep(
        name=name, step_args=step_args, property_files=property_files, **build.job_policies()
    )


def _input(name: str, uri: Any) -> ProcessingInput:
    source = ProcessingS3Input(
        s3_uri=uri,
        local_path=f"{PROCESSING}/input/{name}",
        s3_data_type="S3Prefix",
        s3_input_mode="File",
    )
    return ProcessingInput(input_name=name, s3_input=source)


def _output(step: ProcessingStep, name: str) -> Any:
    """Where a processing step wrote an output; from the cached run when the step was cached."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def _text(value: Any) -> Join:
    """A number as text: metadata values are strings."""
    return Join(on="", values=[value])
