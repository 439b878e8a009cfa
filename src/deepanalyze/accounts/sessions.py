"""Requests that run, by the key and user they act for, so that a revocation ends them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from deepanalyze.accounts.records import Principal
from deepanalyze.errors import InvalidApiKey

Task = asyncio.Task[Any]


class Sessions:
    """For one event loop; each request runs in a task of its own."""

    def __init__(self) -> None:
        self._running: dict[Task, Principal] = {}
        self._ended: set[Task] = set()

    @contextmanager
    def of(self, principal: Principal) -> Iterator[None]:
        """Around a request. Raises InvalidApiKey when its key is revoked, or its user deleted, meanwhile."""
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = principal
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise InvalidApiKey(
                "this API key was revoked, or its user deleted, while the request ran"
            ) from None
        finally:
            del self._running[task]
            self._ended.discard(task)

    def end_key(self, key_id: str, *, but: Task | None) -> None:
        """`but`: the request that asks for it."""
        self._end(lambda principal: principal.key_id == key_id, but)

    def end_user(self, user_id: str, *, but: Task | None) -> None:
        self._end(lambda principal: principal.user_id == user_id, but)

    def _end(self, concerns: Callable[[Principal], bool], but: Task | None) -> None:
        for task, principal in self._running.items():
            if concerns(principal) and task is not but:
                self._ended.add(task)
                task.cancel()
