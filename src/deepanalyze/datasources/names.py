"""The one name space of data-source names and ids."""

from __future__ import annotations

import re
import secrets

from deepanalyze.errors import InvalidRequest

GENERATED_PREFIX = "ds-"
RESERVED = frozenset({"templates", "validate"})
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")


def new_source_id() -> str:
    return GENERATED_PREFIX + secrets.token_hex(12)


def check_name(name: str, *, param: str = "name") -> None:
    """A name, or an id that the caller chose. Raises InvalidRequest."""
    check_id(name, param=param)
    if name.startswith(GENERATED_PREFIX):
        raise InvalidRequest(
            f"{param} {name!r} begins with 'ds-', which is kept for generated ids", param=param
        )


def check_id(source_id: str, *, param: str = "id") -> None:
    if not _NAME.fullmatch(source_id):
        raise InvalidRequest(
            f"{param} {source_id[:60]!r} must begin with a lower-case letter, go on with lower-case letters, digits, "
            "'_' and '-', and have at most 41 characters",
            param=param,
        )
    if source_id in RESERVED:
        raise InvalidRequest(f"{param} {source_id!r} is a reserved word", param=param)
