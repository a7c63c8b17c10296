"""Steps that run Model Monitor's analyzer as a plain processing job.

Accounts that Model Monitor refuses (every new one since July 2026) may still run its image; such a
job must not publish metrics itself, and needs 8 GB. Without a baseline the analyzer suggests one.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-contract-inputs.html
"""

import json
from typing import Any

from sagemaker.core import image_uris
from sagemaker.core.processing import Processor
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.steps import ProcessingStep

from pipelines.build import PROCESSING, mounted, written
from pipelines.settings import Monitoring

OUTPUT = f"{PROCESSING}/output"
CSV = {"csv": {"header": True}}
CAPTURED = {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}


def analyzer_step(
    name: str,
    *,
    session: PipelineSession,
    role: str,
    options: Monitoring,
    dataset: tuple[str, Any],
    dataset_format: dict[str, Any],
    output: tuple[str, Any],
    dataset_type: str = "S3Prefix",
    environment: dict[str, Any] | None = None,
    inputs: dict[str, Any] | None = None,
    policies: dict[str, Any] | None = None,
    protection: dict[str, Any],
) -> ProcessingStep:
    """A step over `dataset` (input name, S3 address) that writes `output` (name, S3 prefix).

    `inputs` are more prefixes by the local paths that `environment` names; `protection` is
    `build.protection`'s.
    """
    source = f"{PROCESSING}/input/{dataset[0]}"
    processor = Processor(
        sagemaker_session=session,
        role=role,
        image_uri=image_uris.retrieve("model-monitor", session.boto_region_name),
        instance_type=options.instance_type,
        instance_count=1,
        volume_size_in_gb=options.volume_gb,
        max_runtime_in_seconds=options.max_runtime_seconds,
        env={
            "dataset_source": source,
            "dataset_format": json.dumps(dataset_format, separators=(",", ":")),
            "output_path": OUTPUT,
            "publish_cloudwatch_metrics": "Disabled",
            **(environment or {}),
        },
        **protection,
    )
    step_args = processor.run(
        inputs=[
            mounted(*dataset, source, dataset_type),
            *(mounted(path.rpartition("/")[2], uri, path) for path, uri in (inputs or {}).items()),
        ],
        outputs=[written(output[0], output[1], OUTPUT)],
    )
    return ProcessingStep(name=name, step_args=step_args, **(policies or {}))
