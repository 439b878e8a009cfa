"""Parquet, read in place: only the columns that are asked for."""

from __future__ import annotations

from pathlib import Path

from .columns import Column, Relation, check_count
from .engine import Engine, name, quoted
from .values import is_nested


def parquet_relation(engine: Engine, file: Path) -> Relation:
    relation = f"read_parquet({quoted(str(file))})"
    described = engine.columns(relation)
    check_count(len(described))
    return Relation(relation, [_column(*one) for one in described])


def _column(title: str, type: str) -> Column:
    value = name(title)
    if is_nested(type):
        return Column(title, type, f"CAST(to_json({value}) AS VARCHAR)", value)
    if type == "BLOB":
        return Column(title, type, f"'\\x' || lower(hex({value}))", value)
    return Column(title, type, f"CAST({value} AS VARCHAR)", value)
