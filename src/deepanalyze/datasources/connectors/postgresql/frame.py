"""A result as a pandas DataFrame, with the types that the server told. Blocking: for worker threads."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.types.string import TextLoader

from deepanalyze.datasources.connectors.postgresql.export import ColumnType
from deepanalyze.datasources.connectors.postgresql.identifiers import distinct_names
from deepanalyze.datasources.connectors.postgresql.sizes import ByteCount
from deepanalyze.datasources.connectors.postgresql.wire import Wire

if TYPE_CHECKING:
    import pandas as pd

_INTEGERS = frozenset({20, 21, 23, 26})
_FLOATS = frozenset({700, 701})
_NUMERIC, _BOOL, _INTERVAL = 1700, 16, 1186
_TIMES = {1082: False, 1114: False, 1184: True}  # date, timestamp, timestamptz: whether they have a time zone
_AS_TEXT = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid")


class _Context:
    """Values as psycopg loads them, but times as text: pandas reads them, whatever year they are in."""

    connection = None

    def __init__(self) -> None:
        self.adapters = AdaptersMap(psycopg.adapters)
        for name in _AS_TEXT:
            self.adapters.register_loader(name, TextLoader)


def read_frame(
    wire: Wire, sql: str, columns: Sequence[ColumnType], *, max_rows: int, max_bytes: int
) -> pd.DataFrame:
    """The first `max_rows` rows; `frame.attrs["truncated"]` says whether there were more."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    size = ByteCount(columns, max_bytes)
    context = _Context()
    for result in wire.rows(sql):
        size.add(result)
        transformer = Transformer(context)
        transformer.set_pgresult(result)
        loaded = transformer.load_rows(0, result.ntuples, tuple)
        rows.extend(loaded[: max_rows + 1 - len(rows)])
    truncated = len(rows) > max_rows
    del rows[max_rows:]
    values: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    series = [_series(oid, column) for (_, oid, _), column in zip(columns, values, strict=True)]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index(distinct_names([name for name, _, _ in columns]), dtype=object)
    frame.attrs["truncated"] = truncated
    return frame


def _series(oid: int, values: Sequence[Any]) -> pd.Series[Any]:
    """Integers and booleans stay what they are beside NULLs (`Int64`, `boolean`); numeric becomes float64 unless it
    holds whole numbers that a float cannot; times beyond pandas' reach stay text.
    """
    import pandas as pd

    nulls = any(value is None for value in values)
    if oid in _INTEGERS:
        return pd.Series(values, dtype="Int64" if nulls else "int64")
    if oid in _FLOATS:
        return pd.Series(values, dtype="float64")
    if oid == _BOOL:
        return pd.Series(values, dtype="boolean" if nulls else "bool")
    if oid == _NUMERIC:
        return pd.Series(values, dtype="object" if any(map(_beyond_float, values)) else "float64")
    if oid in _TIMES:
        try:
            return pd.Series(
                pd.to_datetime(pd.Series(values, dtype="object"), format="ISO8601", utc=_TIMES[oid])
            )
        except (ValueError, OverflowError):
            return pd.Series(values, dtype="object")
    if oid == _INTERVAL:
        try:
            return pd.Series(pd.to_timedelta(pd.Series(values, dtype="object")))
        except (ValueError, OverflowError):
            return pd.Series(values, dtype="object")
    return pd.Series(values, dtype="object")


def _beyond_float(value: Decimal | None) -> bool:
    return (
        value is not None and value.is_finite() and abs(value) > 2**53 and value == value.to_integral_value()
    )
