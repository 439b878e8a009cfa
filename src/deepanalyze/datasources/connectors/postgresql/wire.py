"""libpq without an event loop: what moves many rows runs in a worker thread and can be interrupted at any time."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat, takewhile
from operator import itemgetter
from typing import TypeVar

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

ROWS_PER_CHUNK = 256  # rows may be large, and each chunk is in memory as a whole
# Threads that wait for rows pass the interpreter's lock on among themselves; in their rests the event loop gets it.
_WORK_S = 0.002
_REST_S = 0.000_05
# What TLS has decrypted but libpq had no room for makes no socket readable, so that it has to be asked for.
_TLS_POLL_MS = 50.0
_PIECE_BYTES = 128 * 1024
# Of what get_copy_data gives: empty when nothing is there yet, and when nothing will come.
_DATA = itemgetter(1)
T = TypeVar("T")


class Interrupted(Exception):
    """The caller has gone; the connection is in the middle of something."""


class Overdue(Exception):
    """The server did not stop the query by itself, although its time was over."""


class Drained:
    """Results of one statement, all of them read even by who stops early: only then has it run to its end."""

    def __init__(self, results: Iterator[PGresult]) -> None:
        self._results = results
        self._affected: int | None = None

    def __iter__(self) -> Iterator[PGresult]:
        for result in self._results:
            # On the last piece of rows, or on the empty result behind them
            if result.command_tuples is not None:
                self._affected = result.command_tuples
            yield result

    def rows_affected(self) -> int:
        for _ in self:
            pass
        return self._affected or 0


class Wire:
    """One connection, used by one thread at a time; `interrupt` may be called from any other.

    Everything goes over the extended protocol, in which a text is one statement and never several.
    """

    def __init__(self, pgconn: PGconn, deadline: float) -> None:
        self._pgconn = pgconn
        self._deadline = deadline
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closing = threading.Lock()
        self.delivered = False  # rows have come
        self._poll = select.poll()
        self._poll.register(pgconn.socket, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)

    def run(self, work: Callable[[Wire], T]) -> T:
        """In the worker thread. A wire runs once."""
        try:
            return work(self)
        finally:
            self.close()

    def close(self) -> None:
        """For one that does not run."""
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

    def parameter_types(self, sql: str) -> list[int]:
        """What type the server expects for each `$n`."""
        self._pgconn.send_prepare(b"", sql.encode())
        self._finish()
        self._pgconn.send_describe_prepared(b"")
        result = self._finish()
        return [result.param_type(i) for i in range(result.nparams)]

    def copy_out(self, sql: str, max_rows: int, write: Callable[[bytes, int], object]) -> tuple[int, bool]:
        """Runs `COPY … TO STDOUT`, whose query gives one row more than `max_rows` at most, and gives the number of
        rows and whether there was that one more.

        `write` gets complete rows as the server wrote them, some kilobytes at a time, and the number of rows so far.
        The rows of one piece go through C alone: whatever Python did for each would be paid millions of times.
        """
        self._pgconn.send_query_params(sql.encode(), [])
        self._flush()
        started = self._next_result()
        if started is None or started.status != pq.ExecStatus.COPY_OUT:
            raise psycopg.InternalError(f"the server did not start a COPY ({started and started.status})")
        rows = 0
        rest_at = time.monotonic() + _WORK_S
        for piece, count, last_bytes in self._pieces():
            rows += count
            if rows > max_rows:
                piece = piece[:-last_bytes]
            write(piece, min(rows, max_rows))
            if time.monotonic() >= rest_at:
                time.sleep(_REST_S)
                rest_at = time.monotonic() + _WORK_S
        return min(rows, max_rows), rows > max_rows

    def _pieces(self) -> Iterator[tuple[bytes, int, int]]:
        """What arrives, in pieces worth the handling: the rows, their number, and how long the last one is.

        Rows become bytes at once: thousands of live memoryviews would keep the garbage collector busy.
        """
        read = partial(map, self._pgconn.get_copy_data, repeat(1))
        arrived: list[bytes] = []
        rows = size = last_bytes = 0
        while True:
            if received := list(takewhile(_DATA, read())):
                self.delivered = True
                arrived.append(b"".join(map(_DATA, received)))
                rows += len(received)
                size += len(arrived[-1])
                last_bytes = received[-1][0]
            if size >= _PIECE_BYTES:
                yield b"".join(arrived), rows, last_bytes
                arrived.clear()
                rows = size = 0
            if self._copy_has_ended():
                break
            self._wait()
        if arrived:
            yield b"".join(arrived), rows, last_bytes

    def _copy_has_ended(self) -> bool:
        """Asked whenever all rows that are here have been taken. Raises what the server ended it with."""
        if not self._pgconn.is_busy():
            result = self._next_result()
            if result is not None and result.status == pq.ExecStatus.COPY_OUT:
                return False
        while self._next_result() is not None:  # to the end of the command
            pass
        return True

    def rows(self, sql: str) -> Iterator[PGresult]:
        """Results of up to `ROWS_PER_CHUNK` rows in text form; at least one, which may be empty."""
        self._pgconn.send_query_params(sql.encode(), [])
        if psycopg.capabilities.has_stream_chunked():
            self._pgconn.set_chunked_rows_mode(ROWS_PER_CHUNK)
        self._flush()
        while (result := self._next_result()) is not None:
            self.delivered = self.delivered or result.ntuples > 0
            yield result

    def ask(self, sql: str) -> list[PGresult]:
        """Results of a question of our own, such as one to the catalogue. They are none of the rows that were asked for
        and may be asked again: they do not count as delivered.
        """
        delivered = self.delivered
        try:
            return list(self.rows(sql))
        finally:
            self.delivered = delivered

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
        if left_ms <= 0:
            raise Overdue
        if self._pgconn.ssl_in_use:
            left_ms = min(left_ms, _TLS_POLL_MS)
        ready = self._poll.poll(left_ms)
        if not ready:
            self._pgconn.consume_input()
        for descriptor, event in ready:
            if descriptor == self._wake:
                raise Interrupted
            if event != select.POLLOUT:
                self._pgconn.consume_input()
