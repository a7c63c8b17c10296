"""planDeployment: what is to be done, decided when it is this execution's turn.

One deployment works at a time: the oldest running execution. The others wait in the workflow, so an
approval that comes while the endpoint is busy is not lost. Nothing is changed here: the answer is

    {"action": "wait" | "nothing" | "deploy", "reason": …, "poll_seconds": …}

and for `deploy` also the requests for SageMaker (`model`, `endpoint_config`, `deployment_config`),
what belongs to the version (`confidence_threshold`, `evaluation_url`, `test_images_url`), and
`previous`: what served before and is restored when something fails.

Three rules decide, beside the registry's current word:

    decisions in order    An approval older than that of the version in production changes nothing,
                          however late its event comes.
    what has served       The inference workflow is published once a version is up and proven, so
                          its published versions are the history. A rejection goes back only to a
                          version in it, and a deployment that was cut off leaves no `previous`
                          that nobody has proven.
    quiet alarms watch    An alarm that rings already says nothing about the new version, which may
                          well be the remedy: it is left out of this canary's alarms. The others
                          watch, and the smoke test decides in any case.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lambdas import deployment, history, log, placement
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
    vpc: Json | None
    tags: list[Json]

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
            vpc=placement.vpc(environment),
            tags=placement.tags(environment),
        )


class NoApprovedVersion(Exception):
    """The version in production was rejected, and none that served before it is still approved."""


class Clients(NamedTuple):
    """What a plan looks at."""

    sagemaker: Any
    states: Any
    cloudwatch: Any


def plan(
    given: Json, execution_arn: str, options: Options, hosting: Hosting, clients: Clients
) -> Json:
    """`given` is the execution's input. Raises PackageUnfit and NoApprovedVersion."""
    ahead = earlier_execution(execution_arn, clients.states)
    if ahead:
        return _answer("wait", f"{ahead} is at work.", hosting)
    there = deployment.endpoint(options.endpoint_name, clients.sagemaker)
    if there and there["EndpointStatus"] in deployment.BUSY:
        return _answer("wait", f"The endpoint is {there['EndpointStatus']}.", hosting)
    serving = _serving(there, clients.sagemaker)
    target = _target(given, execution_arn, serving, options, hosting, clients)
    if isinstance(target, str):
        return _answer("nothing", target, hosting)
    target.require_archive()
    hosting, reason = _watched(hosting, clients.cloudwatch)
    return {
        **_answer("deploy", f"Version {target.version} is {target.status}.{reason}", hosting),
        "version": target.version,
        "model_package_arn": target.arn,
        "endpoint_name": options.endpoint_name,
        **requests(target, options, hosting),
        "confidence_threshold": target.confidence_threshold,
        "evaluation_url": _evaluation(target),
        "test_images_url": test_images_url(target),
        "previous": _previous(serving, target, options, hosting, clients),
    }


def earlier_execution(execution_arn: str, states: Any) -> str | None:
    """The name of a running deployment that started before this one."""
    machine, _, name = execution_arn.replace(":execution:", ":stateMachine:").rpartition(":")
    running = history.executions(machine, "RUNNING", states)
    order = sorted((item["startDate"], item["name"]) for item in running)
    names = [other for _, other in order]
    # The list is only eventually complete; SageMaker itself refuses a second update.
    before = names[: names.index(name)] if name in names else names
    return before[0] if before else None


def _serving(there: Json | None, sagemaker: Any) -> Json | None:
    """The configuration, package and version behind the endpoint; None when nothing serves."""
    if there is None or there["EndpointStatus"] == "Failed":
        return None
    config = there["EndpointConfigName"]
    arn = deployment.served_package_arn(config, sagemaker)
    return {
        "endpoint_config_name": config,
        "model_package_arn": arn,
        "version": deployment.owner(arn)[2] if arn else None,
    }


def _previous(
    serving: Json | None, target: Package, options: Options, hosting: Hosting, clients: Clients
) -> Json | None:
    """What is restored when something fails: what the inference workflow says is in production.

    An endpoint that serves something else was left so by a deployment that was cut off. The
    target itself, unproven, is nothing to go back to.
    """
    if serving is None:
        return None
    workflow = history.alias_target(hosting.alias_arn, clients.states)
    proven = history.package_of(workflow, clients.states) if workflow else None
    if proven and proven != serving["model_package_arn"]:
        version = deployment.owner(proven)[2]
        name, _ = endpoint_config(version, options, hosting)
        if deployment.served_package_arn(name, clients.sagemaker) == proven:
            serving = {
                "endpoint_config_name": name,
                "model_package_arn": proven,
                "version": version,
            }
    if proven != serving["model_package_arn"] == target.arn:
        return None
    return {**serving, "workflow_version_arn": workflow}


def _target(
    given: Json,
    execution_arn: str,
    serving: Json | None,
    options: Options,
    hosting: Hosting,
    clients: Clients,
) -> Package | str:
    """The package to deploy, or why there is nothing to do."""
    arn = str(given["model_package_arn"])
    deployment.require_ours(arn, options)
    package = deployment.package(arn, clients.sagemaker)
    if given.get("decision", "Approved") == "Rejected":
        if package.status != "Rejected":
            return f"Version {package.version} is {package.status} again."
        if serving is None or serving["model_package_arn"] != package.arn:
            return f"Version {package.version} was rejected and does not serve."
        return _before(package, options, hosting, clients)
    if package.status != "Approved":
        return f"Version {package.version} is {package.status} now and is not deployed."
    other = serving["version"] if serving else None
    if other and history.is_overtaken(execution_arn, other, clients.states):
        return f"Version {other} serves and was approved later than version {package.version}."
    return package


def _before(rejected: Package, options: Options, hosting: Hosting, clients: Clients) -> Package:
    """The newest approved version of those that served before the rejected one."""
    served = history.served_packages(hosting.alias_arn, clients.states)
    earlier = [
        summary["ModelPackageArn"]
        for summary in deployment.approved_versions(options.group, clients.sagemaker)
        if summary["ModelPackageArn"] in served
    ]
    if not earlier:
        raise NoApprovedVersion(
            f"Version {rejected.version} was rejected, but no version approved before it is left; "
            "it keeps serving. Approve another version."
        )
    newest = max(earlier, key=lambda arn: deployment.owner(arn)[2])
    return deployment.package(newest, clients.sagemaker)


def _watched(hosting: Hosting, cloudwatch: Any) -> tuple[Hosting, str]:
    """The hosting with the alarms that can tell something about a new version, and a sentence."""
    found = cloudwatch.describe_alarms(AlarmNames=list(hosting.alarms))["MetricAlarms"]
    ringing = {alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"}
    if not ringing:
        return hosting, ""
    quiet = tuple(name for name in hosting.alarms if name not in ringing)
    names = ", ".join(sorted(ringing))
    return dataclasses.replace(hosting, alarms=quiet), f" Rings already, does not watch: {names}."


def requests(package: Package, options: Options, hosting: Hosting) -> Json:
    """The requests for CreateModel, CreateEndpointConfig, and Create or UpdateEndpoint."""
    name, settings = endpoint_config(package.version, options, hosting)
    return {
        "model": {
            "ModelName": deployment.model_name(options, package.version),
            "PrimaryContainer": {"ModelPackageName": package.arn},
            "ExecutionRoleArn": hosting.endpoint_role_arn,
            "EnableNetworkIsolation": True,
            "Tags": hosting.tags,
            **({"VpcConfig": hosting.vpc} if hosting.vpc else {}),
        },
        "endpoint_config": {"EndpointConfigName": name, **settings, "Tags": hosting.tags},
        "deployment_config": deployment_config(hosting),
        "tags": hosting.tags,
    }


def endpoint_config(version: int, options: Options, hosting: Hosting) -> tuple[str, Json]:
    """The name and the settings of a version's endpoint configuration."""
    model = deployment.model_name(options, version)
    settings: Json = {
        "ProductionVariants": [
            {
                "VariantName": deployment.VARIANT,  # stable, or autoscaling loses it
                "ModelName": model,
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
    return f"{model}-{deployment.hash_of(settings)}", settings


def deployment_config(hosting: Hosting) -> Json:
    """Blue/green with the alarms; a canary where there are two instances to tell apart.

    Always given: UpdateEndpoint without it drops the alarms silently. With no alarm left that
    can watch there is no AutoRollbackConfiguration, whose list must not be empty.
    """
    routing: Json = {
        "Type": "ALL_AT_ONCE",
        "WaitIntervalInSeconds": hosting.bake_seconds,
    }
    if hosting.instance_count > 1:
        size = {"Type": "CAPACITY_PERCENT", "Value": hosting.canary_percent}
        routing = {**routing, "Type": "CANARY", "CanarySize": size}
    config: Json = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": 0,
            "MaximumExecutionTimeoutInSeconds": max(1800, 3 * hosting.bake_seconds),
        },
    }
    if hosting.alarms:
        alarms = [{"AlarmName": name} for name in hosting.alarms]
        config["AutoRollbackConfiguration"] = {"Alarms": alarms}
    return config


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
            Clients(client("sagemaker"), client("stepfunctions"), client("cloudwatch")),
        )
        call.say(answer["reason"], action=answer["action"], version=answer.get("version"))
        return answer
