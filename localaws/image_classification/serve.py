"""The stand-in's answers, as handlers of `localaws.hosting.model_server`.

One image in a request → the probabilities of all classes: a JSON list, or with `Accept:
application/jsonlines`, as in batch transforms, one line `{"prediction": [...]}`.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html#IC-inference
"""

import json
from pathlib import Path

import torch

from localaws.image_classification import network as networks
from localaws.image_classification.network import Network
from service_model.image_classification import Shape

CONTENT_TYPES = ("application/x-image", "image/png", "image/jpeg")
JSON, JSON_LINES = "application/json", "application/jsonlines"
Model = tuple[Network, Shape]


def model_fn(model_dir: str) -> Model:
    """The archive that the stand-in wrote. ValueError for another."""
    return networks.restore(Path(model_dir))


def transform_fn(model: Model, body: bytes, content_type: str, accept: str) -> tuple[str, str]:
    """The answer and its content type; ValueError for what the caller did wrong."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in CONTENT_TYPES:
        raise ValueError(f"content type {kind!r} is not one of {', '.join(CONTENT_TYPES)}")
    wanted = accept.partition(";")[0].strip().lower()
    if wanted not in (JSON, JSON_LINES):
        raise ValueError(f"accept {wanted!r} is not one of {JSON}, {JSON_LINES}")
    network, shape = model
    image = networks.pixels(body, shape)
    with torch.inference_mode():
        found = network(image[None]).double().softmax(1)[0].tolist()
    if wanted == JSON_LINES:
        return json.dumps({"prediction": found}) + "\n", JSON_LINES
    return json.dumps(found), JSON
