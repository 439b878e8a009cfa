"""The embedded services: what the analyst may, and that a container is a container."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.services import BlobContainer, PostgresDatabase

WRITES = [
    "INSERT INTO numbers VALUES (2)",
    "UPDATE numbers SET n = 2",
    "DELETE FROM numbers",
    "TRUNCATE numbers",
    "DROP TABLE numbers",
    "ALTER TABLE numbers ADD m int",
    "CREATE TABLE other (n int)",
    "CREATE TEMP TABLE other (n int)",
    "CREATE SCHEMA other",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "COPY numbers TO '/tmp/numbers.csv'",
    "COPY numbers TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/hostname')",
    "SET ROLE postgres",
]


@pytest.mark.parametrize("statement", WRITES)
def test_the_analyst_cannot_write_even_after_leaving_read_only(
    postgres_database: PostgresDatabase, statement: str
) -> None:
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE numbers (n int)")
        admin.execute("INSERT INTO numbers VALUES (1)")
    with psycopg.connect(postgres_database.analyst_dsn, autocommit=True) as analyst:
        assert analyst.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        analyst.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute(statement)
        assert analyst.execute("SELECT n FROM numbers").fetchall() == [(1,)]


def test_a_container_takes_blobs(container: BlobContainer) -> None:
    container.client.upload_blob("a/x.csv", b"n\n1\n")
    assert container.client.download_blob("a/x.csv").readall() == b"n\n1\n"
