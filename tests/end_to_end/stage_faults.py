"""A fault in each stage of a retraining: how it is made, and what its one sentence says."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from tests.archives import good_archive
from tests.deployment_kit import BUCKET
from tests.end_to_end.loop_kit import RETRAINING, SHORT, Life
from tests.end_to_end.permissions_kit import without

Fault = Callable[[Life], AbstractContextManager[None]]


def built_with(**variables: str) -> Fault:
    """The build is told something else."""

    @contextmanager
    def fault(life: Life) -> Iterator[None]:
        life.builds_with(**variables)
        try:
            yield
        finally:
            life.builds_with(SCONES_START_OPTIONS=SHORT)

    return fault


@contextmanager
def sources_gone(life: Life) -> Iterator[None]:
    s3 = life.client("s3")
    (project,) = life.client("codepipeline").get_pipeline(name=RETRAINING)["pipeline"]["stages"][0][
        "actions"
    ]
    place = project["configuration"]
    names = {"Bucket": place["S3Bucket"], "Key": place["S3ObjectKey"]}
    marker = s3.delete_object(**names)["VersionId"]
    try:
        yield
    finally:
        s3.delete_object(**names, VersionId=marker)


@contextmanager
def role_distrusts(life: Life) -> Iterator[None]:
    """The build's role cannot be assumed."""
    iam, name = life.client("iam"), life.role("RetrainingBuildRole")
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    nobody = json.loads(json.dumps(trust).replace("codebuild.amazonaws", "ec2.amazonaws"))
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(nobody))
    try:
        yield
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))


@contextmanager
def broken_archive(life: Life) -> Iterator[None]:
    """Half an archive is the newest that is staged."""
    whole = good_archive(life.folder / "broken.tar.gz").read_bytes()
    key = "raw/broken/broken.tar.gz"
    life.site.put(key, whole[: len(whole) // 2])
    try:
        yield
    finally:
        life.client("s3").delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def may_not_register(life: Life) -> Iterator[None]:
    with without(life, "PipelineRole", "sagemaker:CreateModelPackage"):
        yield


@contextmanager
def stopped_by_hand(life: Life) -> Iterator[None]:
    with built_with(SCONES_START_OPTIONS="-p Epochs=60")(life), ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(life.stop_build)
        yield
        stopped.result()


FAULTS: dict[str, tuple[Fault, str]] = {
    "the sources are gone": (sources_gone, "Source: .*key does not exist"),
    "the build's role cannot be assumed": (role_distrusts, "not authorized to perform.*AssumeRole"),
    "a test is red": (
        built_with(SCONES_STEPS="tests train", SCONES_TESTS="tests/unit/no_such_test.py"),
        "BUILD.*make tests.*exit status",
    ),
    "the archive is broken": (broken_archive, "Prepare.*(truncated|cut|ends)"),
    "training is told nonsense": (
        built_with(SCONES_START_OPTIONS="-p Epochs=0"),
        "Train.*epochs 0 is out of range",
    ),
    "production's model is gone": (
        built_with(
            SCONES_START_OPTIONS=f"{SHORT} -p ProductionModelUrl=s3://{BUCKET}/code/nothing/"
        ),
        f"Evaluate.*s3://{re.escape(BUCKET)}/code/nothing/",
    ),
    "its version may not be registered": (
        may_not_register,
        "Register.*not authorized to perform: sagemaker:CreateModelPackage",
    ),
    "somebody stops the build": (stopped_by_hand, "STOPPED.*was stopped"),
}
