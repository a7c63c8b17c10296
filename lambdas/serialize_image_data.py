"""serializeImageData: an object in S3 → an image in the state, checked and small.

A state may hold 256 KB, so the picture in it must be bounded whatever the photo weighs:

    PNG or JPEG up to 90,000 bytes   as it is, so the endpoint sees what the evaluation saw
    anything else                    its first frame, upright, RGB, at most THUMBNAIL_SIDE pixels a
                                     side, as PNG, or as JPEG where a PNG would be larger

90,000 bytes are 120,000 characters of base64. The network looks at 32 × 32 pixels, so a thumbnail
of 256 loses nothing that it could see.
"""

import base64
import io
import os
import warnings
from typing import Any

from botocore.exceptions import ClientError

from lambdas import log
from lambdas.clients import client
from lambdas.log import Json

MAX_OBJECT_BYTES = 64 * 2**20
MAX_PIXELS = 100_000_000  # a file of some kilobytes can claim to unfold to gigabytes
MAX_IMAGE_BYTES = 90_000
FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "", "WEBP": "", "BMP": "", "TIFF": ""}


class InvalidInput(Exception):
    """The state lacks `s3_bucket` or `s3_key`."""


class ImageNotFound(Exception):
    """There is no such object, or the workflow may not read it."""


class ImageEmpty(Exception):
    """The object holds no byte."""


class ImageTooLarge(Exception):
    """More bytes or more pixels than are looked at."""


class ImageTruncated(Exception):
    """It begins as an image and ends too early."""


class NotAnImage(Exception):
    """The bytes are no image of a known format, whatever the key's ending says."""


def serialize(state: Json, s3: Any, side: int) -> Json:
    """The state with `image_data` (base64) and `content_type`. Raises the errors above."""
    bucket, key = state.get("s3_bucket"), state.get("s3_key")
    if not (isinstance(bucket, str) and bucket and isinstance(key, str) and key):
        raise InvalidInput('The input needs texts "s3_bucket" and "s3_key".')
    content, content_type = bounded(read(bucket, key, s3), f"s3://{bucket}/{key}", side)
    encoded = base64.b64encode(content).decode("ascii")
    return {**state, "image_data": encoded, "content_type": content_type}


def read(bucket: str, key: str, s3: Any) -> bytes:
    """The object's bytes; a large one is refused by its size, before it is read."""
    where = f"s3://{bucket}/{key}"
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("NoSuchKey", "NoSuchBucket", "404", "AccessDenied", "403", "InvalidBucketName"):
            # Without s3:ListBucket a missing object is AccessDenied, so both are one answer.
            raise ImageNotFound(f"{where} is not there or may not be read ({code}).") from error
        raise
    size = int(answer["ContentLength"])
    if size > MAX_OBJECT_BYTES:
        answer["Body"].close()
        raise ImageTooLarge(f"{where} has {size:,} bytes; at most {MAX_OBJECT_BYTES:,} are read.")
    if size == 0:
        raise ImageEmpty(f"{where} is empty.")
    return bytes(answer["Body"].read())


def bounded(content: bytes, where: str, side: int) -> tuple[bytes, str]:
    """An image of at most `MAX_IMAGE_BYTES` and its media type."""
    from PIL import Image, UnidentifiedImageError  # the layer's; costs time only when it is used

    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(content), formats=list(FORMATS)) as image,
        ):
            kind = str(image.format)
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise ImageTooLarge(f"{where} has {pixels:,} pixels; at most {MAX_PIXELS:,}.")
            if FORMATS.get(kind) and len(content) <= MAX_IMAGE_BYTES:
                image.load()  # to its end: the header alone does not say that it is whole
                return content, FORMATS[kind]
            return _thumbnail(image, side)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"{where}: {error}.") from error
    except UnidentifiedImageError as error:
        raise NotAnImage(f"{where} is not an image in {', '.join(FORMATS)}.") from error
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        raise _broken(where, error) from error


def _broken(where: str, error: Exception) -> Exception:
    text = str(error).lower()
    if "truncated" in text or "not enough" in text or isinstance(error, EOFError):
        return ImageTruncated(f"{where} ends before the image does ({error}).")
    return NotAnImage(f"{where} cannot be decoded ({error}).")


def _thumbnail(image: Any, side: int) -> tuple[bytes, str]:
    from PIL import Image, ImageOps

    image.draft("RGB", (side, side))  # a large JPEG is decoded at an eighth
    small = _rgb(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    small = ImageOps.exif_transpose(small)
    attempts: list[tuple[str, Json]] = [
        ("PNG", {"optimize": True}),
        *(("JPEG", {"quality": q}) for q in (92, 80, 60, 30)),
    ]
    for kind, options in attempts:
        out = io.BytesIO()
        small.save(out, kind, **options)
        if out.tell() <= MAX_IMAGE_BYTES:
            break
    return out.getvalue(), FORMATS[kind]


def _rgb(image: Any) -> Any:
    """Any mode as RGB: 16-bit grey is scaled, what is transparent becomes white."""
    from PIL import Image

    if image.mode.startswith("I"):
        # 65,535 becomes 255
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L").convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
        flat.info.update(image.info)
        if "exif" not in flat.info and image.getexif():
            flat.info["exif"] = image.getexif().tobytes()
        return flat
    return image.convert("RGB")


def handler(event: Json, context: Any) -> Json:
    """Input: `s3_bucket`, `s3_key`; whatever else is there stays as it is."""
    with log.call("serializeImageData", event, context) as call:
        side = int(os.environ.get("THUMBNAIL_SIDE", "256"))
        state = serialize(call.state, client("s3"), side)
        call.say("serialized", s3_key=state["s3_key"], characters=len(state["image_data"]))
        return state
