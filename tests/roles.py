"""Roles for the tests: each trusts some services, and may do what its statements say."""

import json
from typing import Any

SERVICES = ("lambda", "states", "sagemaker", "events", "scheduler")
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def trust(*services: str) -> str:
    """A trust policy for services (`lambda`), and for whoever of the account may assume roles."""
    names = [f"{service}.amazonaws.com" for service in services]
    principal = {"Service": names, "AWS": "123456789012"}
    allow = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def make_role(aws: Any, name: str, *statements: dict[str, Any]) -> str:
    """The ARN of a role; made when it is not there yet.

    Without statements it may do everything, for the tests that are about something else.
    """
    iam = aws.client("iam")
    try:
        return str(iam.get_role(RoleName=name)["Role"]["Arn"])
    except iam.exceptions.NoSuchEntityException:
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(*SERVICES))["Role"]
    if statements:
        may(aws, name, *statements)
    else:
        iam.attach_role_policy(RoleName=name, PolicyArn=_ADMINISTRATOR)
    return str(role["Arn"])


def may(aws: Any, name: str, *statements: dict[str, Any]) -> None:
    """Gives a role these statements in place of those that it had; an Effect may be left out."""
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Resource": "*", **given} for given in statements],
    }
    aws.client("iam").put_role_policy(
        RoleName=name, PolicyName="own", PolicyDocument=json.dumps(document)
    )


def as_role(aws: Any, name: str, service: str, **session: Any) -> Any:
    """A client that signs with credentials of a role."""
    arn = f"arn:aws:iam::{aws.account}:role/{name}"
    assumed = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="tester", **session)
    keys = assumed["Credentials"]
    return aws.client(
        service,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
