"""What an administrator declares harmless, besides what is known to be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepanalyze.datasources.connectors.postgresql.identifiers import parse_path
from deepanalyze.errors import InvalidRequest

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.postgresql.known import Known

_EXTENSION = re.compile(r"extension:([A-Za-z_][A-Za-z0-9_$-]*)")
_SYSTEM = frozenset({"pg_catalog", "information_schema"})


@dataclass(frozen=True, slots=True)
class Allowed:
    """`functions` also stands for operators and types of those names."""

    functions: frozenset[tuple[str | None, str]] = frozenset()
    schemas: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()

    def admits(self, known: Known) -> bool:
        """PostgreSQL's own are admitted by their whole name only, never as part of `pg_catalog.*`."""
        if (known.schema, known.name) in self.functions:
            return True
        if known.from_system:
            return False
        return (
            (None, known.name) in self.functions
            or known.schema in self.schemas
            or known.extension in self.extensions
        )


NOTHING = Allowed()


def parse_allowed_functions(entries: Iterable[str]) -> Allowed:
    """`name`, `schema.name`, `schema.*`, `extension:name`, in SQL's own quoting. Raises ValueError naming the entry."""
    functions: set[tuple[str | None, str]] = set()
    schemas: set[str] = set()
    extensions: set[str] = set()
    for entry in entries:
        text = entry.strip()
        try:
            if found := _EXTENSION.fullmatch(text):
                extensions.add(found[1])
            elif text.endswith(".*"):
                schemas.add(_schema(text.removesuffix(".*")))
            else:
                functions.add(parse_path(text.removesuffix("()")))
        except InvalidRequest:
            raise ValueError(
                f"{entry[:80]!r} names no functions; write name, schema.name, schema.* or extension:name"
            ) from None
    if schemas & _SYSTEM:
        raise ValueError(
            f"{sorted(schemas & _SYSTEM)[0]}.* would allow what reads files and ends sessions; name single functions"
        )
    return Allowed(frozenset(functions), frozenset(schemas), frozenset(extensions))


def _schema(text: str) -> str:
    schema, name = parse_path(text)
    if schema is not None:
        raise InvalidRequest("a schema has one part")
    return name
