"""Writes a PNG of 32×32 pixels, as plainly as the format allows.

Pillow would do it too; but for images this small its start and its choice of a filter for every row
cost more than all else that Prepare does together, and the rows of such images gain little by a
filter (the files are a sixth larger). What is written here is read back by Pillow.

Source: Portable Network Graphics specification, third edition, W3C, chapters 5, 9 and 11.
"""

import struct
import zlib

SIDE = 32
PLANE = SIDE * SIDE  # bytes of one colour
LEVEL = 3  # of zlib; higher ones save less than a percent


def encode(pixels: bytes) -> bytes:
    """The PNG of an image given as 1,024 bytes of red, then of green, then of blue, by rows."""
    interleaved = bytearray(3 * PLANE)
    for colour in range(3):
        interleaved[colour::3] = pixels[colour * PLANE : (colour + 1) * PLANE]
    row = 3 * SIDE
    unfiltered = b"\0"  # the filter of the row that follows: none
    rows = [unfiltered + interleaved[start : start + row] for start in range(0, 3 * PLANE, row)]
    return _BEFORE + _chunk(b"IDAT", zlib.compress(b"".join(rows), LEVEL)) + _AFTER


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


# 8 bits a channel, RGB, and the only methods of compression, filtering and interlacing used.
_HEADER = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
_BEFORE = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", _HEADER)
_AFTER = _chunk(b"IEND", b"")
