"""How a target of an event, a schedule or a destination is called, by its ARN.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
"""

import contextlib
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localaws.clients import Clients
from localaws.errors import AccessDenied
from localaws.permissions.guard import Guard

Parameters = dict[str, Any]

# What another try would not change: it goes to the dead-letter queue at once.
_FOR_GOOD = re.compile(
    r"ResourceNotFound|DoesNotExist|NonExistentQueue|NotFound|AccessDenied|InvalidParameter"
    r"|Validation|InvalidArn|InvalidName|InvalidExecutionInput|NotImplemented"
)


# What a target's kind needs: the service, its operation, and the parameter that names the target.
_CALLS = {
    "lambda": ("lambda", "Invoke", "FunctionName"),
    "states": ("states", "StartExecution", "stateMachineArn"),
    "sqs": ("sqs", "SendMessage", "QueueUrl"),
    "sns": ("sns", "Publish", "TopicArn"),
    "pipeline": ("sagemaker", "StartPipelineExecution", "PipelineName"),
    "release": ("codepipeline", "StartPipelineExecution", "name"),
    "bus": ("events", "PutEvents", "EventBusName"),
    "logs": ("logs", "PutLogEvents", "logGroupName"),
}


@dataclass(frozen=True)
class Sender:
    """Who calls a target: a service, for a rule or whatever the source is, with a role or without.

    Without a role the target's own policy must let the service.
    """

    service: str
    source_arn: str = ""
    role_arn: str = ""


class Refused(Exception):
    """The target did not take the event. `is_final` when it never will."""

    def __init__(self, code: str, message: str, is_final: bool) -> None:
        super().__init__(message)
        self.code, self.message, self.is_final = code, message, is_final


class Targets:
    """Sends texts to targets, through the services' own APIs."""

    def __init__(self, clients: Clients, guard: Guard | None = None) -> None:
        self._clients, self._guard = clients, guard

    @staticmethod
    def lacks(arn: str) -> str | None:
        """What localaws lacks for a target, as a sentence; None when it can be called."""
        parts = arn.split(":", 5)
        if len(parts) < 6 or parts[0] != "arn":
            return f"{arn} is not the ARN of a target."
        if _kind(arn) is None:
            return f"localaws does not deliver to {parts[2]} ({arn})."
        return None

    def send(
        self,
        arn: str,
        text: str,
        attributes: dict[str, str] | None = None,
        parameters: Parameters | None = None,
        token: str = "",
        *,
        sender: Sender,
    ) -> None:
        """Sends `text` (JSON) to the target, if `sender` may. Raises Refused.

        `attributes` are message attributes, where the target has such; `parameters` are the
        target's own settings (`SqsParameters` …); `token` names the delivery, so that a second one
        of the same event starts nothing twice where the target can tell.
        """
        kind = _kind(arn)
        try:
            if kind is None:
                raise Refused("InvalidParameter", str(self.lacks(arn)), True)
            self._require(sender, kind, arn)
            getattr(self, f"_to_{kind}")(arn, text, attributes or {}, parameters or {}, token)
        except AccessDenied as denied:
            raise Refused("NO_PERMISSIONS", denied.message, True) from None
        except ClientError as error:
            code = error.response["Error"]["Code"]
            is_final = bool(_FOR_GOOD.search(code))
            raise Refused(code, error.response["Error"]["Message"], is_final) from None
        except BotoCoreError as error:
            raise Refused("InternalFailure", str(error), False) from None

    def _require(self, sender: Sender, kind: str, arn: str) -> None:
        if self._guard is None:
            return
        service, operation, member = _CALLS[kind]
        given = {member: arn.rpartition(":")[2] if kind in ("sqs", "release") else arn}
        if kind == "logs":
            given = {member: arn.split(":log-group:")[1].removesuffix(":*"), "logStreamName": "*"}
        if not sender.role_arn:
            if kind == "lambda" and self._guard.resources.of("lambda:", arn) is None:
                return  # there is no such function: the call says so
            session = self._guard.as_service(sender.service)
        elif self._guard.trusts(sender.role_arn, sender.service, sender.source_arn):
            session = self._guard.as_role(sender.role_arn, sender.service.partition(".")[0])
        else:
            raise AccessDenied(f"{sender.service} may not assume the role {sender.role_arn}.")
        keys = self._guard.source_keys(sender.source_arn)
        self._guard.require_call(session, service, operation, given, keys)

    def _to_lambda(
        self, arn: str, text: str, attributes: dict[str, str], settings: Parameters, token: str
    ) -> None:
        self._clients("lambda").invoke(
            FunctionName=arn, InvocationType="Event", Payload=text.encode()
        )

    def _to_states(
        self, arn: str, text: str, attributes: dict[str, str], settings: Parameters, token: str
    ) -> None:
        name = {"name": token} if token else {}
        try:
            self._clients("stepfunctions").start_execution(stateMachineArn=arn, input=text, **name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise

    def _to_sqs(
        self, arn: str, text: str, attributes: dict[str, str], settings: Parameters, token: str
    ) -> None:
        client = self._clients("sqs")
        owner, name = arn.split(":")[4:6]
        url = client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=owner)["QueueUrl"]
        more: Parameters = {}
        if name.endswith(".fifo"):
            group = (settings.get("SqsParameters") or {}).get("MessageGroupId", "localaws")
            more = {"MessageGroupId": group, "MessageDeduplicationId": token or None}
            more = {k: v for k, v in more.items() if v}
        if attributes:
            more["MessageAttributes"] = _attributes(attributes)
        client.send_message(QueueUrl=url, MessageBody=text, **more)

    def _to_sns(
        self, arn: str, text: str, attributes: dict[str, str], settings: Parameters, token: str
    ) -> None:
        more: Parameters = {}
        if attributes:
            more["MessageAttributes"] = _attributes(attributes)
        if settings.get("Subject"):
            more["Subject"] = settings["Subject"]
        self._clients("sns").publish(TopicArn=arn, Message=text, **more)

    def _to_pipeline(
        self, arn: str, text: str, attributes: dict[str, str], settings: Parameters, token: str
    ) -> None:
        given = (settings.get("SageMakerPipelineParameters") or {}).get("PipelineParameterList", [])
        more = {"ClientRequestToken": token.ljust(32, "0")} if token else {}
        self._clients("sagemaker").start_pipeline_execution(
            PipelineName=arn.rpartition("/")[2], PipelineParameters=given, **more
        )

    def _to_release(
        self, arn: str, text: str, attributes: dict[str, str], settings: Parameters, token: str
    ) -> None:
        more = {"clientRequestToken": token} if token else {}
        self._clients("codepipeline").start_pipeline_execution(name=arn.rpartition(":")[2], **more)

    def _to_bus(
        self, arn: str, text: str, attributes: dict[str, str], settings: Parameters, token: str
    ) -> None:
        event = json.loads(text)
        chosen = settings.get("EventBridgeParameters") or {}
        entry = {
            "Source": chosen.get("Source") or event.get("source", "lambda"),
            "DetailType": chosen.get("DetailType") or event.get("detail-type", "Event"),
            "Detail": json.dumps(event.get("detail", event)),
            "Resources": event.get("resources", []),
            "EventBusName": arn,
        }
        answer = self._clients("events").put_events(Entries=[entry])["Entries"][0]
        if "ErrorCode" in answer:
            raise Refused(answer["ErrorCode"], answer["ErrorMessage"], True)

    def _to_logs(
        self, arn: str, text: str, attributes: dict[str, str], settings: Parameters, token: str
    ) -> None:
        client, group = self._clients("logs"), arn.split(":log-group:")[1].removesuffix(":*")
        stream = token or "events"
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):  # a second try
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": int(1000 * time.time()), "message": text}
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])


def _kind(arn: str) -> str | None:
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    if service in ("lambda", "sqs", "sns"):
        return service
    if service == "codepipeline" and "/" not in resource and ":" not in resource:
        return "release"  # no stage, no action
    for name, kind, start in (
        ("states", "states", "stateMachine:"),
        ("sagemaker", "pipeline", "pipeline/"),
        ("events", "bus", "event-bus/"),
        ("logs", "logs", "log-group:"),
    ):
        if service == name and resource.startswith(start):
            return kind
    return None


def _attributes(values: dict[str, str]) -> dict[str, dict[str, str]]:
    return {k: {"DataType": "String", "StringValue": v} for k, v in values.items() if v}
