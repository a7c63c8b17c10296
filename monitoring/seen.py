"""Which ids came by lately, in 8 bytes each."""

import numpy as np
import numpy.typing as npt

KEPT = 1 << 19  # ids at least that are remembered; more are forgotten together, the oldest first
_RECENT = 1 << 15  # ids that are kept as Python objects before they go into the sorted array

_Keys = npt.NDArray[np.int64]


class Seen:
    """A set of the last `kept` texts at least, and of little more than twice as many at most.

    A record is delivered twice within a file or in neighbouring ones, and the files come in the
    order of their hours; so 524,288 records back is far enough, and memory has an end (about
    12 MB). It keeps 64-bit hashes: among ten million ids the chance that any two are taken for one
    is about 3 in a million.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._recent: set[int] = set()
        self._newer: _Keys = np.empty(0, np.int64)
        self._older: _Keys = np.empty(0, np.int64)

    def add(self, text: str) -> bool:
        """Adds it; False when it was there."""
        key = hash(text)
        if key in self._recent or _holds(self._newer, key) or _holds(self._older, key):
            return False
        self._recent.add(key)
        if len(self._recent) == _RECENT:
            self._newer = np.concatenate([self._newer, np.fromiter(self._recent, np.int64)])
            self._newer.sort()
            self._recent.clear()
            if self._newer.size >= self._kept:
                self._older, self._newer = self._newer, np.empty(0, np.int64)
        return True


def _holds(keys: _Keys, key: int) -> bool:
    place = int(keys.searchsorted(key))
    return place < keys.size and int(keys[place]) == key
