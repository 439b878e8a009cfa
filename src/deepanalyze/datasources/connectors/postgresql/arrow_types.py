"""Which Arrow type holds the values of a PostgreSQL type, every one of them exactly.

Imports pyarrow, which takes a while: for worker threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from deepanalyze.datasources.connectors.postgresql.arrow_values import (
    from_hexadecimal,
    from_literals,
    in_utc,
    labelled,
    read_text,
)
from deepanalyze.datasources.connectors.postgresql.dtypes import (
    BOOL,
    BYTEA,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    NUMERIC,
    OID,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    numeric_digits,
)
from deepanalyze.datasources.connectors.postgresql.export import ColumnType
from deepanalyze.datasources.connectors.postgresql.identifiers import distinct_names
from deepanalyze.datasources.connectors.postgresql.wire import Wire

UTC = pa.timestamp("us", "UTC")
# The largest precision of each of Arrow's decimals; the first fits the 64 bits that every reader is fast with.
PRECISIONS = (18, 38, 76)

_SCALARS = {
    BOOL: pa.bool_(),
    BYTEA: pa.binary(),
    INT2: pa.int16(),
    INT4: pa.int32(),
    INT8: pa.int64(),
    OID: pa.int64(),
    FLOAT4: pa.float32(),
    FLOAT8: pa.float64(),
    DATE: pa.date32(),
    TIME: pa.time64("us"),
    TIMESTAMP: pa.timestamp("us"),
    TIMESTAMPTZ: UTC,
}

_LOOK_UP = """
SELECT pg_catalog.format_type(c.type, c.modifier), e.oid, e.typdelim,
       (SELECT pg_catalog.json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_catalog.pg_enum l
        WHERE l.enumtypid = c.type)
FROM ROWS FROM (pg_catalog.unnest('{{{oids}}}'::pg_catalog.oid[]),
                pg_catalog.unnest('{{{modifiers}}}'::pg_catalog.int4[])) WITH ORDINALITY AS c(type, modifier, n)
LEFT JOIN pg_catalog.pg_type t ON t.oid = c.type
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
ORDER BY c.n
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What a column becomes.

    `parsed` is what the CSV reader makes of it, and `finish` makes the column's own type of that. `loose`: a numeric
    without declared digits, whose type can only be told when all values have been seen.
    """

    field: pa.Field
    parsed: pa.DataType
    finish: Callable[[pa.Array], pa.Array] | None = None
    loose: bool = False


def read_targets(wire: Wire, columns: Sequence[ColumnType]) -> list[Target]:
    """Asks the server what the types are."""
    statement = _LOOK_UP.format(
        oids=",".join(str(oid) for _, oid, _ in columns),
        modifiers=",".join(str(modifier) for *_, modifier in columns),
    )
    targets = []
    names = iter(zip(distinct_names([name for name, *_ in columns]), columns, strict=True))
    for result in wire.ask(statement):
        for row in range(result.ntuples):
            name, (_, oid, modifier) = next(names)
            told, element, delimiter, labels = (
                None if (value := result.get_value(row, column)) is None else bytes(value).decode()
                for column in range(4)
            )
            targets.append(
                _target(
                    pa.field(name, pa.string(), metadata={"postgresql_type": told}),
                    oid,
                    modifier,
                    element=int(element) if element and delimiter == "," else None,
                    labels=json.loads(labels) if labels else None,
                )
            )
    return targets


def text_targets(columns: Sequence[ColumnType]) -> list[Target]:
    names = distinct_names([name for name, *_ in columns])
    return [Target(pa.field(name, pa.string()), pa.string()) for name in names]


def _target(
    field: pa.Field, oid: int, modifier: int, *, element: int | None, labels: Sequence[str] | None
) -> Target:
    if labels is not None:
        kinds = pa.array(labels, pa.string())
        type_ = pa.dictionary(pa.int32(), pa.string(), ordered=True)
        return Target(field.with_type(type_), pa.string(), partial(labelled, kinds))
    if element is not None:
        of = _scalar(element, modifier)
        list_type = pa.list_(pa.field("element", of))
        return Target(field.with_type(list_type), pa.string(), partial(from_literals, of))
    if oid == NUMERIC and modifier < 0:
        return Target(field, pa.string(), loose=True)
    type_ = _scalar(oid, modifier)
    field = field.with_type(type_)
    if type_ == UTC:  # written in UTC, but without saying so
        return Target(field, pa.timestamp("us"), in_utc)
    if pa.types.is_binary(type_):
        return Target(field, pa.string(), from_hexadecimal)
    if pa.types.is_decimal256(type_):  # which the CSV reader does not know
        return Target(field, pa.string(), partial(read_text, type_))
    return Target(field, type_)


def _scalar(oid: int, modifier: int) -> pa.DataType:
    if oid == NUMERIC and modifier >= 0:
        return _declared_decimal(*numeric_digits(modifier))
    return _SCALARS.get(oid, pa.string())


def _declared_decimal(precision: int, scale: int) -> pa.DataType:
    if scale < 0:  # rounded to tens or hundreds
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    if precision > PRECISIONS[-1]:
        return pa.string()
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def smallest_decimal(digits: int, scale: int) -> pa.DataType | None:
    """For numbers of up to `digits` digits, `scale` of them behind the point. None: there is none so large."""
    for precision in PRECISIONS:
        if digits <= precision:
            return _declared_decimal(precision, scale)
    return None


def stored_as_text(field: pa.Field, why: str) -> pa.Field:
    metadata: Mapping[bytes, bytes] = field.metadata or {}
    return field.with_metadata({**metadata, b"stored_as_text": why.encode()})
