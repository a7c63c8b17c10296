"""Takes an environment down to nothing: what the stack made, and what its workflows made since.

CloudFormation deletes what it made, but not a bucket with data in it, a group with versions in it,
or an endpoint that a deployment created. So, in this order:

    running deployments are stopped          nobody makes anew what is being deleted
    schedule, endpoint, configurations, models; the pipelines; the registered versions
    the data bucket is emptied, the stack deleted, then both buckets and the last logs
    the key, which no stack deletes, is scheduled for deletion: nothing is left to decrypt
"""

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from lambdas import clean_up_deployment, deployment
from lambdas.deployment import Options
from scones import stack
from scones.connection import Connection

_DEADLINE_SECONDS = 1800.0
_GONE = (
    "NoSuchBucket",
    "404",
    "ResourceNotFoundException",
    "ResourceNotFound",
    "NotFoundException",
)
KEY_DELETION_DAYS = 30  # the longest; a key that waits for its deletion costs nothing


@dataclass(frozen=True)
class Environment:
    """The names of everything that an environment can hold."""

    prefix: str
    data_bucket: str
    code_bucket: str
    state_machine_arn: str | None


def environment_of(connection: Connection) -> Environment:
    """By name, so that a half-deleted environment is found too."""
    prefix = connection.stack_name
    return Environment(
        prefix=prefix,
        data_bucket=f"{prefix}-{connection.account}-{connection.region}",
        code_bucket=stack.code_bucket(connection),
        state_machine_arn=_deployment_machine(prefix, connection.client("stepfunctions")),
    )


def _deployment_machine(prefix: str, states: Any) -> str | None:
    for page in states.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            if machine["name"] == f"{prefix}-deployment":
                return str(machine["stateMachineArn"])
    return None


def object_count(bucket: str, s3: Any, at_most: int = 1000) -> int:
    """How many objects, former versions among them, up to `at_most`; 0 when it is not there."""
    try:
        found = s3.list_object_versions(Bucket=bucket, MaxKeys=at_most)
        return len(found.get("Versions", []))
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return 0
        raise


def destroy(connection: Connection, say: Callable[[str], None]) -> None:
    """Deletes it all; what is gone already is fine. Raises StackError."""
    names, sagemaker = environment_of(connection), connection.client("sagemaker")
    s3, cloudformation = connection.client("s3"), connection.client("cloudformation")
    pause = connection.poll_seconds
    if names.state_machine_arn:
        _stop_executions(names.state_machine_arn, connection.client("stepfunctions"))
    say("endpoint, schedule, models")
    _delete_endpoint(names.prefix, sagemaker, pause)
    options = Options(names.prefix, names.prefix, names.prefix, connection.account)
    clean_up_deployment.clean_up(options, sagemaker)
    for model in list(_candidates(names.data_bucket, sagemaker)):
        sagemaker.delete_model(ModelName=model)
    say("pipeline, registered versions")
    for pipeline in ("training", "tuning", "monitoring"):
        name = f"{names.prefix}-{pipeline}"
        _unless_gone(functools.partial(sagemaker.delete_pipeline, PipelineName=name))
    for arn in list(_versions(names.prefix, sagemaker)):
        sagemaker.delete_model_package(ModelPackageName=arn)
    say("bucket, stack")
    empty(names.data_bucket, s3)
    if stack.status(names.prefix, cloudformation):
        cloudformation.delete_stack(StackName=names.prefix)
        stack.wait("stack_delete_complete", names.prefix, cloudformation, pause)
    for bucket in (names.data_bucket, names.code_bucket):
        empty(bucket, s3)  # logs and captures may have come in meanwhile
        _unless_gone(functools.partial(s3.delete_bucket, Bucket=bucket))
    _delete_logs(names.prefix, connection.client("logs"))
    say(f"key, in {KEY_DELETION_DAYS} days")
    _schedule_key_deletion(f"alias/{names.prefix}", connection.client("kms"))


def _schedule_key_deletion(alias: str, kms: Any) -> None:
    """The alias goes last: it is how a second attempt finds the key."""
    try:
        key = kms.describe_key(KeyId=alias)["KeyMetadata"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return
        raise
    if key["KeyState"] != "PendingDeletion":
        kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=KEY_DELETION_DAYS)
    kms.delete_alias(AliasName=alias)


def _delete_logs(prefix: str, logs: Any) -> None:
    """The endpoint's, and the stack's own, which a last line may have brought back."""
    kinds = (
        *("/aws/lambda/", "/aws/vendedlogs/states/", "/aws/sagemaker/Endpoints/"),
        "/aws/codebuild/",
    )
    for start in (f"{kind}{prefix}" for kind in kinds):
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=start)
        for group in [item["logGroupName"] for page in pages for item in page["logGroups"]]:
            if group == start or group.startswith(f"{start}-"):
                _unless_gone(functools.partial(logs.delete_log_group, logGroupName=group))


def _stop_executions(machine: str, states: Any) -> None:
    pages = states.get_paginator("list_executions")
    for page in pages.paginate(stateMachineArn=machine, statusFilter="RUNNING"):
        for execution in page["executions"]:
            states.stop_execution(
                executionArn=execution["executionArn"], error="Destroyed", cause="scones destroy"
            )


def _delete_endpoint(name: str, sagemaker: Any, pause: float) -> None:
    """The schedule first: an endpoint that has one cannot be deleted."""
    _unless_gone(lambda: sagemaker.delete_monitoring_schedule(MonitoringScheduleName=name))
    _until_gone(
        lambda: sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name), name, pause
    )
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while there := deployment.endpoint(name, sagemaker):
        if there["EndpointStatus"] not in deployment.BUSY:
            _unless_gone(lambda: sagemaker.delete_endpoint(EndpointName=name))
        if time.monotonic() > deadline:
            raise stack.StackError(f"Endpoint {name!r} is still {there['EndpointStatus']}.")
        time.sleep(pause)


def _until_gone(describe: Callable[[], Any], name: str, pause: float) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while deployment.found_or_none(describe):
        if time.monotonic() > deadline:
            raise stack.StackError(f"Monitoring schedule {name!r} is still being deleted.")
        time.sleep(pause)


def _candidates(bucket: str, sagemaker: Any) -> Iterator[str]:
    """The models that the pipeline made for its transforms: their archives lie in our bucket."""
    pages = sagemaker.get_paginator("list_models").paginate(NameContains="pipelines-")
    for name in [item["ModelName"] for page in pages for item in page["Models"]]:
        container = sagemaker.describe_model(ModelName=name).get("PrimaryContainer", {})
        if container.get("ModelDataUrl", "").startswith(f"s3://{bucket}/"):
            yield name


def _versions(group: str, sagemaker: Any) -> Iterator[str]:
    request = {"ModelPackageGroupName": group}
    while True:
        try:
            page = sagemaker.list_model_packages(**request)
        except ClientError as error:
            if deployment.not_found(error):
                return
            raise
        yield from (item["ModelPackageArn"] for item in page["ModelPackageSummaryList"])
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def empty(bucket: str, s3: Any) -> None:
    """Deletes every object with its versions, and every unfinished upload."""
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
            if keys:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for item in page.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=item["Key"], UploadId=item["UploadId"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise


def _unless_gone(delete: Callable[[], Any]) -> None:
    try:
        delete()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE and not deployment.not_found(error):
            raise
