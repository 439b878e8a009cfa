"""The guard of one source: parser and catalogue together, and what they said before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from cachetools import LRUCache

from deepanalyze.datasources.connectors.postgresql.allowed import parse_allowed_functions
from deepanalyze.datasources.connectors.postgresql.functions import (
    Terms,
    judge,
    names_to_look_up,
)
from deepanalyze.datasources.connectors.postgresql.guard import (
    QUERY,
    WRITE,
    Profile,
    Statement,
    one_statement,
    refusal,
    statements,
)
from deepanalyze.datasources.connectors.postgresql.known import LOOK_UP, Known, look_up_parameters
from deepanalyze.datasources.connectors.postgresql.session_profile import SessionProfile
from deepanalyze.errors import PermissionDenied, ReadOnlyViolation

T = TypeVar("T")

LookUp = Callable[[str, Mapping[str, Any]], Awaitable[Sequence[Sequence[Any]]]]
"""Runs a query with `%(name)s` parameters in the transaction that the statement will run in."""

_CACHED_BYTES = 8 * 1024**2
_AT_ONCE_CHARS = 4_000  # longer texts are parsed beside the event loop
_ALWAYS_READABLE = frozenset({"pg_catalog", "information_schema"})
_OF_THE_SYSTEM = _ALWAYS_READABLE | {"pg_toast"}
# Views of the catalogue that show values of tables.
_SHOWS_VALUES = frozenset(
    {
        "pg_stats",
        "pg_stats_ext",
        "pg_stats_ext_exprs",
        "pg_statistic",
        "pg_statistic_ext_data",
        "pg_largeobject",
    }
)


class _Catalogue:
    """What was learned at one snapshot of the server, with one search path. While no transaction has come or gone
    since, as its snapshot tells, nothing in the catalogue can have changed, and all of this still holds; after that it
    is asked anew, since a name may mean something else the next moment.
    """

    def __init__(self, snapshot: str | None, path: tuple[str, ...] | None) -> None:
        self.snapshot = snapshot
        self.path = path
        self.known: dict[tuple[str, str], tuple[Known, ...]] = {}
        self.verdicts: LRUCache[tuple[str, bool], Statement] = LRUCache(_CACHED_BYTES, getsizeof=_size)


class Guard:
    """For one event loop; lives as long as its source.

    Args:
        allowed_functions: see `parse_allowed_functions`. Raises ValueError for an entry that names nothing.
        schemas: the only ones whose relations may be named; None for all.
        writable: whether `check` may be told that the caller may write.
    """

    def __init__(
        self,
        source: str,
        *,
        allowed_functions: Collection[str] = (),
        schemas: Collection[str] | None = None,
        writable: bool = False,
    ) -> None:
        self._source = source
        self._allowed = parse_allowed_functions(allowed_functions)
        self._schemas = None if schemas is None else frozenset(schemas)
        self._writable = writable
        self._parsed: LRUCache[tuple[str, bool], Statement] = LRUCache(_CACHED_BYTES, getsizeof=_size)
        self._catalogue = _Catalogue(None, ())

    def clear(self) -> None:
        self._catalogue = _Catalogue(None, ())

    async def check(
        self,
        look_up: LookUp,
        sql: str,
        search_path: Sequence[str],
        *,
        snapshot: str | None = None,
        may_write: bool = False,
    ) -> Statement:
        """The one statement of a query, when parser and catalogue agree that it does no more than it may.

        Raises ReadOnlyViolation, PermissionDenied (another schema), QueryFailed, InvalidRequest.

        Args:
            search_path: what `current_schemas(true)` says in the transaction that the statement will run in.
            snapshot: what `txid_current_snapshot` says there; None: nothing known before counts.
        """
        key = (sql, self._writable and may_write)
        catalogue = self._at(snapshot, search_path)
        if (verdict := catalogue.verdicts.get(key)) is not None:
            return verdict
        statement = await self._statement(key)
        self._check_relations(statement)
        await self._judge(statement, look_up, catalogue)
        catalogue.verdicts[key] = statement
        return statement

    async def writes(self, sql: str) -> bool:
        """Whether a text is a write. Raises what `check` raises for a text that is no admissible statement."""
        return (await self._statement((sql, self._writable))).kind == "write"

    async def check_session(
        self,
        look_up: LookUp,
        sql: str,
        search_path: Sequence[str] | None,
        *,
        statement_timeout_ms: float,
        snapshot: str | None = None,
    ) -> tuple[Statement, ...]:
        """Every statement of a text that a session sent.

        Args:
            search_path: the session's own at this moment; None for what may run when it is another, since the server
                looks names up again: a name is then refused for what it would mean in any schema, as it is in PREPARE
                and behind a statement that changes the path.
        """
        profile = SessionProfile(statement_timeout_ms, self._schemas)
        found = await _beside(statements, sql, self._source, profile)
        path = search_path
        for statement in found:
            self._check_relations(statement)
            meant = None if statement.kind == "prepare" else path
            await self._judge(statement, look_up, self._at(snapshot, meant))
            path = None if statement.changes_path else path
        return found

    def _at(self, snapshot: str | None, search_path: Sequence[str] | None) -> _Catalogue:
        known, path = self._catalogue, None if search_path is None else tuple(search_path)
        if snapshot is None or (known.snapshot, known.path) != (snapshot, path):
            self._catalogue = _Catalogue(snapshot, path)
        return self._catalogue

    async def _statement(self, key: tuple[str, bool]) -> Statement:
        if (parsed := self._parsed.get(key)) is not None:
            return parsed
        sql, writing = key
        try:
            parsed = await _beside(one_statement, sql, self._source, WRITE if writing else QUERY)
        except ReadOnlyViolation:
            if self._writable and not writing:
                await self._tell_what_is_missing(sql)
            raise
        self._parsed[key] = parsed
        return parsed

    async def _tell_what_is_missing(self, sql: str) -> None:
        if (await _beside(one_statement, sql, self._source, WRITE)).kind == "write":
            raise ReadOnlyViolation(
                f"source {self._source!r}: a statement that writes needs the `write` grant, which an administrator can "
                "give, and runs only where its rows are answered directly, not where they become a file",
                param="query",
                details=[
                    {
                        "part": "a write",
                        "reason": "no write grant",
                        "remedy": "the `write` grant of the source",
                    }
                ],
            )

    async def _judge(self, statement: Statement, look_up: LookUp, catalogue: _Catalogue) -> None:
        wanted = [(kind, name) for kind, names in names_to_look_up(statement).items() for name in names]
        if missing := [each for each in wanted if each not in catalogue.known]:
            catalogue.known.update(await self._asked(look_up, missing))
        known = [one for each in wanted for one in catalogue.known[each]]
        terms = Terms(
            self._allowed,
            limited_to_schemas=self._schemas is not None,
            writing=statement.kind == "write",
        )
        judge(statement, known, catalogue.path, self._source, terms)

    async def _asked(
        self, look_up: LookUp, missing: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[Known, ...]]:
        """An empty entry for a name that the catalogue does not know."""
        by_kind = {
            kind: [name for of, name in missing if of == kind] for kind in ("function", "operator", "type")
        }
        found: dict[tuple[str, str], tuple[Known, ...]] = dict.fromkeys(missing, ())
        for row in await look_up(LOOK_UP, look_up_parameters(by_kind, self._allowed)):
            one = Known(*row)
            found[one.kind, one.name] += (one,)
        return found

    def _check_relations(self, statement: Statement) -> None:
        for schema, name in sorted(statement.targets, key=str):
            if schema in _OF_THE_SYSTEM or (schema is None and name.startswith("pg_")):
                raise refusal(
                    self._source,
                    f"writing to {name}",
                    "it belongs to the catalogue, where a write changes what everything means",
                )
        if self._schemas is None:
            return
        for schema, name in sorted(statement.relations, key=str):
            inside = schema is None or schema in self._schemas or schema in _ALWAYS_READABLE
            shows = name in _SHOWS_VALUES and schema in (None, "pg_catalog")
            if not inside or shows:
                raise self._outside(schema, name)

    def _outside(self, schema: str | None, name: str) -> PermissionDenied:
        part = name if schema is None else f"{schema}.{name}"
        return PermissionDenied(
            f"source {self._source!r} is limited to the schemas {', '.join(sorted(self._schemas or ()))}; {part} is "
            "not in them",
            param="query",
            details=[{"part": part, "reason": "outside of the source's schemas", "remedy": "schemas"}],
        )


async def _beside(work: Callable[[str, str, Profile], T], sql: str, source: str, profile: Profile) -> T:
    if len(sql) <= _AT_ONCE_CHARS:
        return work(sql, source, profile)
    return await asyncio.to_thread(work, sql, source, profile)


def _size(statement: Statement) -> int:
    names: Sequence[frozenset[Any]] = (
        statement.functions,
        statement.operators,
        statement.types,
        statement.attributes,
        statement.fields,
        statement.relations,
    )
    return 2 * len(statement.text) + 500 + 100 * sum(map(len, names))
