"""modelPackageChanged: the registry's event → one execution of the deployment workflow.

The event may come several times, late, and for another group. So the package is asked again what it
is *now*, and the execution's name follows from its version and the time of that decision, to the
millisecond: duplicates collide and are dropped, a second approval does not.

    approved   v7-20261122T101500123Z            deploys this version
    rejected   v7-rejected-20261122T101500123Z   brings back the version before, if this one serves

Source: "Automating SageMaker AI with Amazon EventBridge", SageMaker model package state change.
"""

import json
import os
import re
from typing import Any

from botocore.exceptions import ClientError

from lambdas import deployment, log
from lambdas.clients import client
from lambdas.deployment import Options, Package, PackageUnfit
from lambdas.log import Json

_DECISION = "ModelApprovalStatus"


class InvalidEvent(Exception):
    """Not a state change of a model package."""


def decide(
    event: Json, options: Options, state_machine_arn: str, sagemaker: Any, states: Any
) -> tuple[Package | None, str]:
    """The package whose decision is to be carried out, or None, and why."""
    try:
        arn = str(event["detail"]["ModelPackageArn"])
    except (KeyError, TypeError) as error:
        raise InvalidEvent("The event lacks detail.ModelPackageArn.") from error
    changed = event["detail"].get("UpdatedModelPackageFields")
    if changed and _DECISION not in changed:
        return None, f"the approval of {arn} did not change"
    try:
        deployment.require_ours(arn, options)
        package = deployment.package(arn, sagemaker)
    except PackageUnfit as error:
        return None, str(error)
    if package.status not in ("Approved", "Rejected"):
        return None, f"version {package.version} is {package.status} now"
    if package.status == "Rejected" and not concerns_production(
        package, options, state_machine_arn, sagemaker, states
    ):
        return None, f"version {package.version} was rejected and does not serve"
    return package, f"version {package.version} is {package.status}"


def concerns_production(
    package: Package, options: Options, state_machine_arn: str, sagemaker: Any, states: Any
) -> bool:
    """Whether a rejection can matter: the version serves, or a deployment is under way."""
    running = states.list_executions(stateMachineArn=state_machine_arn, statusFilter="RUNNING")
    if running["executions"]:
        return True
    there = deployment.endpoint(options.endpoint_name, sagemaker)
    if there is None:
        return False
    return deployment.served_package_arn(there["EndpointConfigName"], sagemaker) == package.arn


def execution_name(package: Package) -> str:
    moment = re.sub(r"\D", "", package.changed_at.partition("+")[0])
    decision = "rejected-" if package.status == "Rejected" else ""
    return f"v{package.version}-{decision}{moment[:8]}T{moment[8:]}Z"


def start(package: Package, options: Options, state_machine_arn: str, states: Any) -> Json:
    """Starts the execution, unless this decision has one."""
    name = execution_name(package)
    given = {
        "model_package_arn": package.arn,
        "endpoint_name": options.endpoint_name,
        "approved_at": package.changed_at,
        "decision": package.status,
    }
    try:
        answer = states.start_execution(
            stateMachineArn=state_machine_arn, name=name, input=json.dumps(given)
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        return {"execution": name, "started": False, "reason": "this decision has its execution"}
    return {"execution": name, "started": True, "execution_arn": answer["executionArn"]}


def handler(event: Json, context: Any) -> Json:
    """Input: the event. What raises here is tried again and then lies in the dead-letter queue."""
    with log.call("modelPackageChanged", event, context) as call:
        options = Options.of(os.environ)
        machine = os.environ["DEPLOYMENT_STATE_MACHINE_ARN"]
        sagemaker, states = client("sagemaker"), client("stepfunctions")
        package, reason = decide(event, options, machine, sagemaker, states)
        if package is None:
            call.say("nothing to do", reason=reason, event_id=event.get("id"))
            return {"started": False, "reason": reason}
        outcome = start(package, options, machine, states)
        call.say(reason, event_id=event.get("id"), deployment=outcome["execution"])
        return outcome
