"""Which functions, operators and types a query may call: the server's catalogue says what they are.

READ ONLY does not stop functions from reading files, taking locks, ending sessions or running other SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from deepanalyze.datasources.connectors.postgresql.allowed import NOTHING, Allowed
from deepanalyze.datasources.connectors.postgresql.guard import Statement, refusal
from deepanalyze.datasources.connectors.postgresql.identifiers import quoted
from deepanalyze.datasources.connectors.postgresql.known import (
    OF_SEQUENCES,
    READS_BY_NAME,
    RUNS_A_TYPE,
    Known,
)
from deepanalyze.datasources.connectors.postgresql.mentions import Name
from deepanalyze.errors import DeepAnalyzeError, QueryFailed


def names_to_look_up(statement: Statement) -> Mapping[str, set[str]]:
    """By kind, as in `Known`."""
    called = {name for _, name in statement.functions} | statement.attributes | statement.fields
    return {
        "function": called | statement.keywords,
        "operator": {name for _, name in statement.operators},
        "type": called | {name for _, name in statement.types},  # type(x) casts
    }


@dataclass(frozen=True, slots=True)
class Terms:
    """What a source adds to the rules and takes from them."""

    allowed: Allowed = NOTHING
    limited_to_schemas: bool = False
    writing: bool = False

    def admit(self, one: Known) -> bool:
        if self.allowed.admits(one):
            return True
        if one.kind == "function" and one.from_system:
            if self.limited_to_schemas and one.name in READS_BY_NAME:
                return False
            if self.writing and one.name in OF_SEQUENCES:
                return True
        return one.harmless


def judge(
    statement: Statement,
    known: Iterable[Known],
    search_path: Collection[str] | None,
    source: str,
    terms: Terms | None = None,
) -> None:
    """Raises ReadOnlyViolation for a name that may do more than compute, QueryFailed for a function out of reach.
    Without a search path, names without a schema may mean what any schema has.

    A function that the server does not have at all is left to the server: it tells that best, and it knows what its
    own grammar means where ours is newer (`extract` was `date_part` before version 14).
    """
    catalogue: dict[tuple[str, str], list[Known]] = {}
    for one in known:
        catalogue.setdefault((one.kind, one.name), []).append(one)
    path = None if search_path is None else {*search_path, "pg_catalog"}
    terms = terms or Terms()

    def meant(kind: str, name: Name) -> list[Known]:
        schema, plain = name
        overloads = catalogue.get((kind, plain), [])
        if schema is not None:
            return [k for k in overloads if k.schema == schema]
        return [k for k in overloads if path is None or k.schema in path]

    def takes(name: Name, *what: str) -> list[Known]:
        return [k for kind in ("function", "type") for k in meant(kind, name) if k.takes in what]

    for name in sorted(statement.functions, key=str):
        found = meant("function", name)
        casts = [k for k in meant("type", name) if k.takes != "nothing"]
        if not found and not casts and ("function", name[1]) in catalogue:
            raise _unknown(name, source)
        _refuse_first([*found, *casts], source, terms)
    for kind, names in (("operator", statement.operators), ("type", statement.types)):
        for name in names:
            _refuse_first(meant(kind, name), source, terms)
    for word in statement.keywords:
        _refuse_first(meant("function", (None, word)), source, terms)
    for attribute in statement.attributes:
        _refuse_first(takes((None, attribute), "row"), source, terms)
    for field in statement.fields:
        _refuse_first(takes((None, field), "row", "value"), source, terms)


def _refuse_first(found: Iterable[Known], source: str, terms: Terms) -> None:
    for one in found:
        if not terms.admit(one):
            raise _refusal(one, source)


def _refusal(one: Known, source: str) -> DeepAnalyzeError:
    kind = one.kind
    part = f"the {kind} {one.schema}.{one.name}"
    if kind == "function" and one.from_system and one.name in READS_BY_NAME:
        why = "it reads tables of any schema by name, and this source is limited to some"
    elif kind == "function" and one.from_system and one.name in RUNS_A_TYPE:
        why = "it runs the code of the type that it is given"
    elif kind == "function" and one.from_system:
        why = "the server marks it VOLATILE: it may do more than compute"
    elif kind == "function":
        why = "it is not one of PostgreSQL's own, so that what it does is not known"
    else:
        why = "it runs code that is not PostgreSQL's own"
    named = f"extension:{one.extension}" if one.extension else quoted(one.schema, one.name)
    return refusal(
        source, part, why, f"an administrator who knows better can add {named!r} to allowed_functions"
    )


def _unknown(name: Name, source: str) -> DeepAnalyzeError:
    called = ".".join(part for part in name if part)
    message = f"function {called} does not exist"
    details = {"sqlstate": "42883", "message": message, "detail": None, "hint": None, "position": None}
    return QueryFailed(
        f"source {source!r}: the query failed (42883): {message}", param="query", details=[details]
    )
