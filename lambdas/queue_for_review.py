"""queueForReview: an answer that was not sure enough → a person's list.

The record goes to `review/<inference id>.json` in the bucket, where it stays, and into the review
queue, from which people take it. The id is the inference's, so a second try makes no second file.
"""

import json
import os
from typing import Any

from lambdas import log
from lambdas.clients import client
from lambdas.log import Json


def record(state: Json, execution: str) -> Json:
    """What a person needs: the image, what the model thought, and how to find the capture."""
    return {
        "s3_bucket": state["s3_bucket"],
        "s3_key": state["s3_key"],
        "inferences": state["inferences"],
        "predicted_class": state["predicted_class"],
        "confidence": state["confidence"],
        "inference_id": state["inference_id"],
        "model_package_arn": state["model_package_arn"],
        "execution": execution,
    }


def keep(entry: Json, bucket: str, queue_url: str, s3: Any, sqs: Any) -> str:
    """Writes the record and queues it; returns its key."""
    key, body = f"review/{entry['inference_id']}.json", json.dumps(entry, ensure_ascii=False)
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode("utf-8"), ContentType="application/json")
    sqs.send_message(QueueUrl=queue_url, MessageBody=body)
    return key


def handler(event: Json, context: Any) -> Json:
    """Returns the record's `review_key`."""
    with log.call("queueForReview", event, context) as call:
        entry = record(call.state, call.execution)
        bucket, queue = os.environ["BUCKET_NAME"], os.environ["REVIEW_QUEUE_URL"]
        key = keep(entry, bucket, queue, client("s3"), client("sqs"))
        call.say("queued for review", review_key=key)
        return {"review_key": key}
