"""Our own program in the training pipeline: `steps/train` in the PyTorch image.

OWN trains once, TUNED once a trial. The archive opens anywhere, so Evaluate asks the code in it,
as the endpoint will.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep, TuningStep
from sagemaker.train.configs import InputData, MetricDefinition, SourceCode
from sagemaker.train.distributed import Torchrun

from pipelines.algorithm import IMAGES, Algorithm, Answers, TrainStep, trained
from pipelines.build import Build, output_of
from pipelines.trainer import ContentAddressedTrainer, make_trainer
from pipelines.tuning import best_model, trials_parameter, tuning_step

# What Train's log lines carry, `epoch=12/80 train_loss=0.1234 …`, as CloudWatch metrics.
METRICS = {
    "train:loss": r"train_loss=([0-9.]+)",
    "train:accuracy": r"train_accuracy=([0-9.]+)",
    "validation:loss": r"validation_loss=([0-9.]+)",
    "validation:accuracy": r"validation_accuracy=([0-9.]+)",
}
CODE_OF_TRAINING = "/opt/ml/input/data/code"


def train(build: Build, prepare: ProcessingStep) -> TrainingStep:
    """One training job with the pipeline's hyperparameters."""
    trainer = _trainer(build, prepare).with_metric_definitions(
        [MetricDefinition(name=name, regex=regex) for name, regex in METRICS.items()]
    )
    return TrainingStep(name="Train", step_args=trainer.train(), **build.job_policies())


def tune(build: Build, prepare: ProcessingStep) -> TuningStep:
    """As many training jobs as the parameter Trials says."""
    trainer = _trainer(build, prepare)
    # Trials are not to find each other's checkpoints; an interrupted one begins anew.
    trainer.checkpoint_config = None
    trials = trials_parameter(build.settings.tuning)
    return tuning_step(build, trainer, trainer.input_data_config, METRICS, trials)


def _trainer(build: Build, prepare: ProcessingStep) -> ContentAddressedTrainer:
    return make_trainer(
        build,
        training_image=build.image("training", build.settings.training.instance_type),
        source_code=SourceCode(
            source_dir=build.code["train"], entry_script="steps/train/__main__.py"
        ),
        # torchrun makes one process a GPU, or one a machine; alone, the program needs no launcher.
        distributed=Torchrun() if build.settings.training.instance_count > 1 else None,
        environment={"PYTHONPATH": CODE_OF_TRAINING},
        input_data_config=[
            InputData(channel_name=name, data_source=output_of(prepare, name))
            for name in ("train", "validation", "dataset")
        ],
    )


def _archive(
    model: Callable[[TrainStep], Any],
) -> Callable[[Build, ProcessingStep, TrainStep], Answers]:
    return lambda build, prepare, train: Answers([], {"model": model(train)})


def container(build: Build) -> dict[str, Any]:
    """The PyTorch image, told which program of the archive serves."""
    return {
        "image_uri": build.image("inference", build.settings.serving.instance_types[0]),
        "env_vars": {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        },
    }


OWN = Algorithm(
    name="own",
    train=train,
    answers=_archive(trained),
    container=container,
    content_types=(*IMAGES, "application/jsonlines"),  # several images in one request
)
TUNED = replace(
    OWN,
    train=tune,
    answers=_archive(best_model),
    model=best_model,
    parameters=lambda settings: [trials_parameter(settings.tuning)],
)
