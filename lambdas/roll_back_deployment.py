"""rollBackDeployment: what served before serves again, and one sentence says what happened.

Called again until it is `done`, it looks at what is there and takes the next step:

    nothing was planned or touched     done
    a version served before            the endpoint goes back to its configuration, all at once and
                                       without alarms (they may still be in alarm), and the alias
                                       to the workflow that belongs to it
    none did                           the endpoint is deleted, its schedule before it

Models and configurations are left to `clean_up_deployment`.
"""

import json
import os
from typing import Any

from botocore.exceptions import ClientError

from lambdas import deployment, log
from lambdas.clients import client
from lambdas.deployment import Options
from lambdas.log import Json
from workflow import publish

ATTEMPTS = 3
_ALL_AT_ONCE: Json = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 0,
    }
}


class RollBackFailed(Exception):
    """The endpoint does not come back; somebody must look at it."""


def advance(plan: Json | None, attempts: int, options: Options, sagemaker: Any) -> Json:
    """One step back: `done`, `attempts` and what `serves`."""
    there = deployment.endpoint(options.endpoint_name, sagemaker)
    status = there["EndpointStatus"] if there else "missing"
    if plan is None or plan.get("action") != "deploy":
        return _done(attempts, there, sagemaker)
    if status in deployment.BUSY:
        return {"done": False, "attempts": attempts}
    previous = plan["previous"]
    if previous is None:
        if there is None:
            return _done(attempts, None, sagemaker)
        _allow(attempts, options, there)
        _delete_endpoint(options.endpoint_name, sagemaker)
        return {"done": False, "attempts": attempts + 1}
    restored = there and there["EndpointConfigName"] == previous["endpoint_config_name"]
    if restored and status == "InService":
        return _done(attempts, there, sagemaker)
    _allow(attempts, options, there)
    request = {
        "EndpointName": options.endpoint_name,
        "EndpointConfigName": previous["endpoint_config_name"],
    }
    if there is None:
        sagemaker.create_endpoint(**request, Tags=plan["tags"])
    elif status == "Failed":
        sagemaker.delete_endpoint(EndpointName=options.endpoint_name)
    else:
        sagemaker.update_endpoint(**request, DeploymentConfig=_ALL_AT_ONCE)
    return {"done": False, "attempts": attempts + 1}


def _done(attempts: int, there: Json | None, sagemaker: Any) -> Json:
    if there is None or there["EndpointStatus"] != "InService":
        return {"done": True, "attempts": attempts, "serves": None}
    arn = deployment.served_package_arn(there["EndpointConfigName"], sagemaker)
    serves = deployment.owner(arn)[2] if arn else None
    return {"done": True, "attempts": attempts, "serves": serves}


def _allow(attempts: int, options: Options, there: Json | None) -> None:
    if attempts >= ATTEMPTS:
        reason = (there or {}).get("FailureReason", "SageMaker gives no reason")
        raise RollBackFailed(
            f"Endpoint {options.endpoint_name!r} does not come back after {attempts} attempts: "
            f"{reason}"
        )


def _delete_endpoint(name: str, sagemaker: Any) -> None:
    """An endpoint with a schedule cannot be deleted before the schedule."""
    try:
        sagemaker.delete_monitoring_schedule(MonitoringScheduleName=name)
    except ClientError as error:
        if not deployment.not_found(error):
            raise
    sagemaker.delete_endpoint(EndpointName=name)


def sentence(plan: Json | None, given: Json, error: Json, serves: int | None) -> str:
    """What failed, why, and what serves now."""
    version = (plan or {}).get("version") or deployment.owner(given["model_package_arn"])[2]
    reason = reason_of(error).rstrip(".")
    now = f"Version {serves} serves." if serves else "No version serves."
    return f"Version {version} was not deployed: {reason}. {now}"


def reason_of(error: Json) -> str:
    """The message of a function's error, or the service's cause as it is."""
    cause = str(error.get("Cause") or error.get("Error") or "no reason given")
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause


def handler(event: Json, context: Any) -> Json:
    """State: the execution's, with `error`, and `plan` and `rollback` where there are any."""
    with log.call("rollBackDeployment", event, context) as call:
        state, options = call.state, Options.of(os.environ)
        plan = state.get("plan")
        attempts = int((state.get("rollback") or {}).get("attempts", 0))
        outcome = advance(plan, attempts, options, client("sagemaker"))
        if not outcome["done"]:
            call.say("rolling back", **outcome)
            return {**outcome, "poll_seconds": state["plan"]["poll_seconds"]}
        previous = (plan or {}).get("previous") or {}
        if previous.get("workflow_version_arn"):
            publish.move_alias(previous["workflow_version_arn"], client("stepfunctions"))
        text = sentence(plan, state, state["error"], outcome.get("serves"))
        call.say(text, "WARNING", **outcome)
        return {**outcome, "sentence": text}
