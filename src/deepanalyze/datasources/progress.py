"""Telling how far a transfer has come, often enough for people and rarely enough for the machine."""

from __future__ import annotations

import time

from deepanalyze.datasources.base import OnProgress, Progress


class ProgressThrottle:
    """Passes at most one report in `interval_s` on, and the last one always (`finish`).

    May be called from a worker thread; then `on_progress` is called there as well.
    """

    def __init__(self, on_progress: OnProgress | None, interval_s: float = 0.2) -> None:
        self._on_progress = on_progress
        self._interval_s = interval_s
        self._next = 0.0

    def report(self, progress: Progress) -> None:
        if self._on_progress is None:
            return
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval_s
            self._on_progress(progress)

    def finish(self, progress: Progress) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)


def ms_since(started: float) -> int:
    """`started` as `time.monotonic` gave it."""
    return round((time.monotonic() - started) * 1000)
