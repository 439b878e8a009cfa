"""The certificate: what a credential could do without us, found out without leaving a trace."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deepanalyze.datasources import Certificate, SourceUnavailable
from deepanalyze.datasources.connectors.postgresql.certificate.probes import probes
from deepanalyze.datasources.connectors.postgresql.connecting import Connection
from deepanalyze.devservices.cluster import SETTINGS
from tests.support.postgres_roles import certified, findings, fresh_roles, granted
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase, run_postgres

TRACES = """
SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384), (SELECT count(*) FROM pg_largeobject_metadata),
       (SELECT array_agg(rolname::text ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^test_'),
       (SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname = 'postgres'),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database =
          (SELECT oid FROM pg_database WHERE datname = current_database())),
       (SELECT array_agg(a ORDER BY a) FROM t)
"""
OBJECTS = (
    "CREATE TABLE t (a int)",
    "INSERT INTO t VALUES (1), (2)",
    "CREATE SEQUENCE s",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    'CREATE SCHEMA "Odd ""Schema"""',
    'CREATE TABLE "Odd ""Schema"""."Weird ☃ Table" ("order" int, secret text)',
)


@pytest.fixture
def roles(postgres_database: PostgresDatabase) -> Iterator[Mapping[str, str]]:
    run_sql(postgres_database.admin_dsn, *OBJECTS)
    with fresh_roles(postgres_database) as names:
        yield names


def grant(database: PostgresDatabase, names: Mapping[str, str], *statements: str) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        granted(connection, names, *statements)


@pytest.mark.requirement("2.8")
async def test_a_superuser_gets_the_worst_grade_and_leaves_no_trace(
    postgres_database: PostgresDatabase,
) -> None:
    run_sql(postgres_database.admin_dsn, *OBJECTS)
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


@pytest.mark.requirement("2.8")
@pytest.mark.parametrize(
    ("text", "check", "grade"),
    [
        ("GRANT INSERT ON t TO {role}", "write tables", "C"),
        ("GRANT UPDATE (a) ON t TO {role}", "write tables", "C"),
        ("GRANT TRIGGER ON t TO {role}", "write tables", "C"),
        ("GRANT MAINTAIN ON t TO {role}", "write tables", "C"),
        ("ALTER TABLE t OWNER TO {role}", "own tables", "C"),
        ("ALTER FUNCTION f() OWNER TO {role}", "own other things", "C"),
        ("ALTER DATABASE {database} OWNER TO {role}", "own other things", "C"),
        ("GRANT CREATE, USAGE ON SCHEMA public TO {role}", "make tables in public", "C"),
        ("GRANT pg_read_server_files TO {role}", "act as pg_read_server_files", "D"),
        ("GRANT pg_execute_server_program TO {role}", "run programs on the server", "D"),
        ("GRANT pg_write_all_data TO {role}", "act as pg_write_all_data", "C"),
        ("GRANT pg_signal_backend TO {role}", "act as pg_signal_backend", "C"),
        ("GRANT pg_monitor TO {role}", "act as pg_monitor", "B"),
        ("GRANT pg_read_all_data TO {role}", "act as pg_read_all_data", "A"),
        ("GRANT postgres TO {role}", "become a superuser", "D"),
        ("ALTER ROLE {role} BYPASSRLS", "see rows that policies hide", "C"),
        ("ALTER ROLE {role} CREATEROLE", "make roles", "D"),
        ("GRANT EXECUTE ON FUNCTION lo_create(oid) TO {role}", "store large objects", "B"),
        ("GRANT EXECUTE ON FUNCTION lo_import(text) TO {role}", "call what is kept from everybody", "D"),
        ("GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {role}", "call what is kept from everybody", "C"),
        ("GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO {role}", "call what is kept from everybody", "B"),
        ("GRANT ALTER SYSTEM ON PARAMETER log_statement TO {role}", "change settings of the server", "D"),
        ("GRANT SET ON PARAMETER log_statement TO {role}", "change settings of the server", "C"),
        ("GRANT USAGE ON SEQUENCE s TO {role}", "move sequences", "A"),  # of a schema that it has no way into
        (
            "GRANT USAGE ON SEQUENCE s TO {role}; GRANT USAGE ON SCHEMA public TO {role}",
            "move sequences",
            "B",
        ),
    ],
)
async def test_each_right_too_many_is_found(
    postgres_database: PostgresDatabase, roles: Mapping[str, str], text: str, check: str, grade: str
) -> None:
    without = await certified(postgres_database, roles["role"])
    grant(postgres_database, roles, text)
    certificate = await certified(postgres_database, roles["role"])
    assert without.grade == "A"
    assert findings(without).get(check) in (False, None)
    assert (certificate.grade, findings(certificate)[check]) == (
        grade,
        check != "move sequences" or grade == "B",
    )


@pytest.mark.requirement("2.8")
@pytest.mark.parametrize(
    ("text", "check", "grade"),
    [
        ("GRANT INSERT ON t TO {other}", "write tables", "C"),
        ("ALTER TABLE t OWNER TO {other}", "own tables", "C"),
        ("GRANT CREATE, USAGE ON SCHEMA public TO {other}", "make things in schemas", "C"),
        ("ALTER ROLE {other} CREATEROLE", "make roles", "D"),
        ("ALTER ROLE {other} REPLICATION", "copy the whole cluster by replication", "D"),
        ("ALTER ROLE {other} BYPASSRLS", "see rows that policies hide", "C"),
        ("ALTER ROLE {other} SUPERUSER", "become a superuser", "D"),
        ("GRANT pg_write_server_files TO {other}", "act as pg_write_server_files", "D"),
        ("GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {other}", "call what is kept from everybody", "D"),
        (
            "GRANT TEMPORARY ON DATABASE {database} TO {other}",
            "make temporary tables or large objects as another role",
            "B",
        ),
    ],
)
async def test_rights_that_are_one_change_of_role_away_count(
    postgres_database: PostgresDatabase, roles: Mapping[str, str], text: str, check: str, grade: str
) -> None:
    """Not inherited, so that the credential has none of them as what it is."""
    grant(postgres_database, roles, "GRANT {other} TO {role} WITH INHERIT FALSE")
    without = await certified(postgres_database, roles["role"])
    grant(postgres_database, roles, text)
    certificate = await certified(postgres_database, roles["role"])
    assert (without.grade, findings(without)["become other roles"]) == ("A", True)
    assert findings(without)[f"become {roles['other']}"] is True
    assert (certificate.grade, findings(certificate)[check]) == (grade, True)


async def test_what_is_not_blocked_is_told(
    postgres_database: PostgresDatabase, roles: Mapping[str, str]
) -> None:
    grant(postgres_database, roles, "ALTER ROLE {role} BYPASSRLS")
    certificate = await certified(postgres_database, roles["role"])
    assert "blocks it, but not this: see rows that policies hide;" in certificate.summary


@pytest.mark.requirement("2.8")
async def test_functions_with_others_rights_are_found(
    postgres_database: PostgresDatabase, roles: Mapping[str, str]
) -> None:
    grant(
        postgres_database,
        roles,
        "GRANT USAGE ON SCHEMA public TO {role}",
        "CREATE FUNCTION mighty() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
        "CREATE VIEW v AS SELECT f()",
        "GRANT SELECT ON v TO PUBLIC",
    )
    certificate = await certified(postgres_database, roles["role"])
    assert certificate.grade == "D"
    assert findings(certificate)["run functions with others' rights (SECURITY DEFINER)"] is True
    assert findings(certificate)["run functions inside views and policies"] is True


async def test_a_trigger_s_function_counts_where_one_could_be_made(
    postgres_database: PostgresDatabase, roles: Mapping[str, str]
) -> None:
    grant(
        postgres_database,
        roles,
        "GRANT USAGE ON SCHEMA public TO {role}",
        "CREATE FUNCTION stamp() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    )
    check = "run functions with others' rights (SECURITY DEFINER)"
    assert findings(await certified(postgres_database, roles["role"]))[check] is False
    grant(postgres_database, roles, "GRANT TEMPORARY ON DATABASE {database} TO {role}")
    assert findings(await certified(postgres_database, roles["role"]))[check] is True


async def test_functions_in_policies_are_found(
    postgres_database: PostgresDatabase, roles: Mapping[str, str]
) -> None:
    grant(
        postgres_database,
        roles,
        "GRANT SELECT ON t TO {role}",
        "CREATE POLICY p ON t USING (f() = a)",
    )
    certificate = await certified(postgres_database, roles["role"])
    assert findings(certificate)["run functions inside views and policies"] is True
    assert certificate.grade == "A"


@pytest.mark.long
async def test_a_standby_is_certified_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no transaction that may write, and yet runs programs for a superuser."""
    monkeypatch.setitem(SETTINGS, "wal_level", "replica")
    async with run_postgres(tmp_path) as server:
        await server.create_database("test")
        data = Path(os.readlink(f"/proc/{server.process.pid}/cwd"))
    (data / "standby.signal").touch()
    async with run_postgres(tmp_path) as server:
        async with postgres({"connection_string": server.dsn("test")}) as connector:
            strong = await connector.certify()
        async with postgres(server.analyst_config("test")) as connector:
            weak = await connector.certify()
    assert (strong.grade, weak.grade) == ("D", "A")
    assert (strong.details["unknown"], weak.details["unknown"]) == ([], [])
    assert findings(strong)["run programs on the server"] is True
    assert findings(strong)["make temporary tables"] is False


async def test_it_waits_for_nobody(postgres_database: PostgresDatabase, roles: Mapping[str, str]) -> None:
    with psycopg.connect(postgres_database.admin_dsn) as busy:
        busy.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        certificate = await certified(postgres_database, roles["role"])
        async with postgres(superuser_config(postgres_database)) as connector:
            strong = await connector.certify()
    assert certificate.details["unknown"] == strong.details["unknown"] == []


@pytest.mark.parametrize("ending", ["cancelled", "hung up"])
async def test_ending_it_at_any_statement_leaves_nothing(
    postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    run_sql(postgres_database.admin_dsn, *OBJECTS)
    before = run_sql(postgres_database.admin_dsn, TRACES)
    execute = Connection.execute
    certifying: asyncio.Task[Certificate] | None = None

    async def ended_at_last(self: Connection, *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if certifying is not None and asyncio.current_task() is certifying:
            left -= 1
            if left == 0:  # once the statement is on its way, before anything is read of its answer
                end = certifying.cancel if ending == "cancelled" else partial(_hang_up, self)
                asyncio.get_running_loop().call_soon(end)
        return await execute(self, *args, **kwargs)

    monkeypatch.setattr(Connection, "execute", ended_at_last)
    ended = 0
    async with postgres(superuser_config(postgres_database)) as connector:
        while True:
            left = ended + 1
            certifying = asyncio.create_task(connector.certify())
            (result,) = await asyncio.gather(certifying, return_exceptions=True)
            if left > 0:
                break
            assert isinstance(result, asyncio.CancelledError if ending == "cancelled" else SourceUnavailable)
            ended += 1
    assert not isinstance(result, BaseException)
    assert ended > 2 * len(probes())  # each is begun and rolled back
    left_over = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(20):
        while run_sql(postgres_database.admin_dsn, left_over) != [(0,)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert run_sql(postgres_database.admin_dsn, TRACES) == before


def _hang_up(connection: Connection) -> None:
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


async def test_implicit_casts_of_users_are_named(
    postgres_database: PostgresDatabase, roles: Mapping[str, str]
) -> None:
    before = await certified(postgres_database, roles["role"])
    grant(
        postgres_database,
        roles,
        "CREATE TYPE money_of AS (a int)",
        "CREATE FUNCTION as_int(money_of) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
        "CREATE CAST (money_of AS int) WITH FUNCTION as_int(money_of) AS IMPLICIT",
    )
    after = await certified(postgres_database, roles["role"])
    check = "run functions by implicit casts"
    assert (findings(before)[check], findings(after)[check]) == (False, True)
    assert "money_of to integer" in next(f.evidence for f in after.findings if f.check == check)
