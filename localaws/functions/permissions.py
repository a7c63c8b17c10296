"""A function's resource policy: who else may invoke it (`localaws.permissions` asks it)."""

import json
import uuid
from typing import Any

from localaws.context import Context
from localaws.functions.errors import NoSuchResource, PreconditionFailed, ResourceConflict
from localaws.functions.functions import LATEST, Functions, Request


class Permissions:
    """The statements, by qualifier, in the function's record."""

    def __init__(self, context: Context, functions: Functions) -> None:
        self._context, self._store, self._functions = context, context.store, functions

    def add_permission(self, request: Request) -> Request:
        name, qualifier = self._place(request)
        with self._store.transaction():
            record = self._functions.record(name)
            self._functions.require(record, qualifier)
            policy = record["policies"].setdefault(qualifier or LATEST, {"statements": {}})
            self._check_revision(policy, request)
            sid = request["StatementId"]
            if sid in policy["statements"]:
                raise ResourceConflict(
                    f"The statement id ({sid}) provided already exists. Please provide a new"
                    " statement id, or remove the existing statement."
                )
            statement = self._statement(request, self._functions.arn(name, qualifier))
            policy["statements"][sid] = statement
            policy["revision"] = str(uuid.uuid4())
            self._functions.save(record)
        return {"Statement": json.dumps(statement)}

    def remove_permission(self, request: Request) -> Request:
        name, qualifier = self._place(request)
        with self._store.transaction():
            record = self._functions.record(name)
            policy = record["policies"].get(qualifier or LATEST, {"statements": {}})
            self._check_revision(policy, request)
            if request["StatementId"] not in policy["statements"]:
                sid = request["StatementId"]
                raise NoSuchResource(f"Statement {sid} is not found in resource policy.")
            del policy["statements"][request["StatementId"]]
            policy["revision"] = str(uuid.uuid4())
            self._functions.save(record)
        return {}

    def get_policy(self, request: Request) -> Request:
        name, qualifier = self._place(request)
        policy = self._functions.record(name)["policies"].get(qualifier or LATEST)
        if not policy or not policy["statements"]:
            raise NoSuchResource("The resource you requested does not exist.")
        document = {
            "Version": "2012-10-17",
            "Id": "default",
            "Statement": list(policy["statements"].values()),
        }
        return {"Policy": json.dumps(document), "RevisionId": policy["revision"]}

    def _place(self, request: Request) -> tuple[str, str | None]:
        return self._functions.split(request["FunctionName"], request.get("Qualifier"))

    def _check_revision(self, policy: dict[str, Any], request: Request) -> None:
        if request.get("RevisionId") not in (None, policy.get("revision")):
            raise PreconditionFailed("The RevisionId provided does not match the latest one.")

    def _statement(self, request: Request, arn: str) -> dict[str, Any]:
        who = request["Principal"]
        if who.isdigit():
            who = f"arn:{self._context.partition}:iam::{who}:root"
        kind = "Service" if "." in who else "AWS"
        conditions: dict[str, Any] = {}
        if "SourceArn" in request:
            conditions["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
        if "SourceAccount" in request:
            conditions["StringEquals"] = {"AWS:SourceAccount": request["SourceAccount"]}
        return {
            "Sid": request["StatementId"],
            "Effect": "Allow",
            "Principal": who if who == "*" else {kind: who},
            "Action": request["Action"],
            "Resource": arn,
            **({"Condition": conditions} if conditions else {}),
        }
