"""imageClassification: the image in the state → the endpoint's probabilities.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

import base64
import binascii
import json
import math
import uuid
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from lambdas import log
from lambdas.clients import client
from lambdas.log import Json

CLASSES = ("bicycle", "motorcycle")
_PASSES = frozenset(
    {
        "InternalDependencyException",
        "InternalFailure",
        "ModelNotReadyException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ThrottlingException",
    }
)
_SPACE = uuid.UUID("5bb87f50-26b7-4fd3-a0b4-1f4e0a3f6a3f")  # of the inference ids made here


class InvalidInput(Exception):
    """The state holds no image."""


class EndpointNotReady(Exception):
    """The endpoint cannot answer just now; a second try may pass."""


class EndpointNotFound(Exception):
    """There is no endpoint that serves: no version was deployed yet, or somebody deleted it."""


class EndpointFailed(Exception):
    """SageMaker refuses the call for another reason, such as a missing permission."""


class ImageRefused(Exception):
    """The model does not take this image."""


class ModelFailed(Exception):
    """The model's own code failed."""


class NonsenseAnswer(Exception):
    """The answer is not a pair of probabilities."""


def classify(state: Json, call: Json, execution: str, runtime: Any) -> Json:
    """The state with the answer. `call` holds `endpoint_name` and `model_package_arn`.

    The inference id is the caller's, or follows from the execution and the image, so that a retry
    has the same. Raises the errors above.
    """
    image, content_type = _image(state)
    given = state.get("inference_id")
    origin = f"{execution}/{state.get('s3_bucket')}/{state.get('s3_key')}"
    inference_id = str(given or uuid.uuid5(_SPACE, origin))
    probabilities = invoke(call["endpoint_name"], image, content_type, inference_id, runtime)
    best = max(range(len(CLASSES)), key=probabilities.__getitem__)
    kept = {name: value for name, value in state.items() if name != "content_type"}
    return {
        **kept,
        "image_data": "",  # the picture has done its work; the rest of the workflow stays small
        "inferences": probabilities,
        "predicted_class": CLASSES[best],
        "confidence": probabilities[best],
        "inference_id": inference_id,
        "model_package_arn": call["model_package_arn"],
    }


def _image(state: Json) -> tuple[bytes, str]:
    try:
        image = base64.b64decode(state["image_data"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InvalidInput('The state needs "image_data": an image in base64.') from error
    if not image:
        raise InvalidInput('"image_data" is empty: serializeImageData comes first.')
    return image, str(state.get("content_type", "application/x-image"))


def invoke(endpoint: str, image: bytes, kind: str, inference_id: str, runtime: Any) -> list[float]:
    """Asks the endpoint; returns `[p_bicycle, p_motorcycle]`."""
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            Body=image,
            ContentType=kind,
            Accept="application/json",
            InferenceId=inference_id,
        )
        body = answer["Body"].read()
    except ClientError as error:
        raise _named(endpoint, error) from error
    except (ConnectionError, HTTPClientError) as error:
        raise EndpointNotReady(f"Endpoint {endpoint!r} does not answer: {error}.") from error
    return probabilities_of(body, endpoint)


def _named(endpoint: str, error: Any) -> Exception:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    status = error.response.get("OriginalStatusCode")
    if code in _PASSES or (code == "ModelError" and status == 503):
        return EndpointNotReady(f"Endpoint {endpoint!r} cannot answer now ({code}): {message}")
    # What the model said; a trace may follow, which is in the endpoint's log.
    said = (error.response.get("OriginalMessage") or message).partition("\n")[0]
    if code == "ModelError" and status is not None and 400 <= int(status) < 500:
        return ImageRefused(f"The model refuses the image ({status}): {said}")
    if code == "ModelError":
        return ModelFailed(f"The model behind {endpoint!r} failed: {said}")
    if code in ("ValidationError", "ValidationException"):
        return EndpointNotFound(f"Endpoint {endpoint!r} does not serve: {message}")
    return EndpointFailed(f"Endpoint {endpoint!r} refuses the call ({code}): {message}")


def probabilities_of(body: bytes, endpoint: str) -> list[float]:
    """Two probabilities that add up to 1, or NonsenseAnswer. (`json` reads NaN, which is none.)"""
    try:
        values = [float(value) for value in json.loads(body)]
    except (ValueError, TypeError) as error:
        raise NonsenseAnswer(f"Endpoint {endpoint!r} answers {body[:80]!r}.") from error
    sane = all(math.isfinite(value) and 0 <= value <= 1 for value in values)
    if len(values) != len(CLASSES) or not sane or abs(sum(values) - 1) > 0.01:
        raise NonsenseAnswer(
            f"Endpoint {endpoint!r} answers {values}; expected two probabilities that add up to 1."
        )
    return values


def handler(event: Json, context: Any) -> Json:
    """Beside the state the workflow gives `endpoint_name` and `model_package_arn`."""
    with log.call("imageClassification", event, context) as call:
        state = classify(call.state, call.given, call.execution, client("sagemaker-runtime"))
        call.say(
            "classified",
            predicted_class=state["predicted_class"],
            confidence=state["confidence"],
            inference_id=state["inference_id"],
            model_package_arn=state["model_package_arn"],
        )
        return state
