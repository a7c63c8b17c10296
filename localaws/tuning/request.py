"""A tuning job's request: what it asks of a search, and the request of each of its trials."""

from typing import Any

from localaws.errors import NotImplementedHere, ValidationError
from localaws.tuning.objective import Criteria, Objective
from localaws.tuning.search import Plan
from localaws.tuning.strategies import Choice, trials

Request = dict[str, Any]

# What of a definition the CreateTrainingJob request of a trial takes over as it is.
_TAKEN = (
    *("RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig"),
    *("StoppingCondition", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption"),
    *("EnableManagedSpotTraining", "CheckpointConfig", "RetryStrategy", "Environment"),
)


def plan_of(request: Request) -> Plan:
    """What the request asks for. Raises NotImplementedHere for what only AWS does, by name."""
    for member in ("TrainingJobDefinitions", "WarmStartConfig", "Autotune"):
        if request.get(member):
            raise NotImplementedHere(
                f"localaws tunes one TrainingJobDefinition from the start; it has no {member}."
            )
    definition = request.get("TrainingJobDefinition")
    if not definition:
        raise ValidationError("A TrainingJobDefinition is required.")
    for member in ("HyperParameterRanges", "TuningObjective", "HyperParameterTuningResourceConfig"):
        if definition.get(member):
            raise NotImplementedHere(f"localaws has no {member} in a TrainingJobDefinition.")
    config = request["HyperParameterTuningJobConfig"]
    if not config.get("HyperParameterTuningJobObjective"):
        raise ValidationError("HyperParameterTuningJobConfig needs an objective.")
    limits = config["ResourceLimits"]
    return Plan(
        trials(config),
        limits["MaxParallelTrainingJobs"],
        Objective.read(config),
        Criteria.read(config),
        limits.get("MaxRuntimeInSeconds"),
    )


def trial_of(record: Request, name: str, tuning_arn: str, choice: Choice) -> Request:
    """The CreateTrainingJob request of one trial."""
    definition = record["TrainingJobDefinition"]
    objective = record["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    return {
        **{member: definition[member] for member in _TAKEN if definition.get(member) is not None},
        "TrainingJobName": name,
        "TuningJobArn": tuning_arn,
        "AlgorithmSpecification": definition["AlgorithmSpecification"],
        "HyperParameters": {
            **(definition.get("StaticHyperParameters") or {}),
            **choice,
            "_tuning_objective_metric": objective["MetricName"],  # as AMT tells the algorithm
        },
    }
