"""The head of an HTTP message, read at a stroke when it came in one piece, as it mostly does.

Used at both ends of the model server's connections, and by the gateway. A small network's answer
takes a millisecond, and a head that is read line by line, or taken for an e-mail as the standard
library does, a tenth of one.
"""

import io


class TooLong(Exception):
    """A line, or the number of lines, is over the limit."""


def read_head(reader: io.BufferedReader, longest_line: int, most_lines: int) -> list[str]:
    """The lines before the empty one; none at the end of the connection. Raises TooLong."""
    here = reader.peek()
    end = here.find(b"\r\n\r\n")
    if 0 <= end <= longest_line:
        lines = reader.read(end + 4)[:-4].decode("latin-1").split("\r\n")
    else:
        lines = _one_by_one(reader, longest_line, most_lines)
    if len(lines) > most_lines:
        raise TooLong(f"a head may have {most_lines} lines")
    return lines


def _one_by_one(reader: io.BufferedReader, longest_line: int, most_lines: int) -> list[str]:
    lines: list[str] = []
    while len(lines) <= most_lines:
        line = reader.readline(longest_line)
        if len(line) == longest_line:
            raise TooLong(f"a line of the head may have {longest_line} bytes")
        text = line.decode("latin-1").rstrip("\r\n")
        if not text:
            break
        lines.append(text)
    return lines
