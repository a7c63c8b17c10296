"""What a search draws, compares and refuses, without a job."""

import math
import random
import statistics
from typing import Any

import pytest

from localaws.errors import ApiError
from localaws.tuning.objective import Criteria, Objective, since_best
from localaws.tuning.ranges import read
from localaws.tuning.strategies import Trials, trials

Json = dict[str, Any]


def continuous(name: str, low: object, high: object, scaling: str = "Linear") -> Json:
    return {"Name": name, "MinValue": str(low), "MaxValue": str(high), "ScalingType": scaling}


def config(strategy: str = "Random", trial_count: int | None = 8, **more: Any) -> Json:
    limits = {"MaxParallelTrainingJobs": 2}
    if trial_count is not None:
        limits["MaxNumberOfTrainingJobs"] = trial_count
    return {"Strategy": strategy, "ResourceLimits": limits, **more}


def draws(kind: str, item: Json, count: int = 4000) -> list[float]:
    (only,) = read({f"{kind}ParameterRanges": [item]})
    chance = random.Random(1)
    return [float(only.draw(chance)) for _ in range(count)]


def test_a_linear_range_is_drawn_evenly_between_its_ends() -> None:
    found = draws("Continuous", continuous("x", 1, 3))
    assert 1 <= min(found) < 1.01
    assert 2.99 < max(found) <= 3
    assert statistics.mean(found) == pytest.approx(2, abs=0.05)


def test_a_logarithmic_range_has_as_many_draws_in_each_decade() -> None:
    found = draws("Continuous", continuous("x", 1e-4, 1, "Logarithmic"))
    decades = [sum(10**n <= x < 10 ** (n + 1) for x in found) for n in range(-4, 0)]
    assert sum(decades) == len(found)
    assert all(count == pytest.approx(1000, abs=120) for count in decades)


def test_a_reverse_logarithmic_range_crowds_towards_one() -> None:
    found = draws("Continuous", continuous("x", 0, 0.9999, "ReverseLogarithmic"))
    assert sum(x > 0.99 for x in found) == pytest.approx(2000, abs=200)


@pytest.mark.parametrize("scaling", ["Linear", "Logarithmic"])
def test_every_whole_number_of_a_range_is_drawn_and_none_beside_it(scaling: str) -> None:
    found = draws("Integer", continuous("n", 2, 5, scaling))
    assert set(found) == {2, 3, 4, 5}


def test_the_same_seed_gives_the_same_trials_and_another_seed_others() -> None:
    ranges = {"ContinuousParameterRanges": [continuous("x", 0, 1)]}
    first, again, other = (
        [t.choice(number) for number in range(t.count)]
        for t in (trials(config(ParameterRanges=ranges, RandomSeed=seed)) for seed in (7, 7, 8))
    )
    assert first == again != other
    assert len({choice["x"] for choice in first}) == 8


def test_a_grid_is_every_combination_once() -> None:
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "a", "Values": ["1", "2", "3"]},
            {"Name": "b", "Values": ["x", "y"]},
        ]
    }
    grid = trials(config("Grid", None, ParameterRanges=ranges))
    choices = {(c["a"], c["b"]) for c in map(grid.choice, range(grid.count))}
    assert grid.count == len(choices) == 6
    assert isinstance(trials(config("Grid", 6, ParameterRanges=ranges)), Trials)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"Strategy": "Bayesian"}, "Bayesian runs on AWS only"),
        ({"Strategy": "Hyperband"}, "Hyperband runs on AWS only"),
        ({"ParameterRanges": {}}, "at least one hyperparameter"),
        (
            {"ParameterRanges": {"ContinuousParameterRanges": [continuous("x", 2, 1)]}},
            "'x' is invalid: MinValue is greater",
        ),
        (
            {"ParameterRanges": {"IntegerParameterRanges": [continuous("n", 1.5, 2)]}},
            "MinValue '1.5' is no int",
        ),
        (
            {
                "ParameterRanges": {
                    "ContinuousParameterRanges": [continuous("x", 0, 1, "Logarithmic")]
                }
            },
            "needs a MinValue greater than 0",
        ),
        (
            {
                "ParameterRanges": {
                    "IntegerParameterRanges": [continuous("n", 0, 1, "ReverseLogarithmic")]
                }
            },
            "continuous ranges only",
        ),
        (
            {
                "ParameterRanges": {
                    "IntegerParameterRanges": [continuous("n", 1, 2)],
                    "CategoricalParameterRanges": [{"Name": "n", "Values": ["1"]}],
                }
            },
            "more than one range: n",
        ),
        (
            {
                "Strategy": "Grid",
                "ParameterRanges": {"IntegerParameterRanges": [continuous("n", 1, 2)]},
            },
            "categorical hyperparameters only; these are not: n",
        ),
        (
            {
                "Strategy": "Grid",
                "ParameterRanges": {
                    "CategoricalParameterRanges": [{"Name": "n", "Values": ["1", "2", "3"]}]
                },
            },
            "MaxNumberOfTrainingJobs is 8, but the grid has 3",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused_by_name(changed: Json, sentence: str) -> None:
    with pytest.raises(ApiError) as refused:
        trials({**config(), **changed})
    assert sentence in refused.value.message


def job(value: float | None, status: str = "Completed") -> Json:
    metrics = [] if value is None else [{"MetricName": "score", "Value": value}]
    return {"TrainingJobStatus": status, "FinalMetricDataList": metrics}


def test_only_a_finite_number_of_a_completed_trial_counts() -> None:
    objective = Objective("score", maximise=True)
    assert objective.value(job(0.5)) == 0.5
    for useless in (job(None), job(math.nan), job(0.9, "Failed"), job(0.9, "Stopped")):
        assert objective.value(useless) is None


def test_a_search_ends_at_its_target_or_when_it_no_longer_improves() -> None:
    least = Objective("loss", maximise=False)
    assert not Criteria(target=0.1).met(least, [0.3, 0.2])
    assert Criteria(target=0.1).met(least, [0.3, 0.1])
    assert since_best(least, [0.3, 0.2, 0.25, 0.2]) == 2
    assert not Criteria(patience=3).met(least, [0.3, 0.2, 0.25, 0.2])
    assert Criteria(patience=3).met(least, [0.3, 0.2, 0.25, 0.2, 0.4])
