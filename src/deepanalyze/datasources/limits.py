"""Limits, timeouts and retry policies as values that are passed down, never looked up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.policy import ANYWHERE, NetworkPolicy
from deepanalyze.datasources.tabular.child import ChildReader
from deepanalyze.datasources.tabular.protocol import TableReader
from deepanalyze.errors import FileTooLarge


@dataclass(frozen=True, slots=True)
class Limits:
    """What one fetch may bring; `max_files` and `max_fetch_bytes` are of all that one path stands for. A source's
    config or a request may change `max_rows` up to the ceiling.
    """

    max_file_bytes: int = 100 * 1024**2
    max_result_rows: int = 10_000
    max_result_rows_ceiling: int = 5_000_000
    max_result_bytes: int = 1024**3
    max_files: int = 10_000
    max_fetch_bytes: int = 2 * 1024**3

    def rows(self, *wanted: int | None) -> int:
        """The row limit in force: the first value that is given, else the default; never above the ceiling."""
        chosen = next((w for w in wanted if w is not None), self.max_result_rows)
        return min(chosen, self.max_result_rows_ceiling)


def check_file_size(source: str, path: str, size: int, max_bytes: int) -> None:
    """Raises FileTooLarge for a file of the source that has more than `max_bytes`."""
    if size > max_bytes:
        raise FileTooLarge(
            f"source {source!r}: '{printable(path)}' has {size:,} bytes, the limit is {max_bytes:,} (max_file_bytes); "
            "fetch a smaller file or raise the limit",
            param="path",
            details=[{"size": size, "limit": max_bytes}],
        )


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect_s: float = 10
    acquire_s: float = 10
    query_s: float = 30
    query_ceiling_s: float = 600


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter, for transient failures only."""

    max_attempts: int = 3
    base_delay_s: float = 0.2
    max_delay_s: float = 5


@dataclass(frozen=True, slots=True)
class PoolLimits:
    min_size: int = 2
    max_size: int = 10
    idle_timeout_s: float = 5 * 60
    max_lifetime_s: float = 60 * 60


@dataclass(frozen=True, slots=True)
class SourceDefaults:
    """What a source uses where its own config says nothing; the server fills it from its settings.

    `tables` reads tables from files: by default in a child process with limits, in the server in the sandbox.
    """

    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    pool: PoolLimits = field(default_factory=PoolLimits)
    network: NetworkPolicy = ANYWHERE
    tables: TableReader = field(default_factory=ChildReader, compare=False)
    local_roots: tuple[Path, ...] | None = None
    """Directories below which sources of local files may be rooted; None: anywhere, as in a process of one's own."""
    private_directories: tuple[Path, ...] = ()
    """What no such source may reach, wherever its root is allowed to be: the server's own state."""
