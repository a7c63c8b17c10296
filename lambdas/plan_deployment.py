"""planDeployment: what is to be done, decided when it is this execution's turn.

One deployment works at a time: the oldest running execution. The others wait in the workflow, so an
approval that comes while the endpoint is busy is not lost. Nothing is changed here: the answer is

    {"action": "wait" | "nothing" | "deploy", "reason": …, "poll_seconds": …}

and for `deploy` also the requests for SageMaker (`model`, `endpoint_config`, `deployment_config`),
what belongs to the version (`confidence_threshold`, `evaluation_url`, `test_images_url`), and
`previous`: what serves now and is restored when something fails.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambdas import deployment, log
from lambdas.clients import client
from lambdas.deployment import Options, Package, PackageUnfit
from lambdas.log import Json


@dataclass(frozen=True)
class Hosting:
    """What an endpoint is made of, from the function's environment."""

    bucket: str
    endpoint_role_arn: str
    kms_key_arn: str
    instance_type: str
    instance_count: int
    capture_percent: int
    canary_percent: int
    bake_seconds: int
    poll_seconds: int
    alarms: tuple[str, ...]
    alias_arn: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Hosting":
        """Raises KeyError for a variable that the template forgot."""
        return cls(
            bucket=environment["BUCKET_NAME"],
            endpoint_role_arn=environment["ENDPOINT_ROLE_ARN"],
            kms_key_arn=environment["KMS_KEY_ARN"],
            instance_type=environment["INSTANCE_TYPE"],
            instance_count=int(environment["INSTANCE_COUNT"]),
            capture_percent=int(environment["CAPTURE_PERCENT"]),
            canary_percent=int(environment["CANARY_PERCENT"]),
            bake_seconds=int(environment["BAKE_SECONDS"]),
            poll_seconds=int(environment["POLL_SECONDS"]),
            alarms=tuple(environment["ALARM_NAMES"].split(",")),
            alias_arn=environment["INFERENCE_ALIAS_ARN"],
        )


class NoApprovedVersion(Exception):
    """The version in production was rejected, and no version was approved before it."""


def plan(
    given: Json,
    execution_arn: str,
    options: Options,
    hosting: Hosting,
    sagemaker: Any,
    states: Any,
) -> Json:
    """`given` is the execution's input. Raises PackageUnfit and NoApprovedVersion."""
    ahead = earlier_execution(execution_arn, states)
    if ahead:
        return _answer("wait", f"{ahead} is at work.", hosting)
    there = deployment.endpoint(options.endpoint_name, sagemaker)
    if there and there["EndpointStatus"] in deployment.BUSY:
        return _answer("wait", f"The endpoint is {there['EndpointStatus']}.", hosting)
    serving = _serving(there, hosting.alias_arn, sagemaker, states)
    target = _target(given, serving, options, sagemaker)
    if isinstance(target, str):
        return _answer("nothing", target, hosting)
    return {
        **_answer("deploy", f"Version {target.version} is {target.status}.", hosting),
        "version": target.version,
        "model_package_arn": target.arn,
        "endpoint_name": options.endpoint_name,
        **requests(target, options, hosting),
        "confidence_threshold": target.confidence_threshold,
        "evaluation_url": _evaluation(target),
        "test_images_url": test_images_url(target),
        "previous": serving,
    }


def earlier_execution(execution_arn: str, states: Any) -> str | None:
    """The name of a running deployment that started before this one."""
    machine, _, name = execution_arn.replace(":execution:", ":stateMachine:").rpartition(":")
    running: list[Json] = []
    token: Json = {}
    while True:
        page = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING", **token)
        running += page["executions"]
        if not page.get("nextToken"):
            break
        token = {"nextToken": page["nextToken"]}
    order = sorted((item["startDate"], item["name"]) for item in running)
    names = [other for _, other in order]
    # The list is only eventually complete; SageMaker itself refuses a second update.
    before = names[: names.index(name)] if name in names else names
    return before[0] if before else None


def _serving(there: Json | None, alias_arn: str, sagemaker: Any, states: Any) -> Json | None:
    if there is None or there["EndpointStatus"] == "Failed":
        return None
    config = there["EndpointConfigName"]
    arn = deployment.served_package_arn(config, sagemaker)
    return {
        "endpoint_config_name": config,
        "model_package_arn": arn,
        "version": deployment.owner(arn)[2] if arn else None,
        "workflow_version_arn": deployment.alias_target(alias_arn, states),
    }


def _target(given: Json, serving: Json | None, options: Options, sagemaker: Any) -> Package | str:
    """The package to deploy, or why there is nothing to do."""
    arn = str(given["model_package_arn"])
    deployment.require_ours(arn, options)
    package = deployment.package(arn, sagemaker)
    if given.get("decision", "Approved") == "Rejected":
        if package.status != "Rejected":
            return f"Version {package.version} is {package.status} again."
        if serving is None or serving["model_package_arn"] != package.arn:
            return f"Version {package.version} was rejected and does not serve."
        return _before(package, serving, options, sagemaker)
    if package.status != "Approved":
        return f"Version {package.version} is {package.status} now and is not deployed."
    return package


def _before(rejected: Package, serving: Json, options: Options, sagemaker: Any) -> Package:
    """The newest version that was approved before the rejected one was put into production."""
    config = sagemaker.describe_endpoint_config(EndpointConfigName=serving["endpoint_config_name"])
    deployed_at = config["CreationTime"]
    approved = [
        deployment.package(summary["ModelPackageArn"], sagemaker)
        for summary in deployment.approved_versions(options.group, sagemaker)
    ]
    earlier = [p for p in approved if p.description["LastModifiedTime"] <= deployed_at]
    if not earlier:
        raise NoApprovedVersion(
            f"Version {rejected.version} was rejected, but no version approved before it is left; "
            "it keeps serving. Approve another version."
        )
    return max(earlier, key=lambda package: package.version)


def requests(package: Package, options: Options, hosting: Hosting) -> Json:
    """The requests for CreateModel, CreateEndpointConfig, and Create or UpdateEndpoint."""
    name = deployment.model_name(options, package.version)
    settings: Json = {
        "ProductionVariants": [
            {
                "VariantName": deployment.VARIANT,  # stable, or autoscaling loses it
                "ModelName": name,
                "InstanceType": hosting.instance_type,
                "InitialInstanceCount": hosting.instance_count,
                "InitialVariantWeight": 1.0,
            }
        ],
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": hosting.capture_percent,
            "DestinationS3Uri": f"s3://{hosting.bucket}/capture",
            "KmsKeyId": hosting.kms_key_arn,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
        "KmsKeyId": hosting.kms_key_arn,
    }
    config_name = f"{name}-{deployment.hash_of(settings)}"
    return {
        "model": {
            "ModelName": name,
            "PrimaryContainer": {"ModelPackageName": package.arn},
            "ExecutionRoleArn": hosting.endpoint_role_arn,
            "EnableNetworkIsolation": True,
        },
        "endpoint_config": {"EndpointConfigName": config_name, **settings},
        "deployment_config": deployment_config(hosting),
    }


def deployment_config(hosting: Hosting) -> Json:
    """Blue/green with the alarms; a canary where there are two instances to tell apart.

    Always given: UpdateEndpoint without it drops the alarms silently.
    """
    routing: Json = {
        "Type": "ALL_AT_ONCE",
        "WaitIntervalInSeconds": hosting.bake_seconds,
    }
    if hosting.instance_count > 1:
        size = {"Type": "CAPACITY_PERCENT", "Value": hosting.canary_percent}
        routing = {**routing, "Type": "CANARY", "CanarySize": size}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": 0,
            "MaximumExecutionTimeoutInSeconds": max(1800, 3 * hosting.bake_seconds),
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in hosting.alarms]},
    }


def _evaluation(package: Package) -> str:
    if not package.evaluation_url:
        raise PackageUnfit(f"Version {package.version} has no evaluation to be compared with.")
    return package.evaluation_url


def test_images_url(package: Package) -> str:
    """Where the images of the evaluation lie: as registered, else in the evaluation's own run."""
    given = package.metadata.get("test_images_url")
    root = _evaluation(package).rsplit("/", 2)[0]
    return (given or f"{root}/test").rstrip("/") + "/"


def _answer(action: str, reason: str, hosting: Hosting) -> Json:
    return {"action": action, "reason": reason, "poll_seconds": hosting.poll_seconds}


def handler(event: Json, context: Any) -> Json:
    """State: the execution's input. Beside it the workflow gives `execution_arn`."""
    with log.call("planDeployment", event, context) as call:
        answer = plan(
            call.state,
            call.given["execution_arn"],
            Options.of(os.environ),
            Hosting.of(os.environ),
            client("sagemaker"),
            client("stepfunctions"),
        )
        call.say(answer["reason"], action=answer["action"], version=answer.get("version"))
        return answer
