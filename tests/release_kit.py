"""What the tests of CodeBuild and CodePipeline make first: roles, sources, waiting."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

from tests.conftest import LocalAws

ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def role(aws: LocalAws, name: str, service: str) -> str:
    """A role that the service may assume and that may do everything."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    iam = aws.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy(ALL))
    return arn


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def zipped(**files: str) -> bytes:
    """An archive; `__` in a name stands for a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return out.getvalue()


def bucket(aws: LocalAws, name: str) -> str:
    """A bucket with versioning, as CodePipeline wants it."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What `look` gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)
    return found
