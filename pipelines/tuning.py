"""The tuned variant's step: several trainings, of which the best one goes on to Evaluate.

    Prepare ─► Tune ─┬─► trial 1 ─► model.tar.gz ┐
                     ├─► trial 2 ─► model.tar.gz ┼─► the best by the objective ─► Evaluate
                     └─► …                       ┘

A trial is Train's own job with other hyperparameters: the same program, channels and image. The
objective comes from validation images; the test images have no part in the choice. A tuning job's
definition takes no entrypoint (HyperParameterAlgorithmSpecification), so a trial starts by the
image's script mode: hyperparameters name the program and the folder of its channel, which an
isolated job can read.
"""

from typing import Any

from sagemaker.core.parameter import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    ParameterRange,
)
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterInteger
from sagemaker.mlops.workflow.steps import TuningStep
from sagemaker.train.configs import InputData
from sagemaker.train.tuner import HyperparameterTuner

from pipelines.build import Build
from pipelines.settings import Range, Tuning
from pipelines.trainer import ContentAddressedTrainer

CODE_CHANNEL = "code"
CODE_FOLDER = f"/opt/ml/input/data/{CODE_CHANNEL}"


def trials_parameter(options: Tuning) -> ParameterInteger:
    """How many trainings a run may make: `scones pipeline start --tune -p Trials=4`."""
    return ParameterInteger("Trials", options.trials)


def tuning_step(
    build: Build,
    trainer: ContentAddressedTrainer,
    inputs: list[InputData],
    metrics: dict[str, str],
    trials: ParameterInteger,
) -> TuningStep:
    """Trains as `trainer` does, once a trial, with hyperparameters from the settings' ranges."""
    options = build.settings.tuning
    tuner = ScriptModeTuner(
        model_trainer=trainer,
        objective_metric_name=options.objective,
        objective_type=options.direction,
        metric_definitions=[{"Name": name, "Regex": regex} for name, regex in metrics.items()],
        hyperparameter_ranges={name: sdk_range(one) for name, one in options.ranges.items()},
        strategy=options.strategy,
        max_jobs=trials,
        max_parallel_jobs=options.parallel,
        random_seed=options.seed,
    )
    return TuningStep(name="Tune", step_args=tuner.tune(inputs=inputs), **build.job_policies())


def best_model(step: TuningStep) -> Join:
    """Where the best trial's archive lies: by the step's own answers, so that a cached one's is
    found where its trials wrote it."""
    properties = step.properties
    return Join(
        on="/",
        values=[
            properties.TrainingJobDefinition.OutputDataConfig.S3OutputPath,
            properties.BestTrainingJob.TrainingJobName,
            "output/model.tar.gz",
        ],
    )


def sdk_range(given: Range) -> ParameterRange:
    """A range of the settings as the SDK has it: by the type of its ends."""
    if given.values is not None:
        return CategoricalParameter(given.values)
    kind = IntegerParameter if isinstance(given.minimum, int) else ContinuousParameter
    return kind(given.minimum, given.maximum, given.scaling)


class ScriptModeTuner(HyperparameterTuner):  # type: ignore[misc]  # the SDK ships no types
    """A tuner whose trials run as Train does: isolated, encrypted, from content-addressed code.

    The SDK's own drops the trainer's network isolation and volume key, and uploads drivers and
    code below a time-stamped prefix, which its trials then do not use.
    """

    max_jobs: Any

    @classmethod
    def _prepare_model_trainer_for_tuning(
        cls, model_trainer: Any, *arguments: Any, **options: Any
    ) -> None:
        source = model_trainer.source_code
        channel = model_trainer.create_input_data_channel(CODE_CHANNEL, source.source_dir)
        model_trainer._tuner_channels = [channel]
        model_trainer.hyperparameters |= {
            "sagemaker_program": source.entry_script,
            "sagemaker_submit_directory": CODE_FOLDER,
        }

    def _build_tuning_job_config(self) -> Any:
        trials, self.max_jobs = self.max_jobs, 1
        config = super()._build_tuning_job_config()
        self.max_jobs = trials
        # The shape wants a number; the definition takes a parameter's reference as well.
        vars(config.resource_limits)["max_number_of_training_jobs"] = trials
        return config

    def _build_training_job_definition(self, inputs: Any) -> Any:
        definition = super()._build_training_job_definition(inputs)
        trainer = self.model_trainer
        definition.enable_network_isolation = trainer.networking.enable_network_isolation
        definition.resource_config.volume_kms_key_id = trainer.compute.volume_kms_key_id
        return definition
