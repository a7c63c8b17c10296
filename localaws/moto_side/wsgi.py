"""What goes on to moto, and what its answers mean.

moto serves S3, IAM, STS, Logs, CloudFormation, Step Functions, EventBridge, CloudWatch, SNS, SQS,
KMS and the rest. Around each request that changes something its objects are journaled before the
answer leaves, and its services are marked for the next snapshot. An operation that moto lacks,
which it answers with a stack trace or an HTML page, is refused by name in the service's own error
format; moto's SageMaker is never reached.
"""

import io
import json
import logging
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from localaws.moto_side import interpreter
from localaws.moto_side.blobs import Blob
from localaws.moto_side.s3 import STREAMED
from localaws.moto_side.s3_http import BLOB
from localaws.moto_side.state import MotoState

log = logging.getLogger(__name__)

_SERVICE = re.compile(r"Credential=[^/,]+/\d{8}/[^/,]*/([^/,]+)/aws4_request")
_READS = re.compile(
    r"(Describe|List|Get|Head|BatchGet|Lookup|Search|Filter|Validate|Test)[A-Z]|GET "
)
_FORM = "application/x-www-form-urlencoded"
# Parts of a bucket or object that moto overlooks: it would answer with the object, or a list.
_S3_LACKS = frozenset(
    [
        "abac",
        "analytics",
        "intelligent-tiering",
        "metadataConfiguration",
        "metadataTable",
        "metrics",
        "renameObject",
        "requestPayment",
        "session",
        "torrent",
    ]
)
_XML_SERVICES = frozenset({"s3", "s3-control", "route53", "cloudfront"})


class MotoSide:
    """The WSGI application in front of moto."""

    def __init__(self, state: MotoState) -> None:
        self._state = state
        self._dispatcher = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match = _SERVICE.search(environ.get("HTTP_AUTHORIZATION", ""))
        service = match[1].lower() if match else "s3"
        operation = _operation(environ, service)
        missing = _Refusal(
            501, "NotImplemented", f"localaws does not implement {service}:{operation}."
        )
        if environ["PATH_INFO"].startswith(("/moto-api", "/latest/", "/favicon.ico")):
            return missing.send(environ, start_response, service)  # moto's own switches
        if service == "s3" and _S3_LACKS & _query(environ).keys():
            return missing.send(environ, start_response, service)
        if service == "ec2":
            return missing.send(environ, start_response, service)  # its tables are left out
        if service != "s3":
            self._state.wait_until_loaded()
        if service == "cloudformation":
            self._state.prepare_cloudformation()
        if service == "states":
            interpreter.install()
        try:
            application = self._dispatcher.get_application(environ)
        except Exception:  # moto has no word for a service that it lacks; each fails its own way
            log.info("moto has no %s", service, exc_info=True)
            return missing.send(environ, start_response, service)
        answer = _Answer()
        uploaded = self._take_in(environ) if service == "s3" else None
        try:
            with self._state.journal.change():
                body = application(environ, answer)
        except NotImplementedError:
            return missing.send(environ, start_response, service)
        except Exception:  # moto raises anything when it is surprised
            log.exception("moto failed at %s:%s", service, operation)
            sentence = f"moto failed at {service}:{operation}; the log of localaws says why."
            return _Refusal(500, "InternalFailure", sentence).send(environ, start_response, service)
        finally:
            if uploaded is not None and not answer.is_success:
                self._state.journal.blobs.remove(uploaded)
            if service != "s3" and not _READS.match(operation):
                self._state.changed()
        # A HEAD's 404 has no body, so moto leaves the framework's content type on it.
        if answer.is_page and environ["REQUEST_METHOD"] != "HEAD":
            return missing.send(environ, start_response, service)
        answer.send(start_response)
        return body

    def _take_in(self, environ: WSGIEnvironment) -> Blob | None:
        """Writes a large body to its blob as it arrives; moto would hold it in memory, twice."""
        size = int(environ.get("CONTENT_LENGTH") or 0)
        if (
            environ["REQUEST_METHOD"] != "PUT"
            or size <= STREAMED
            or not _query(environ).keys() <= {"partNumber", "uploadId", "x-id"}
            or "aws-chunked" in environ.get("HTTP_CONTENT_ENCODING", "")
            or environ.get("HTTP_X_AMZ_CONTENT_SHA256", "").startswith("STREAMING-")
        ):
            return None
        blob = self._state.journal.blobs.write_chunks(_chunks(environ["wsgi.input"], size))
        environ[BLOB] = blob
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(), "0"
        return blob


def _query(environ: WSGIEnvironment) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)


def _chunks(stream: Any, size: int) -> Iterator[bytes]:
    while size:
        chunk: bytes = stream.read(min(size, STREAMED))
        if not chunk:
            raise ConnectionError("the client went away in the middle of its upload")
        size -= len(chunk)
        yield chunk


class _Answer:
    """Takes moto's status and headers, so that they can be looked at before they are sent."""

    def __init__(self) -> None:
        self._status, self._headers = "", list[tuple[str, str]]()

    def __call__(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        self._status, self._headers = status, headers

    @property
    def is_page(self) -> bool:
        """An HTML error page comes from the web framework: no operation has this path."""
        html = any(k.lower() == "content-type" and "html" in v for k, v in self._headers)
        return html and self._status[:3] in ("404", "405", "500")

    @property
    def is_success(self) -> bool:
        return self._status.startswith("2")

    def send(self, start_response: StartResponse) -> None:
        names = {name.lower() for name, _ in self._headers}
        if not names & {"x-amzn-requestid", "x-amz-request-id"}:
            self._headers.append(("x-amzn-RequestId", str(uuid.uuid4())))
        start_response(self._status, self._headers)


def _operation(environ: WSGIEnvironment, service: str) -> str:
    """The operation's name; for a REST service its method and path."""
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        name: str = target.rpartition(".")[2]
        return name
    if service != "s3" and environ.get("CONTENT_TYPE", "").startswith(_FORM):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        action = parse_qs(body.decode("utf-8", "replace")).get("Action")
        if action:
            return str(action[0])
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


@dataclass(frozen=True)
class _Refusal:
    """An error, to be worded in the service's own format."""

    status: int
    code: str
    message: str

    def send(
        self, environ: WSGIEnvironment, start_response: StartResponse, service: str
    ) -> Iterable[bytes]:
        code, message, request = self.code, self.message, str(uuid.uuid4())
        error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
        if service in _XML_SERVICES:
            kind, text = (
                "application/xml",
                f"<Error>{error}<RequestId>{request}</RequestId></Error>",
            )
        elif service == "ec2":
            kind = "text/xml"
            text = (
                f"<Response><Errors><Error>{error}</Error></Errors>"
                f"<RequestID>{request}</RequestID></Response>"
            )
        elif environ.get("CONTENT_TYPE", "").startswith(_FORM):
            kind = "text/xml"
            text = (
                f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>"
                f"<RequestId>{request}</RequestId></ErrorResponse>"
            )
        else:
            kind = "application/x-amz-json-1.1"
            text = json.dumps({"__type": code, "message": message})
        body = text.encode()
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        headers += [("x-amzn-RequestId", request), ("x-amzn-errortype", code)]
        start_response(f"{self.status} Error", headers)
        return [body]
