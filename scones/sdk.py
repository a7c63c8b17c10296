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
    for name in ("sagemaker", "sagemaker.core", "botocore"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Running within a PipelineSession")
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    return PipelineSession(
        boto_session=connection.session,
        default_bucket=resources.bucket_name,
        sagemaker_config=_CONFIGURATION,
    )
