"""What the steps of a pipeline share: where they write, what they run on, when they are retried."""

from dataclasses import dataclass
from typing import Any

from sagemaker.core import image_uris
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep

from pipelines.parameters import TrainingParameters
from pipelines.resources import Resources
from pipelines.settings import Settings

PROCESSING = "/opt/ml/processing"
# What Prepare says of its data, for a step that needs a number of it.
DATASET = PropertyFile("Dataset", output_name="dataset", path="dataset.json")


@dataclass(frozen=True)
class Build:
    """One definition in the making: its settings, resources, session, parameters and code."""

    settings: Settings
    resources: Resources
    session: PipelineSession
    parameters: TrainingParameters
    code: dict[str, str]

    def execution(self, *path: str) -> Join:
        """`s3://<bucket>/executions/<this execution>/<path>`."""
        root = f"s3://{self.resources.bucket_name}/executions"
        return Join(on="/", values=[root, ExecutionVariables.PIPELINE_EXECUTION_ID, *path])

    def image(self, scope: str, instance_type: str) -> str:
        """The PyTorch image for `training` or `inference`."""
        return framework_image(self.settings, self.session, scope, instance_type)

    def job_policies(self) -> dict[str, Any]:
        """Caching and retries of a step that runs a job."""
        options = self.settings.pipeline
        cache = CacheConfig(enable_caching=options.cache, expire_after=options.cache_expires_after)
        if not options.retries:
            return {"cache_config": cache}
        # Only what can pass on a second try: a program that failed would fail again.
        service = StepRetryPolicy(
            exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
            interval_seconds=10,
            max_attempts=options.retries,
        )
        capacity = SageMakerJobStepRetryPolicy(
            exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
            failure_reason_types=[
                SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
                SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
            ],
            interval_seconds=60,
            max_attempts=options.retries,
        )
        return {"cache_config": cache, "retry_policies": [service, capacity]}


def protection(settings: Settings, resources: Resources) -> dict[str, Any]:
    """A processor's volumes and outputs under the stack's key, and its network: none, or the VPC.

    An isolated job reaches nothing; SageMaker itself copies its inputs and outputs.
    """
    network = NetworkConfig(
        enable_network_isolation=True,
        subnets=settings.network.subnets or None,
        security_group_ids=settings.network.security_groups or None,
    )
    key = resources.key_arn
    return {"volume_kms_key": key, "output_kms_key": key, "network_config": network}


def framework_image(
    settings: Settings, session: PipelineSession, scope: str, instance_type: str
) -> str:
    """The PyTorch image for `training` or `inference`, from the SDK's table for the region."""
    chosen = settings.training if scope == "training" else settings.serving
    return str(
        image_uris.retrieve(
            framework="pytorch",
            region=session.boto_region_name,
            version=chosen.framework_version,
            py_version=chosen.python_version,
            instance_type=instance_type,
            image_scope=scope,
        )
    )


def processing_step(
    build: Build,
    name: str,
    *,
    role: str,
    arguments: list[Any],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    property_files: list[PropertyFile] | None = None,
) -> ProcessingStep:
    """A step that runs `steps/<name>.py` over S3 prefixes mounted by their names."""
    options, program = build.settings.processing, name.lower()
    processor = Processor(
        sagemaker_session=build.session,
        role=role,
        image_uri=build.image("training", options.instance_type),
        instance_type=build.parameters.processing_instance_type,
        instance_count=1,
        volume_size_in_gb=options.volume_gb,
        max_runtime_in_seconds=options.max_runtime_seconds,
        entrypoint=["python3", "-m", f"steps.{program}"],
        env={"PYTHONPATH": f"{PROCESSING}/input/code"},
        **protection(build.settings, build.resources),
    )
    step_args = processor.run(
        inputs=[
            mounted(key, uri, f"{PROCESSING}/input/{key}")
            for key, uri in {"code": build.code[program], **inputs}.items()
        ],
        outputs=[written(key, uri, f"{PROCESSING}/output/{key}") for key, uri in outputs.items()],
        arguments=arguments,
    )
    return ProcessingStep(
        name=name, step_args=step_args, property_files=property_files, **build.job_policies()
    )


def mounted(name: str, uri: Any, local_path: str, kind: str = "S3Prefix") -> ProcessingInput:
    """What lies below a prefix, or what a manifest names, copied to `local_path` at the start."""
    source = ProcessingS3Input(
        s3_uri=uri, local_path=local_path, s3_data_type=kind, s3_input_mode="File"
    )
    return ProcessingInput(input_name=name, s3_input=source)


def written(name: str, uri: Any, local_path: str) -> ProcessingOutput:
    """What lies below `local_path` at the end, copied to an S3 prefix."""
    target = ProcessingS3Output(s3_uri=uri, local_path=local_path, s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=name, s3_output=target)


def output_of(step: ProcessingStep, name: str) -> Any:
    """Where a processing step wrote an output; from the cached run when the step was cached."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri
