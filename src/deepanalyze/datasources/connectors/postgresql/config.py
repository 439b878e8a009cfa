"""The parameters of a PostgreSQL source."""

from __future__ import annotations

import ipaddress
from typing import Any, Literal, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from deepanalyze.datasources.schema import FieldError

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

# What a connection string may say; the rest names files of the server or changes how the session behaves.
_FROM_STRING = {
    "host": "host",
    "port": "port",
    "dbname": "database",
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
    "connect_timeout": "connect_timeout_s",
    "application_name": "application_name",
}


class PostgresConfig(BaseModel):
    """A PostgreSQL database, named by its parts or by a connection string."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, title="PostgreSQL")

    host: str | None = Field(
        default=None, description="Name or address of the server.", examples=["db.internal"], max_length=255
    )
    port: int = Field(default=5432, ge=1, le=65535, description="TCP port of the server.")
    database: str | None = Field(
        default=None, description="Name of the database.", examples=["sales"], max_length=63
    )
    user: str | None = Field(
        default=None,
        description="Role to connect as; one that may only read what it is meant to.",
        examples=["analyst"],
        max_length=63,
    )
    password: SecretStr | None = Field(default=None, description="Password of the role.")
    connection_string: SecretStr | None = Field(
        default=None,
        description="Instead of host, port, database, user and password: a URI "
        "(postgresql://user:password@host/database) or key=value pairs. It may set host, port, dbname, user, password, "
        "sslmode, connect_timeout and application_name.",
    )
    socket_dir: str | None = Field(
        default=None,
        description="Instead of a host: the directory of a Unix socket on this machine (for administrators).",
        pattern="^/",
        examples=["/var/run/postgresql"],
    )
    sslmode: SslMode | None = Field(
        default=None,
        description="How TLS is used, as in libpq. By default 'require', and 'prefer' on this machine itself; "
        "'verify-full' also proves that the server is the one that was named.",
    )
    sslrootcert: str | None = Field(
        default=None,
        description="Certificates (PEM, the text itself) of the authorities that the server's is checked against "
        "with 'verify-ca' and 'verify-full'; without it 'verify-full' trusts what the system trusts.",
    )
    read_only: bool = Field(
        default=True, description="PostgreSQL sources are always read-only; only true is accepted."
    )
    query_timeout_s: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Seconds after which the server stops a query; 30 by default.",
    )
    connect_timeout_s: float | None = Field(
        default=None, gt=0, le=600, description="Seconds to wait for a connection; 10 by default."
    )
    max_rows: int | None = Field(
        default=None,
        ge=1,
        description="Rows that a query or table brings at most; 10,000 by default. More are cut.",
    )
    pool_min_size: int | None = Field(
        default=None, ge=0, le=100, description="Connections kept open; 2 by default."
    )
    pool_max_size: int | None = Field(
        default=None, ge=1, le=100, description="Connections at most; 10 by default."
    )
    search_path: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Schemas in which tables without a schema are looked for; by default the role's own.",
        examples=[["sales", "public"]],
    )
    application_name: str = Field(
        default="deepanalyze",
        max_length=63,
        description="What the server's activity view calls these connections.",
    )

    @field_validator("read_only")
    @classmethod
    def _only_reading(cls, value: bool) -> bool:
        if not value:
            raise ValueError("PostgreSQL sources are always read-only; leave it out or set it to true")
        return value

    @field_validator("sslrootcert")
    @classmethod
    def _inline_certificate(cls, value: str | None) -> str | None:
        if value is not None and "-----BEGIN CERTIFICATE-----" not in value:
            raise ValueError(
                "must be the PEM text itself (-----BEGIN CERTIFICATE----- …), not the name of a file"
            )
        return value

    @field_validator("host", "database", "user", "application_name", "search_path")
    @classmethod
    def _printable(cls, value: Any) -> Any:
        for text in value if isinstance(value, list) else [value]:
            if text is not None and (not text.strip() or "\x00" in text):
                raise ValueError("must not be empty or hold a NUL character")
        return value

    @field_validator("password", "connection_string", "socket_dir", "sslrootcert")
    @classmethod
    def _whole_to_libpq(cls, value: SecretStr | str | None) -> SecretStr | str | None:
        """libpq reads up to a NUL: without the rest, host included, it would try its own defaults."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text is not None and "\x00" in text:
            raise ValueError("must not hold a NUL character")
        return value

    @field_validator("host")
    @classmethod
    def _one_host(cls, value: str | None) -> str | None:
        if value is not None and value.startswith(("/", "@")):
            raise ValueError("is a Unix socket's directory; give it as socket_dir")
        if value is not None and "," in value:
            raise ValueError("must name one host")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.connection_string is not None:
            self._check_clashes(parse_connection_string(self.connection_string.get_secret_value()))
        whole = self.resolved()
        if whole.host is None and whole.socket_dir is None:
            raise FieldError("host", "is missing: name the server with host, socket_dir or connection_string")
        if whole.host is not None and whole.socket_dir is not None:
            raise FieldError("socket_dir", "and host exclude each other")
        for name in ("database", "user"):
            if getattr(whole, name) is None:
                raise FieldError(name, "is missing: give it here or in connection_string")
        if whole.sslmode == "verify-ca" and whole.sslrootcert is None:
            raise FieldError("sslrootcert", "is needed for sslmode 'verify-ca'")
        if whole.pool_min_size is not None and whole.pool_min_size > (whole.pool_max_size or 100):
            raise FieldError("pool_min_size", "is larger than pool_max_size")
        return self

    def _check_clashes(self, parsed: dict[str, Any]) -> None:
        if self.socket_dir is not None:
            raise FieldError("socket_dir", "and connection_string exclude each other")
        for name, value in parsed.items():
            given = getattr(self, name)
            given = given.get_secret_value() if isinstance(given, SecretStr) else given
            if name in self.model_fields_set and given is not None and given != value:
                raise FieldError(name, "is given twice, here and in connection_string, and differs; keep one")

    def resolved(self) -> PostgresConfig:
        """The same with the connection string taken apart."""
        if self.connection_string is None:
            return self
        parsed = parse_connection_string(self.connection_string.get_secret_value())
        if "password" in parsed:
            parsed["password"] = SecretStr(parsed["password"])
        return self.model_copy(update={"connection_string": None, **parsed})

    @property
    def tls_mode(self) -> SslMode:
        if self.socket_dir is not None:
            return "disable"
        return self.sslmode or ("prefer" if _is_loopback(self.host or "") else "require")


def parse_connection_string(text: str) -> dict[str, Any]:
    """Its parts by our names. Raises FieldError without repeating any of it."""
    try:
        parts = conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        raise FieldError(
            "connection_string",
            "cannot be parsed; write postgresql://user:password@host:port/database (with special "
            "characters %-encoded) or key=value pairs",
        ) from None
    parts = {name: value for name, value in parts.items() if value not in (None, "")}
    unknown = sorted(parts.keys() - _FROM_STRING.keys())
    if unknown:
        raise FieldError(
            "connection_string",
            f"may not set {', '.join(unknown)}; allowed are {', '.join(_FROM_STRING)} "
            "(certificates go into sslrootcert)",
        )
    return {_FROM_STRING[name]: _typed(name, str(value)) for name, value in parts.items()}


def _typed(name: str, value: str) -> Any:
    if name == "port":
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
            raise FieldError("connection_string", "port must be a number from 1 to 65535, and only one")
        return int(value)
    if name == "connect_timeout":
        try:
            seconds = float(value)
        except ValueError:
            raise FieldError("connection_string", "connect_timeout must be a number of seconds") from None
        if not 0 < seconds <= 600:
            raise FieldError("connection_string", "connect_timeout must be above 0 and at most 600 seconds")
        return seconds
    if name == "sslmode" and value not in SslMode.__args__:  # type: ignore[attr-defined]
        raise FieldError("connection_string", f"sslmode must be one of {', '.join(SslMode.__args__)}")  # type: ignore[attr-defined]
    if name == "host" and (value.startswith(("/", "@")) or "," in value):
        raise FieldError(
            "connection_string", "host must be one host; a Unix socket's directory goes into socket_dir"
        )
    return value


def _is_loopback(host: str) -> bool:
    if host.lower() in {"localhost", "localhost."}:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
