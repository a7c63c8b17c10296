"""SageMaker's built-in image-classification algorithm in the training pipeline.

    Prepare ─► Train ─► CreateCandidate ─┬─► AskTest ───────┬─► Evaluate ─► …
                        (a Model)        └─► AskValidation ─┘
                                             (batch transforms: <image>.out, a line of JSON each)

The image holds the algorithm and its server, so there is no code of ours in the job, and no metric
definitions: SageMaker knows the algorithm's own (train:accuracy, validation:accuracy). A transform
is never a cache hit, because the model that it names is made anew by each execution.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html
"""

from typing import Any

from sagemaker.core import image_uris
from sagemaker.core.transformer import Transformer
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep, TransformStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.configs import InputData, Networking

from pipelines.algorithm import Algorithm, Answers, TrainStep, trained
from pipelines.build import DATASET, Build, output_of
from pipelines.trainer import make_trainer

VERSION = "latest"  # the algorithm's; its guide gives no other tag that would stay
IMAGE = "application/x-image"
CLASSES = 2


def image(build: Build) -> str:
    """The algorithm's image in this region."""
    region = build.session.boto_region_name
    return str(image_uris.retrieve("image-classification", region=region, version=VERSION))


def container(build: Build) -> dict[str, Any]:
    """The same image serves; it finds everything else in the archive."""
    return {"image_uri": image(build), "env_vars": {}}


def train(build: Build, prepare: ProcessingStep) -> TrainingStep:
    """The training job, over the images of Prepare and its lists."""
    dataset = output_of(prepare, "dataset")
    channels = {
        "train": output_of(prepare, "train"),
        "validation": output_of(prepare, "validation"),
        "train_lst": Join(on="/", values=[dataset, "train.lst"]),
        "validation_lst": Join(on="/", values=[dataset, "validation.lst"]),
    }
    trained_on = JsonGet(  # more with every labelled image
        step_name=prepare.name, property_file=DATASET, json_path="images.train"
    )
    trainer = make_trainer(
        build,
        {"num_classes": str(CLASSES), "num_training_samples": Join(on="", values=[trained_on])},
        training_image=image(build),
        training_input_mode="File",
        input_data_config=[
            InputData(channel_name=name, data_source=uri, content_type=IMAGE)
            for name, uri in channels.items()
        ],
    )
    return TrainingStep(name="Train", step_args=trainer.train(), **build.job_policies())


def answers(build: Build, prepare: ProcessingStep, train: TrainStep) -> Answers:
    """A model of the candidate, and a transform of each split that Evaluate measures by."""
    network = build.settings.network
    model = ModelBuilder(
        **container(build),
        s3_model_data_url=trained(train),
        role_arn=build.resources.evaluate_role_arn,  # with which the transform reads and writes
        network=Networking(
            enable_network_isolation=True,
            subnets=network.subnets or None,
            security_group_ids=network.security_groups or None,
        ),
        sagemaker_session=build.session,
    )
    create = ModelStep(name="CreateCandidate", step_args=model.build())
    transforms = {
        split: _ask(build, create, f"Ask{split.capitalize()}", split, output_of(prepare, split))
        for split in ("test", "validation")
    }
    inputs = {
        f"{split}_answers": transform.properties.TransformOutput.S3OutputPath
        for split, transform in transforms.items()
    }
    return Answers([create, *transforms.values()], inputs)


def _ask(build: Build, create: ModelStep, name: str, split: str, images: Any) -> TransformStep:
    key = build.resources.key_arn
    transformer = Transformer(
        model_name=create.properties.ModelName,
        instance_type=build.settings.serving.instance_types[0],
        instance_count=1,
        strategy="SingleRecord",
        accept="application/jsonlines",
        output_path=build.execution("answers", split),
        output_kms_key=key,
        volume_kms_key=key,
        sagemaker_session=build.session,
    )
    # A prefix that ends in a slash: `…/test` alone would also match `…/test-of-something-else/`.
    step_args = transformer.transform(
        data=Join(on="", values=[images, "/"]), content_type=IMAGE, split_type="None"
    )
    policies = {k: v for k, v in build.job_policies().items() if k != "cache_config"}
    return TransformStep(name=name, step_args=step_args, **policies)


BUILT_IN = Algorithm(
    name="built-in",
    train=train,
    answers=answers,
    container=container,
)
