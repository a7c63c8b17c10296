"""Tuning jobs whose trials really run: how many at a time, which is best, stops and failures."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.errors import ApiError
from localaws.sagemaker.tuning import TuningJobs
from tests.unit.job_kit import IMAGE, ROLE, Machine, channel, eventually

Json = dict[str, Any]

# The greatest score, 1, is at rate = 0.01 and layers = 3.
PLANTED = """
import argparse, math, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--layers", type=int)
parser.add_argument("--fixed")
given = parser.parse_args()
score = 1 - abs(math.log10(given.rate) + 2) / 2 - abs(given.layers - 3) / 10
pathlib.Path("/opt/ml/model/score").write_text(str(score))
print(f"fixed={given.fixed} score={score:.6f}")
"""
WAITS = "import time\nprint('score=1', flush=True)\ntime.sleep(60)\n"


class Tuner(Machine):
    """An embedded SageMaker with tuning jobs, and a program for their trials."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.announced: list[tuple[str, Json]] = []
        self.tuning = TuningJobs(
            self.context,
            self.training,
            lambda kind, arns, detail: self.announced.append((kind, detail)),
        )

    def request(self, name: str, script: str, **config: Any) -> Json:
        self.put(f"code/{name}/program.py", script)
        definition = {
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "score", "Regex": "score=([-0-9.]+)"}],
            },
            "InputDataConfig": [channel("code", f"s3://data/code/{name}/")],
            "StaticHyperParameters": {
                "sagemaker_program": "program.py",
                "sagemaker_submit_directory": "/opt/ml/input/data/code",
                "fixed": "yes",
            },
            "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
            "ResourceConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.xlarge",
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "RoleArn": ROLE,
        }
        rate = {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1"}
        layers = {"Name": "layers", "MinValue": "1", "MaxValue": "5"}
        return {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobConfig": {
                "Strategy": "Random",
                "RandomSeed": 4,
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
                "ParameterRanges": {
                    "ContinuousParameterRanges": [{**rate, "ScalingType": "Logarithmic"}],
                    "IntegerParameterRanges": [layers],
                },
                **config,
            },
            "TrainingJobDefinition": definition,
        }

    def tune(self, name: str, script: str, **config: Any) -> Json:
        self.tuning.create_hyper_parameter_tuning_job(self.request(name, script, **config))
        return self.tuning.wait(name, timeout=60)

    def describe(self, name: str) -> Json:
        return self.tuning.describe_hyper_parameter_tuning_job(
            {"HyperParameterTuningJobName": name}
        )

    def trials(self, name: str, **more: Any) -> list[Json]:
        listed = self.tuning.list_training_jobs_for_hyper_parameter_tuning_job(
            {"HyperParameterTuningJobName": name, "MaxResults": 100, **more}
        )
        found: list[Json] = listed["TrainingJobSummaries"]
        return found

    def close(self) -> None:
        self.tuning.shutdown()
        super().close()


@pytest.fixture
def tuner(tmp_path: Path) -> Iterator[Tuner]:
    tuner = Tuner(tmp_path / "machine")
    yield tuner
    tuner.close()


def value(trial: Json) -> float:
    return float(trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def test_every_trial_runs_with_its_hyperparameters_and_the_best_one_is_named(
    tuner: Tuner,
) -> None:
    job = tuner.tune("search", PLANTED)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    trials = tuner.trials("search")
    assert [t["TrainingJobName"][:10] for t in trials] == [f"search-00{n}" for n in (1, 2, 3, 4)]
    assert job["BestTrainingJob"] == max(trials, key=value)
    for trial in trials:
        name = trial["TrainingJobName"]
        described = tuner.training.describe_training_job({"TrainingJobName": name})
        assert described["TuningJobArn"] == job["HyperParameterTuningJobArn"]
        assert described["HyperParameters"]["rate"] == trial["TunedHyperParameters"]["rate"]
        assert "fixed=yes" in tuner.logs.text(name)
        assert f"out/{name}/output/model.tar.gz" in tuner.object_keys("out/")
    kinds = {kind for kind, _ in tuner.announced}
    assert kinds == {"SageMaker HyperParameter Tuning Job State Change"}
    states = [detail["HyperParameterTuningJobStatus"] for _, detail in tuner.announced]
    assert states == ["InProgress", "Completed"]


def test_as_many_trials_run_at_once_as_allowed_and_no_more(tuner: Tuner) -> None:
    tuner.tune("pairs", "import time\ntime.sleep(0.3)\nprint('score=1')")
    changes = []
    for trial in tuner.trials("pairs"):
        changes += [(trial["CreationTime"], 1), (trial["TrainingEndTime"], -1)]
    running, most = 0, 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    assert most == 2


def test_the_same_seed_tries_the_same_again(tuner: Tuner) -> None:
    tuner.tune("first", PLANTED)
    tuner.tune("again", PLANTED)
    first, again = (
        [trial["TunedHyperParameters"] for trial in tuner.trials(name)]
        for name in ("first", "again")
    )
    assert first == again


def test_the_list_is_sorted_paged_and_filtered_as_asked(tuner: Tuner) -> None:
    tuner.tune("listed", PLANTED)
    by_value = tuner.trials("listed", SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    assert [value(trial) for trial in by_value] == sorted(map(value, by_value), reverse=True)
    assert tuner.trials("listed", StatusEquals="Failed") == []
    given = {"HyperParameterTuningJobName": "listed", "MaxResults": 3}
    page = tuner.tuning.list_training_jobs_for_hyper_parameter_tuning_job(given)
    rest = tuner.tuning.list_training_jobs_for_hyper_parameter_tuning_job(
        {**given, "NextToken": page["NextToken"]}
    )
    names = [t["TrainingJobName"] for p in (page, rest) for t in p["TrainingJobSummaries"]]
    assert names == [trial["TrainingJobName"] for trial in tuner.trials("listed")]
    (summary,) = tuner.tuning.list_hyper_parameter_tuning_jobs({})[
        "HyperParameterTuningJobSummaries"
    ]
    assert summary["Strategy"] == "Random"


def test_a_stop_ends_the_trials_and_starts_no_other(tuner: Tuner) -> None:
    request = tuner.request("stopped", WAITS)
    tuner.tuning.create_hyper_parameter_tuning_job(request)
    eventually(lambda: len(tuner.trials("stopped")) == 2, "two trials")
    given = {"HyperParameterTuningJobName": "stopped"}
    tuner.tuning.stop_hyper_parameter_tuning_job(given)
    job = tuner.tuning.wait("stopped", timeout=30)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert [t["TrainingJobStatus"] for t in tuner.trials("stopped")] == ["Stopped", "Stopped"]
    assert tuner.tuning.stop_hyper_parameter_tuning_job(given) == {}


def test_a_failed_trial_costs_its_place_and_no_more(tuner: Tuner) -> None:
    script = "import sys\nif '4' in sys.argv or '5' in sys.argv: sys.exit('no')\n" + PLANTED
    job = tuner.tune("some", script, RandomSeed=1)
    counters = job["TrainingJobStatusCounters"]
    assert counters["NonRetryableError"] > 0
    assert counters["Completed"] + counters["NonRetryableError"] == 4
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["BestTrainingJob"]["TrainingJobStatus"] == "Completed"


def test_a_search_of_failures_only_fails_and_says_what_the_first_one_said(tuner: Tuner) -> None:
    script = "open('/opt/ml/output/failure', 'w').write('no wheels')\nraise SystemExit(1)"
    job = tuner.tune("broken", script)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("All training jobs failed.")
    assert "no wheels" in job["FailureReason"]
    assert "BestTrainingJob" not in job


def test_a_search_without_its_metric_fails_in_the_services_words(tuner: Tuner) -> None:
    job = tuner.tune("mute", "print('accuracy=1')")
    assert job["FailureReason"].startswith("No objective metrics found after running 4 training")


def test_a_target_that_is_reached_ends_the_search(tuner: Tuner) -> None:
    criteria = {"TargetObjectiveMetricValue": 0.5}
    limits = {"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 2}
    job = tuner.tune(
        "target", "print('score=0.7')", TuningJobCompletionCriteria=criteria, ResourceLimits=limits
    )
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert len(tuner.trials("target")) <= 3


def test_after_a_restart_what_was_running_is_shown_as_failed(tuner: Tuner, tmp_path: Path) -> None:
    tuner.tuning.create_hyper_parameter_tuning_job(tuner.request("cut", WAITS))
    eventually(lambda: len(tuner.trials("cut")) == 2, "two trials")
    tuner.tuning.shutdown()
    tuner.runner.shutdown()
    after = TuningJobs(tuner.context, tuner.training)
    after.recover()
    job = after.describe_hyper_parameter_tuning_job({"HyperParameterTuningJobName": "cut"})
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "localaws was stopped" in job["FailureReason"]
    assert len(tuner.trials("cut")) == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"WarmStartConfig": {"WarmStartType": "TransferLearning"}}, "no WarmStartConfig"),
        ({"Autotune": {"Mode": "Enabled"}}, "no Autotune"),
        ({"TrainingJobDefinition": None}, "TrainingJobDefinition is required"),
    ],
)
def test_what_only_aws_does_is_refused_by_name(tuner: Tuner, change: Json, sentence: str) -> None:
    with pytest.raises(ApiError, match=sentence):
        tuner.tuning.create_hyper_parameter_tuning_job({**tuner.request("r", PLANTED), **change})
    assert (
        tuner.tuning.list_hyper_parameter_tuning_jobs({})["HyperParameterTuningJobSummaries"] == []
    )


def test_what_no_trial_could_be_started_with_is_refused_at_once(tuner: Tuner) -> None:
    def refusal(**definition: Any) -> str:
        request = tuner.request("r", PLANTED)
        request["TrainingJobDefinition"] |= definition
        with pytest.raises(ApiError) as refused:
            tuner.tuning.create_hyper_parameter_tuning_job(request)
        return refused.value.message

    assert "Could not assume role" in refusal(RoleArn=ROLE + "-other")
    assert "static and have a range: rate" in refusal(StaticHyperParameters={"rate": "1"})
    other = {"TrainingImage": IMAGE, "TrainingInputMode": "File"}
    metrics = [{"Name": "loss", "Regex": "loss=(.*)"}]
    message = refusal(AlgorithmSpecification={**other, "MetricDefinitions": metrics})
    assert "score is not among the MetricDefinitions" in message
    assert tuner.object_keys("out/") == []


def test_script_mode_runs_a_program_of_hyperparameters_with_the_toolkits_variables(
    tuner: Tuner,
) -> None:
    tuner.put(
        "code/toolkit/inner/program.py",
        "import json, os, sys\nprint(json.dumps({'argv': sys.argv, 'cwd': os.getcwd(),"
        " 'env': {k: v for k, v in os.environ.items() if k.startswith('SM_')}}))",
    )
    from tests.unit.job_kit import training_request

    request = training_request("toolkit", "")
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    tuner.training.create_training_job(
        {
            **request,
            "InputDataConfig": [channel("code", "s3://data/code/toolkit/")],
            "HyperParameters": {
                "sagemaker_program": "inner/program.py",
                "sagemaker_submit_directory": "/opt/ml/input/data/code",
                "b": "text",
                "epochs": "3",
            },
        }
    )
    assert tuner.training.wait("toolkit", timeout=30)["TrainingJobStatus"] == "Completed"
    said = json.loads(tuner.logs.text("toolkit"))
    assert said["argv"] == ["inner/program.py", "-b", "text", "--epochs", "3"]
    assert said["cwd"] == "/opt/ml/code"
    assert said["env"]["SM_CHANNEL_CODE"] == "/opt/ml/input/data/code"
    assert json.loads(said["env"]["SM_HPS"]) == {"b": "text", "epochs": 3}
