"""The gate in front of every service: a request passes, or is refused in its service's format.

The administrator's requests pass after a look at the access key's id. A bucket's policy holds for
the administrator too, because a Deny there is meant for everyone.
"""

import json
import re
import uuid
from collections.abc import Iterable
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment
from xml.sax.saxutils import escape

from localaws.permissions import calls, s3_actions
from localaws.permissions.guard import Denied, Guard
from localaws.permissions.principal import Rejected, Session

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/,]+)/\d{8}/[^/,]*/(?P<service>[^/,]+)/aws4_req")
_FORM = "application/x-www-form-urlencoded"
_MOTO = ("/moto-api", "/latest/", "/favicon.ico")  # no bucket's: refused further on, by name
_LONGEST_BODY = 1 << 20  # bytes of a list of objects to delete, the only body of S3 that is read


class Enforcement:
    """Says of each request whether it may pass."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def refuse(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """The refusal, already begun; None for a request that may pass."""
        key, service = _credential(environ)
        try:
            session = self._session(key, service, environ)
            if session is None:
                return None
            if service == "s3":
                self._guard.require_s3(session, s3_actions.read(environ), lambda: _body(environ))
                return None
            call = calls.read(environ, service)
            if call is None:
                return None  # no operation: the service says so
            self._guard.require_call(session, service, call.operation, call.parameters)
        except Rejected as rejected:
            return _send(
                environ, start_response, service, *_credentials_refused(rejected, environ, service)
            )
        except Denied as denied:
            return _send(environ, start_response, service, *_denied(denied, environ, service))
        return None

    def _session(self, key: str, service: str, environ: WSGIEnvironment) -> Session | None:
        """Whose request it is; None where there is nothing to ask."""
        principals = self._guard.principals
        session = principals.of_key(key) if key else None
        if session is not None or service != "s3":
            return session
        if not key:
            is_moto = environ["PATH_INFO"].startswith(_MOTO)
            return None if is_moto else principals.anonymous()
        name = s3_actions.bucket_of(environ)
        return principals.administrator() if self._guard.has_policy(name) else None


def _credential(environ: WSGIEnvironment) -> tuple[str, str]:
    """The access key's id and the service of a signed request; a link may be signed as well."""
    match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if match is None and "X-Amz-Credential=" in environ.get("QUERY_STRING", ""):
        parts = parse_qs(environ["QUERY_STRING"])["X-Amz-Credential"][0].split("/")
        return (parts[0], parts[3]) if len(parts) == 5 else ("", "s3")
    return (match["key"], match["service"].lower()) if match else ("", "s3")


def _body(environ: WSGIEnvironment) -> bytes:
    if int(environ.get("CONTENT_LENGTH") or 0) > _LONGEST_BODY:
        raise Denied("localaws reads lists of at most 1 MB.")
    return calls.body(environ)


def _denied(error: Denied, environ: WSGIEnvironment, service: str) -> tuple[int, str, str]:
    message = error.message
    if service == "s3":
        quoted = re.sub(r"on resource: (\S+)", r'on resource: "\1"', message)
        return 403, "AccessDenied", quoted
    if service == "sns":
        return 403, "AuthorizationError", message.replace(" sns:", " SNS:")
    if service == "sqs":
        lowered = re.sub(r"sqs:\w+", lambda match: match[0].lower(), message)
        return 403, "AccessDenied", lowered
    if _is_query(environ):
        return 403, "AccessDenied", message
    is_rest = service in ("lambda", "scheduler") or not environ.get("HTTP_X_AMZ_TARGET")
    return 403 if is_rest else 400, "AccessDeniedException", message


def _credentials_refused(
    error: Rejected, environ: WSGIEnvironment, service: str
) -> tuple[int, str, str]:
    if service == "s3":
        if error.is_expired:
            return 400, "ExpiredToken", "The provided token has expired."
        return (
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        )
    expired = "The security token included in the request is expired"
    invalid = "The security token included in the request is invalid."
    if _is_query(environ):
        code = "ExpiredToken" if error.is_expired else "InvalidClientTokenId"
        return 403, code, expired if error.is_expired else invalid
    code = "ExpiredTokenException" if error.is_expired else "UnrecognizedClientException"
    is_rest = not environ.get("HTTP_X_AMZ_TARGET")
    return 403 if is_rest else 400, code, expired if error.is_expired else invalid


def _is_query(environ: WSGIEnvironment) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).startswith(_FORM)


def _send(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    service: str,
    status: int,
    code: str,
    message: str,
) -> Iterable[bytes]:
    request = str(uuid.uuid4())
    error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    headers = [("x-amzn-RequestId", request)]
    if service == "s3":
        kind = "application/xml"
        text = f"<Error>{error}<RequestId>{request}</RequestId></Error>"
    elif _is_query(environ):
        kind = "text/xml"
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>"
            f"<RequestId>{request}</RequestId></ErrorResponse>"
        )
    else:
        kind = "application/x-amz-json-1.1"
        text = json.dumps({"__type": code, "message": message, "Message": message})
        headers += [("x-amzn-errortype", code), ("x-amzn-query-error", f"{code};Sender")]
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else text.encode()
    headers += [("Content-Type", kind), ("Content-Length", str(len(body)))]
    start_response(f"{status} Error", headers)
    return [body]
