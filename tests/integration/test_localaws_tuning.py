"""A pipeline with a tuning step, through a real server, boto3, and roles that may just do it."""

import json
from typing import Any

import pytest

from tests.integration.test_localaws_pipelines import IMAGE, Aws, Json, processing, until
from tests.roles import make_role

# A score with one greatest value, 1, at rate = 0.01 and depth = 3.
PROGRAM = """
import argparse, math, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--depth", type=int)
parser.add_argument("--wait", type=float)
given = parser.parse_args()
score = 1 - (math.log10(given.rate) + 2) ** 2 / 4 - (given.depth - 3) ** 2 / 4
print(f"score={score:.6f}", flush=True)
pathlib.Path("/opt/ml/model/chosen").write_text(f"{given.rate} {given.depth}")
import time
time.sleep(given.wait)
"""
READ = """
import pathlib, tarfile
with tarfile.open("/opt/ml/processing/input/model.tar.gz") as archive:
    chosen = archive.extractfile("chosen").read()
pathlib.Path("/opt/ml/processing/output/chosen").write_bytes(chosen)
"""
GRID = {
    "Strategy": "Grid",
    "ResourceLimits": {"MaxParallelTrainingJobs": 2},
    "ParameterRanges": {
        "CategoricalParameterRanges": [
            {"Name": "rate", "Values": ["0.1", "0.01", "0.001"]},
            {"Name": "depth", "Values": ["2", "3"]},
        ]
    },
}
RANDOM = {
    "Strategy": "Random",
    "RandomSeed": 3,
    "ResourceLimits": {"MaxNumberOfTrainingJobs": 12, "MaxParallelTrainingJobs": 2},
    "ParameterRanges": {
        "ContinuousParameterRanges": [
            {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Logarithmic"}
        ],
        "IntegerParameterRanges": [{"Name": "depth", "MinValue": "1", "MaxValue": "5"}],
    },
}


class Tuner(Aws):
    """With a pipeline role of the template's permissions, and a trial's role that has S3 only."""

    def __init__(self, server: Any, name: str) -> None:
        super().__init__(server, name)
        self.s3 = server.client("s3")
        self.s3.put_object(Bucket=name, Key="code/program.py", Body=PROGRAM.encode())
        arn = f"arn:aws:s3:::{name}"
        self.trial_role = make_role(
            server, f"{name}-trial", {"Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
        )
        self.role = self.make_pipeline_role(f"{name}-pipeline")

    def make_pipeline_role(self, name: str, *, lists: bool = True) -> str:
        place = f"arn:aws:sagemaker:{self.server.region}:{self.server.account}"
        verbs = ["Create", "Describe", "Stop"]
        actions = [f"sagemaker:{verb}HyperParameterTuningJob" for verb in verbs]
        if lists:
            actions.append("sagemaker:ListTrainingJobsForHyperParameterTuningJob")
        jobs = [f"sagemaker:{verb}ProcessingJob" for verb in verbs]
        return make_role(
            self.server,
            name,
            {
                "Action": [*actions, *jobs, "sagemaker:AddTags"],
                "Resource": [
                    f"{place}:hyper-parameter-tuning-job/*-Tune-*",
                    f"{place}:processing-job/pipelines-*",
                ],
            },
            {"Action": "iam:PassRole"},
        )

    def definition(self, config: Json, wait: str = "0") -> list[Json]:
        """Tune, and Read, which looks into the best trial's model."""
        return [self._tune(config, wait), self._read()]

    def _tune(self, config: Json, wait: str) -> Json:
        folder = [f"s3://{self.name}/out", {"Get": "Execution.PipelineExecutionId"}]
        return {
            "Name": "Tune",
            "Type": "Tuning",
            "CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"},
            "Arguments": {
                "HyperParameterTuningJobConfig": {
                    "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
                    **config,
                },
                "TrainingJobDefinition": {
                    "AlgorithmSpecification": {
                        "TrainingImage": IMAGE,
                        "TrainingInputMode": "File",
                        "MetricDefinitions": [{"Name": "score", "Regex": "score=([-0-9.]+)"}],
                    },
                    "RoleArn": self.trial_role,
                    "InputDataConfig": [self.code()],
                    "StaticHyperParameters": {
                        "sagemaker_program": "program.py",
                        "sagemaker_submit_directory": "/opt/ml/input/data/code",
                        "wait": wait,
                    },
                    "OutputDataConfig": {
                        "S3OutputPath": {"Std:Join": {"On": "/", "Values": folder}}
                    },
                    "ResourceConfig": {
                        "InstanceCount": 1,
                        "InstanceType": "ml.m5.large",
                        "VolumeSizeInGB": 1,
                    },
                    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
                    "EnableNetworkIsolation": True,
                },
            },
        }

    def _read(self) -> Json:
        values = [
            {"Get": "Steps.Tune.TrainingJobDefinition.OutputDataConfig.S3OutputPath"},
            {"Get": "Steps.Tune.TrainingJobSummaries[0].TrainingJobName"},
            "output/model.tar.gz",
        ]
        source = {
            "S3Uri": {"Std:Join": {"On": "/", "Values": values}},
            "LocalPath": "/opt/ml/processing/input",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        }
        inputs = [{"InputName": "model", "S3Input": source}]
        arguments = {"ProcessingInputs": inputs, "RoleArn": self.trial_role}
        return processing("Read", READ, arguments=arguments)

    def code(self) -> Json:
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.name}/code/"}
        return {"ChannelName": "code", "DataSource": {"S3DataSource": source}}

    def tuning_job(self, arn: str) -> Json:
        name = self.steps(arn)["Tune"]["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
        described: Json = self.sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )
        return described

    def chosen(self, arn: str) -> str:
        """What the step after Tune found in the model that it was given."""
        job = self.steps(arn)["Read"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
        described = self.sagemaker.describe_processing_job(ProcessingJobName=job)
        output = described["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        bucket, _, key = output.removeprefix("s3://").partition("/")
        body = self.s3.get_object(Bucket=bucket, Key=f"{key}/chosen")["Body"]
        return str(body.read().decode())


@pytest.fixture
def tuner(local_aws: Any, request: pytest.FixtureRequest) -> Tuner:
    return Tuner(local_aws, f"tuning-{abs(hash(request.node.name)) % 10**8}")


def test_a_grid_finds_the_planted_optimum_whose_model_goes_on_and_is_cached(tuner: Tuner) -> None:
    tuner.create(*tuner.definition(GRID))
    arn = tuner.start()
    ended = tuner.end(arn)
    assert ended["PipelineExecutionStatus"] == "Succeeded", ended
    job = tuner.tuning_job(arn)
    assert len(job["HyperParameterTuningJobName"]) <= 32
    assert job["TrainingJobStatusCounters"]["Completed"] == 6
    best = job["BestTrainingJob"]
    assert best["TunedHyperParameters"] == {"rate": "0.01", "depth": "3"}
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 1
    assert tuner.chosen(arn) == "0.01 3"

    again = tuner.start()
    assert tuner.end(again)["PipelineExecutionStatus"] == "Succeeded"
    assert tuner.steps(again)["Tune"]["CacheHitResult"] == {"SourcePipelineExecutionArn": arn}
    assert tuner.chosen(again) == "0.01 3"


def test_a_random_search_comes_near_the_planted_optimum(tuner: Tuner) -> None:
    tuner.create(*tuner.definition(RANDOM))
    arn = tuner.start()
    assert tuner.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    best = tuner.tuning_job(arn)["BestTrainingJob"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] > 0.9
    chosen = best["TunedHyperParameters"]
    assert tuner.chosen(arn) == f"{float(chosen['rate'])} {chosen['depth']}"


def test_a_stopped_execution_stops_its_trials(tuner: Tuner) -> None:
    tuner.create(*tuner.definition(RANDOM, wait="60"))
    arn = tuner.start()
    until(lambda: "Metadata" in tuner.steps(arn).get("Tune", {}))
    until(lambda: tuner.tuning_job(arn)["TrainingJobStatusCounters"]["InProgress"] == 2)
    tuner.sagemaker.stop_pipeline_execution(
        PipelineExecutionArn=arn, ClientRequestToken="stop".ljust(32, "0")
    )
    assert tuner.end(arn)["PipelineExecutionStatus"] == "Stopped"
    job = tuner.tuning_job(arn)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2


def test_a_role_that_may_not_list_the_trials_fails_in_the_words_of_aws(tuner: Tuner) -> None:
    tuner.role = tuner.make_pipeline_role(f"{tuner.name}-blind", lists=False)
    limits = {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
    tuner.create(*tuner.definition({**RANDOM, "ResourceLimits": limits}))
    reason = tuner.end(tuner.start())["FailureReason"]
    assert "is not authorized to perform: " in reason
    assert "sagemaker:ListTrainingJobsForHyperParameterTuningJob" in reason


def test_a_definition_that_hands_a_wrong_trial_on_is_refused(tuner: Tuner) -> None:
    steps = json.dumps(tuner.definition(GRID)).replace("TrainingJobSummaries[0]", "BestJob")
    with pytest.raises(Exception, match="a Tuning step has no property 'BestJob"):
        tuner.create(*json.loads(steps))
