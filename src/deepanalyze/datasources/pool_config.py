"""How large a pool may be and how long things may take, and what it lends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Times are in seconds; `math.inf` for never. Raises ConfigurationError for numbers that make no pool."""

    max_size: int = 10
    min_size: int = 2
    idle_timeout: float = 5 * 60
    max_lifetime: float = 60 * 60
    acquire_timeout: float = 10
    health_check_interval: float = 30

    def __post_init__(self) -> None:
        for each in fields(self):
            self._check(each.name, getattr(self, each.name), whole=each.name.endswith("_size"))
        if self.min_size > self.max_size:
            raise ConfigurationError(
                f"pool: min_size ({self.min_size}) must not exceed max_size ({self.max_size})"
            )

    def _check(self, name: str, value: object, *, whole: bool) -> None:
        if not isinstance(value, int if whole else (int, float)) or isinstance(value, bool):
            wanted = "a whole number" if whole else "a number of seconds"
            raise ConfigurationError(f"pool: {name} is {value!r}; it must be {wanted}")
        if name == "acquire_timeout" and not value > 0:
            raise ConfigurationError(f"pool: {name} is {value}; it must be more than 0")
        least = 1 if name == "max_size" else 0
        if not value >= least:  # so that NaN is refused too
            raise ConfigurationError(f"pool: {name} is {value}; it must be at least {least}")


@dataclass(slots=True, eq=False)
class PooledConnection:
    """One connector of a pool; times are of the monotonic clock."""

    connector: DataSourceConnector
    created_at: float = field(default_factory=time.monotonic)
    last_used_at: float = field(default_factory=time.monotonic)
    last_checked_at: float = field(default_factory=time.monotonic)
    uses: int = 0
