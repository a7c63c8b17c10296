"""What every training job shares, and the SDK's `ModelTrainer` with uploads that keep the cache."""

from pathlib import Path
from typing import Any

from sagemaker.core.shapes import CheckpointConfig, OutputDataConfig
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Channel, Compute, Networking, StoppingCondition

from pipelines.build import Build
from pipelines.code import bundle, upload


class ContentAddressedTrainer(ModelTrainer):  # type: ignore[misc]  # the SDK ships no types
    """A `ModelTrainer` that uploads local folders to `code/<sha256>/`.

    The SDK uploads its drivers (`sm_train.sh` and what it calls) below a time-stamped prefix. The
    prefix is part of the cache key, so with the SDK's own way no training step is ever a cache hit.
    """

    def create_input_data_channel(
        self, channel_name: str, data_source: Any, *arguments: Any, **options: Any
    ) -> Channel:
        """As `ModelTrainer.create_input_data_channel`, with a local folder put by its contents."""
        if isinstance(data_source, str) and Path(data_source).is_dir():
            files = {
                path.relative_to(data_source).as_posix(): path.read_bytes()
                for path in sorted(Path(data_source).rglob("*"))
                if path.is_file() and "__pycache__" not in path.parts
            }
            s3 = self.sagemaker_session.boto_session.client("s3")
            data_source = upload(bundle(files), self.sagemaker_session.default_bucket(), s3)
        return super().create_input_data_channel(channel_name, data_source, *arguments, **options)


def make_trainer(
    build: Build, hyperparameters: dict[str, Any] | None = None, **program: Any
) -> ContentAddressedTrainer:
    """A trainer with the settings' machine, limits, key and network; `program` is what it runs.

    `hyperparameters` come beside those that are parameters of the pipeline.
    """
    options, resources, network = build.settings.training, build.resources, build.settings.network
    given = build.parameters.hyperparameters
    return ContentAddressedTrainer(
        sagemaker_session=build.session,
        role=resources.train_role_arn,
        base_job_name=build.settings.name("training"),
        compute=Compute(
            instance_type=build.parameters.training_instance_type,
            instance_count=options.instance_count,
            volume_size_in_gb=options.volume_gb,
            volume_kms_key_id=resources.key_arn,
            enable_managed_spot_training=options.spot,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=options.max_runtime_seconds,
            max_wait_time_in_seconds=options.max_wait_seconds if options.spot else None,
        ),
        networking=Networking(
            enable_network_isolation=True,
            subnets=network.subnets or None,
            security_group_ids=network.security_groups or None,
        ),
        hyperparameters={  # a hyperparameter is text, whatever the parameter's type
            **{name: parameter.to_string() for name, parameter in given.items()},
            **(hyperparameters or {}),
        },
        output_data_config=OutputDataConfig(
            s3_output_path=build.execution("model"), kms_key_id=resources.key_arn
        ),
        checkpoint_config=(
            CheckpointConfig(s3_uri=build.execution("checkpoints")) if options.spot else None
        ),
        **program,
    )
