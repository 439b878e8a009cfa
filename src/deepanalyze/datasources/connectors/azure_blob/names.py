"""Names of blobs: what they may be."""

from __future__ import annotations

from deepanalyze.errors import InvalidRequest

_MAX_LENGTH = 1024


def check_name(name: str, param: str = "path") -> None:
    """Of a blob, or of several as a glob or prefix. Raises InvalidRequest."""
    if not name:
        raise InvalidRequest(
            f"{param} is empty; give a blob's name, a glob or a prefix ending in '/'", param=param
        )
    check_characters(name, param)
    if len(name) > _MAX_LENGTH:
        raise InvalidRequest(
            f"{param} is longer than the {_MAX_LENGTH} characters of a blob's name", param=param
        )
    if any(part in (".", "..") for part in name.split("/")):
        raise InvalidRequest(
            f"{param} has a part '.' or '..', which the way to Azure would fold away", param=param
        )


def check_characters(name: str, param: str = "path") -> None:
    if "\x00" in name:
        raise InvalidRequest(f"{param} holds a NUL character, which no blob's name has", param=param)
