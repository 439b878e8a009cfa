"""How many bytes a result holds; libpq knows, but its binding does not tell."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.pq.abc import PGresult

from deepanalyze.datasources.connectors.postgresql import dtypes
from deepanalyze.datasources.connectors.postgresql.export import ColumnType
from deepanalyze.errors import ResultTooLarge

# Types whose texts have an upper bound, which is taken for all of their values.
_SHORT_BYTES = 32
_SHORT = frozenset(
    {
        dtypes.BOOL,
        dtypes.INT2,
        dtypes.INT4,
        dtypes.INT8,
        dtypes.OID,
        dtypes.FLOAT4,
        dtypes.FLOAT8,
        dtypes.DATE,
        dtypes.TIME,
        dtypes.TIMESTAMP,
        dtypes.TIMESTAMPTZ,
    }
)


class ByteCount:
    """Raises ResultTooLarge once the results that it was given have more than `limit` bytes together."""

    def __init__(self, columns: Sequence[ColumnType], limit: int | None) -> None:
        self._long = [number for number, (_, oid, _) in enumerate(columns) if oid not in _SHORT]
        self._short_bytes = _SHORT_BYTES * (len(columns) - len(self._long))
        self._limit = limit
        self._bytes = 0

    def add(self, result: PGresult) -> None:
        if self._limit is None:
            return
        self._bytes += result.ntuples * self._short_bytes
        get = result.get_value
        for column in self._long:
            self._bytes += sum(len(get(row, column) or b"") for row in range(result.ntuples))
        if self._bytes > self._limit:
            raise ResultTooLarge(
                f"the result has more than {self._limit} bytes (max_result_bytes, the source's max_bytes, 64 MiB for "
                "rows that are answered as JSON); choose fewer columns or rows, or take it as a file"
            )
