"""PNGs of every kind, made of random rows: any bytes behind a known filter are some image."""

import io
import struct
import zlib
from typing import NamedTuple

from hypothesis import strategies as st
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [
    *((0, depth) for depth in (1, 2, 4, 8, 16)),
    *((3, depth) for depth in (1, 2, 4, 8)),
    *((colour, depth) for colour in (2, 4, 6) for depth in (8, 16)),
]
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4))
ADAM7 += ((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class Made(NamedTuple):
    """A PNG with its kind."""

    data: bytes
    colour: int
    depth: int
    width: int
    height: int


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def header(width: int, height: int, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    fields = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return SIGNATURE + chunk(b"IHDR", fields)


@st.composite
def pngs(draw: st.DrawFn, largest: int = 20) -> Made:
    """Any colour type, depth, filters, interlacing, palette and transparency."""
    colour, depth = draw(st.sampled_from(KINDS))
    width, height = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    interlaced = draw(st.integers(0, 1))
    random = draw(st.randoms(use_true_random=False))
    rows = b""
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, lines = -((left - width) // across), -((top - height) // down)
        if columns > 0 and lines > 0:
            stride = (columns * depth * SAMPLES[colour] + 7) // 8
            for _ in range(lines):
                rows += bytes([random.randrange(5)]) + random.randbytes(stride)
    parts = [header(width, height, depth, colour, interlaced)]
    if colour == 3:
        parts.append(chunk(b"PLTE", random.randbytes(3 << depth)))
    if draw(st.booleans()) and colour in (0, 2, 3):
        parts.append(chunk(b"tRNS", random.randbytes({0: 2, 2: 6, 3: 1}[colour])))
    packed = zlib.compress(rows)
    cut = draw(st.integers(0, len(packed)))  # the pixels may come in several chunks
    parts += [chunk(b"IDAT", packed[:cut]), chunk(b"IDAT", packed[cut:]), chunk(b"IEND", b"")]
    return Made(b"".join(parts), colour, depth, width, height)


def plain(width: int = 8, height: int = 6, rows: bytes | None = None) -> bytes:
    """An 8-bit RGB PNG; of a gradient unless its filtered rows are given."""
    if rows is None:
        line = bytes(range(0, 3 * width))
        rows = b"".join(b"\1" + bytes(b + y & 255 for b in line) for y in range(height))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return header(width, height) + body


def other(kind: str, width: int = 9, height: int = 7) -> bytes:
    """The same gradient as JPEG, GIF, BMP, … by Pillow."""
    buffer = io.BytesIO()
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image.save(buffer, kind)
    return buffer.getvalue()
