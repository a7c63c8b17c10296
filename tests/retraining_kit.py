"""What the tests of retraining share: a bucket, pipelines that say what runs, and a clock."""

import datetime
import threading
from typing import Any

from botocore.exceptions import ClientError

from lambdas.request_retraining import Limits, Site, decide
from lambdas.retraining import Request
from monitoring import ground_truth
from tests.lambda_kit import NOON

BUCKET = "scones-prod-data"
RETRAINING, TRAINING = "scones-prod-retraining", "scones-prod-training"
HOUR = datetime.timedelta(hours=1)
LIMITS = Limits(6 * HOUR, 3, 2, frozenset())
Json = dict[str, Any]


class Pipelines:
    """What CodePipeline and SageMaker say about executions; a token starts one execution."""

    def __init__(self) -> None:
        self.started: dict[str, Json] = {}  # by token
        self.running: set[str] = set()
        self.trainings: list[Json] = []
        self.fail_after_start, self.deployed = False, True
        self._lock = threading.Lock()

    def start_pipeline_execution(self, **request: Any) -> Json:
        with self._lock:
            number = len(self.started) + 1
            found = self.started.setdefault(
                request["clientRequestToken"], {**request, "id": f"run-{number}"}
            )
            self.running.add(found["id"])
        if self.fail_after_start:
            raise ConnectionError("the function was killed here")
        return {"pipelineExecutionId": found["id"]}

    def list_pipeline_executions(self, **request: Any) -> Json:
        if "PipelineName" in request:
            return {"PipelineExecutionSummaries": self.trainings}
        if not self.deployed:
            raise ClientError({"Error": {"Code": "PipelineNotFoundException"}}, "List")
        with self._lock:
            summaries = [
                {
                    "pipelineExecutionId": found["id"],
                    "status": "InProgress" if found["id"] in self.running else "Succeeded",
                }
                for found in self.started.values()
            ]
        return {"pipelineExecutionSummaries": summaries}


class World:
    """A bucket, pipelines and a clock, and the function among them."""

    def __init__(self, s3: Any, bucket: str = BUCKET) -> None:
        self.s3, self.bucket = s3, bucket
        self.s3.create_bucket(Bucket=bucket)
        self.pipelines = Pipelines()
        self.now = NOON
        self.site = Site(RETRAINING, TRAINING, bucket, self.pipelines, self.pipelines, self.s3)

    def label(self, *inference_ids: str) -> None:
        labels = [(inference_id, "bicycle") for inference_id in inference_ids]
        ground_truth.write_labels(labels, self.bucket, "ground-truth", self.s3, self.now)

    def ask(self, trigger: str = "drift", limits: Limits = LIMITS, **more: Any) -> Json:
        given = {"event_id": f"{trigger}-{self.now:%d%H%M%S}", "time": self.now, **more}
        return decide(Request(trigger, **given), limits, self.site, lambda: self.now)

    def finish(self) -> None:
        self.pipelines.running.clear()

    def train(self, status: str = "Succeeded") -> None:
        arn = f"arn:aws:sagemaker:eu-west-1:123456789012:pipeline/{TRAINING}/execution/abc"
        self.pipelines.trainings.insert(
            0,
            {
                "PipelineExecutionArn": arn,
                "PipelineExecutionStatus": status,
                "StartTime": datetime.datetime.now(datetime.UTC) + HOUR,  # S3's clock is the real
            },
        )
