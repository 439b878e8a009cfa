"""libpq without an event loop: what moves many rows runs in a worker thread and can be interrupted at any time."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

ROWS_PER_CHUNK = 2_000
# Threads that wait for rows pass the interpreter's lock on among themselves; in their rests the event loop gets it.
_WORK_S = 0.002
_REST_S = 0.000_05
Buffer = bytes | memoryview
T = TypeVar("T")


class Interrupted(Exception):
    """The caller has gone; the connection is in the middle of something."""


class Overdue(Exception):
    """The server did not stop the query by itself, although its time was over."""


class Wire:
    """One connection, used by one thread at a time; `interrupt` may be called from any other.

    Everything goes over the extended protocol, in which a text is one statement and never several.
    """

    def __init__(self, pgconn: PGconn, deadline: float) -> None:
        self._pgconn = pgconn
        self._deadline = deadline
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closing = threading.Lock()
        self._poll = select.poll()
        self._poll.register(pgconn.socket, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)

    def run(self, work: Callable[[Wire], T]) -> T:
        """In the worker thread. A wire runs once."""
        try:
            return work(self)
        finally:
            with self._closing:
                os.close(self._wake)
                self._wake = -1

    def interrupt(self) -> None:
        with self._closing:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def describe(self, sql: str) -> list[tuple[str, int, int]]:
        """Name, type and type modifier of each column, without running the statement."""
        self._pgconn.send_prepare(b"", sql.encode())
        self._finish()
        self._pgconn.send_describe_prepared(b"")
        result = self._finish()
        return [
            ((result.fname(i) or b"").decode(), result.ftype(i), result.fmod(i))
            for i in range(result.nfields)
        ]

    def copy_out(
        self, sql: str, write: Callable[[Buffer], object], waiting: Callable[[int], object]
    ) -> tuple[int, Buffer]:
        """Writes the rows of `COPY … TO STDOUT` as the server wrote them, all but the last, and gives their number
        and the last. Calls `waiting` with the rows so far whenever it has to wait for more.

        The inner loop runs once for every row: whatever is added there is paid millions of times.
        """
        self._pgconn.send_query_params(sql.encode(), [])
        self._flush()
        started = self._next_result()
        if started is None or started.status != pq.ExecStatus.COPY_OUT:
            raise psycopg.InternalError(f"the server did not start a COPY ({started and started.status})")
        get = self._pgconn.get_copy_data
        last: Buffer = b""
        rows = 0
        rest_at = time.monotonic() + _WORK_S
        while True:
            length, row = get(1)
            if length > 0:
                write(last)
                last = row
                rows += 1
            elif length == 0:
                waiting(rows)
                if time.monotonic() >= rest_at:
                    time.sleep(_REST_S)
                    rest_at = time.monotonic() + _WORK_S
                self._wait()
            else:
                break
        self._finish()
        return rows, last

    def rows(self, sql: str) -> Iterator[PGresult]:
        """Results of up to `ROWS_PER_CHUNK` rows in text form; at least one, which may be empty."""
        self._pgconn.send_query_params(sql.encode(), [])
        if psycopg.capabilities.has_stream_chunked():
            self._pgconn.set_chunked_rows_mode(ROWS_PER_CHUNK)
        self._flush()
        while (result := self._next_result()) is not None:
            yield result

    def _finish(self) -> PGresult:
        """Waits for the end of the command and gives its last result."""
        self._flush()
        last = None
        while (result := self._next_result()) is not None:
            last = result
        if last is None:
            raise psycopg.InternalError("the server sent no result")
        return last

    def _next_result(self) -> PGresult | None:
        while self._pgconn.is_busy():
            self._wait()
        result = self._pgconn.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            self._drain()
            raise psycopg.errors.error_from_result(result)
        return result

    def _drain(self) -> None:
        while True:
            while self._pgconn.is_busy():
                self._wait()
            if self._pgconn.get_result() is None:
                return

    def _flush(self) -> None:
        while self._pgconn.flush():
            self._poll.modify(self._pgconn.socket, select.POLLIN | select.POLLOUT)
            try:
                self._wait()
            finally:
                self._poll.modify(self._pgconn.socket, select.POLLIN)

    def _wait(self) -> None:
        left_ms = (self._deadline - time.monotonic()) * 1000
        ready = self._poll.poll(left_ms) if left_ms > 0 else []
        if not ready:
            raise Overdue
        for descriptor, event in ready:
            if descriptor == self._wake:
                raise Interrupted
            if event != select.POLLOUT:
                self._pgconn.consume_input()
