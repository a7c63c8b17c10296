"""Parts for the tests of functions: a role, a zip, a function, and a wait."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

from tests.roles import make_role


def packed(**files: str) -> bytes:
    """A zip; `handler="…"` is the file `handler.py`, `python__tool="…"` is `python/tool.py`."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            path = zipfile.ZipInfo(f"{name.replace('__', '/')}.py")  # the same date each time
            archive.writestr(path, text)
    return data.getvalue()


def make_function(aws: Any, name: str, code: str, **settings: Any) -> str:
    """Creates a function with `code` as `app.py` and returns its ARN."""
    request = {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Role": make_role(aws, "function"),
        "Handler": "app.handler",
        "Code": {"ZipFile": packed(app=code)},
        "Timeout": 10,
    }
    return str(aws.client("lambda").create_function(**{**request, **settings})["FunctionArn"])


def invoke(aws: Any, name: str, event: Any = None, **settings: Any) -> tuple[Any, str | None]:
    """What the function answers, and its FunctionError."""
    payload = json.dumps({} if event is None else event).encode()
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=payload, **settings)
    return json.loads(answer["Payload"].read() or b"null"), answer.get("FunctionError")


def make_queue(aws: Any, name: str, **attributes: str) -> tuple[str, str]:
    """The URL and the ARN of a new queue, to which the services of AWS may send."""
    sqs = aws.client("sqs")
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]},
        "Action": "sqs:SendMessage",
        "Resource": f"arn:aws:sqs:us-east-1:{aws.account}:{name}",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    attributes = {"Policy": policy, **attributes}
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, found["Attributes"]["QueueArn"]


def receive(aws: Any, url: str, seconds: float = 20) -> dict[str, Any]:
    """The next message, taken from the queue."""
    sqs = aws.client("sqs")

    def look() -> list[dict[str, Any]]:
        answer = sqs.receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    message = until(look, seconds)[0]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return dict(message)


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Polls until the condition holds, and gives its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("the condition did not come true in time")
