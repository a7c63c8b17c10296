"""What the tests of endpoints share: small model archives, requests, and waiting for a status."""

import io
import tarfile
import textwrap
import time
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"

# Answers its name and what it was sent, and does as the body says.
HANDLER = """
    import os, time

    def model_fn(model_dir):
        return NAME

    def input_fn(body, content_type):
        if body == b"bad":
            raise ValueError("the body is not an image")
        if body == b"die":
            os._exit(3)
        if body == b"sleep":
            time.sleep(30)
        return body

    def predict_fn(body, model):
        if body == b"fail":
            raise RuntimeError("out of ideas")
        return f'["{model}",{len(body)}]'

    def output_fn(prediction, accept):
        return prediction
"""


def archive(handler: str = HANDLER, name: str = "one", **files: str) -> bytes:
    """A `model.tar.gz` with this `code/inference.py`, in which NAME is defined, and other files."""
    packed = io.BytesIO()
    script = f"NAME = {name!r}\n{textwrap.dedent(handler)}"
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, text in {"code/inference.py": script, **files}.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def model_request(name: str, role: str, data: str, **members: Any) -> Json:
    return {
        "ModelName": name,
        "ExecutionRoleArn": role,
        "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": data},
        "EnableNetworkIsolation": True,
        **members,
    }


def config_request(name: str, model: str, instances: int = 1, **members: Any) -> Json:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InitialInstanceCount": instances,
        "InstanceType": "ml.m5.large",
    }
    return {"EndpointConfigName": name, "ProductionVariants": [variant], **members}


def capture_config(destination: str, percentage: int = 100, **members: Any) -> Json:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": destination,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
        **members,
    }


def canary(wait: int = 2, instances: int = 1, **members: Any) -> Json:
    policy = {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "INSTANCE_COUNT", "Value": instances},
            "WaitIntervalInSeconds": wait,
        },
    }
    return {"BlueGreenUpdatePolicy": policy, **members}


def poll(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """The condition's value once it is true; AssertionError when it does not become so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("the condition did not come true in time")
