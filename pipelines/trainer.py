"""The SDK's `ModelTrainer`, with uploads that do not break the step cache."""

from pathlib import Path
from typing import Any

from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Channel

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
