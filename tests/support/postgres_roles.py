"""Roles of one test, and what the certificate says of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from deepanalyze.datasources import Certificate, SupportsCertificate
from tests.support.canaries import canary
from tests.support.postgres_sources import postgres
from tests.support.services import PostgresDatabase

PASSWORD = canary("role")


@contextmanager
def fresh_roles(database: PostgresDatabase) -> Iterator[Mapping[str, str]]:
    """`role` may connect and nothing else that is not everybody's; `other` is a role to lend it rights. `reader` is a
    name for the one that a script makes. The values are what `granted` takes.
    """
    role = f"test_{secrets.token_hex(5)}"
    names = {"role": role, "other": f"{role}_other", "reader": f"{role}_reader", "database": database.name}
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        granted(
            connection,
            names,
            f"CREATE ROLE {{role}} LOGIN PASSWORD '{PASSWORD}'",
            "GRANT CONNECT ON DATABASE {database} TO {role}",
            "CREATE ROLE {other}",
        )
        try:
            yield names
        finally:
            for key in ("role", "other", "reader"):
                if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [names[key]]).fetchone():
                    gone = {"gone": names[key]}
                    granted(connection, gone, "REASSIGN OWNED BY {gone} TO CURRENT_USER")
                    granted(connection, gone, "DROP OWNED BY {gone}", "DROP ROLE {gone}")


@contextmanager
def fresh_logins(database: PostgresDatabase, count: int) -> Iterator[Sequence[tuple[str, str]]]:
    """Names and passwords of roles that may connect, each with a password of its own."""
    logins = [(f"test_{secrets.token_hex(5)}", canary(f"login {n}")) for n in range(count)]
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        for name, password in logins:
            names = {"role": name, "database": database.name}
            granted(
                connection,
                names,
                f"CREATE ROLE {{role}} LOGIN PASSWORD '{password}'",
                "GRANT CONNECT ON DATABASE {database} TO {role}",
            )
        try:
            yield logins
        finally:
            for name, _ in logins:
                granted(connection, {"gone": name}, "DROP OWNED BY {gone}", "DROP ROLE {gone}")


def granted(
    connection: psycopg.Connection[tuple[object, ...]], names: Mapping[str, str], *statements: str
) -> None:
    identifiers = {key: sql.Identifier(name) for key, name in names.items()}
    for statement in statements:
        connection.execute(sql.SQL(statement).format(**identifiers))  # type: ignore[arg-type]


async def certified(database: PostgresDatabase, role: str) -> Certificate:
    config = {**database.analyst_config, "user": role, "password": PASSWORD}
    async with postgres(config, pool_max_size=1) as connector:
        assert isinstance(connector, SupportsCertificate)
        return await connector.certify()


def findings(certificate: Certificate) -> dict[str, bool | None]:
    return {finding.check: finding.allowed for finding in certificate.findings}
