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

How Train trains, and how Evaluate comes to the model's answers, is the algorithm's
(`algorithm.py`): our own program (`own.py`), or SageMaker's built-in one (`built_in.py`). The tuned
variant is a pipeline of its own, with Tune (`tuning.py`) in Train's place.

Every run writes below `executions/<execution id>/`. Programs lie at content-addressed prefixes, so
a step runs again when its own code, its arguments or its inputs change, and else comes from the
step cache. No job needs the network, so none has it.
"""

from collections.abc import Callable
from pathlib import Path

from sagemaker.core.drift_check_baselines import DriftCheckBaselines
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
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
from sagemaker.mlops.workflow.steps import ProcessingStep
from sagemaker.serve.model_builder import ModelBuilder

from pipelines.algorithm import Algorithm, Answers, TrainStep
from pipelines.analyzer import CSV, analyzer_step
from pipelines.build import DATASET, Build, output_of, processing_step, protection
from pipelines.built_in import BUILT_IN
from pipelines.code import PROGRAMS, STEPS_FOLDER, bundle, step_bundle, upload
from pipelines.own import OWN, TUNED
from pipelines.parameters import training_parameters
from pipelines.resources import Resources
from pipelines.settings import Settings, SettingsError


def training_pipeline(
    settings: Settings,
    resources: Resources,
    session: PipelineSession,
    steps_folder: Path = STEPS_FOLDER,
    tuned: bool = False,
) -> Pipeline:
    """The pipeline of an environment, its code uploaded; nothing is created or started.

    `tuned`: the variant that trains once a trial and goes on with the best one.
    """
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
    algorithm = _algorithm(settings, tuned)
    train = algorithm.train(build, prepare)
    answers = algorithm.answers(build, prepare, train)
    report = PropertyFile("EvaluationReport", output_name="evaluation", path="evaluation.json")
    evaluate = _evaluate(build, prepare, answers, report)
    gate = _gate(build, algorithm, prepare, train, evaluate, report)
    return Pipeline(
        name=settings.name("tuning" if tuned else "training"),
        parameters=[*parameters.all(), *algorithm.parameters(settings)],
        steps=[prepare, train, *answers.steps, evaluate, gate],
        sagemaker_session=session,
        pipeline_experiment_config=None,  # Experiments are in maintenance; the registry has it all
    )


def _algorithm(settings: Settings, tuned: bool) -> Algorithm:
    if settings.training.algorithm != BUILT_IN.name:
        return TUNED if tuned else OWN
    if tuned:
        raise SettingsError(
            "training.algorithm: built-in has no tuned variant; set it to own, or start without it."
        )
    return BUILT_IN


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
        property_files=[DATASET],
    )


def _evaluate(
    build: Build, prepare: ProcessingStep, answers: Answers, report: PropertyFile
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
            **answers.inputs,
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
    algorithm: Algorithm,
    prepare: ProcessingStep,
    train: TrainStep,
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
        if_steps=[
            baseline,
            _register(build, algorithm, prepare, train, evaluate, baseline, figure),
        ],
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
    algorithm: Algorithm,
    prepare: ProcessingStep,
    train: TrainStep,
    evaluate: ProcessingStep,
    baseline: ProcessingStep,
    figure: Callable[[str], JsonGet],
) -> ModelStep:
    serving = build.settings.serving
    evaluation = _file(evaluate, "evaluation", "evaluation.json")
    drift = {
        "model_data_statistics": _file(baseline, "baseline", "statistics.json"),
        "model_data_constraints": _file(baseline, "baseline", "constraints.json"),
        "model_constraints": _file(evaluate, "evaluation", "constraints.json"),
    }
    builder = ModelBuilder(
        **algorithm.container(build),
        s3_model_data_url=algorithm.model(train),
        role_arn=build.resources.pipeline_role_arn,
        sagemaker_session=build.session,
    )
    return ModelStep(
        name="Register",
        step_args=builder.register(
            model_package_group_name=build.resources.model_package_group_name,
            content_types=list(algorithm.content_types),
            response_types=["application/json", "application/jsonlines"],
            inference_instances=serving.instance_types,
            transform_instances=serving.instance_types,
            approval_status=build.parameters.model_approval_status,
            model_metrics=ModelMetrics(model_statistics=evaluation, **drift),
            drift_check_baselines=DriftCheckBaselines(model_statistics=evaluation, **drift),
            domain="COMPUTER_VISION",
            task="IMAGE_CLASSIFICATION",
            skip_model_validation="All",
            customer_metadata_properties=_origin(build, algorithm, prepare, figure),
        ),
    )


def _origin(
    build: Build,
    algorithm: Algorithm,
    prepare: ProcessingStep,
    figure: Callable[[str], JsonGet],
) -> dict[str, object]:
    """What a version says of where it comes from, and of what it was measured at."""
    parameters = build.parameters
    return {
        "algorithm": algorithm.name,
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
    }


def _file(step: ProcessingStep, output: str, name: str) -> MetricsSource:
    """A file of a step. By the step, not by this execution: a cached step wrote elsewhere."""
    return MetricsSource("application/json", Join(on="/", values=[output_of(step, output), name]))


def _text(value: JsonGet) -> Join:
    """A number as text: metadata values are strings."""
    return Join(on="", values=[value])
