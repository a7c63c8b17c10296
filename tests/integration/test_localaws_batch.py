"""The batch workflow as it is shipped, on the embedded AWS: a prefix, classified one by one."""

import json
from typing import Any

import pytest

from tests.conftest import LocalAws
from tests.release_kit import bucket, role, until
from workflow import render

UNSURE, BROKEN = "THRESHOLD_CONFIDENCE_NOT_MET", "NOT_AN_IMAGE"
ANSWER = {
    "predicted_class": "bicycle",
    "confidence": 0.9,
    "inferences": [0.9, 0.1],
    "inference_id.$": "$.s3_key",
    "model_package_arn": "arn:of:3",
}


def ends(kind: str, **members: Any) -> dict[str, Any]:
    return {"Type": kind, **members}


# In the place of the inference workflow: the key says what comes of an image.
INFERENCE = {
    "StartAt": "Which",
    "States": {
        "Which": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.s3_key", "StringMatches": f"*{word}*", "Next": word}
                for word in ("unsure", "broken", "slow", "endless")
            ],
            "Default": "Answer",
        },
        "slow": {"Type": "Wait", "Seconds": 1, "Next": "Answer"},
        "endless": {"Type": "Wait", "Seconds": 600, "Next": "Answer"},
        "unsure": ends("Fail", Error=UNSURE, Cause="0.6 is less than 0.8"),
        "broken": ends("Fail", Error=BROKEN, Cause="no picture"),
        "Answer": ends("Pass", Parameters=ANSWER, End=True),
    },
}


class Batch:
    """The batch workflow over a stand-in for the inference workflow, in a bucket of its own."""

    def __init__(self, aws: LocalAws) -> None:
        self.states, self.s3 = aws.client("stepfunctions"), aws.client("s3")
        self.place, self.role = bucket(aws, "batches"), role(aws, "batch", "states.amazonaws.com")
        inference = self.create("inference", json.dumps(INFERENCE), publish=True)
        self.inference = inference["stateMachineArn"]
        alias = self.states.create_state_machine_alias(
            name="live",
            routingConfiguration=[
                {"stateMachineVersionArn": inference["stateMachineVersionArn"], "weight": 100}
            ],
        )["stateMachineAliasArn"]
        given = {"Partition": "aws", "InferenceAliasArn": alias, "BucketName": self.place}
        self.arn = self.create("batch", render.render("batch", given))["stateMachineArn"]

    def create(self, name: str, definition: str, **more: Any) -> Any:
        return self.states.create_state_machine(
            name=name, definition=definition, roleArn=self.role, **more
        )

    def put(self, prefix: str, *names: str) -> str:
        for name in names:
            self.s3.put_object(Bucket=self.place, Key=f"{prefix}/{name}", Body=b"")
        return f"{prefix}/"

    def start(self, prefix: str, **settings: Any) -> str:
        given = {"s3_bucket": self.place, "s3_prefix": prefix, **settings}
        started = self.states.start_execution(stateMachineArn=self.arn, input=json.dumps(given))
        return str(started["executionArn"])

    def ended(self, arn: str) -> Any:
        def look() -> Any:
            found = self.states.describe_execution(executionArn=arn)
            return found if found["status"] != "RUNNING" else None

        return until(look, 60)

    def results(self, arn: str) -> dict[str, Any]:
        """Of an execution's manifest: the rows of each status, their inputs and outputs parsed."""
        prefix = f"batch/{arn.rpartition(':')[2]}/"
        keys = [
            found["Key"]
            for found in self.s3.list_objects_v2(Bucket=self.place, Prefix=prefix)["Contents"]
        ]
        (manifest,) = (self.read(key) for key in keys if key.endswith("/manifest.json"))
        assert manifest["DestinationBucket"] == self.place
        return {
            status: [row for file in files for row in self.rows(file)]
            for status, files in manifest["ResultFiles"].items()
        }

    def rows(self, file: Any) -> Any:
        assert (
            self.s3.head_object(Bucket=self.place, Key=file["Key"])["ContentLength"]
            == (file["Size"])
        )
        return self.read(file["Key"])

    def read(self, key: str) -> Any:
        return json.load(self.s3.get_object(Bucket=self.place, Key=key)["Body"])

    def running(self, arn: str) -> list[Any]:
        listed = self.states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")
        return list(listed["executions"])


@pytest.fixture(scope="module")
def batch(local_aws: LocalAws) -> Batch:
    return Batch(local_aws)


def test_every_image_below_the_prefix_is_classified_and_one_manifest_has_the_answers(
    batch: Batch,
) -> None:
    batch.put("other", "broken.png")
    arn = batch.start(batch.put("mixed", "a.png", "b.png", "unsure.png"))
    ended = batch.ended(arn)
    assert ended["status"] == "SUCCEEDED", ended
    found = batch.results(arn)
    assert {status: len(rows) for status, rows in found.items()} == {
        "SUCCEEDED": 3,
        "FAILED": 0,
        "PENDING": 0,
    }
    outputs = [json.loads(row["Output"]) for row in found["SUCCEEDED"]]
    assert [(one["s3_key"], one["verdict"]) for one in outputs] == [
        ("mixed/a.png", "SURE"),
        ("mixed/b.png", "SURE"),
        ("mixed/unsure.png", UNSURE),
    ]
    assert outputs[0]["predicted_class"] == "bicycle"
    assert outputs[0]["inference_id"] == "mixed/a.png"
    assert outputs[2]["reason"] == "0.6 is less than 0.8"
    manifest = json.loads(ended["output"])["ResultWriterDetails"]
    assert batch.s3.head_object(Bucket=manifest["Bucket"], Key=manifest["Key"])
    (run,) = batch.states.list_map_runs(executionArn=arn)["mapRuns"]
    counts = batch.states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
    assert (counts["total"], counts["succeeded"], counts["running"]) == (3, 3, 0)


def test_as_many_may_fail_as_is_tolerated_and_each_says_why(batch: Batch) -> None:
    prefix = batch.put("half", "a.png", "broken.png")
    arn = batch.start(prefix, tolerated_failure_percentage=50)
    assert batch.ended(arn)["status"] == "SUCCEEDED"
    (failed,) = batch.results(arn)["FAILED"]
    assert (failed["Status"], failed["Error"], failed["Cause"]) == ("FAILED", BROKEN, "no picture")
    assert json.loads(failed["Input"])["s3_key"] == "half/broken.png"


def test_more_failures_than_are_tolerated_end_the_batch_and_the_rest_is_not_started(
    batch: Batch,
) -> None:
    names = ["broken-0.png", "broken-1.png", "c.png", "d.png"]
    prefix = batch.put("most", *names)
    arn = batch.start(prefix, tolerated_failure_percentage=25, max_concurrency=1)
    ended = batch.ended(arn)
    assert ended["status"] == "FAILED"
    assert ended["error"] == "States.ExceedToleratedFailureThreshold"
    found = batch.results(arn)
    assert [len(found[status]) for status in ("FAILED", "SUCCEEDED", "PENDING")] == [2, 0, 2]
    assert [json.loads(row["Input"])["Key"] for row in found["PENDING"]] == [
        "most/c.png",
        "most/d.png",
    ]


def test_no_more_run_at_once_than_the_batch_allows(batch: Batch) -> None:
    prefix = batch.put("slow", *(f"slow-{n}.png" for n in range(4)))
    arn = batch.start(prefix, max_concurrency=2)
    assert batch.ended(arn)["status"] == "SUCCEEDED"
    listed = batch.states.list_executions(stateMachineArn=batch.inference)["executions"]
    described = [
        batch.states.describe_execution(executionArn=one["executionArn"]) for one in listed
    ]
    times = [
        (one["startDate"], one["stopDate"]) for one in described if "slow/slow-" in one["input"]
    ]
    assert len(times) == 4
    together = [sum(start <= moment < stop for start, stop in times) for moment, _ in times]
    assert max(together) == 2


def test_a_prefix_without_an_image_is_an_empty_batch(batch: Batch) -> None:
    arn = batch.start("nothing/")
    assert batch.ended(arn)["status"] == "SUCCEEDED"
    assert batch.results(arn) == {"FAILED": [], "PENDING": [], "SUCCEEDED": []}


def test_stopping_the_batch_stops_what_it_has_started(batch: Batch) -> None:
    prefix = batch.put("long", "endless-1.png", "endless-2.png", "endless-3.png")
    arn = batch.start(prefix, max_concurrency=2)
    until(lambda: len(batch.running(batch.inference)) == 2)
    batch.states.stop_execution(executionArn=arn)
    until(lambda: not batch.running(batch.inference))
    assert batch.ended(arn)["status"] == "ABORTED"
