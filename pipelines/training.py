"""The training pipeline: Prepare → Train → Evaluate → AccuracyGate → Baseline → Register, or Fail.

    raw/<dataset>/archive ─► Prepare ─► train/ validation/ test/ dataset/
    labelled/<sha256>/ ──────┘
                             Train    ─► model.tar.gz      (never sees test/)
                             Evaluate ─► evaluation.json   (candidate and production, same images)
                                         features.csv      (of the reference images, for Baseline)
                             AccuracyGate: accuracy ≥ AccuracyThreshold, and not more than
                                           ProductionTolerance below the version in production
                               ├─ yes ─► Baseline ─► statistics.json, constraints.json
                               │         Register               (pending a person's approval)
                               └─ no  ─► AccuracyTooLow         (fails with the figures)

Every run writes below `executions/<execution id>/`. Programs lie at content-addressed prefixes, so
a step runs again when its own code, its arguments or its inputs change, and else comes from the
step cache. No job needs the network, so none has it.
"""

from collections.abc import Callable
from pathlib import Path

from sagemaker.core.drift_check_baselines import DriftCheckBaselines
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.shapes import CheckpointConfig, OutputDataConfig
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
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.configs import (
    Compute,
    InputData,
    MetricDefinition,
    Networking,
    SourceCode,
    StoppingCondition,
)

from pipelines.analyzer import CSV, analyzer_step
from pipelines.build import Build, output_of, processing_step, protection
from pipelines.code import PROGRAMS, STEPS_FOLDER, bundle, step_bundle, upload
from pipelines.parameters import training_parameters
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
CODE_OF_TRAINING = "/opt/ml/input/data/code"


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
    unlabelled = bundle({"none": b"No image is labelled.\n"})
    parameters = training_parameters(
        settings, upload(nothing, bucket, s3), upload(unlabelled, bucket, s3)
    )
    build = Build(settings, resources, session, parameters, code)

    prepare = _prepare(build)
    train = _train(build, prepare)
    report = PropertyFile("EvaluationReport", output_name="evaluation", path="evaluation.json")
    evaluate = _evaluate(build, prepare, train, report)
    return Pipeline(
        name=settings.name("training"),
        parameters=parameters.all(),
        steps=[prepare, train, evaluate, _gate(build, prepare, train, evaluate, report)],
        sagemaker_session=session,
        pipeline_experiment_config=None,  # Experiments are in maintenance; the registry has it all
    )


def _prepare(build: Build) -> ProcessingStep:
    parameters, outputs = build.parameters, ("train", "validation", "test", "dataset")
    return processing_step(
        build,
        "Prepare",
        role=build.resources.prepare_role_arn,
        arguments=[
            *("--sha256", parameters.input_data_sha256),
            *("--dataset-name", parameters.dataset_name),
            *("--validation-share", str(build.settings.processing.validation_share)),
        ],
        inputs={
            "raw": parameters.input_data_url,
            "labelled": parameters.labelled_data_url,
        },
        outputs={name: build.execution(name) for name in outputs},
    )


def _train(build: Build, prepare: ProcessingStep) -> TrainingStep:
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
            volume_kms_key_id=build.resources.key_arn,
            enable_managed_spot_training=options.spot,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=options.max_runtime_seconds,
            max_wait_time_in_seconds=options.max_wait_seconds if options.spot else None,
        ),
        networking=Networking(
            enable_network_isolation=True,
            subnets=build.settings.network.subnets or None,
            security_group_ids=build.settings.network.security_groups or None,
        ),
        hyperparameters={  # a hyperparameter is text, whatever the parameter's type
            name: parameter.to_string()
            for name, parameter in build.parameters.hyperparameters.items()
        },
        environment={"PYTHONPATH": CODE_OF_TRAINING},
        output_data_config=OutputDataConfig(
            s3_output_path=build.execution("model"), kms_key_id=build.resources.key_arn
        ),
        checkpoint_config=(
            CheckpointConfig(s3_uri=build.execution("checkpoints")) if options.spot else None
        ),
        input_data_config=[
            InputData(channel_name=name, data_source=output_of(prepare, name))
            for name in ("train", "validation", "dataset")
        ],
    ).with_metric_definitions([MetricDefinition(name=n, regex=r) for n, r in METRICS.items()])
    return TrainingStep(name="Train", step_args=trainer.train(), **build.job_policies())


def _evaluate(
    build: Build, prepare: ProcessingStep, train: TrainingStep, report: PropertyFile
) -> ProcessingStep:
    gate, parameters = build.settings.gate, build.parameters
    return processing_step(
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
            "test": output_of(prepare, "test"),
            "validation": output_of(prepare, "validation"),
            "dataset": output_of(prepare, "dataset"),
            "production": parameters.production_model_url,
        },
        outputs={name: build.execution(name) for name in ("evaluation", "reference")},
        property_files=[report],
    )


def _gate(
    build: Build,
    prepare: ProcessingStep,
    train: TrainingStep,
    evaluate: ProcessingStep,
    report: PropertyFile,
) -> ConditionStep:
    def figure(path: str) -> JsonGet:
        return JsonGet(step_name=evaluate.name, property_file=report, json_path=path)

    accuracy = figure("binary_classification_metrics.accuracy.value")
    drop = figure("accuracy_drop")
    parameters = build.parameters
    baseline = _baseline(build, evaluate)
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
        if_steps=[baseline, _register(build, prepare, train, evaluate, baseline, figure)],
        else_steps=[too_low],
    )


def _baseline(build: Build, evaluate: ProcessingStep) -> ProcessingStep:
    """What the endpoint's traffic will be compared with, by the analyzer that will compare it."""
    return analyzer_step(
        "Baseline",
        session=build.session,
        role=build.resources.baseline_role_arn,
        options=build.settings.monitoring,
        dataset=("baseline_dataset_input", output_of(evaluate, "reference")),
        dataset_format=CSV,
        output=("baseline", build.execution("baseline")),
        policies=build.job_policies(),
        protection=protection(build.settings, build.resources),
    )


def _register(
    build: Build,
    prepare: ProcessingStep,
    train: TrainingStep,
    evaluate: ProcessingStep,
    baseline: ProcessingStep,
    figure: Callable[[str], JsonGet],
) -> ModelStep:
    serving, parameters = build.settings.serving, build.parameters
    evaluation = _file(evaluate, "evaluation", "evaluation.json")
    drift = {
        "model_data_statistics": _file(baseline, "baseline", "statistics.json"),
        "model_data_constraints": _file(baseline, "baseline", "constraints.json"),
        "model_constraints": _file(evaluate, "evaluation", "constraints.json"),
    }
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
            content_types=[
                *("image/png", "image/jpeg", "application/x-image"),
                "application/jsonlines",  # several images
            ],
            response_types=["application/json", "application/jsonlines"],
            inference_instances=serving.instance_types,
            transform_instances=serving.instance_types,
            approval_status=parameters.model_approval_status,
            model_metrics=ModelMetrics(model_statistics=evaluation, **drift),
            drift_check_baselines=DriftCheckBaselines(model_statistics=evaluation, **drift),
            domain="COMPUTER_VISION",
            task="IMAGE_CLASSIFICATION",
            skip_model_validation="All",
            customer_metadata_properties={
                "dataset_name": figure("dataset.name"),
                "dataset_sha256": figure("dataset.sha256"),
                "accuracy": _text(figure("binary_classification_metrics.accuracy.value")),
                "confidence_threshold": _text(figure("threshold.value")),
                "test_images_url": output_of(prepare, "test"),
                "execution_id": ExecutionVariables.PIPELINE_EXECUTION_ID,
                "git_commit": parameters.git_commit,
                "trigger": parameters.trigger,
                "trigger_id": parameters.trigger_id,
                "labelled_data_url": parameters.labelled_data_url,
            },
        ),
    )


def _file(step: ProcessingStep, output: str, name: str) -> MetricsSource:
    """A file of a step. By the step, not by this execution: a cached step wrote elsewhere."""
    return MetricsSource("application/json", Join(on="/", values=[output_of(step, output), name]))


def _text(value: JsonGet) -> Join:
    """A number as text: metadata values are strings."""
    return Join(on="", values=[value])
