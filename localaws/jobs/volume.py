"""The disk that a job may fill: `VolumeSizeInGB`, watched rather than mounted.

SageMaker gives a job a volume of its own. Here the job writes below its folder, and what that
folder takes on the disk is measured about twice a second; a folder with many files is measured more
rarely, so that watching costs at most a twentieth of the time. (A file system of that size would
need root, or 30 GB of memory.)
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

INTERVAL = 0.5  # seconds between two looks
_SHARE = 20  # a look that takes t seconds is followed by a pause of at least 20 t


class Volume:
    """Watches what a folder takes on the disk against a limit in bytes."""

    def __init__(
        self, folder: Path, limit: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self.limit = limit
        self._clock = clock
        self.next_look = clock() + INTERVAL

    def looks_full(self) -> bool:
        """Whether the limit is passed; False without looking until `next_look` has come."""
        if self._clock() < self.next_look:
            return False
        return self.is_full()

    def is_full(self) -> bool:
        """Whether the limit is passed now."""
        began = self._clock()
        full = allocated_bytes(self._folder) > self.limit
        ended = self._clock()
        self.next_look = ended + max(INTERVAL, _SHARE * (ended - began))
        return full


def allocated_bytes(folder: Path) -> int:
    """What the files below a folder take on the disk; links are counted, not followed."""
    total = 0
    pending = [os.fspath(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                    except FileNotFoundError:
                        continue  # the job removed it meanwhile
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except (FileNotFoundError, PermissionError):
            continue  # removed meanwhile, or made unreadable by the job
    return total
