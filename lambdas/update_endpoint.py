"""updateEndpoint: brings the endpoint to the plan, one call at a time, and says how far it is.

The workflow calls it again until it is `done`. Each call looks first at what is there, so a second
delivery, a retry or a restart finds what is already done:

    {"started": …, "done": …, "status": …}

`started` with another configuration in service means that SageMaker went back by itself (an alarm,
a model that does not start): that raises EndpointUpdateFailed with its reason.
"""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from lambdas import deployment, log
from lambdas.clients import client
from lambdas.log import Json


class EndpointUpdateFailed(Exception):
    """The endpoint did not come into service with the new version, and why."""


class ModelRefused(Exception):
    """SageMaker does not take the model or its configuration, and why."""


def advance(plan: Json, before: Json, sagemaker: Any) -> Json:
    """One step towards the plan; `before` is the answer of the call before, or empty."""
    wanted = plan["endpoint_config"]["EndpointConfigName"]
    there = deployment.endpoint(plan["endpoint_name"], sagemaker)
    status = there["EndpointStatus"] if there else "missing"
    started = bool(before.get("started"))
    if status in deployment.BUSY:
        return {"started": started, "done": False, "status": status}
    if there and status == "InService" and there["EndpointConfigName"] == wanted:
        return {"started": started, "done": True, "status": status}
    if started:
        raise EndpointUpdateFailed(_reason(plan, there))
    if there and status == "Failed":  # a creation that failed leaves what cannot be updated
        sagemaker.delete_endpoint(EndpointName=plan["endpoint_name"])
        return {"started": False, "done": False, "status": "Deleting"}
    make_model(plan, sagemaker)
    return serve(plan, there, sagemaker)


def make_model(plan: Json, sagemaker: Any) -> None:
    """The model and its configuration, unless they are there."""
    model, config = plan["model"], plan["endpoint_config"]
    _make(lambda: sagemaker.create_model(**model))
    _make(lambda: sagemaker.create_endpoint_config(**config))


def _make(create: Callable[[], Any]) -> None:
    try:
        create()
    except ClientError as error:
        message = deployment.message_of(error)
        if "already exist" in message.lower():
            return
        if error.response["Error"]["Code"] in ("ValidationException", "ResourceNotFound"):
            raise ModelRefused(f"SageMaker refuses it: {message}") from error
        raise


def serve(plan: Json, there: Json | None, sagemaker: Any) -> Json:
    """Creates or updates the endpoint; a busy one is no error, the workflow waits."""
    request = {
        "EndpointName": plan["endpoint_name"],
        "EndpointConfigName": plan["endpoint_config"]["EndpointConfigName"],
        "DeploymentConfig": plan["deployment_config"],
    }
    try:
        if there:
            sagemaker.update_endpoint(**request)
        else:
            sagemaker.create_endpoint(**request, Tags=plan["tags"])
    except ClientError as error:
        message = deployment.message_of(error)
        if "in-progress" in message or "already existing" in message or "in progress" in message:
            return {"started": False, "done": False, "status": "busy"}
        if error.response["Error"]["Code"] == "ValidationException":
            raise ModelRefused(f"SageMaker refuses it: {message}") from error
        raise
    return {"started": True, "done": False, "status": "Updating" if there else "Creating"}


def _reason(plan: Json, there: Json | None) -> str:
    name = plan["endpoint_name"]
    if there is None:
        return f"Endpoint {name!r} was deleted while it was brought up."
    reason = there.get("FailureReason") or "SageMaker gives no reason"
    return f"Endpoint {name!r} did not take version {plan['version']}: {reason}"


def handler(event: Json, context: Any) -> Json:
    """State: `plan`, and `endpoint` after the first call."""
    with log.call("updateEndpoint", event, context) as call:
        plan = call.state["plan"]
        outcome = advance(plan, call.state.get("endpoint") or {}, client("sagemaker"))
        call.say("endpoint", endpoint_name=plan["endpoint_name"], **outcome)
        return outcome
