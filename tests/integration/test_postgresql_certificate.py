"""The certificate: what a credential could do without us, found out without leaving a trace."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from deepanalyze.datasources import Certificate, SupportsCertificate
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase

TRACES = """
SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384), (SELECT count(*) FROM pg_largeobject_metadata),
       (SELECT array_agg(rolname::text ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^(entra|test)_'),
       (SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname = 'postgres'),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database =
          (SELECT oid FROM pg_database WHERE datname = current_database())),
       (SELECT array_agg(a ORDER BY a) FROM t)
"""
SETTING = (
    "CREATE TABLE t (a int)",
    "INSERT INTO t VALUES (1), (2)",
    'CREATE SCHEMA "Odd ""Schema"""',
    'CREATE TABLE "Odd ""Schema"""."Weird ☃ Table" ("order" int, secret text)',
)


def findings(certificate: Certificate) -> dict[str, bool | None]:
    return {finding.check: finding.allowed for finding in certificate.findings}


@pytest.fixture
def role(postgres_database: PostgresDatabase) -> Iterator[str]:
    """A role of its own, `test_…`, that may connect and nothing else that is not everybody's."""
    name = f"test_{secrets.token_hex(5)}"
    run_sql(postgres_database.admin_dsn, *SETTING)
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        execute(connection, "CREATE ROLE {} LOGIN PASSWORD 'made-up'", name)
        execute(connection, "GRANT CONNECT ON DATABASE {} TO {}", postgres_database.name, name)
        yield name
        for reader in (name, "deepanalyze_reader"):
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [reader]).fetchone():
                execute(connection, "REASSIGN OWNED BY {} TO CURRENT_USER", reader)
                execute(connection, "DROP OWNED BY {}", reader)
                execute(connection, "DROP ROLE {}", reader)


def execute(connection: psycopg.Connection[tuple[object, ...]], text: str, *names: str) -> None:
    connection.execute(sql.SQL(text).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]


async def certified(database: PostgresDatabase, role: str, password: str = "made-up") -> Certificate:
    config = {**database.analyst_config, "user": role, "password": password}
    async with postgres(config, pool_max_size=1) as connector:
        assert isinstance(connector, SupportsCertificate)
        return await connector.certify()


def grant(database: PostgresDatabase, text: str, *names: str) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        execute(connection, text, *names)


@pytest.mark.requirement("2.8")
async def test_a_superuser_gets_the_worst_grade_and_leaves_no_trace(
    postgres_database: PostgresDatabase,
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    before = run_sql(postgres_database.admin_dsn, TRACES)
    async with postgres(superuser_config(postgres_database)) as connector:
        certificate = await connector.certify()
        assert (await connector.query("SELECT 1 AS a"))["a"].tolist() == [1]
    found = findings(certificate)
    assert certificate.grade == "D"
    for check in (
        "be a superuser",
        "run programs on the server",
        "write files on the server",
        "read files of the server",
        "store large objects",
        "make temporary tables",
        "write tables",
        "make tables in public",
    ):
        assert found[check] is True, check
    assert all(finding.blocked for finding in certificate.findings if finding.severity == "high")
    assert "unknown" not in certificate.details or certificate.details["unknown"] == []
    assert run_sql(postgres_database.admin_dsn, TRACES) == before


async def test_the_embedded_analyst_reads_and_nothing_else(postgres_database: PostgresDatabase) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        certificate = await connector.certify()
    assert certificate.grade == "A", [f for f in certificate.findings if f.allowed]
    assert findings(certificate)["take advisory locks"] is True


@pytest.mark.parametrize(
    ("text", "check", "grade"),
    [
        ("GRANT INSERT ON t TO {}", "write tables", "C"),
        ("GRANT UPDATE (a) ON t TO {}", "write tables", "C"),
        ("ALTER TABLE t OWNER TO {}", "own tables", "C"),
        ("GRANT CREATE, USAGE ON SCHEMA public TO {}", "make tables in public", "C"),
        ("GRANT pg_read_server_files TO {}", "act as pg_read_server_files", "D"),
        ("GRANT pg_execute_server_program TO {}", "run programs on the server", "D"),
        ("GRANT pg_write_all_data TO {}", "act as pg_write_all_data", "C"),
        ("GRANT pg_signal_backend TO {}", "act as pg_signal_backend", "C"),
        ("GRANT postgres TO {}", "become a superuser", "D"),
        ("ALTER ROLE {} BYPASSRLS", "see rows that policies hide", "C"),
        ("ALTER ROLE {} CREATEROLE", "make roles", "D"),
        ("GRANT EXECUTE ON FUNCTION lo_create(oid) TO {}", "store large objects", "B"),
    ],
)
async def test_each_right_too_many_is_found(
    postgres_database: PostgresDatabase, role: str, text: str, check: str, grade: str
) -> None:
    without = await certified(postgres_database, role)
    grant(postgres_database, text, role)
    certificate = await certified(postgres_database, role)
    assert findings(without).get(check) in (False, None)
    assert findings(certificate)[check] is True
    assert certificate.grade == grade


async def test_functions_with_others_rights_are_found(postgres_database: PostgresDatabase, role: str) -> None:
    grant(postgres_database, "GRANT USAGE ON SCHEMA public TO {}", role)
    run_sql(
        postgres_database.admin_dsn,
        "CREATE FUNCTION mighty() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE VIEW v AS SELECT f()",
        "GRANT SELECT ON v TO PUBLIC",
    )
    certificate = await certified(postgres_database, role)
    assert certificate.grade == "D"
    assert findings(certificate)["run functions with others' rights (SECURITY DEFINER)"] is True
    assert findings(certificate)["run functions inside views"] is True


@pytest.mark.requirement("2.8")
async def test_the_script_makes_a_credential_that_needs_no_guard(
    postgres_database: PostgresDatabase, role: str
) -> None:
    """On a database as PostgreSQL makes it, with its rights of PUBLIC."""
    run_sql(
        postgres_database.admin_dsn,
        'GRANT USAGE ON SCHEMA "Odd ""Schema""" TO PUBLIC',
        'GRANT SELECT ("order") ON "Odd ""Schema"""."Weird ☃ Table" TO PUBLIC',
        "GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC",
    )
    grant(postgres_database, "GRANT TEMPORARY ON DATABASE {} TO PUBLIC", postgres_database.name)
    grant(postgres_database, "GRANT SELECT ON t TO {}", role)
    weak = await certified(postgres_database, role)
    assert weak.grade == "C"
    script = weak.script.replace("deepanalyze_reader", f"{role}_reader").replace(
        "choose-a-long-password", "made-up"
    )
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        try:
            connection.execute(script)  # type: ignore[call-overload]
            strong = await certified(postgres_database, f"{role}_reader")
            assert strong.grade == "A", [f for f in strong.findings if f.allowed]
            config = {**postgres_database.analyst_config, "user": f"{role}_reader", "password": "made-up"}
            async with postgres(config, pool_max_size=1) as connector:
                assert sorted((await connector.query("SELECT a FROM t"))["a"]) == [1, 2]
                path = '"Odd ""Schema"""."Weird ☃ Table"'
                assert len(await connector.query(f'SELECT "order" FROM {path}')) == 0
                with pytest.raises(Exception, match="permission denied"):
                    await connector.query(f"SELECT secret FROM {path}")
        finally:
            execute(connection, "DROP OWNED BY {}", f"{role}_reader")
            execute(connection, "DROP ROLE {}", f"{role}_reader")


async def test_the_script_keeps_to_the_schemas_of_the_source(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    async with postgres(superuser_config(postgres_database), schemas=["public"]) as connector:
        certificate = await connector.certify()
    assert "GRANT USAGE ON SCHEMA public" in certificate.script
    assert "Odd" not in certificate.script


async def test_ending_it_in_the_middle_leaves_nothing(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    before = run_sql(postgres_database.admin_dsn, TRACES)
    async with postgres(superuser_config(postgres_database)) as connector:
        for turns in range(0, 120, 8):
            task = asyncio.create_task(connector.certify())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(20):
        while run_sql(postgres_database.admin_dsn, left) != [(0,)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert run_sql(postgres_database.admin_dsn, TRACES) == before
