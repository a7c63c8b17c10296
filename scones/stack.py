"""The CloudFormation stack of an environment, from `infra/scones.yaml`, changed by change sets.

    prepare   code, layer, workflows and template → the code bucket; settings → parameters
    propose   a change set: what would change, and nothing is changed
    execute   carries it out and waits       discard   forgets it, and a stack that is only a plan

`deploy` is prepare, propose, execute; `scones deploy --plan` is prepare, propose, discard.
"""

import hashlib
import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import ClientError, WaiterError

from pipelines.settings import Settings
from scones import package, parameters
from scones.connection import PROJECT_ROOT, Connection

TEMPLATE = PROJECT_ROOT / "infra" / "scones.yaml"


class StackError(Exception):
    """A stack that did not become what the template says, with CloudFormation's reason."""


@dataclass(frozen=True)
class Change:
    """One resource that a change set would add, change or remove."""

    action: str
    logical_id: str
    kind: str
    replacement: str


@dataclass(frozen=True)
class ChangeSet:
    """A proposal: for a stack that is there, or (`creates`) for one that is not."""

    stack_name: str
    arn: str
    creates: bool
    changes: tuple[Change, ...]


def deploy(connection: Connection, template: Path = TEMPLATE) -> str:
    """Creates or updates the stack and waits for it; returns its name. Nothing to do is fine."""
    cloudformation = connection.client("cloudformation")
    proposal = propose(prepare(connection, template), cloudformation, connection.poll_seconds)
    if proposal:
        execute(proposal, cloudformation, connection.poll_seconds)
    package.put_source(code_bucket(connection), connection.client("s3"))
    return connection.stack_name


def code_bucket(connection: Connection) -> str:
    """The bucket of an environment's code; the stack cannot make it, as it starts from it."""
    return f"{connection.settings.name('code')}-{connection.account}-{connection.region}"


def prepare(connection: Connection, template: Path = TEMPLATE) -> dict[str, Any]:
    """Uploads what the stack refers to; returns the request for a change set."""
    settings, s3 = connection.settings, connection.client("s3")
    parameters.check(template, from_settings(settings))
    local = connection.on_this_machine
    # Functions run with this very Python here, and with the settings' in Lambda.
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    runtime = here if local else settings.deployment.runtime
    bucket = code_bucket(connection)
    package.ensure_bucket(bucket, connection.region, s3)
    artefacts = package.upload(bucket, runtime, template, s3, own_python=local)
    given = {
        **from_settings(settings),
        "Runtime": runtime,
        "CodeBucket": bucket,
        "CodeKey": artefacts.code_key,
        "LayerKey": artefacts.layer_key,
        "PreprocessorKey": artefacts.preprocessor_key,
        "WorkflowPrefix": artefacts.workflow_prefix,
        "AnalyzerImageUri": analyzer_image(connection.region),
    }
    # In a build: CloudFormation acts by a role of its own, which may more than the build may.
    role = os.environ.get("SCONES_STACK_ROLE")
    return {
        **({"RoleARN": role} if role else {}),
        "StackName": settings.name(),
        "TemplateURL": _url(bucket, artefacts.template_key, connection.region),
        "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": str(value)} for key, value in given.items()
        ],
        "Tags": [{"Key": key, "Value": value} for key, value in settings.tags().items()],
    }


def from_settings(settings: Settings) -> dict[str, Any]:
    """The parameters that the settings give; the rest is what was packed."""
    deployment, monitoring = settings.deployment, settings.monitoring
    retention, account, retraining = settings.retention, settings.account, settings.retraining
    return {
        "Project": settings.project,
        "Environment": settings.environment,
        "InstanceType": deployment.instance_type,
        "InstanceCount": deployment.instance_count,
        "CapturePercent": deployment.capture_percent,
        "CanaryPercent": deployment.canary_percent,
        "BakeSeconds": deployment.bake_seconds,
        "PollSeconds": deployment.poll_seconds,
        "SmokeImages": deployment.smoke_images,
        "ThumbnailSide": deployment.thumbnail_side,
        "ErrorsAMinute": deployment.alarms.errors_a_minute,
        "LatencyMicroseconds": deployment.alarms.latency_milliseconds * 1000,
        "LowConfidenceShare": deployment.alarms.low_confidence_share,
        "LogRetentionDays": deployment.log_retention_days,
        "MonitoringBackend": monitoring.backend,
        "MonitoringCron": monitoring.cron,
        "MonitoringInstanceType": monitoring.instance_type,
        "CaptureRetentionDays": retention.capture_days,
        "ExecutionRetentionDays": retention.execution_days,
        "DecisionRetentionDays": retention.decision_days,
        "NoncurrentRetentionDays": retention.noncurrent_days,
        "AccessLogBucket": account.access_log_bucket,
        "SubnetIds": ",".join(settings.network.subnets),
        "SecurityGroupIds": ",".join(settings.network.security_groups),
        "VpcId": settings.network.vpc,
        "PermissionsBoundary": account.permissions_boundary,
        "CostCentre": account.cost_centre,
        "MonthlyBudget": account.monthly_dollars,
        "RetrainingCron": retraining.cron,
        "RetrainingCoolDownHours": retraining.cool_down_hours,
        "RetrainingMinimumNewLabels": retraining.minimum_new_labels,
        "RetrainingRunsADay": retraining.runs_a_day,
        "RetrainingTriggersWithoutLabels": ",".join(retraining.triggers_without_labels),
    }


def analyzer_image(region: str) -> str:
    """Model Monitor's image, from the SDK's table: it lies in an account that differs by region."""
    found = importlib.util.find_spec("sagemaker.core")  # its table is a file; no need to import it
    if found is None or not found.submodule_search_locations:
        raise StackError("The SageMaker SDK is not installed: run `pip install -e .`.")
    folder = Path(found.submodule_search_locations[0]) / "image_uri_config"
    table = json.loads((folder / "model-monitor.json").read_text("utf-8"))
    (version,) = table["versions"].values()
    account = version["registries"].get(region)
    if account is None:
        raise StackError(f"Model Monitor has no image in {region}: set monitoring.backend.")
    return f"{account}.dkr.ecr.{region}.{_url_suffix(region)}/{version['repository']}"


def _url(bucket: str, key: str, region: str) -> str:
    return f"https://{bucket}.s3.{region}.{_url_suffix(region)}/{key}"


def _url_suffix(region: str) -> str:
    session = botocore.session.get_session()
    resolver = session.get_component("endpoint_resolver")
    return str(resolver.get_partition_dns_suffix(session.get_partition_for_region(region)))


def propose(request: dict[str, Any], cloudformation: Any, wait_seconds: float) -> ChangeSet | None:
    """A change set, or None when there is nothing to change."""
    name = request["StackName"]
    creates = status(name, cloudformation) in (None, "REVIEW_IN_PROGRESS")
    label = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]
    try:
        arn = cloudformation.create_change_set(
            **request,
            ChangeSetName=f"scones-{label}",
            ChangeSetType="CREATE" if creates else "UPDATE",
        )["Id"]
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return None
        raise StackError(_sentence(name, error, cloudformation)) from error
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(
            ChangeSetName=arn,
            StackName=name,  # IAM decides by the stack, which the change set's ARN does not tell
            WaiterConfig={"Delay": wait_seconds, "MaxAttempts": 360},
        )
    except WaiterError as error:
        found = cloudformation.describe_change_set(ChangeSetName=arn, StackName=name)
        cloudformation.delete_change_set(ChangeSetName=arn, StackName=name)
        reason = found.get("StatusReason", "")
        if "didn't contain changes" in reason or "No updates" in reason:
            return None
        raise StackError(f"Stack {name!r}: {reason or error}.") from error
    return ChangeSet(name, arn, creates, tuple(_changes(name, arn, cloudformation)))


def _changes(name: str, arn: str, cloudformation: Any) -> list[Change]:
    found: list[Change] = []
    request = {"ChangeSetName": arn, "StackName": name}
    while True:
        page = cloudformation.describe_change_set(**request)
        for item in page.get("Changes", []):
            change = item["ResourceChange"]
            found.append(
                Change(
                    action=change["Action"],
                    logical_id=change["LogicalResourceId"],
                    kind=change["ResourceType"],
                    replacement=change.get("Replacement", ""),
                )
            )
        if not page.get("NextToken"):
            return found
        request["NextToken"] = page["NextToken"]


def execute(proposal: ChangeSet, cloudformation: Any, wait_seconds: float) -> None:
    """Carries a change set out and waits for the stack. Raises StackError."""
    waiter = "stack_create_complete" if proposal.creates else "stack_update_complete"
    try:
        cloudformation.execute_change_set(ChangeSetName=proposal.arn, StackName=proposal.stack_name)
        wait(waiter, proposal.stack_name, cloudformation, wait_seconds)
    except ClientError as error:
        raise StackError(_sentence(proposal.stack_name, error, cloudformation)) from error


def discard(proposal: ChangeSet, cloudformation: Any) -> None:
    """Deletes a change set, and the empty stack that came with one for a new stack."""
    cloudformation.delete_change_set(ChangeSetName=proposal.arn, StackName=proposal.stack_name)
    if proposal.creates:
        cloudformation.delete_stack(StackName=proposal.stack_name)


def status(name: str, cloudformation: Any) -> str | None:
    """The stack's status; None when there is no such stack."""
    try:
        return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def wait(waiter: str, name: str, cloudformation: Any, wait_seconds: float) -> None:
    """Waits for the stack; StackError with the first resource that failed."""
    try:
        cloudformation.get_waiter(waiter).wait(
            StackName=name, WaiterConfig={"Delay": wait_seconds, "MaxAttempts": 360}
        )
    except WaiterError as error:
        raise StackError(_sentence(name, error, cloudformation)) from error


def _sentence(name: str, error: Exception, cloudformation: Any) -> str:
    """The first resource that failed says why; without one, the error itself does."""
    try:
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    except ClientError:
        events = []
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    if failed:
        first = failed[-1]  # events come newest first
        reason = first.get("ResourceStatusReason", "no reason given")
        return f"Stack {name!r}: {first['LogicalResourceId']} failed: {reason}."
    return f"Stack {name!r}: {error}."
