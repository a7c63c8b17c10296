"""What a stack needs beside its template: the functions, their layer, the workflows.

All of it lies in the environment's code bucket under keys that change with the contents and not
otherwise, so a deployment without a change has nothing to upload and nothing to update.

    functions/<sha256>.zip                 lambdas/, workflow/, monitoring's window and labels
    layers/pillow-<version>-<python>-….zip Pillow, as the functions' Python wants it
    preprocessors/<sha256>/…               the record preprocessor of the monitoring schedule
    workflows/<sha256>/<name>.asl.json     the definitions, placeholders and all
    templates/<sha256>.yaml                the template, which is larger than a request may hold
    releases/source.zip                    the sources of the last deployment, for retraining;
                                           the one key that is written again, in a versioned bucket
"""

import functools
import hashlib
import importlib.metadata
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from pipelines.code import PREPROCESSOR, bundle, monitoring_bundle, preprocessor_bundle
from scones import source
from scones.connection import PROJECT_ROOT

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip knows no earlier time; the same for each file
SOURCE_KEY = "releases/source.zip"
LAMBDA_PLATFORM = "manylinux_2_28_x86_64"  # Amazon Linux 2023, on which Python 3.12 and newer run


class PackagingError(Exception):
    """The code could not be packed or put into the bucket, and why."""


@dataclass(frozen=True)
class Artefacts:
    """Where everything lies, as the template's parameters and the request want it."""

    bucket: str
    code_key: str
    layer_key: str
    preprocessor_key: str
    workflow_prefix: str
    template_key: str


def upload(bucket: str, runtime: str, template: Path, s3: Any, *, own_python: bool) -> Artefacts:
    """Packs and uploads what is not there yet. `own_python`: functions run on this machine."""
    code = bundle(
        _sources("lambdas", ".py")
        | _sources("workflow", ".py", ".json")
        | monitoring_bundle("ground_truth").files
    )
    workflows = bundle(_sources("workflow", ".asl.json"))
    script = preprocessor_bundle()
    body = template.read_bytes()
    artefacts = Artefacts(
        bucket=bucket,
        code_key=f"functions/{code.sha256}.zip",
        layer_key=f"layers/{layer_name(runtime, own_python=own_python)}.zip",
        preprocessor_key=f"preprocessors/{script.sha256}/{PREPROCESSOR.name}",
        workflow_prefix=f"workflows/{workflows.sha256}/",
        template_key=f"templates/{hashlib.sha256(body).hexdigest()}{template.suffix}",
    )
    put = _Uploader(bucket, s3)
    put(artefacts.code_key, lambda: archive(code.files))
    put(artefacts.preprocessor_key, lambda: script.files[PREPROCESSOR.name])
    put(artefacts.layer_key, lambda: layer(runtime, own_python=own_python))
    for path, content in workflows.files.items():
        put(f"{artefacts.workflow_prefix}{Path(path).name}", functools.partial(bytes, content))
    put(artefacts.template_key, lambda: body)
    return artefacts


def put_source(bucket: str, s3: Any) -> None:
    """Keeps the sources as a new version of their object, unless they are what is there."""
    try:
        content = archive(source.files())
    except source.SourceError as error:
        raise PackagingError(str(error)) from error
    digest = hashlib.sha256(content).hexdigest()
    if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        )  # CodePipeline reads from no other
    try:
        if s3.head_object(Bucket=bucket, Key=SOURCE_KEY)["Metadata"].get("sha256") == digest:
            return
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise PackagingError(f"{SOURCE_KEY} in {bucket!r} cannot be read: {error}.") from error
    summary = {"sha256": digest, "codepipeline-artifact-revision-summary": source.commit()}
    s3.put_object(Bucket=bucket, Key=SOURCE_KEY, Body=content, Metadata=summary)


def archive(files: dict[str, bytes]) -> bytes:
    """A zip with these files; the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as target:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = 0o644 << 16  # readable for the user that functions run as
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return out.getvalue()


def layer_name(runtime: str, *, own_python: bool) -> str:
    """Version, Python and platform: a published wheel of these never changes."""
    version = importlib.metadata.version("pillow")
    return f"pillow-{version}-{runtime}-{'here' if own_python else LAMBDA_PLATFORM}"


def layer(runtime: str, *, own_python: bool) -> bytes:
    """The layer's zip, with the version of Pillow that is installed here."""
    files = _installed_pillow() if own_python else _downloaded_pillow(runtime)
    return archive({f"python/{path}": content for path, content in files.items()})


def _installed_pillow() -> dict[str, bytes]:
    found = importlib.metadata.distribution("pillow").files or []
    return {
        path.as_posix(): Path(str(path.locate())).read_bytes()
        for path in found
        if path.suffix != ".pyc" and ".." not in path.parts
    }


def _downloaded_pillow(runtime: str) -> dict[str, bytes]:
    version = importlib.metadata.version("pillow")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--platform", LAMBDA_PLATFORM),
            *("--python-version", runtime.removeprefix("python"), "--implementation", "cp"),
            *("--dest", folder, f"pillow=={version}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
            raise PackagingError(f"Pillow {version} for {runtime} cannot be had: {last}")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as source:
            return {name: source.read(name) for name in source.namelist() if name[-1] != "/"}


def _sources(folder: str, *endings: str) -> dict[str, bytes]:
    """The files of a package by their path in the zip."""
    return {
        f"{folder}/{path.name}": path.read_bytes()
        for path in (PROJECT_ROOT / folder).iterdir()
        if path.name.endswith(endings)
    }


class _Uploader:
    """Puts an object unless its key is there; content is made only when it is needed."""

    def __init__(self, bucket: str, s3: Any) -> None:
        self._bucket, self._s3 = bucket, s3

    def __call__(self, key: str, content: Callable[[], bytes]) -> None:
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        if not any(item["Key"] == key for item in listed.get("Contents", [])):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=content())


def _tls_only(bucket: str, region: str) -> dict[str, Any]:
    partition = boto3.session.Session().get_partition_for_region(region)
    arn = f"arn:{partition}:s3:::{bucket}"
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def ensure_bucket(name: str, region: str, s3: Any) -> None:
    """The code bucket, private, versioned, TLS only, made at the first deployment.

    It is there before the stack's key is, and holds nothing but this repository's code: S3's own
    encryption is enough.
    """
    where = (
        {}
        if region == "us-east-1"  # the one region that must not be named
        else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    try:
        s3.head_bucket(Bucket=name)
        return
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise PackagingError(f"Bucket {name!r} is not ours to use: {error}.") from error
    s3.create_bucket(Bucket=name, **where)
    versions = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versions)
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(_tls_only(name, region)))
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    )
