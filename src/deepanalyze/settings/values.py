"""The types of settings' values: what each takes, and what is wrong with what it does not take."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from deepanalyze.datasources.policy import parse_allowed
from deepanalyze.errors import InvalidRequest

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OUR_HEADERS = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection"})


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password; a key has its own setting")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or fragment")
    return value.rstrip("/")


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})", value):
            raise ValueError("must be a host name or an IP address, without port or scheme") from None
    return value


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _several(value: Any) -> Any:
    """A list of the file, or `a, b` of a variable."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(entries: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return parse_allowed(entries)
    except InvalidRequest as error:
        raise ValueError(error.message) from None


def _several_paths(value: Any) -> Any:
    """A list of the file, or `/a,/b` or `/a:/b` of a variable."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in re.split(f"[,{os.pathsep}]", value) if part.strip()]


def _absolute_already(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _client_networks(entries: tuple[str, ...]) -> tuple[str, ...]:
    networks = []
    for entry in entries:
        try:
            networks.append(str(ipaddress.ip_network(entry.strip(), strict=False)))
        except ValueError:
            raise ValueError(
                f"{entry!r} is neither a network (10.0.0.0/8, fd00::/8) nor an address"
            ) from None
    return tuple(networks)


def _host_pattern(value: str) -> str:
    text = value.strip().lower().rstrip(".")
    if text == "*":
        return text
    if ":" in text.strip("[]") or text.startswith("["):
        return str(ipaddress.IPv6Address(text.strip("[]")))
    _host(text.removeprefix("*."))
    return text


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if value != "*" and (
        parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/")
    ):
        raise ValueError("must be an origin, as https://app.example.org, or *")
    return value.rstrip("/").lower()


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("must be the name of an HTTP header, as X-Team")
    if name.lower() in _OUR_HEADERS:
        raise ValueError("is a header that the client sets itself")
    return name


def _header_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII text")
    return value


Headers = Annotated[
    dict[Annotated[str, AfterValidator(_header_name)], Annotated[SecretStr, AfterValidator(_header_value)]],
    Field(max_length=50),
]
Host = Annotated[str, AfterValidator(_host)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Networks = Annotated[tuple[str, ...], BeforeValidator(_several), AfterValidator(_networks)]
ClientNetworks = Annotated[tuple[str, ...], BeforeValidator(_several), AfterValidator(_client_networks)]
HostPatterns = Annotated[tuple[Annotated[str, AfterValidator(_host_pattern)], ...], BeforeValidator(_several)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_several)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Directories = Annotated[
    tuple[Annotated[Path, AfterValidator(_absolute_already)], ...], BeforeValidator(_several_paths)
]
Seconds = Annotated[float, Field(gt=0, le=10**9)]
