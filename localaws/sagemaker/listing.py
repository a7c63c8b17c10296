"""What the List operations share: filters on name and time, order, and pages."""

import base64
import binascii
import datetime
import json
from collections.abc import Iterable
from typing import Any

from localaws.errors import ValidationError

Json = dict[str, Any]

DEFAULT_PAGE = 100
_AFTER = ("CreatedAfter", "CreationTimeAfter")
_BEFORE = ("CreatedBefore", "CreationTimeBefore")


def page(
    records: Iterable[Json],
    request: Json,
    *,
    name: str,
    time: str = "CreationTime",
    default_sort: str | None = None,
    default_order: str = "Descending",
    default_size: int = DEFAULT_PAGE,
) -> tuple[list[Json], Json]:
    """The records of one page, and `{"NextToken": …}` when there are more.

    `name` and `time` are the members to filter on; the request's `SortBy` is `CreationTime` or any
    other value for the name. A page goes on after the last record of the one before it, so
    records that appear or vanish in between neither repeat nor hide others.
    """
    found = [record for record in records if _matches(record, request, name, time)]
    by_time = request.get("SortBy", default_sort or "CreationTime") == "CreationTime"

    def position(record: Json) -> list[str]:
        moment = as_time(record[time]).isoformat() if by_time else ""
        label = record[name]
        return [moment, f"{label:020d}" if isinstance(label, int) else str(label)]

    descending = request.get("SortOrder", default_order) == "Descending"
    found.sort(key=position, reverse=descending)
    token = request.get("NextToken")
    if token:
        last = _read_token(token)
        found = [r for r in found if (position(r) < last if descending else position(r) > last)]
    size = request.get("MaxResults") or default_size
    if len(found) <= size:
        return found, {}
    return found[:size], {"NextToken": _token(position(found[size - 1]))}


def as_time(value: Any) -> datetime.datetime:
    """A time as a record or a request holds it: a datetime, ISO 8601, or seconds since 1970."""
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, str):
        return datetime.datetime.fromisoformat(value)
    return datetime.datetime.fromtimestamp(value, datetime.UTC)


def _matches(record: Json, request: Json, name: str, time: str) -> bool:
    moment = as_time(record[time])
    if request.get("NameContains", "").lower() not in str(record[name]).lower():
        return False
    earliest = [as_time(request[member]) for member in _AFTER if request.get(member)]
    latest = [as_time(request[member]) for member in _BEFORE if request.get(member)]
    return all(moment >= limit for limit in earliest) and all(moment <= limit for limit in latest)


def _token(position: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _read_token(token: str) -> list[str]:
    try:
        position: list[str] = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError):
        raise ValidationError("Invalid NextToken; use the one of the page before.") from None
    return position
