"""publishInferenceWorkflow: tells the inference workflow which version serves.

A new version of the state machine carries the endpoint, the threshold and the package; then the
alias moves to it. Executions that run go on with the version that they began with. The package's
approval is looked at once more before, as a person may have taken it back during the canary.
"""

import os
from typing import Any

from lambdas import deployment, log
from lambdas.clients import client
from lambdas.deployment import PackageUnfit
from lambdas.log import Json
from workflow import publish, render


def require_approved(model_package_arn: str, sagemaker: Any) -> None:
    """PackageUnfit when the version is not approved any more."""
    package = deployment.package(model_package_arn, sagemaker)
    if package.status != "Approved":
        raise PackageUnfit(
            f"Version {package.version} became {package.status} while it was deployed."
        )


def handler(event: Json, context: Any) -> Json:
    """State: `plan`. Returns `workflow_version_arn` and `alias_arn`."""
    with log.call("publishInferenceWorkflow", event, context) as call:
        plan = call.state["plan"]
        require_approved(plan["model_package_arn"], client("sagemaker"))
        functions = {name: os.environ[variable] for name, variable in render.FROM_STACK.items()}
        definition = render.inference(
            endpoint_name=plan["endpoint_name"],
            model_package_arn=plan["model_package_arn"],
            confidence_threshold=plan["confidence_threshold"],
            stack=functions,
        )
        outcome = publish.publish(
            definition,
            f"version {plan['version']}, threshold {plan['confidence_threshold']:g}",
            os.environ["INFERENCE_STATE_MACHINE_ARN"],
            client("stepfunctions"),
        )
        call.say("published", **outcome)
        return outcome
