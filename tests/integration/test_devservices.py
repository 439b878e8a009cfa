"""The embedded services as other tests use them: what the analyst may, and that a container is a container."""

from __future__ import annotations

import psycopg
import pytest

from deepanalyze.devservices.postgres import PostgresServer
from tests.support.services import BlobContainer, PostgresDatabase

WRITES = [
    "INSERT INTO numbers VALUES (2)",
    "UPDATE numbers SET n = 2",
    "DELETE FROM numbers",
    "TRUNCATE numbers",
    "DROP TABLE numbers",
    "ALTER TABLE numbers ADD m int",
    "SELECT n FROM numbers FOR UPDATE",
    "SELECT nextval('counter')",
    "CREATE TABLE other (n int)",
    "CREATE TEMP TABLE other (n int)",
    "CREATE SCHEMA other",
    "CREATE DATABASE other",
    "CREATE ROLE other",
    "ALTER ROLE analyst CREATEDB",
    "SET ROLE postgres",
    "SELECT lo_creat(0)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "COPY numbers TO '/tmp/numbers.csv'",
    "COPY numbers TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/hostname')",
]


def test_the_analyst_cannot_write_even_after_leaving_read_only(postgres_database: PostgresDatabase) -> None:
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE numbers (n int)")
        admin.execute("CREATE SEQUENCE counter")
        admin.execute("INSERT INTO numbers VALUES (1)")
    with psycopg.connect(postgres_database.analyst_dsn, autocommit=True) as analyst:
        assert analyst.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        analyst.execute("SET default_transaction_read_only = off")
        for statement in WRITES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute(statement)
        assert analyst.execute("SELECT n FROM numbers").fetchall() == [(1,)]


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_the_analyst_has_no_business_in_other_databases(
    postgres_server: PostgresServer, database: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(postgres_server.analyst_dsn(database))


def test_nobody_gets_in_without_the_password(postgres_server: PostgresServer) -> None:
    for user in (postgres_server.superuser, postgres_server.analyst):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres_server.dsn("postgres", user, "wrong"))


def test_it_is_postgresql_18_on_the_loopback_alone(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.dsn()) as connection:
        assert connection.info.server_version // 10_000 == 18
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)
        rules = connection.execute("SELECT type, address, auth_method FROM pg_hba_file_rules").fetchall()
    assert rules == [("host", "127.0.0.1", "scram-sha-256")]


def test_databases_are_fresh(postgres_database: PostgresDatabase) -> None:
    with psycopg.connect(postgres_database.admin_dsn) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_a_container_takes_blobs(container: BlobContainer) -> None:
    assert list(container.client.list_blob_names()) == []
    container.client.upload_blob("a/x.csv", b"n\n1\n")
    assert container.client.download_blob("a/x.csv").readall() == b"n\n1\n"
