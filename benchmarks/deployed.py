"""A deployment to measure: an embedded AWS of its own with a model that was trained and approved.

    with deployed() as place:
        place.client("sagemaker"), place.archive, place.approval_seconds

Everything goes through the `scones` command and boto3, as a user would do it, in a folder that is
removed at the end.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from benchmarks.prepare import NAME, ROOT, build_apart, shared_archive
from pipelines.resources import Resources, of_stack

EPOCHS = 6  # enough to tell the classes apart; how fast the model answers does not depend on it
_STACK = "scones-local"
_LONGEST = 120.0  # seconds from an approval to its end


@dataclass
class Deployed:
    """Where everything lies, and how long the first approval took until the endpoint served and
    until its whole deployment was done (smoke test, schedule, workflow), in seconds."""

    home: Path
    environment: dict[str, str]
    archive: Path
    approval_seconds: float = 0.0
    deployment_seconds: float = 0.0

    @property
    def url(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def session(self) -> boto3.Session:
        return boto3.Session(
            self.environment["AWS_ACCESS_KEY_ID"],
            self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_REGION"],
        )

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.url)

    def resources(self) -> Resources:
        return of_stack(_STACK, self.client("cloudformation"))

    def scones(self, *arguments: str) -> str:
        """Runs a command that must succeed; returns what it printed."""
        return _scones(self.environment, *arguments)


@contextlib.contextmanager
def deployed() -> Iterator[Deployed]:
    """Brings it up, and takes it down."""
    with tempfile.TemporaryDirectory(prefix="scones-bench-") as folder:
        home = Path(folder)
        environment = os.environ | {"SCONES_HOME": str(home / "home")}
        environment.pop("SCONES_ENV", None)
        data = shared_archive() or build_apart(home / NAME, train=1_000, test=200, share=1.0)
        print(f"bringing up an embedded AWS, training on {data.name} and deploying …", flush=True)
        _scones(environment, "local", "up")
        try:
            yield _bring_up(home, environment, data)
        finally:
            _scones(environment, "local", "down")


def _bring_up(home: Path, environment: dict[str, str], data: Path) -> Deployed:
    lines = _scones(environment, "local", "env").splitlines()
    exports = (line.removeprefix("export ") for line in lines if line.startswith("export "))
    for name, _, value in (line.partition("=") for line in exports):
        environment[name] = value.strip("'\"")
    place = Deployed(home, environment, home / "model.tar.gz")
    place.scones("deploy")
    place.scones("pipeline", "upsert")
    url = place.scones("data", "stage", "--data", str(data)).splitlines()[-1]
    parameters = ["-p", f"Epochs={EPOCHS}", "-p", "AccuracyThreshold=0"]
    place.scones("pipeline", "start", "--wait", "--data-url", url, *parameters)
    sagemaker = place.client("sagemaker")
    packages = sagemaker.list_model_packages(ModelPackageGroupName=_STACK)
    arn = packages["ModelPackageSummaryList"][0]["ModelPackageArn"]
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    source = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = source.removeprefix("s3://").partition("/")
    place.client("s3").download_file(bucket, key, str(place.archive))
    _approve(place, arn)
    return place


def _approve(place: Deployed, arn: str) -> None:
    sagemaker, states = place.client("sagemaker"), place.client("stepfunctions")
    resources = place.resources()
    began = time.perf_counter()
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    machine = resources.deployment_state_machine_arn
    while time.perf_counter() - began < _LONGEST:
        if not place.approval_seconds and _serves(sagemaker, resources.endpoint_name):
            place.approval_seconds = time.perf_counter() - began
        ended = states.list_executions(stateMachineArn=machine)["executions"]
        if ended and ended[0]["status"] != "RUNNING":
            place.deployment_seconds = time.perf_counter() - began
            if ended[0]["status"] == "SUCCEEDED":
                return
            raise SystemExit(f"the deployment ended {ended[0]['status']}")
        time.sleep(0.1)
    raise SystemExit(f"the deployment was not done after {_LONGEST:.0f} s")


def _serves(sagemaker: Any, endpoint: str) -> bool:
    found = sagemaker.list_endpoints(NameContains=endpoint, StatusEquals="InService")["Endpoints"]
    return any(item["EndpointName"] == endpoint for item in found)


def sample_images(place: Deployed, count: int) -> list[tuple[str, str]]:
    """Bucket and key of `count` test images of the deployed version, in turn."""
    s3, bucket = place.client("s3"), place.resources().bucket_name
    keys = [
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="executions")
        for item in page.get("Contents", [])
        if "/test/" in item["Key"] and item["Key"].endswith(".png")
    ]
    return [(bucket, keys[number % len(keys)]) for number in range(count)]


def _scones(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "scones", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"scones {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
