"""Lambda's event source mappings: the messages of SQS queues that call functions.

A mapping has one poller, so its batches follow one another. A batch that fails stays in the queue:
its messages become visible again, and the queue's redrive policy moves them in the end.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import base64
import hashlib
import json
import logging
import threading
import uuid
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.sqs.models import sqs_backends

from localaws.clients import Clients
from localaws.context import Context
from localaws.errors import NotImplementedHere
from localaws.functions.errors import InvalidValue, NoSuchResource, ResourceConflict
from localaws.listing import paged

log = logging.getLogger(__name__)

KIND = "lambda-event-source"
_LOOK_SECONDS = 0.2
_MOST_RECEIVED = 10  # messages of one ReceiveMessage

Request = dict[str, Any]

_REFUSED = frozenset(
    [
        "FilterCriteria",
        "ParallelizationFactor",
        "StartingPosition",
        "DestinationConfig",
        "BisectBatchOnFunctionError",
        "TumblingWindowInSeconds",
        "Topics",
        "Queues",
        "SelfManagedEventSource",
        "SourceAccessConfigurations",
        "AmazonManagedKafkaEventSourceConfig",
        "DocumentDBEventSourceConfig",
        "MetricsConfig",
        "ProvisionedPollerConfig",
        "MaximumRecordAgeInSeconds",
        "MaximumRetryAttempts",
    ]
)
_KEPT = ("BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ScalingConfig")


class EventSources:
    """Lambda's event source mappings of SQS queues, and their pollers."""

    def __init__(self, context: Context, clients: Clients) -> None:
        self._context, self._store, self._clients = context, context.store, clients
        self._closing = threading.Event()
        self._pollers: dict[str, threading.Thread] = {}

    def recover(self) -> None:
        for mapping in self._store.all(KIND):
            self._poll(mapping["UUID"])

    def shutdown(self) -> None:
        self._closing.set()

    # Operations

    def create_event_source_mapping(self, request: Request) -> Request:
        _check(request)
        source = request.get("EventSourceArn", "")
        function = self._check_places(source, request["FunctionName"])
        for other in self._store.all(KIND):
            if (other["EventSourceArn"], other["FunctionArn"]) == (source, function):
                raise ResourceConflict(
                    f"An event source mapping with SQS arn ({source}) and function"
                    f" ({function}) already exists. UUID {other['UUID']}"
                )
        number = str(uuid.uuid4())
        mapping = {
            **{"BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": []},
            **{member: request[member] for member in _KEPT if member in request},
            "UUID": number,
            "EventSourceArn": source,
            "FunctionArn": function,
            "EventSourceMappingArn": self._context.arn("lambda", f"event-source-mapping:{number}"),
            "State": "Enabled" if request.get("Enabled", True) else "Disabled",
            "StateTransitionReason": "USER_INITIATED",
            "LastModified": self._context.now(),
        }
        self._store.put(KIND, number, mapping)
        self._poll(number)
        return mapping

    def update_event_source_mapping(self, request: Request) -> Request:
        _check(request)
        mapping = self._find(request["UUID"])
        changes = {member: request[member] for member in _KEPT if member in request}
        if "FunctionName" in request:
            arn = self._check_places(mapping["EventSourceArn"], request["FunctionName"])
            changes["FunctionArn"] = arn
        if "Enabled" in request:
            changes["State"] = "Enabled" if request["Enabled"] else "Disabled"
        return self._store.update(
            KIND, request["UUID"], **changes, LastModified=self._context.now()
        )

    def get_event_source_mapping(self, request: Request) -> Request:
        return self._find(request["UUID"])

    def list_event_source_mappings(self, request: Request) -> Request:
        found = self._store.all(KIND)
        if "EventSourceArn" in request:
            found = [m for m in found if m["EventSourceArn"] == request["EventSourceArn"]]
        if "FunctionName" in request:
            name = request["FunctionName"].rpartition(":")[2]
            found = [m for m in found if name in m["FunctionArn"].split(":")]
        page, marker = paged(found, request)
        return {"EventSourceMappings": page, "NextMarker": marker}

    def delete_event_source_mapping(self, request: Request) -> Request:
        mapping = self._find(request["UUID"])
        self._store.delete(KIND, request["UUID"])
        return {**mapping, "State": "Deleting"}

    def _find(self, number: str) -> Request:
        mapping = self._store.get(KIND, number)
        if mapping is None:
            raise NoSuchResource("The resource you requested does not exist.")
        return mapping

    def _check_places(self, source: str, function: str) -> str:
        """The function's ARN, if it and the queue exist and go together."""
        client = self._clients("lambda")
        try:
            found = client.get_function_configuration(FunctionName=function)
        except client.exceptions.ResourceNotFoundException:
            raise NoSuchResource(f"Function not found: {function}") from None
        queue = self._queue(source)
        if queue is None:
            raise InvalidValue(
                f"Error occurred while ReceiveMessage. The queue {source} is missing."
            )
        if int(queue.visibility_timeout) < found["Timeout"]:
            raise InvalidValue(
                f"Queue visibility timeout: {queue.visibility_timeout} seconds is less than"
                f" Function timeout: {found['Timeout']} seconds"
            )
        return str(found["FunctionArn"])

    def _queue(self, arn: str) -> Any:
        backend = sqs_backends[self._context.account][self._context.region]
        return backend.queues.get(arn.rpartition(":")[2])

    # Polling

    def _poll(self, number: str) -> None:
        thread = threading.Thread(target=self._run, args=(number,), daemon=True)
        self._pollers[number] = thread
        thread.start()

    def _run(self, number: str) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            mapping = self._store.get(KIND, number)
            if mapping is None:
                return
            try:
                while mapping["State"] == "Enabled" and self._work(mapping):
                    pass
            except (ClientError, BotoCoreError) as error:
                if not self._closing.is_set():
                    log.warning("the mapping of %s: %s", mapping["EventSourceArn"], error)
            except Exception:  # a message that surprises must not end the poller
                log.exception("the mapping of %s", mapping["EventSourceArn"])

    def _work(self, mapping: Request) -> bool:
        """Hands one batch to the function; False when there is nothing to hand."""
        queue = self._queue(mapping["EventSourceArn"])
        if queue is None or self._closing.is_set() or not queue.approximate_number_of_messages:
            return False
        if mapping["MaximumBatchingWindowInSeconds"]:
            self._closing.wait(mapping["MaximumBatchingWindowInSeconds"])
        url = self._clients("sqs").get_queue_url(QueueName=queue.name)["QueueUrl"]
        messages = self._receive(url, mapping["BatchSize"])
        if not messages:
            return False
        records = [self._record(message, mapping["EventSourceArn"]) for message in messages]
        answer = self._clients("lambda").invoke(
            FunctionName=mapping["FunctionArn"], Payload=json.dumps({"Records": records}).encode()
        )
        payload = answer["Payload"].read()
        if "FunctionError" in answer:
            log.warning("%s failed with a batch: %s", mapping["FunctionArn"], payload[:500])
            return True
        failed = self._failed(mapping, payload, {record["messageId"] for record in records})
        for message in messages:
            if message["MessageId"] not in failed:
                receipt = message["ReceiptHandle"]
                self._clients("sqs").delete_message(QueueUrl=url, ReceiptHandle=receipt)
        return True

    def _receive(self, url: str, size: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < size:
            answer = self._clients("sqs").receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(size - len(found), _MOST_RECEIVED),
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
                WaitTimeSeconds=0,
            )
            if not answer.get("Messages"):
                break
            found += answer["Messages"]
        return found

    def _failed(self, mapping: Request, payload: bytes, known: set[str]) -> set[str]:
        """The messages that the function reports as failed; a senseless report fails them all."""
        if "ReportBatchItemFailures" not in mapping["FunctionResponseTypes"]:
            return set()
        report = json.loads(payload or b"null")
        items = report.get("batchItemFailures") if isinstance(report, dict) else None
        failed = {item.get("itemIdentifier") for item in items or []}
        return known if failed - known else failed

    def _record(self, message: dict[str, Any], arn: str) -> dict[str, Any]:
        attributes = {
            name: {
                "dataType": value["DataType"],
                "stringValue": value.get("StringValue"),
                "binaryValue": base64.b64encode(value["BinaryValue"]).decode()
                if "BinaryValue" in value
                else None,
            }
            for name, value in message.get("MessageAttributes", {}).items()
        }
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: {k: v for k, v in value.items() if v is not None}
                for name, value in attributes.items()
            },
            "md5OfBody": hashlib.md5(message["Body"].encode(), usedforsecurity=False).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": self._context.region,
        }


def _check(request: Request) -> None:
    refused = sorted(_REFUSED & {name for name, value in request.items() if value})
    if refused:
        names = ", ".join(refused)
        raise NotImplementedHere(f"localaws does not implement {names} of an event source mapping.")
    source = request.get("EventSourceArn")
    if source and ":sqs:" not in source:
        raise NotImplementedHere(f"localaws polls SQS queues only, not {source}.")
