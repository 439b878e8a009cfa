"""How many bytes each user keeps on the server's disk, and how many a user may keep."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from deepanalyze.errors import QuotaExceeded


class DiskUsage:
    """Kept in memory, by place: a thread's workspace or an uploaded file, under its id; a place that was not registered
    counts for nobody. Safe from any thread.

    What the server writes is counted before it appears; what generated code writes, when its workspace is measured.

    Args:
        max_bytes_per_user: of all places of one user together; 0: no limit.
    """

    def __init__(self, max_bytes_per_user: int = 0) -> None:
        self._max_bytes = max_bytes_per_user
        self._lock = threading.Lock()
        self._places: dict[str, tuple[str, int]] = {}
        self._totals: Counter[str] = Counter()

    def register(self, place: str, user_id: str, size: int = 0) -> None:
        """From now on what lies there counts for this user."""
        with self._lock:
            self._set(place, user_id, size)

    def forget(self, place: str) -> None:
        """What lay there is gone, or was never kept."""
        with self._lock:
            if known := self._places.get(place):
                self._set(place, known[0], 0)
                del self._places[place]

    def measured(self, place: str, size: int) -> None:
        with self._lock:
            if known := self._places.get(place):
                self._set(place, known[0], size)

    def add(self, place: str, size: int) -> None:
        """Raises QuotaExceeded, and counts nothing then, where the user may not keep so much more."""
        with self._lock:
            if known := self._places.get(place):
                user_id, before = known
                if size > 0 and self._max_bytes and self._totals[user_id] + size > self._max_bytes:
                    raise self._exceeded(user_id, size)
                self._set(place, user_id, max(0, before + size))

    @contextmanager
    def adding(self, place: str, size: int) -> Iterator[None]:
        """Counts what is about to appear there, unless that fails. Raises QuotaExceeded."""
        self.add(place, size)
        try:
            yield
        except BaseException:
            self.add(place, -size)
            raise

    def check(self, user_id: str) -> None:
        """Raises QuotaExceeded where nothing more may be kept."""
        with self._lock:
            if self._max_bytes and self._totals[user_id] >= self._max_bytes:
                raise self._exceeded(user_id, 0)

    def exceeded_at(self, place: str) -> bool:
        """Whether this place's user keeps more than may be."""
        with self._lock:
            known = self._places.get(place)
            return known is not None and 0 < self._max_bytes < self._totals[known[0]]

    def taken(self, user_id: str) -> int:
        with self._lock:
            return self._totals[user_id]

    def total(self) -> int:
        """Of all users together."""
        with self._lock:
            return self._totals.total()

    def _set(self, place: str, user_id: str, size: int) -> None:
        _, before = self._places.get(place, (user_id, 0))
        self._places[place] = (user_id, size)
        self._totals[user_id] += size - before
        if not self._totals[user_id]:
            del self._totals[user_id]

    def _exceeded(self, user_id: str, wanted: int) -> QuotaExceeded:
        more = f", and {wanted:,} more were to come" if wanted else ""
        return QuotaExceeded(
            f"your threads and uploaded files take {self._totals[user_id]:,} bytes of the {self._max_bytes:,} that "
            f"each user may keep (max_workspace_bytes_per_user){more}; delete threads or files that you no longer "
            "need, or wait until unused threads expire"
        )
