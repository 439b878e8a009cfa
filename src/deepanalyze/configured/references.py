"""`${env:NAME}` and `${file:/path}` in the configuration file. What they stand for is never part of a message."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_REFERENCE = re.compile(r"\$\{(?P<kind>[A-Za-z_]+):(?P<name>[^}]*)\}")
MAX_FILE_BYTES = 64 * 1024

Tell = Callable[[str, str], None]  # the place, as `config.password`, and what is wrong there


def has_reference(text: str) -> bool:
    return _REFERENCE.search(text) is not None


def expand(value: Any, environ: Mapping[str, str], tell: Tell, place: str) -> Any:
    """A copy with every reference replaced, in texts at any depth; what one stands for is not searched again.

    A reference that cannot be had is told, and stays as it is.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _resolve(match, environ, tell, place), value)
    if isinstance(value, Mapping):
        return {key: expand(each, environ, tell, f"{place}.{key}") for key, each in value.items()}
    if isinstance(value, list):
        return [expand(each, environ, tell, f"{place}[{index}]") for index, each in enumerate(value)]
    return value


def _resolve(match: re.Match[str], environ: Mapping[str, str], tell: Tell, place: str) -> str:
    try:
        return _read(match["kind"], match["name"], environ)
    except LookupError as error:
        tell(place, f"{match[0]}: {error.args[0]}")
        return match[0]


def _read(kind: str, name: str, environ: Mapping[str, str]) -> str:
    """Raises LookupError with the reason."""
    if kind == "file":
        return read_secret_file(name)
    if kind != "env":
        raise LookupError("no such kind of reference; there are ${env:NAME} and ${file:/path}")
    if not environ.get(name):
        raise LookupError("the variable is empty" if name in environ else "there is no such variable")
    return environ[name]


def read_secret_file(name: str) -> str:
    """The text without the line break at its end. Raises LookupError with the reason."""
    path = Path(name)
    if not path.is_absolute():
        raise LookupError("the path must be absolute")
    try:
        if not path.is_file() and path.exists():
            raise LookupError("is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except OSError as error:
        raise LookupError(f"the file cannot be read: {error.strerror}") from None
    except ValueError:
        raise LookupError("the file is not UTF-8 text, or its path is none") from None
    if len(content) > MAX_FILE_BYTES:
        raise LookupError(f"the file is larger than {MAX_FILE_BYTES} bytes")
    if not text:
        raise LookupError("the file is empty")
    return text
