"""smokeTest: real images through the endpoint, compared with what the evaluation expects.

`predictions.csv` beside `evaluation.json` holds the evaluation's answer for each test image. The
endpoint must give the same within TOLERANCE for a handful of both classes: then it serves the model
that was evaluated, decodes pictures as the evaluation did, and answers in the agreed form.
"""

import csv
import io
import os
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from lambdas import image_classification, log
from lambdas.clients import client
from lambdas.log import Json

TOLERANCE = 0.02  # two versions of one library differ in the last digits, not in the second


class SmokeTestFailed(Exception):
    """The endpoint does not answer as the evaluation did."""


class Expected(NamedTuple):
    """A test image and the probabilities that the evaluation measured for it."""

    path: str
    label: int
    probabilities: tuple[float, float]


def expectations(evaluation_url: str, count: int, s3: Any) -> list[Expected]:
    """About `count` test images, as many of each class, spread over the whole list."""
    url = evaluation_url.rsplit("/", 1)[0] + "/predictions.csv"
    rows = [
        Expected(r["path"], int(r["label"]), (float(r["p_bicycle"]), float(r["p_motorcycle"])))
        for r in csv.DictReader(io.StringIO(_read(url, s3).decode("utf-8")))
    ]
    chosen: list[Expected] = []
    for label in (0, 1):
        of_class = [row for row in rows if row.label == label]
        step = max(1, len(of_class) * 2 // count)
        chosen += of_class[::step][: count // 2]
    if not chosen:
        raise SmokeTestFailed(f"{url} lists no test image.")
    return chosen


def compare(plan: Json, count: int, execution: str, s3: Any, runtime: Any) -> Json:
    """Asks the endpoint about each; raises SmokeTestFailed at the first that differs."""
    expected = expectations(plan["evaluation_url"], count, s3)
    largest = 0.0
    for number, image in enumerate(expected):
        url = plan["test_images_url"] + image.path
        inference_id = f"smoke-{execution}"[-60:] + f"-{number}"
        content = _read(url, s3)
        try:
            answer = image_classification.invoke(
                plan["endpoint_name"], content, "image/png", inference_id, runtime
            )
        except (
            image_classification.ImageRefused,
            image_classification.ModelFailed,
            image_classification.NonsenseAnswer,
        ) as error:
            raise SmokeTestFailed(f"{url}: {error}") from error
        difference = abs(answer[1] - image.probabilities[1])
        if difference > TOLERANCE:
            raise SmokeTestFailed(
                f"{url}: the endpoint says {answer[1]:.3f} for motorcycle, the evaluation said "
                f"{image.probabilities[1]:.3f}."
            )
        largest = max(largest, difference)
    return {"images": len(expected), "largest_difference": round(largest, 6)}


def _read(url: str, s3: Any) -> bytes:
    parts = urlsplit(url)
    try:
        answer = s3.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise SmokeTestFailed(f"{url} cannot be read ({code}).") from error
    return bytes(answer["Body"].read())


def handler(event: Json, context: Any) -> Json:
    """State: `plan`."""
    with log.call("smokeTest", event, context) as call:
        count = int(os.environ.get("SMOKE_IMAGES", "10"))
        runtime = client("sagemaker-runtime")
        outcome = compare(call.state["plan"], count, call.execution, client("s3"), runtime)
        call.say("the endpoint answers as the evaluation did", **outcome)
        return outcome
