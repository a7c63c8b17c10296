"""filterLowInferenceConfidence: lets an answer pass that is sure enough.

The threshold belongs to the deployed version: the published workflow carries it. Each answer is
counted in CloudWatch (`Scones`, `LowConfidence` 0 or 1), which the canary's alarm watches.
"""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lambdas import log
from lambdas.clients import client
from lambdas.log import Json

NAMESPACE, METRIC = "Scones", "LowConfidence"


class THRESHOLD_CONFIDENCE_NOT_MET(Exception):
    """The name is the original's: it is what the workflow catches and how the execution fails."""


class InvalidInput(Exception):
    """The state holds no confidence, or the workflow no threshold."""


def check(state: Json, threshold: Any) -> bool:
    """True when the state's `confidence` reaches the threshold."""
    try:
        return float(state["confidence"]) >= float(threshold)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"Confidence {state.get('confidence')!r} and threshold {threshold!r} must be numbers."
        ) from error


def count(low: bool, endpoint_name: str, cloudwatch: Any) -> str | None:
    """One value of the metric; says why when it cannot be put, for a metric stops no answer."""
    try:
        cloudwatch.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": METRIC,
                    "Dimensions": [{"Name": "EndpointName", "Value": endpoint_name}],
                    "Value": float(low),
                    "Unit": "None",
                }
            ],
        )
    except (BotoCoreError, ClientError) as error:
        return str(error)
    return None


def handler(event: Json, context: Any) -> Json:
    """Beside the state the workflow gives `threshold` and `endpoint_name`."""
    with log.call("filterLowInferenceConfidence", event, context) as call:
        threshold = call.given.get("threshold")
        enough = check(call.state, threshold)
        trouble = count(not enough, str(call.given.get("endpoint_name")), client("cloudwatch"))
        if trouble:
            call.say("the metric was not counted", "WARNING", reason=trouble)
        if not enough:
            raise THRESHOLD_CONFIDENCE_NOT_MET(
                f"{call.state.get('s3_key')}: confidence {call.state['confidence']:.4f} for "
                f"{call.state.get('predicted_class')} is below {float(str(threshold)):.4f}."
            )
        return call.state
