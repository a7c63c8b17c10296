"""The images that were least sure, small enough to lie in a page.

The bytes are strangers': only PNG and JPEG are decoded, of a size that an endpoint takes and with a
number of pixels that cannot fill the memory, and what is shown was encoded anew from the pixels.
"""

import io
import warnings
from collections.abc import Sequence

from PIL import Image

from monitoring.report.observations import Observation, seconds, usable

LEAST_SURE = 12
LONGEST_SIDE = 128  # pixels of a thumbnail
MOST_BYTES = 6_291_456  # InvokeEndpoint takes no larger body
MOST_PIXELS = 40_000_000  # 120 MB decoded; a phone's photograph has 12 million


def least_sure(
    observations: Sequence[Observation], classes: Sequence[str], count: int = LEAST_SURE
) -> list[Observation]:
    """The `count` usable answers of the lowest confidence, lowest first."""
    kept = [one for one in observations if usable(one, classes)]
    kept.sort(key=lambda one: (one.confidence, seconds(one.inference_time), one.inference_id))
    return kept[:count]


def decode(image: bytes | None) -> Image.Image | None:
    """The picture in RGB, no side longer than `LONGEST_SIDE`; None where there is none to show."""
    if image is None or len(image) > MOST_BYTES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a decoder that warns of a bomb must not go on
            with Image.open(io.BytesIO(image), formats=("PNG", "JPEG")) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    return None
                picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
                small = picture.convert("RGB")
    except Exception:  # decoders fail on hostile bytes in many ways, and none may end the report
        return None
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return small


def png(picture: Image.Image) -> bytes:
    """The picture alone: no profile, text or time of the original comes with it."""
    target = io.BytesIO()
    clean = Image.frombytes("RGB", picture.size, picture.tobytes())
    clean.save(target, "PNG", optimize=False)
    return target.getvalue()


def missing(one: Observation) -> str:
    """Why there is no picture of an answer."""
    return "image not\ncaptured" if one.image is None else "image cannot be\ndecoded"
