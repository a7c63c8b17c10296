"""A captured record of an image endpoint -> one flat row of features.

Model Monitor runs this file by itself, once a record, inside its own container: standard library,
Python 3.7 syntax, nothing written to stdout, no exception ever (one would fail the whole job), the
same sorted keys in every row, plain floats and text. `features.py` computes the same rows faster.

Every number is exact integer arithmetic over the 8-bit red, green and blue of the pixels, until the
one formula in `measured`; so it is the same to the last digit whoever decoded the image.

    luma        Y = (77 R + 150 G + 29 B + 128) // 256 of a pixel, 0..255 (BT.601 weights)
    brightness  mean of Y / 255, 0..1
    contrast    standard deviation of Y / 255, 0..0.5
    saturation  sum of (max - min) / sum of max, over max and min of R, G, B of each pixel, 0..1;
                unlike the mean of the pixels' ratios it does not change when an image gets darker
    sharpness   variance of 4 Y - up - down - left - right over the inner pixels, in levels squared,
                0..1040400; 0 where an image has no inner pixels
    red, green, blue              mean of the channel / 255, 0..1
    width, height                 pixels, from the header when the pixels cannot be decoded
    decode_ok                     1.0, or 0.0: then the features of the pixels are None
    p_bicycle, p_motorcycle       as the endpoint answered, 0..1
    confidence, margin            the larger of the two; their difference
    predicted_class               the larger one's name; bicycle when they are equal

PNG is decoded here (all colour types and depths, interlaced or not), other formats by Pillow where
that can be imported; where it cannot, every such image has `decode_ok` 0.0. As in Pillow's
`convert("RGB")` the high byte of 16 bits counts, and transparency does not.

Sources: PNG specification, third edition, W3C, and
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-pre-and-post-processing.html

Not confirmed by AWS: the container's Python version, whether it has Pillow, and what it makes of a
row that is None or {}; so neither is ever returned.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import json
import math
import struct
import sys
import zlib
from typing import Any, Dict, Iterator, NamedTuple, Sequence, Tuple, Union

Row = Dict[str, Union[float, str, None]]
Planes = Tuple[bytes, bytes, bytes]  # red, green and blue: a byte a pixel each, by rows

CLASSES = ("bicycle", "motorcycle")
COLOURS = ("red", "green", "blue")
OF_PIXELS = ("brightness", "contrast", "saturation", "sharpness", *COLOURS)
OF_ANSWER = ("p_bicycle", "p_motorcycle", "confidence", "margin", "predicted_class")
NAMES = tuple(sorted((*OF_PIXELS, "width", "height", "decode_ok", *OF_ANSWER)))
MAX_PIXELS = 1 << 24  # an image that claims more is not decoded, by nobody
PILLOW_FORMATS = ("JPEG", "GIF", "BMP", "WEBP", "TIFF")  # Pillow would hand EPS to a program
_BAND = 1 << 16  # pixels that are worked on at a time


class Damaged(ValueError):
    """The image cannot be decoded; says why."""


class Picture(NamedTuple):
    """An image's size where it is known, and its pixels where they could be decoded."""

    width: int | None
    height: int | None
    planes: Planes | None


class Sums(NamedTuple):
    """All that the features need of the pixels: exact sums over them. `inner` ones have edges."""

    pixels: int
    red: int
    green: int
    blue: int
    largest: int
    smallest: int
    luma: int
    luma_squared: int
    inner: int
    edges: int
    edges_squared: int


def preprocess_handler(inference_record: Any, logger: Any = None) -> Row:
    """The row of a captured record. Both names of the parameters are Model Monitor's."""
    try:
        return row_of(inference_record)
    except Exception as error:  # an exception here would fail the whole monitoring job
        with contextlib.suppress(Exception):  # no logger, or a broken one; the row says it too
            logger.warning("a captured record was not understood: %r", error)
        return row(Picture(None, None, None), None, None)


def row_of(record: Any) -> Row:
    image = image_of(getattr(record, "endpoint_input", None))
    seen = Picture(None, None, None) if image is None else picture(image)
    sums = sums_of(seen) if seen.planes is not None else None
    return row(seen, sums, probabilities_of(getattr(record, "endpoint_output", None)))


def row(seen: Picture, sums: Sums | None, probabilities: Sequence[float] | None) -> Row:
    """All features, in the order of their names."""
    found: Row = dict.fromkeys(NAMES)
    found["decode_ok"] = 0.0 if sums is None else 1.0
    found["width"] = None if seen.width is None else float(seen.width)
    found["height"] = None if seen.height is None else float(seen.height)
    if sums is not None:
        found.update(measured(sums))
    if probabilities is not None:
        first, second = probabilities
        found["p_bicycle"], found["p_motorcycle"] = _rounded(first), _rounded(second)
        found["confidence"] = _rounded(max(first, second))
        found["margin"] = _rounded(abs(first - second))
        found["predicted_class"] = CLASSES[0 if first >= second else 1]
    return found


def measured(sums: Sums) -> dict[str, float]:
    """The features of the pixels. Divisions of exact integers: correctly rounded everywhere."""
    n, m = sums.pixels, sums.inner
    spread = n * sums.luma_squared - sums.luma * sums.luma
    edges = m * sums.edges_squared - sums.edges * sums.edges
    found = {
        "brightness": sums.luma / (255 * n),
        "contrast": math.sqrt(spread) / (255 * n),
        "saturation": (sums.largest - sums.smallest) / (sums.largest or 1),
        "sharpness": edges / (m * m or 1),
        "red": sums.red / (255 * n),
        "green": sums.green / (255 * n),
        "blue": sums.blue / (255 * n),
    }
    return {name: _rounded(value) for name, value in found.items()}


def _rounded(value: float) -> float:
    """To 4 decimals; what is left is 0 or at least 0.0001, which Python writes without exponent."""
    return round(value, 4) + 0.0  # + 0.0 turns -0.0 into 0.0


# The record: an image and two probabilities.


def _body(part: Any) -> bytes | None:
    """What went over the wire, by the half's own encoding."""
    data = getattr(part, "data", None)
    if not isinstance(data, str):
        return None
    if getattr(part, "encoding", None) == "BASE64":
        return _from_base64(data)
    return data.encode("utf-8", "surrogatepass")


def _from_base64(text: str) -> bytes | None:
    for candidate in (text, "".join(text.split())):  # some encoders break lines
        with contextlib.suppress(ValueError):  # binascii.Error is one; so is one about non-ASCII
            return base64.b64decode(candidate, validate=True)
    return None


def image_of(part: Any) -> bytes | None:
    """The image's bytes: the body itself, or base64 in JSON, {"image": "..."}. None without one."""
    body = _body(part)
    if body is None or (getattr(part, "encoding", None) == "BASE64" and body[:1] not in b'{"'):
        return body or None
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = value.get("image")
    if not isinstance(value, str):
        return None
    return _from_base64(value.partition("base64,")[2] or value) or None


def probabilities_of(part: Any) -> tuple[float, float] | None:
    """The answer's two probabilities; None when it is anything else (NaN, a third class, 1.2)."""
    try:
        text = (_body(part) or b"").decode("utf-8").strip()
        found = json.loads(text) if text[:1] == "[" else text.split(",")
        if len(found) == 1 and isinstance(found[0], list):  # a batch of one
            found = found[0]
        return pair(found)
    except (ValueError, TypeError, RecursionError):
        return None


def pair(values: Sequence[Any]) -> tuple[float, float] | None:
    """The two numbers from 0 to 1 in `values`; None when they are anything else."""
    try:
        first, second = (float(value) for value in values)
    except (ValueError, TypeError, OverflowError):
        return None
    return (first, second) if 0 <= first <= 1 and 0 <= second <= 1 else None


def picture(image: bytes) -> Picture:
    """Decodes what can be decoded."""
    if image.startswith(SIGNATURE):
        try:
            return decoded(parsed(image))
        except Damaged:
            return Picture(*size_of(image), planes=None)
    return by_pillow(image) or Picture(*size_of(image), planes=None)


def by_pillow(image: bytes) -> Picture | None:
    """The picture in one of PILLOW_FORMATS; None without Pillow, or when Pillow gives up."""
    try:
        from PIL import Image

        with Image.open(io.BytesIO(image), formats=PILLOW_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return None
            rgb = opened.convert("RGB")
    except Exception:  # no Pillow; and on damaged files it raises nearly anything
        return None
    red, green, blue = (band.tobytes() for band in rgb.split())
    return Picture(rgb.width, rgb.height, (red, green, blue))


def size_of(image: bytes) -> tuple[int | None, int | None]:
    """Width and height as the header of a PNG, GIF, BMP or JPEG says, without decoding."""
    try:
        if image.startswith(SIGNATURE) and image[12:16] == b"IHDR":
            return struct.unpack(">II", image[16:24])
        if image[:6] in (b"GIF87a", b"GIF89a"):
            return struct.unpack("<HH", image[6:10])
        if image[:2] == b"BM":
            width, height = struct.unpack("<ii", image[18:26])
            return abs(width), abs(height)
        place = 2
        while image[:2] == b"\xff\xd8":  # JPEG: over its segments, to the start of the frame
            marker, length = struct.unpack(">HH", image[place : place + 4])
            if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
                height, width = struct.unpack(">HH", image[place + 5 : place + 9])
                return width, height
            place += 2 + length if marker != 0xFFFF else 1
    except struct.error:  # the header is cut off
        pass
    return None, None


# Sums. Pure Python adds many pixels at a time: each is a 16-bit lane of one large integer, low lane
# first. No lane overflows, for the luma's sum is at most 65408 and an edge's at most 2040.

_LOW = bytes(value * value & 255 for value in range(256))  # the squares' two bytes, as tables
_HIGH = bytes(value * value >> 8 for value in range(256))
_SQUARES = [value * value for value in range(2041)]


@functools.lru_cache(maxsize=8)
def _ones(count: int) -> int:
    return int.from_bytes(b"\1\0" * count, "little")


@functools.lru_cache(maxsize=8)
def _inner(width: int, height: int) -> int:
    """A mask of the lanes that have four neighbours, in `height` rows."""
    line = b"\0\0" + b"\xff\xff" * (width - 2) + b"\0\0"
    return int.from_bytes(bytes(2 * width) + line * (height - 2), "little")


def _lanes(plane: bytes) -> int:
    spread = bytearray(2 * len(plane))
    spread[::2] = plane
    return int.from_bytes(spread, "little")


def _bytes(lanes: int, count: int) -> bytes:
    return lanes.to_bytes(2 * count, "little")[::2]


def _ordered(a: int, b: int, tops: int) -> tuple[int, int]:
    """The larger and the smaller of each pair of lanes, all below 256; `tops` is 256 in each."""
    more = (a | tops) - b
    found = more & tops  # where a >= b
    more &= found - (found >> 8)
    return b + more, a - more


def _total(values: bytes) -> int:
    """Their sum. Adler-32 is the fastest in the library, exact up to 256 bytes: it is mod 65521."""
    parts = range(0, len(values), 256)
    return sum([zlib.adler32(values[at : at + 256], 0) & 0xFFFF for at in parts])


def sums_of(seen: Picture) -> Sums:
    """The sums over a picture that has planes, a band at a time."""
    width, height, planes = seen
    if width is None or height is None or planes is None:
        raise Damaged("there are no pixels to add up")
    largest = smallest = 0
    lumas: list[bytes] = []
    for start in range(0, width * height, _BAND):
        parts = [plane[start : start + _BAND] for plane in planes]
        count, (red, green, blue) = len(parts[0]), map(_lanes, parts)
        ones = _ones(count)
        larger, smaller = _ordered(red, green, ones << 8)
        largest += _total(_bytes(_ordered(larger, blue, ones << 8)[0], count))
        smallest += _total(_bytes(_ordered(smaller, blue, ones << 8)[1], count))
        weighted = red * 77 + green * 150 + blue * 29 + (ones << 7)
        lumas.append(weighted.to_bytes(2 * count, "little")[1::2])
    luma = b"".join(lumas)
    inner = max(0, width - 2) * max(0, height - 2)
    edges, edges_squared = _edges(luma, width, height) if inner else (0, 0)
    return Sums(
        pixels=width * height,
        red=_total(planes[0]),
        green=_total(planes[1]),
        blue=_total(planes[2]),
        largest=largest,
        smallest=smallest,
        luma=_total(luma),
        luma_squared=_total(luma.translate(_LOW)) + 256 * _total(luma.translate(_HIGH)),
        inner=inner,
        edges=edges,
        edges_squared=edges_squared,
    )


def _edges(luma: bytes, width: int, height: int) -> tuple[int, int]:
    """Sum and sum of squares of the Laplacian + 1020, which makes no difference to its variance."""
    total = squared = 0
    rows = max(1, _BAND // width)
    for top in range(0, height - 2, rows):
        band = luma[top * width : (top + rows + 2) * width]  # a row more above and below
        count = len(band)
        y, mask = _lanes(band), _inner(width, count // width)
        around = (y << 16) + (y >> 16) + (y << 16 * width) + (y >> 16 * width)
        edges = (4 * y + 1020 * _ones(count) - around) & mask
        total += _total(_bytes(edges, count)) + 256 * _total(_bytes(edges >> 8, count))
        values = memoryview(edges.to_bytes(2 * count, sys.byteorder)).cast("H")
        squared += sum(map(_SQUARES.__getitem__, values))
    return total, squared


# PNG.

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey + alpha, RGBA
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = (  # first column and row, step between columns and between rows
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


class Png(NamedTuple):
    """A checked PNG: `rows` are its unpacked rows, each after its filter's number, by passes."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: int
    palette: bytes
    rows: bytes

    def passes(self) -> Iterator[tuple[tuple[int, int, int, int], int, int, int]]:
        """(first column and row, steps), width, height and bytes a row of each pass with pixels."""
        for place in _ADAM7 if self.interlaced else _WHOLE:
            width = -((place[0] - self.width) // place[2])
            height = -((place[1] - self.height) // place[3])
            if width > 0 and height > 0:
                bits = width * self.depth * _SAMPLES[self.colour]
                yield place, width, height, (bits + 7) // 8


def parsed(image: bytes) -> Png:
    """Checks and unpacks, never more than the header announces. Raises Damaged."""
    chunks = _chunks(image)
    kind, body = next(chunks, (b"", b""))
    if kind != b"IHDR" or len(body) != 13:
        raise Damaged("it does not begin with a header")
    width, height, depth, colour, packing, filtering, interlaced = struct.unpack(">IIBBBBB", body)
    if depth not in _DEPTHS.get(colour, ()) or packing or filtering or interlaced > 1:
        raise Damaged("its header has values that PNG does not know")
    if not 0 < width * height <= MAX_PIXELS:
        raise Damaged(f"it claims {width} x {height} pixels")
    palette = b""
    packed: list[bytes] = []
    for kind, body in chunks:
        if kind == b"PLTE":
            palette = body
        elif kind == b"IDAT":
            packed.append(body)
        elif packed:
            break
    png = Png(width, height, depth, colour, interlaced, palette, b"")
    size = sum((1 + stride) * rows for _, _, rows, stride in png.passes())
    try:
        rows = zlib.decompressobj().decompress(b"".join(packed), size + 1)[:size]
    except zlib.error:
        raise Damaged("its pixels cannot be unpacked") from None
    if len(rows) < size or (colour == 3 and not palette):
        raise Damaged("its pixels or its palette are not all there")
    return png._replace(rows=rows)


def _chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place + 12 <= len(image):
        length, kind = struct.unpack(">I4s", image[place : place + 8])
        end = place + 8 + length
        if end + 4 > len(image):
            break  # cut off: what is missing is missed where it is needed
        if kind[:1].isupper() and image[end : end + 4] != struct.pack(
            ">I", zlib.crc32(image[place + 4 : end])
        ):
            raise Damaged(f"the checksum of its {kind!r} is wrong")
        yield kind, image[place + 8 : end]
        place = end + 4


def decoded(png: Png) -> Picture:
    """The pixels. Raises Damaged for a filter that PNG does not know."""
    whole = tuple(bytearray(png.width * png.height) for _ in COLOURS)
    start = 0
    for (left, top, across, down), width, height, stride in png.passes():
        end = start + (1 + stride) * height
        planes = _planes(png, png.rows[start:end], width, stride)
        start = end
        if not png.interlaced:
            return Picture(png.width, png.height, planes)
        for plane, part in zip(whole, planes):
            for row in range(height):
                at = (top + row * down) * png.width
                plane[at + left : at + png.width : across] = part[row * width : (row + 1) * width]
    red, green, blue = map(bytes, whole)
    return Picture(png.width, png.height, (red, green, blue))


def _planes(png: Png, rows: bytes, width: int, stride: int) -> Planes:
    count, size = _SAMPLES[png.colour], max(1, png.depth // 8)
    seen = range(0, size * (count - (count in (2, 4))), size)  # no opacity, and no low bytes
    planes = _unfiltered(rows, stride, size * count, seen)
    if png.depth < 8:
        table = _unpacking(png.depth, png.colour == 0)
        lines = (planes[0][at : at + stride] for at in range(0, len(planes[0]), stride))
        planes = [b"".join(b"".join([table[byte] for byte in line])[:width] for line in lines)]
    if png.colour == 3:  # an index beyond the palette is black
        palette = png.palette[:768].ljust(768, b"\0")
        planes = [planes[0].translate(palette[colour::3]) for colour in range(3)]
    red, green, blue = planes if len(planes) == 3 else planes * 3
    return red, green, blue


@functools.lru_cache(maxsize=8)
def _unpacking(depth: int, scaled: bool) -> list[bytes]:
    """For each byte its samples; of grey ones scaled to 0..255."""
    most = (1 << depth) - 1
    factor = 255 // most if scaled else 1
    shifts = range(8 - depth, -1, -depth)
    return [bytes((byte >> shift & most) * factor for shift in shifts) for byte in range(256)]


# Filters. A byte needs those to its left, above it, and in the corner between. So the bytes on a
# diagonal are done together, lanes of one integer: each row is a step behind the row above. What
# was done a step ago is then to the left, a lane further above, and another step later the corner.

_BAND_ROWS = 64  # that are worked on at a time
_USERS = ((1, 3, 4), (2, 3, 4), (4,), (3,))  # filters that use the left, above, corner, their mean
_USES = tuple(bytes(255 * (number in users) for number in range(256)) for users in _USERS)


def _unfiltered(rows: bytes, stride: int, step: int, seen: Sequence[int]) -> list[bytes]:
    """Takes the filters off rows whose pixels have `step` bytes; a plane of each byte in `seen`."""
    filters, width = rows[:: stride + 1], stride // step
    if max(filters) > 4:
        raise Damaged(f"it has a row with the unknown filter {max(filters)}")
    lines = [rows[at : at + stride] for at in range(1, len(rows), stride + 1)]
    data = b"".join([bytes(stride), *lines])  # what is above the first row counts as 0
    planes = [bytearray(data[place::step]) for place in seen]
    for top in range(0, len(filters), _BAND_ROWS):
        band = filters[top : top + _BAND_ROWS]
        if any(band):
            _unfilter(planes, width, top * width, b"\0" + band)
    return [bytes(plane[width:]) for plane in planes]


@functools.lru_cache(maxsize=8)
def _diagonals(width: int, height: int, planes: int) -> list[slice]:
    """Where each row's bytes are, of each plane, if all are laid out by diagonals, in lanes."""
    size = 2 * planes * height  # of a diagonal
    places = []
    for lane in range(planes * height):
        first = lane % height * size + 2 * lane
        places.append(slice(first, first + (width - 1) * size + 1, size))
    return places


def _unfilter(planes: Sequence[bytearray], width: int, start: int, filters: bytes) -> None:
    """Takes the filters off rows from byte `start` on, in place; the first row has none left."""
    places = _diagonals(width, len(filters), len(planes))
    height, count = len(filters), len(places)
    ends = range(start, start + width * height, width)
    lines = [(plane, slice(at, at + width)) for plane in planes for at in ends]
    grid = bytearray(2 * count * (width + height - 1))
    for place, (plane, line) in zip(places, lines):
        grid[place] = plane[line]
    lefts, aboves, corners, means = (_lanes(filters.translate(use) * len(planes)) for use in _USES)
    ones = _ones(count)
    tops, bias, twice, low = ones << 8, ones << 10, ones << 11, ones * 255
    done = above = 0
    for at in range(0, len(grid), 2 * count):
        corner, above, left = above & corners, done << 16 & aboves, done & lefts
        both = left + above
        larger, smaller = _ordered(left, above, tops)
        # Paeth's choice, in fewer steps than in the specification.
        middle = 3 * corner + bias - both
        is_smaller = (middle - larger >> 10 & ones) * 255
        is_larger = (smaller + twice - middle >> 10 & ones) * 255
        guess = corner ^ (corner ^ smaller) & is_smaller ^ (corner ^ larger) & is_larger
        guess ^= (guess ^ both >> 1) & means
        done = int.from_bytes(grid[at : at + 2 * count], "little") + guess & low
        grid[at : at + 2 * count] = done.to_bytes(2 * count, "little")
    for place, (plane, line) in zip(places, lines):
        plane[line] = grid[place]
