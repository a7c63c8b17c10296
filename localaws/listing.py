"""Pages of a list, as the services with `Marker` and `MaxItems` give them."""

from typing import Any


def paged(items: list[Any], request: dict[str, Any]) -> tuple[list[Any], str | None]:
    """A page of the items, and the marker of the next one or None."""
    start = int(request.get("Marker") or 0)
    end = start + int(request.get("MaxItems") or 50)
    return items[start:end], str(end) if end < len(items) else None
