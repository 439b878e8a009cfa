"""What pandas makes of a column, by its PostgreSQL type."""

from __future__ import annotations

BOOL, BYTEA, INT8, INT2, INT4, OID = 16, 17, 20, 21, 23, 26
FLOAT4, FLOAT8, NUMERIC = 700, 701, 1700
DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL = 1082, 1083, 1114, 1184, 1186

_DTYPES = {
    BOOL: "boolean",
    INT2: "Int64",
    INT4: "Int64",
    INT8: "Int64",
    OID: "Int64",
    FLOAT4: "float64",
    FLOAT8: "float64",
    DATE: "datetime64[us]",
    TIMESTAMP: "datetime64[us]",
    TIMESTAMPTZ: "datetime64[us, UTC]",
    INTERVAL: "timedelta64[us]",
    BYTEA: "bytes",
    NUMERIC: "decimal",
}


def pandas_dtype(oid: int) -> str:
    """The dtype that loses nothing. `Int64` and `boolean` are those that know NULL; without any, a frame of `query`
    has the plain ones. `decimal` and `bytes` are Python objects in a column of dtype `object`.
    """
    return _DTYPES.get(oid, "string")


def numeric_digits(modifier: int) -> tuple[int, int]:
    """Precision and scale of `numeric(precision, scale)`; the scale may be negative or exceed the precision."""
    packed = modifier - 4
    return packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 0x400) - 0x400
