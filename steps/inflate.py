"""Decompresses a gzip file to standard output; for `gunzip`, on the other core.

    python inflate.py ARCHIVE.gz LIMIT

`LIMIT` is the greatest number of bytes that may come out. What is wrong with the archive ends in
one sentence on stderr and exit code 1. This is a program of its own because a thread would share
the GIL with the reader, and imports nothing of ours so that it starts in a moment.
"""

import sys
import zlib
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20  # bytes decompressed at a time


def main(archive: Path, limit: int, output: BinaryIO) -> None:
    """Writes what the archive holds; exits with one sentence when it is no sound one."""
    try:
        with archive.open("rb") as file:
            _decompress(file, limit, output)
    except BrokenPipeError:
        sys.exit(1)  # the reader has seen enough
    except EOFError:
        reason = f"the archive {archive.name} is truncated: its gzip stream ends early"
        sys.exit(f"{reason}; fetch it again")
    except zlib.error as error:
        reason = f"the archive {archive.name} is damaged or not a gzip file ({error})"
        sys.exit(f"{reason}; fetch it again")
    except OverflowError:
        sys.exit(f"the archive {archive.name} unfolds to more than {limit >> 20} MB")
    except OSError as error:
        sys.exit(f"the archive {archive.name} cannot be read: {error.strerror}")


def _decompress(file: BinaryIO, limit: int, output: BinaryIO) -> None:
    source = zlib.decompressobj(wbits=31)  # 31: with gzip's header and trailer, both checked
    while not source.eof:
        packed = source.unconsumed_tail or file.read(CHUNK // 4)
        # The second argument keeps a bomb from unfolding in memory all at once.
        chunk = source.decompress(packed, CHUNK)
        limit -= len(chunk)
        if limit < 0:
            raise OverflowError
        if not (chunk or packed):
            raise EOFError
        output.write(chunk)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.stdout.buffer)
