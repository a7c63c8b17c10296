"""The SageMaker SDK, quiet: no telemetry, no remarks about what we do on purpose."""

import logging
import warnings
from typing import Any

from pipelines.resources import Resources
from scones.connection import Connection

# The SDK reports each call to its makers unless its own configuration says no.
_CONFIGURATION = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


def pipeline_session(connection: Connection, resources: Resources) -> Any:
    """A PipelineSession that stages everything in the environment's own bucket."""
    logging.disable(logging.WARNING)  # it sets its own loggers' levels while it is imported
    warnings.filterwarnings("ignore", message="Running within a PipelineSession")
    from sagemaker.core.config.config_manager import SageMakerConfig
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    # Each look at the configuration validates all of it again: 90 times and 6 of 7 seconds for one
    # pipeline. It is the constant above, so once is enough.
    SageMakerConfig.validate_sagemaker_config(_CONFIGURATION)
    SageMakerConfig.validate_sagemaker_config = staticmethod(lambda configuration=None: None)
    return PipelineSession(
        boto_session=connection.session,
        default_bucket=resources.bucket_name,
        sagemaker_config=_CONFIGURATION,
    )
