"""The certificate's script: it makes a credential that needs no guard, whatever the database is like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psycopg
import pytest

from deepanalyze.datasources.connectors.postgresql.certificate.script import ROLE
from tests.integration.test_postgresql_certificate import OBJECTS
from tests.support.postgres_roles import PASSWORD, certified, fresh_roles, granted
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase

# What everybody may do here, with names that only quoting keeps from being something else.
LENIENT = (
    "GRANT TEMPORARY, CREATE ON DATABASE {database} TO PUBLIC",
    "GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC",
    'GRANT CREATE, USAGE ON SCHEMA "Odd ""Schema""" TO PUBLIC',
    "GRANT ALL ON t TO PUBLIC",
    "GRANT SELECT ON t TO {role}",
    'GRANT SELECT ("order"), UPDATE ("order") ON "Odd ""Schema"""."Weird ☃ Table" TO PUBLIC',
    "GRANT ALL ON SEQUENCE s TO PUBLIC",
    'CREATE FOREIGN DATA WRAPPER "f\'dw"',
    'CREATE SERVER "a ""server" FOREIGN DATA WRAPPER "f\'dw"',
    'GRANT USAGE ON FOREIGN DATA WRAPPER "f\'dw" TO PUBLIC',
    'GRANT USAGE ON FOREIGN SERVER "a ""server" TO PUBLIC',
    "CREATE PROCEDURE mighty() SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION mighty(t, {evil} text) RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION {evil}() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE {evil} (a int)",
    "ALTER TABLE {evil} ENABLE ROW LEVEL SECURITY",
    "GRANT INSERT, SELECT ON {evil} TO PUBLIC",
)
EVIL = {"evil": 'x"\nSELECT 1/0;\n--'}


@pytest.fixture
def roles(postgres_database: PostgresDatabase) -> Iterator[Mapping[str, str]]:
    run_sql(postgres_database.admin_dsn, *OBJECTS)
    with fresh_roles(postgres_database) as names:
        yield names


@pytest.mark.requirement("2.8")
async def test_it_makes_a_credential_that_needs_no_guard(
    postgres_database: PostgresDatabase, roles: Mapping[str, str]
) -> None:
    reader = roles["reader"]
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        granted(connection, {**roles, **EVIL}, *LENIENT)
        weak = await certified(postgres_database, roles["role"])
        assert weak.grade == "D"
        # Whatever search_path it will be run with
        assert "ON ROUTINE public.mighty() FROM PUBLIC;" in weak.script
        script = weak.script.replace(ROLE, reader).replace("choose-a-long-password", PASSWORD)
        connection.execute(script)  # type: ignore[call-overload]
    strong = await certified(postgres_database, reader)
    assert strong.grade == "A", [f for f in strong.findings if f.allowed]
    config = {**postgres_database.analyst_config, "user": reader, "password": PASSWORD}
    async with postgres(config, pool_max_size=1) as connector:
        assert sorted((await connector.query("SELECT a FROM t"))["a"]) == [1, 2]
        path = '"Odd ""Schema"""."Weird ☃ Table"'
        assert len(await connector.query(f'SELECT "order" FROM {path}')) == 0
        with pytest.raises(Exception, match="permission denied"):
            await connector.query(f"SELECT secret FROM {path}")


async def test_it_reads_the_tables_to_come(
    postgres_database: PostgresDatabase, roles: Mapping[str, str]
) -> None:
    async with postgres(superuser_config(postgres_database), schemas=["public"]) as connector:
        script = (await connector.certify()).script
    script = script.replace(ROLE, roles["reader"]).replace("choose-a-long-password", PASSWORD)
    run_sql(postgres_database.admin_dsn, script, "CREATE TABLE later AS SELECT 3 AS a")  # type: ignore[arg-type]
    config = {**postgres_database.analyst_config, "user": roles["reader"], "password": PASSWORD}
    async with postgres(config, pool_max_size=1) as connector:
        assert (await connector.query("SELECT a FROM later"))["a"].tolist() == [3]


async def test_it_keeps_to_the_schemas_of_the_source(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *OBJECTS)
    async with postgres(superuser_config(postgres_database), schemas=["public"]) as connector:
        certificate = await connector.certify()
    assert "GRANT USAGE ON SCHEMA public" in certificate.script
    assert "Odd" not in certificate.script


async def test_its_role_is_a_new_one(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, f"CREATE ROLE {ROLE}")  # type: ignore[arg-type]
    try:
        async with postgres(superuser_config(postgres_database)) as connector:
            certificate = await connector.certify()
    finally:
        run_sql(postgres_database.admin_dsn, f"DROP ROLE {ROLE}")  # type: ignore[arg-type]
    assert f"CREATE ROLE {ROLE}_2 LOGIN" in certificate.script
    assert f"TO {ROLE};" not in certificate.script
