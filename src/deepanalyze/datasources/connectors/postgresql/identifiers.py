"""Names of tables as people and SQL write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deepanalyze.errors import InvalidRequest

_PART = re.compile(r'"(?P<quoted>(?:[^"\x00]|"")+)"|(?P<plain>[^\W\d][\w$]*)')
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
# Only words that SQL would misread as something else when they stand where a table's name stands.
_RESERVED_WORDS = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast
char character check coalesce collate collation column concurrently constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user dec decimal default deferrable
desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest group
grouping having ilike in initially inner inout int integer intersect interval into is isnull join json lateral
leading least left like limit localtime localtimestamp national natural nchar none normalize not notnull null
nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real
references returning right row select session_user setof similar smallint some substring symmetric system_user
table tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic
verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi
xmlroot xmlserialize xmltable
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())


def parse_path(path: str) -> tuple[str | None, str]:
    """`schema.table`, `table`, `hr."Weird Table"` → schema and table; unquoted names fold to lower case."""
    if not _has_utf8(path):
        raise _malformed(path)
    parts: list[str] = []
    position = 0
    while True:
        found = _PART.match(path, position)
        if found is None:
            raise _malformed(path)
        quoted = found["quoted"]
        parts.append(quoted.replace('""', '"') if quoted is not None else _folded(found["plain"]))
        position = found.end()
        if position == len(path):
            break
        if path[position] != ".":
            raise _malformed(path)
        position += 1
    if len(parts) > 2:
        raise InvalidRequest(f"{path!r} has too many parts; write schema.table", param="table")
    return (parts[0] if len(parts) == 2 else None), parts[-1]


def parse_schema(path: str) -> str:
    schema, name = parse_path(path)
    if schema is not None:
        raise InvalidRequest(f"{path!r} is a table's path; name a schema to see what is in it", param="path")
    return name


def quoted(*parts: str) -> str:
    """The parts as SQL needs them, quoted where it must be."""
    return ".".join(
        part if _PLAIN.fullmatch(part) and part not in _RESERVED else '"' + part.replace('"', '""') + '"'
        for part in parts
    )


def always_quoted(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def literal(text: str) -> str:
    """A string constant. Only for where `standard_conforming_strings` is on, as in every transaction of ours."""
    return "'" + text.replace("'", "''") + "'"


def distinct_names(names: Sequence[str]) -> list[str]:
    """Columns by names of their own: `a, a` becomes `a, a_2`; a name that the query itself gives is kept."""
    taken = set(names)
    seen: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 2
        while candidate in seen or (candidate != name and candidate in taken):
            candidate = f"{name}_{number}"
            number += 1
        seen.add(candidate)
        result.append(candidate)
    return result


def _has_utf8(text: str) -> bool:
    """Half a surrogate pair, which JSON may bring, has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folded(name: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in name)


def _malformed(path: str) -> InvalidRequest:
    return InvalidRequest(
        f'{path[:200]!r} is not the path of a table; write table, schema.table or, with odd names, schema."Odd Name"',
        param="table",
    )
