"""The types of steps: what each calls, how its result is described, and what its cache compares.

Cache keys: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-default-keys.html. Outputs are
not in them, so an output prefix of its own for each execution does no harm.
"""

from dataclasses import dataclass

import service_model
from pipeline_definition.references import UnresolvedReference, tokens


@dataclass(frozen=True)
class StepType:
    """One type of step.

    `resource` is the noun of its operations (`Create<resource>`, `Describe<resource>`), or empty
    for a type that calls nothing; `metadata` its member in a listed step's Metadata. The request of
    a type that `has_role` names the job's role; a transform has its model's. `listing` is an
    operation whose response is part of its properties too; `longest_name` is of a job's name.
    """

    name: str
    metadata: str
    resource: str = ""
    cache_key: tuple[str, ...] = ()
    has_role: bool = True
    listing: str = ""
    longest_name: int = 63

    @property
    def is_job(self) -> bool:
        return self.resource.endswith("Job")

    @property
    def name_member(self) -> str:
        return f"{self.resource}Name"

    @property
    def arn_member(self) -> str:
        return f"{self.resource}Arn"


STEP_TYPES = {
    kind.name: kind
    for kind in (
        StepType(
            "Processing",
            "ProcessingJob",
            "ProcessingJob",
            ("AppSpecification", "Environment", "ProcessingInputs"),
        ),
        StepType(
            "Training",
            "TrainingJob",
            "TrainingJob",
            (
                "AlgorithmSpecification",
                "CheckpointConfig",
                "DebugHookConfig",
                "DebugRuleConfigurations",
                "Environment",
                "HyperParameters",
                "InputDataConfig",
            ),
        ),
        # No cache key: what AWS compares for it is not modelled here, so it always runs.
        StepType("Transform", "TransformJob", "TransformJob", has_role=False),
        StepType(
            "Tuning",
            "TuningJob",
            "HyperParameterTuningJob",
            (
                "HyperParameterTuningJobConfig",
                "TrainingJobDefinition.AlgorithmSpecification",
                "TrainingJobDefinition.HyperParameterRanges",
                "TrainingJobDefinition.InputDataConfig",
                "TrainingJobDefinition.StaticHyperParameters",
                "TrainingJobDefinition.TuningObjective",
                "TrainingJobDefinitions",
            ),
            listing="ListTrainingJobsForHyperParameterTuningJob",
            longest_name=32,
        ),
        StepType("RegisterModel", "RegisterModel", "ModelPackage"),
        StepType("Model", "Model", "Model"),
        StepType("Condition", "Condition"),
        StepType("Fail", "Fail"),
    )
}

# The other types that SageMaker Pipelines has.
OTHER_TYPES = frozenset(
    {
        *("AutoML", "QualityCheck", "ClarifyCheck", "Lambda", "Callback"),
        *("EMR", "EMRServerless", "Athena", "Endpoint", "EndpointConfig", "InferenceComponent"),
        *("Lineage", "Job", "Cleanup", "ForEach"),
    }
)


_MEMBER_OF_LISTING = "TrainingJobSummaries"  # https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-properties.html


def require_property(kind: StepType, path: str) -> None:
    """Raises `UnresolvedReference` unless a step of this type has the property.

    Properties are the members of the resource's Describe response; a condition has its `Outcome`.
    """
    if not kind.resource:
        if kind.name != "Condition" or path != "Outcome":
            raise UnresolvedReference(f"a {kind.name} step has no property {path!r}")
        return
    model = service_model.load("sagemaker")
    operation = model.operation_model(f"Describe{kind.resource}")
    shape = operation.output_shape
    if kind.listing and path.startswith(_MEMBER_OF_LISTING):
        shape = model.operation_model(kind.listing).output_shape
    try:
        for token in tokens(path):
            if shape.type_name == "structure":
                shape = shape.members[token]
            elif shape.type_name == "list":
                shape = shape.member
            else:
                shape = shape.value
    except (KeyError, AttributeError, ValueError):
        raise UnresolvedReference(
            f"a {kind.name} step has no property {path!r}: it is not in the response of "
            f"{operation.name}"
        ) from None
