"""Which ids came by before, in 8 bytes each."""

import numpy as np
import numpy.typing as npt

_RECENT = 1 << 16  # ids that are kept as Python objects before they go into the sorted array


class Seen:
    """A set of texts that is only ever asked while it grows.

    It keeps 64-bit hashes: among ten million ids the chance that any two are taken for one is
    about 3 in a million.
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, text: str) -> bool:
        """Adds it; False when it was there."""
        key = hash(text)
        if key in self._recent or self._is_old(key):
            return False
        self._recent.add(key)
        if len(self._recent) == _RECENT:
            self._sorted = np.concatenate([self._sorted, np.fromiter(self._recent, np.int64)])
            self._sorted.sort(kind="stable")
            self._recent.clear()
        return True

    def _is_old(self, key: int) -> bool:
        if not self._sorted.size:
            return False
        place = int(self._sorted.searchsorted(key))
        return place < self._sorted.size and int(self._sorted[place]) == key
