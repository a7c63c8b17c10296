"""Step caching: an earlier success of the same step with the same arguments is used again.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching.html. The key holds the
resolved values of the attributes that `step_types` names, so S3 addresses count and what they
point to does not: new code or data under an old address goes unnoticed, here as on AWS. A cached
step hands on its *old* outputs, so the steps after it find their old keys too.

Unlike AWS, a result is used only while its outputs are still in S3 as the job left them. AWS
trusts the record, and hands on addresses that may be empty or hold a later run's files.
"""

import hashlib
import json
from typing import Any

from localaws.context import Context
from localaws.errors import NotFound
from pipeline_definition import caching
from pipeline_definition.step_types import StepType

Json = dict[str, Any]

KIND = "pipeline-cache"


def digest(kind: StepType, arguments: Json) -> str:
    """The cache key of a step's resolved arguments: a SHA-256 in hexadecimal."""
    compared = {name: _member(arguments, name) for name in kind.cache_key}
    return hashlib.sha256(json.dumps(compared, sort_keys=True, default=str).encode()).hexdigest()


def _member(arguments: Json, path: str) -> Any:
    """The value at `A.B`, or None."""
    outer, _, inner = path.partition(".")
    value = arguments.get(outer)
    return (value or {}).get(inner) if inner else value


def key(pipeline: str, step: str, digest: str) -> str:
    """Where the store keeps the latest result of a pipeline's step for a digest."""
    return f"{pipeline}/{step}/{digest}"


def remember(context: Context, key: str, source: Json) -> None:
    """Keeps a success under `key`; the most recent one wins.

    `source` holds `Properties` (the job's description), `EndTime` and what the caller wants back.
    """
    outputs = {uri: _fingerprint(context, uri) for uri in output_uris(source["Properties"])}
    context.store.put(KIND, key, {**source, "Key": key, "Outputs": outputs})


def forget(context: Context, pipeline: str) -> None:
    """Forgets every result of a deleted pipeline."""
    for source in context.store.all(KIND, f"{pipeline}/"):
        context.store.delete(KIND, source["Key"])


def lookup(context: Context, key: str, config: Json) -> Json | None:
    """The source remembered under `key`, if it is young enough and its outputs are untouched."""
    source = context.store.get(KIND, key)
    if source is None:
        return None
    age = caching.max_age(config)
    if age is not None and context.now() - source["EndTime"] > age:
        return None
    outputs: Json = source["Outputs"]
    intact = all(_fingerprint(context, uri) == old for uri, old in outputs.items())
    return source if intact else None


def output_uris(properties: Json) -> list[str]:
    """The S3 addresses that a finished job wrote to, from its description."""
    model = (properties.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    if best := properties.get("BestTrainingJob"):
        place = properties["TrainingJobDefinition"]["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        model = f"{place}/{best['TrainingJobName']}/output/model.tar.gz"
    outputs = (properties.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    addresses = [(output.get("S3Output") or {}).get("S3Uri") for output in outputs]
    return [uri for uri in [*addresses, model] if uri]


def _fingerprint(context: Context, uri: str) -> str:
    """A digest of the objects at an address: their keys, sizes and entity tags."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    found = hashlib.sha256()
    try:
        for item in context.objects.list(bucket, prefix):
            # `out/train` is a prefix of `out/training/…` too, which is not this output.
            if item.key == prefix or item.key.startswith(prefix.rstrip("/") + "/"):
                found.update(f"{item.key}\0{item.size}\0{item.etag}\n".encode())
    except NotFound:
        return "no bucket"
    return found.hexdigest()
