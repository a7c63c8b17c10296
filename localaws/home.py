"""The folder that holds all state of one embedded AWS, and the lock that keeps a second one out."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

from localaws.errors import LocalAwsError


class Home:
    """Names below the folder, and who runs on it. Private to its owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._lock: IO[str] | None = None

    @property
    def records(self) -> Path:
        """Our own services' records."""
        return self.folder / "records.sqlite"

    @property
    def moto(self) -> Path:
        """The records of S3 objects and the snapshots of moto's other services."""
        return self.folder / "moto.sqlite"

    @property
    def objects(self) -> Path:
        """The bytes of S3 objects."""
        return self.folder / "objects"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def decisions(self) -> Path:
        """What roles asked and got, where that is recorded."""
        return self.folder / "decisions.jsonl"

    @property
    def words(self) -> Path:
        """What a detached server printed, if anything."""
        return self.folder / "server.out"

    def make(self) -> None:
        """Makes the folder, private to its owner: it holds credentials."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def acquire(self) -> None:
        """Takes the folder for this process. LocalAwsError names the process that has it."""
        self.make()
        lock = open(self.folder / "server.lock", "a+")  # noqa: SIM115  # held while we live
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise LocalAwsError(
                f"{self.folder} is in use by the localaws with process id {self.pid()}: stop that"
                " one first, or give another folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def is_taken(self) -> bool:
        """Whether a living process holds the folder."""
        try:
            with open(self.folder / "server.lock", "a+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def pid(self) -> int | None:
        """The process id that the last owner wrote."""
        try:
            return int((self.folder / "server.lock").read_text() or 0) or None
        except (FileNotFoundError, ValueError):
            return None

    def announce(self, status: dict[str, Any]) -> None:
        """Tells `localaws.control` where the server answers."""
        temporary = self.folder / "server.json.new"
        temporary.write_text(json.dumps(status))
        temporary.replace(self.folder / "server.json")
        (self.folder / "last.json").write_text(json.dumps(status))

    def announced(self) -> dict[str, Any] | None:
        """What the living owner announced; None while there is none."""
        if not self.is_taken():
            return None
        try:
            status: dict[str, Any] = json.loads((self.folder / "server.json").read_text())
        except FileNotFoundError:
            return None
        return status if status.get("pid") == self.pid() else None

    def last_port(self) -> int | None:
        """The port of the last server, which clients may still have in their environment."""
        address = self._last().get("endpoint_url")
        return int(address.rpartition(":")[2]) if address else None

    def last_region(self) -> str | None:
        """The region of the last server, where what it kept can be found."""
        return self._last().get("region")

    def _last(self) -> dict[str, Any]:
        try:
            last: dict[str, Any] = json.loads((self.folder / "last.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return last

    def retire(self) -> None:
        """Gives the folder back."""
        (self.folder / "server.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
