"""Disturbed traffic: what a dirty lens, dusk or a change of customers would send.

The images are altered copies below `classify/<batch>/` in the environment's bucket; the originals
stay as they are.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from PIL import Image, ImageEnhance, ImageFilter

Place = tuple[str, str]  # bucket and key

KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.4),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
}


def disturbed(places: list[Place], kinds: tuple[str, ...], bucket: str, s3: Any) -> Iterator[Place]:
    """The same images, altered in each of `kinds`; uploaded one by one, as they are asked for."""
    folder = f"classify/{uuid4().hex[:12]}"
    for number, (source, key) in enumerate(places):
        content = s3.get_object(Bucket=source, Key=key)["Body"].read()
        image = Image.open(io.BytesIO(content)).convert("RGB")
        for kind in kinds:
            image = KINDS[kind](image)
        body = io.BytesIO()
        image.save(body, "PNG")
        target = f"{folder}/{number:05}-{'-'.join(kinds)}.png"
        s3.put_object(Bucket=bucket, Key=target, Body=body.getvalue(), ContentType="image/png")
        yield bucket, target
