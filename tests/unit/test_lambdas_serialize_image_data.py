"""`serializeImageData`: any photo becomes a small, whole image; anything else its own error."""

import base64
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from PIL import Image

from lambdas import serialize_image_data as serializer
from tests.lambda_kit import CONTEXT, event

STATE_LIMIT = 256 * 1024


@pytest.fixture
def s3(aws: None) -> Any:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="images")
    return s3


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(mode: str, width: int, height: int) -> Image.Image:
    bands = 2 if mode == "I;16" else len(Image.new(mode, (1, 1)).getbands())  # bytes a pixel
    return Image.frombytes(
        mode, (width, height), random.Random(1).randbytes(width * height * bands)
    )


def asked(s3: Any, content: bytes, key: str = "photo.png") -> tuple[dict[str, Any], Image.Image]:
    s3.put_object(Bucket="images", Key=key, Body=content)
    state = serializer.serialize({"s3_bucket": "images", "s3_key": key}, s3, 256)
    assert len(json.dumps(state)) < STATE_LIMIT
    image = Image.open(io.BytesIO(base64.b64decode(state["image_data"])))
    image.load()
    assert state["content_type"] == f"image/{str(image.format).lower()}"
    return state, image


def test_a_small_png_arrives_byte_for_byte_and_other_keys_stay(s3: Any) -> None:
    given = event("inference_original")
    content = saved(noise("RGB", 32, 32), "PNG")
    s3.put_object(Bucket="images", Key=given["s3_key"], Body=content)
    state = serializer.handler(given, CONTEXT)
    assert base64.b64decode(state["image_data"]) == content
    assert state == given | {"image_data": state["image_data"], "content_type": "image/png"}


def test_the_log_lines_carry_the_executions_name(
    s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = event("inference_from_workflow")
    s3.put_object(
        Bucket="images", Key=given["state"]["s3_key"], Body=saved(noise("L", 9, 9), "PNG")
    )
    serializer.handler(given, CONTEXT)
    with pytest.raises(serializer.ImageNotFound):
        serializer.handler(given | {"state": {"s3_bucket": "images", "s3_key": "none"}}, CONTEXT)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["execution"] for line in lines} == {"morning-run-17"}
    assert lines[-1]["level"] == "ERROR"
    assert lines[-1]["error"] == "ImageNotFound"


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        pytest.param(lambda: saved(noise("RGB", 1200, 900), "JPEG", quality=95), "RGB", id="JPEG"),
        pytest.param(lambda: saved(noise("RGBA", 700, 500), "PNG"), "RGB", id="PNG with alpha"),
        pytest.param(lambda: saved(noise("L", 700, 500), "PNG"), "RGB", id="greyscale"),
        pytest.param(lambda: saved(noise("I;16", 700, 500), "PNG"), "RGB", id="16 bits"),
        pytest.param(lambda: saved(noise("CMYK", 700, 500), "JPEG"), "RGB", id="CMYK"),
        pytest.param(lambda: saved(noise("L", 400, 300).convert("P"), "GIF"), "RGB", id="GIF"),
        pytest.param(lambda: saved(noise("RGB", 400, 300), "WEBP"), "RGB", id="WebP"),
    ],
)
def test_any_photo_becomes_a_bounded_thumbnail(
    s3: Any, content: Callable[[], bytes], mode: str
) -> None:
    _, image = asked(s3, content())
    assert max(image.size) == 256
    assert image.mode == mode


def test_a_photo_of_forty_megabytes_is_read_and_shrunk(s3: Any) -> None:
    photo = saved(noise("RGB", 5200, 2600), "PNG", compress_level=0)
    assert len(photo) > 40_000_000
    _, image = asked(s3, photo)
    assert image.size == (256, 128)


def test_a_sixteen_bit_grey_keeps_its_brightness(s3: Any) -> None:
    half = Image.new("I;16", (600, 400), 32768)
    _, image = asked(s3, saved(half, "PNG") + bytes(serializer.MAX_IMAGE_BYTES))
    assert image.getpixel((10, 10)) == (127, 127, 127)


def test_what_is_transparent_becomes_white(s3: Any) -> None:
    clear = Image.new("RGBA", (600, 400), (255, 0, 0, 0))
    _, image = asked(s3, saved(clear, "PNG") + bytes(serializer.MAX_IMAGE_BYTES))
    assert image.getpixel((10, 10)) == (255, 255, 255)


def test_of_an_animation_the_first_frame_is_taken(s3: Any) -> None:
    red, blue = Image.new("RGB", (50, 40), "red"), Image.new("RGB", (50, 40), "blue")
    _, image = asked(s3, saved(red, "GIF", save_all=True, append_images=[blue]))
    assert image.getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_photo_taken_upright_stays_upright(s3: Any, mode: str) -> None:
    lying = noise(mode, 800, 400)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned to the right
    _, image = asked(s3, saved(lying, "PNG", exif=exif))
    assert image.size == (128, 256)


@pytest.mark.parametrize("key", ["with a space.png", "Fahrräder/Ünïcode ☂.png", "a+b&c=d%20.png"])
def test_keys_with_spaces_and_unicode_are_found(s3: Any, key: str) -> None:
    asked(s3, saved(noise("RGB", 32, 32), "PNG"), key)


def zip_bomb() -> bytes:
    """A PNG of some bytes whose header claims 60,000 × 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(lambda: b"", serializer.ImageEmpty, id="empty"),
        pytest.param(lambda: b"just text\n" * 9, serializer.NotAnImage, id="text named .png"),
        pytest.param(
            lambda: saved(noise("RGB", 64, 64), "PNG")[:4000],
            serializer.ImageTruncated,
            id="PNG cut",
        ),
        pytest.param(
            lambda: saved(noise("RGB", 64, 64), "JPEG")[:1500],
            serializer.ImageTruncated,
            id="JPEG cut",
        ),
        pytest.param(zip_bomb, serializer.ImageTooLarge, id="zip bomb"),
        pytest.param(lambda: b"\x89PNG\r\n\x1a\n" + bytes(99), serializer.NotAnImage, id="broken"),
    ],
)
def test_what_is_no_whole_image_has_an_error_of_its_own(
    s3: Any, content: Callable[[], bytes], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"s3://images/photo\.png"):
        asked(s3, content())


def test_an_object_above_the_limit_is_refused_by_its_size(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serializer, "MAX_OBJECT_BYTES", 100)
    with pytest.raises(serializer.ImageTooLarge, match="has 101 bytes; at most 100"):
        asked(s3, bytes(101))


@pytest.mark.parametrize(("bucket", "key"), [("images", "none.png"), ("no-such-bucket", "x.png")])
def test_a_missing_object_or_bucket_is_named(s3: Any, bucket: str, key: str) -> None:
    with pytest.raises(serializer.ImageNotFound, match=f"s3://{bucket}/{key}"):
        serializer.serialize({"s3_bucket": bucket, "s3_key": key}, s3, 256)


@pytest.mark.parametrize("state", [{}, {"s3_bucket": "images"}, {"s3_bucket": "", "s3_key": 3}])
def test_an_input_without_an_address_is_refused(s3: Any, state: dict[str, Any]) -> None:
    with pytest.raises(serializer.InvalidInput, match="s3_bucket"):
        serializer.serialize(state, s3, 256)
