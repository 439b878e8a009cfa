"""The parameters of a PostgreSQL source."""

from __future__ import annotations

import ipaddress
from typing import Any, Self

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from deepanalyze.datasources.connectors.postgresql.allowed import parse_allowed_functions
from deepanalyze.datasources.connectors.postgresql.connection_string import (
    SslMode,
    check_host,
    check_options,
    parse_connection_string,
)
from deepanalyze.datasources.entra import EntraFields
from deepanalyze.datasources.fields import AllowedNetworks
from deepanalyze.datasources.schema import FieldError


class PostgresConfig(EntraFields):
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
        "sslmode, connect_timeout, application_name and options.",
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
    sslcert: str | None = Field(
        default=None,
        description="Certificate of this client (PEM, the text itself), for servers that ask for one; with sslkey.",
    )
    sslkey: SecretStr | None = Field(
        default=None, description="Private key of sslcert (PEM, the text itself, not encrypted)."
    )
    read_only: bool = Field(
        default=True,
        description="Refuses everything but reading. Without it, users with the `write` grant may run one INSERT, "
        "UPDATE, DELETE or MERGE at a time; everything else stays refused.",
    )
    allowed_networks: AllowedNetworks | None = Field(
        default=None,
        description="Networks (CIDR) and patterns of host names in which the server has to be, besides what this "
        "installation allows.",
        examples=[["10.0.0.0/8", "*.internal"]],
    )
    schemas: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Only these schemas are shown and may be named; by default all that the role may read.",
        examples=[["sales", "public"]],
    )
    allowed_functions: list[str] | None = Field(
        default=None,
        description="What queries may call besides PostgreSQL's own harmless functions: functions (`schema.name`), "
        "all of a schema (`schema.*`) or of an extension (`extension:postgis`). They run with the role's rights, and "
        "nobody but you knows that they do no harm.",
        examples=[["reporting.fiscal_year", "extension:postgis"]],
    )
    statement_cost_limit: float | None = Field(
        default=None,
        gt=0,
        description="Refuses queries that the server's planner expects to cost more (EXPLAIN's total cost).",
        examples=[1_000_000],
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
    max_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Bytes that a result has at most; 1 GiB by default. A larger one is an error.",
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
    options: str | None = Field(
        default=None,
        max_length=1000,
        description="Settings of the session, as in libpq (`-c work_mem=64MB`), and `endpoint=…` of hosted poolers. "
        "Only settings that change how queries are planned are accepted.",
        examples=["-c work_mem=64MB"],
    )
    application_name: str = Field(
        default="deepanalyze",
        max_length=63,
        description="What the server's activity view calls these connections.",
    )

    @field_validator("sslrootcert", "sslcert")
    @classmethod
    def _inline_certificate(cls, value: str | None) -> str | None:
        if value is not None and "-----BEGIN CERTIFICATE-----" not in value:
            raise ValueError(
                "must be the PEM text itself (-----BEGIN CERTIFICATE----- …), not the name of a file"
            )
        return value

    @field_validator("sslkey")
    @classmethod
    def _inline_key(cls, value: SecretStr | None) -> SecretStr | None:
        text = "" if value is None else value.get_secret_value()
        if value is not None and "PRIVATE KEY-----" not in text:
            raise ValueError(
                "must be the PEM text itself (-----BEGIN PRIVATE KEY----- …), not the name of a file"
            )
        if "ENCRYPTED" in text:
            raise ValueError("must not be encrypted with a passphrase; it is encrypted where it is stored")
        return value

    @field_validator("options")
    @classmethod
    def _harmless_options(cls, value: str | None) -> str | None:
        if value is not None:
            check_options(value)
        return value

    @field_validator("allowed_functions")
    @classmethod
    def _functions(cls, value: list[str] | None) -> list[str] | None:
        parse_allowed_functions(value or ())
        return value

    @field_validator("host", "database", "user", "application_name", "search_path", "schemas")
    @classmethod
    def _printable(cls, value: Any) -> Any:
        for text in value if isinstance(value, list) else [value]:
            if text is not None and (not text.strip() or "\x00" in text):
                raise ValueError("must not be empty or hold a NUL character")
        return value

    @field_validator(
        "password", "connection_string", "socket_dir", "sslrootcert", "sslcert", "sslkey", "options"
    )
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
        if value is not None:
            check_host(value)
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
        if (whole.sslcert is None) != (whole.sslkey is None):
            missing = "sslkey" if whole.sslkey is None else "sslcert"
            raise FieldError(missing, "is missing: a client certificate and its key go together")
        if whole.credential is not None and whole.password is not None:
            raise FieldError("password", "and credential exclude each other: the token takes its place")
        in_the_clear = whole.tls_mode in ("disable", "allow", "prefer") and not whole.is_local
        if whole.credential is not None and in_the_clear:
            raise FieldError(
                "sslmode", "must be 'require' or better: an Entra token must not be sent in the clear"
            )
        outside = sorted(set(whole.search_path or ()) - set(whole.schemas or whole.search_path or ()))
        if outside:
            raise FieldError("search_path", f"names {', '.join(outside)}, which schemas leaves out")
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
        return self.sslmode or ("prefer" if self.is_local else "require")

    @property
    def is_local(self) -> bool:
        """Whether nothing between client and server leaves this machine."""
        return self.socket_dir is not None or _is_loopback(self.host or "")


def _is_loopback(host: str) -> bool:
    if host.lower() in {"localhost", "localhost."}:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
