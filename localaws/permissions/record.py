"""What limited principals asked, and what they got, as JSON Lines: each distinct decision once.

For writing a policy with no more than is used (`scones local permissions`), and for the tests that
take permissions away.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localaws.permissions.policy import Decision, Request

# Keys that differ from one request to the next, and that no permission of ours depends on.
_PASSING = frozenset({"aws:currenttime", "aws:epochtime", "aws:useragent", "aws:userid"})


@dataclass(frozen=True)
class Entry:
    """One line. `by` is what allowed it (identity, resource), or why it was refused."""

    principal: str  # the role's or user's ARN
    action: str
    resource: str
    context: dict[str, Any]
    allowed: bool
    by: str
    policy: str = ""
    sid: str = ""


class Record:
    """Appends to a file. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._seen: set[str] = set()

    def add(self, request: Request, decision: Decision) -> None:
        principal = request.principal
        entry = Entry(
            (*principal.names, principal.arn)[0],
            request.action,
            request.resource,
            {k: v for k, v in request.context.items() if k not in _PASSING},
            decision.allowed,
            decision.because,
            decision.policy,
            decision.sid,
        )
        line = json.dumps(asdict(entry), sort_keys=True)
        with self._lock:
            if line not in self._seen:
                self._seen.add(line)
                self._file.write(line + "\n")
                self._file.flush()


def read(path: Path) -> Iterator[Entry]:
    """The entries of a file, as far as they are written."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield Entry(**json.loads(line))
