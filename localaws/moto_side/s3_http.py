"""The HTTP side of moto's S3: large bodies come and go as files, and changes are noted."""

from typing import Any

import moto.s3.responses as responses

from localaws.moto_side import s3_events
from localaws.moto_side.s3 import here, lazy_values, one_by_one

BLOB = "localaws.blob"  # where a request's environment holds the body that was written already


class Response(responses.S3Response):
    """The HTTP side: large objects leave as files, and a changed key or bucket is noted."""

    def setup_class(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().setup_class(request, *args, **kwargs)
        if BLOB in request.environ:
            self.body = request.environ[BLOB]

    def get_object(self) -> Any:
        for _ in range(3):
            try:
                with lazy_values():
                    return super().get_object()
            except FileNotFoundError:
                continue  # the object was replaced between the look-up and the read
        return super().get_object()

    def put_object(self) -> Any:
        with one_by_one(self.bucket_name, self.parse_key_name()), s3_events.writing():
            return super().put_object()

    def copy_object(self) -> Any:
        with s3_events.writing():
            return super().copy_object()

    def serialized(self, action_result: Any) -> Any:
        """Shows EventBridge in a bucket's notifications, which moto leaves out."""
        if self.data.get("Action") == "GetBucketNotificationConfiguration":
            kept: Any = self.backend.get_bucket_notification_configuration(self.bucket_name)
            if kept and kept.event_bridge is not None:
                action_result.result["EventBridgeConfiguration"] = {}
        return super().serialized(action_result)

    def key_response(self, request: Any, full_url: str, headers: Any) -> Any:
        try:
            return super().key_response(request, full_url, headers)
        finally:
            if request.method not in ("GET", "HEAD"):
                here.journal.touch("object", self.bucket_name, self.parse_key_name())

    def bucket_response(self, request: Any, full_url: str, headers: Any) -> Any:
        try:
            return super().bucket_response(request, full_url, headers)
        finally:
            if request.method not in ("GET", "HEAD") and self.bucket_name:
                here.journal.touch("bucket", self.bucket_name, "")


def install() -> None:
    """Puts this class in the place of moto's, which `moto.s3.urls` looks up by name."""
    responses.S3Response = Response  # type: ignore[misc]
