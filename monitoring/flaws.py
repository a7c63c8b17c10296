"""What is wrong with a captured record that is a record."""

import base64
import json
import string
from collections.abc import Sequence

from monitoring.record import Part, Record

HALVES = ("endpointInput", "endpointOutput")
_BASE64 = (string.ascii_letters + string.digits + "+/").encode("ascii")
_NO_NUMBERS = frozenset({"nan", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"})


class _Flaw(ValueError):
    pass


def flaw(record: Record, halves: Sequence[str] = HALVES) -> str | None:
    """The first trouble with the expected `halves`, or None.

    A half is missing, is in no known encoding, is not what its encoding says, or holds a number
    that is none (NaN, infinity).
    """
    for name in halves:
        part = record.part(name)
        if part is None:
            return f"{name} is missing"
        try:
            _check(part)
        except _Flaw as found:
            return f"{name} {found}"
    return None


def _check(part: Part) -> None:
    if not isinstance(part.data, str):
        raise _Flaw("has no data")
    if part.encoding == "BASE64":
        _check_base64(part)
    elif part.encoding == "JSON":
        _check_json(part.data)
    elif part.encoding == "CSV":
        _check_csv(part.data)
    else:
        raise _Flaw(f"has the unknown encoding {part.encoding!r}")


def _check_base64(part: Part) -> None:
    text = part.data
    padding = text.encode("ascii", "replace").translate(None, _BASE64).decode("ascii")
    if padding not in ("", "=", "==") or len(text) % 4 or not text.endswith(padding):
        raise _Flaw("is no base64")
    if "json" in str(part.observedContentType).lower():  # no header list names application/json
        try:
            _check_json(base64.b64decode(text).decode("utf-8"))
        except UnicodeDecodeError:
            raise _Flaw("is no JSON") from None


def _check_json(text: str) -> None:
    try:
        json.loads(text, parse_constant=_refuse)
    except _Flaw:
        raise
    except (ValueError, RecursionError):
        raise _Flaw("is no JSON") from None


def _refuse(constant: str) -> None:
    raise _Flaw(f"holds {constant}")


def _check_csv(text: str) -> None:
    lowered = text.lower()
    if "nan" in lowered or "inf" in lowered:
        for cell in lowered.replace("\n", ",").split(","):
            if cell.strip().strip('"') in _NO_NUMBERS:
                raise _Flaw(f"holds {cell.strip()}")
