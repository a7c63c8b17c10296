"""From doubt to data: what the model was not sure of is labelled, and the next training has it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scones.datasets.scenes import draw
from tests.archives import good_archive
from tests.end_to_end.conftest import ROOT, User
from tests.end_to_end.test_faults import stage
from tests.hosting_kit import poll

Json = dict[str, Any]
BUCKET = "scones-local-123456789012-us-east-1"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[User, str]]:
    """A user whose version 1 serves, and where the archive lies that it was trained on."""
    user = User(tmp_path_factory.mktemp("human-loop"))
    user.environment["LOCALAWS_CAPTURE_SECONDS"] = "1"
    user.ok("local", "up")
    user.ok("deploy")
    user.ok("pipeline", "upsert")
    url = stage(user, good_archive(tmp_path_factory.mktemp("data") / "good.tar.gz", train=60))
    user.ok("pipeline", "start", "--wait", "--data-url", url, "-p", "Epochs=4")
    user.ok("models", "approve", "1", "--wait")
    yield user, url
    user.run("local", "down")


def photos(folder: Path, count: int, seed: int) -> Path:
    """Drawn vehicles that are in no archive, named by their class."""
    folder.mkdir()
    for number in range(count):
        vehicle = ("bicycle", "motorcycle")[number % 2]
        pixels = np.asarray(draw(vehicle, np.random.default_rng(seed + number)), np.uint8)
        Image.fromarray(pixels).save(folder / f"{vehicle}-{number}.png")
    return folder


def waiting(user: User) -> dict[str, str]:
    """The keys of the images that wait for a person, by their inferences."""
    found = user.run("review", "--json").json
    return {record["inference_id"]: record["s3_key"] for record in found}


def review(user: User, typed: str) -> str:
    """What `scones review` prints to somebody who types this."""
    return subprocess.run(
        [sys.executable, "-m", "scones", "review"],
        cwd=ROOT,
        env=user.environment,
        input=typed,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def captured(user: User, but: set[str]) -> str:
    """An inference of the workflow's that was captured, and is none of these."""
    s3 = user.client("s3")

    def found() -> list[str]:
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="capture/").get("Contents", [])
        bodies = [s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in listed]
        records = [json.loads(line) for body in bodies for line in body.splitlines()]
        ids = [record["eventMetadata"].get("inferenceId", "smoke") for record in records]
        return [name for name in ids if "smoke" not in name and name not in but]

    return str(poll(found, 60)[0])


def test_the_labels_of_review_and_capture_are_in_the_next_training(
    served: tuple[User, str], tmp_path: Path
) -> None:
    user, url = served
    answers = user.run("classify", str(photos(tmp_path / "new", 12, 70)), "--json").json
    unsure = [a for a in answers if a["verdict"] == "low confidence"]
    before = waiting(user)
    assert set(before.values()) == {a["image"].partition(f"{BUCKET}/")[2] for a in unsure}
    assert before, "this test needs an image that the model is not sure of"
    assert "1 labelled" in review(user, "b\nq\n")
    (reviewed,) = set(before) - set(waiting(user))
    assert "0 labelled" in review(user, "")
    assert len(waiting(user)) == len(before) - 1
    known = captured(user, {reviewed})
    user.client("s3").delete_object(Bucket=BUCKET, Key=f"review/{known}.json")  # if there is one
    user.ok("label", known, "motorcycle")
    user.ok("label", "no-such-inference", "bicycle")
    started = user.run(
        *("pipeline", "start", "--wait", "--json", "--data-url", url, "-p", "Epochs=2"),
        *("-p", "AccuracyThreshold=0", "--trigger", "labels", "--trigger-id", "event-1"),
        *("-p", "ProductionTolerance=1"),
    )
    assert started.exit_code == 0, started.out + started.err
    found = dataset(user, started.json)["labelled"]
    assert {i["inference_id"]: i["label"] for i in found["images"]} == {
        reviewed: "bicycle",
        known: "motorcycle",
    }
    assert found["by_source"] == {"capture": 1, "review": 1}
    assert [case["inference_id"] for case in found["quarantined"]] == ["no-such-inference"]
    metadata = user.client("sagemaker").describe_model_package(
        ModelPackageName=next(
            s["model_package_arn"] for s in started.json["steps"] if s["model_package_arn"]
        )
    )["CustomerMetadataProperties"]
    assert (metadata["trigger"], metadata["trigger_id"]) == ("labels", "event-1")
    assert metadata["labelled_data_url"].startswith(f"s3://{BUCKET}/labelled/")


def dataset(user: User, execution: Json) -> Json:
    """`dataset.json` of an execution's Prepare."""
    arn = next(step["job_arn"] for step in execution["steps"] if step["name"] == "Prepare")
    job = user.client("sagemaker").describe_processing_job(ProcessingJobName=arn.rpartition("/")[2])
    outputs = job["ProcessingOutputConfig"]["Outputs"]
    uri = next(o["S3Output"]["S3Uri"] for o in outputs if o["OutputName"] == "dataset")
    key = uri.partition(f"{BUCKET}/")[2] + "/dataset.json"
    found: Json = json.load(user.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"])
    return found
