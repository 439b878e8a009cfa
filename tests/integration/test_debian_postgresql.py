"""Debian's PostgreSQL: an older release than the embedded one, with TLS, Unix sockets and all of contrib."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from anyio.from_thread import BlockingPortal
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from deepanalyze.datasources import SourceAuthenticationFailed, SourceUnavailable
from tests.integration.test_postgresql_certificate import findings
from tests.integration.test_postgresql_guard import what_gets_through, what_is_refused
from tests.support.debian import Unavailable, find_programs
from tests.support.debian_servers import BY_CERTIFICATE, ONLY_TLS, DebianServer, run_debian_postgresql
from tests.support.postgres_schemas import FLIGHTS, PARTITIONED
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase, fresh_database
from tests.support.sql_attacks import ATTACKS
from tests.support.sql_contrib import CONTRIB_ATTACKS, CONTRIB_READS, EXTENSIONS
from tests.support.sql_reads import READS, SETTING
from tests.support.tls import Authority
from tests.support.witness import witness

pytestmark = pytest.mark.long

FOREIGN = (
    "CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host {host}, port {port}, dbname {dbname})",
    "CREATE USER MAPPING FOR postgres SERVER loop OPTIONS (user {user}, password {password})",
    "CREATE FOREIGN TABLE far (a int) SERVER loop OPTIONS (table_name 't')",
    "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
    "CREATE FOREIGN TABLE passwords (line text) SERVER files OPTIONS (filename '/etc/passwd', delimiter E'\\x01')",
)


@pytest.fixture(scope="module")
def debian(services_loop: BlockingPortal) -> Iterator[DebianServer]:
    try:
        programs = find_programs()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with services_loop.wrap_async_context_manager(run_debian_postgresql(programs)) as server:
        yield server


@pytest.fixture
def database(services_loop: BlockingPortal, debian: DebianServer) -> Iterator[PostgresDatabase]:
    with fresh_database(services_loop, debian.server) as made:
        yield made


@pytest.fixture
def contrib(database: PostgresDatabase) -> PostgresDatabase:
    """With all of contrib that the server has, a server that leads back here, and a file that is a table."""
    run_sql(database.admin_dsn, *SETTING)
    login = conninfo_to_dict(database.admin_dsn)
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        there = connection.execute("SELECT name FROM pg_available_extensions").fetchall()
        for name in sorted({name for (name,) in there} & EXTENSIONS):
            connection.execute(sql.SQL("CREATE EXTENSION {} CASCADE").format(sql.Identifier(name)))
        for statement in FOREIGN:
            connection.execute(sql.SQL(statement).format(**{k: sql.Literal(v) for k, v in login.items()}))
    return database


@pytest.mark.requirement("2.8")
async def test_no_attack_gets_through_on_an_older_server(database: PostgresDatabase) -> None:
    run_sql(database.admin_dsn, *SETTING)
    with witness(database.admin_dsn):
        async with postgres(superuser_config(database)) as connector:
            passed = await what_gets_through(connector, ATTACKS)
    assert [text for text, why in passed if "(42883)" not in why] == []  # a function that it has not yet


async def test_ordinary_reading_is_not_in_the_way_on_an_older_server(database: PostgresDatabase) -> None:
    run_sql(database.admin_dsn, *SETTING)
    async with postgres(superuser_config(database)) as connector:
        refused = await what_is_refused(connector, READS)
    assert [text for text, why in refused if "(42601)" not in why] == []  # its grammar is older
    assert len(refused) < 5


@pytest.mark.requirement("2.8")
async def test_no_attack_through_contrib_gets_through(contrib: PostgresDatabase) -> None:
    attacks = [text.replace("elsewhere", contrib.admin_dsn) for text in CONTRIB_ATTACKS]
    with witness(contrib.admin_dsn):
        async with postgres(superuser_config(contrib)) as connector:
            passed = await what_gets_through(connector, attacks)
    assert passed == []


async def test_the_server_alone_would_not_stop_dblink(contrib: PostgresDatabase) -> None:
    """What the attacks are about: a READ ONLY transaction, and yet a row is gone."""
    with psycopg.connect(contrib.admin_dsn) as connection:
        connection.read_only = True
        connection.execute("SELECT dblink_exec(%s, 'DELETE FROM t WHERE a = 1')", [contrib.admin_dsn])
    assert run_sql(contrib.admin_dsn, "SELECT a FROM t") == [(2,)]


@pytest.mark.requirement("2.8")
async def test_a_superuser_with_dblink_gets_the_worst_grade(contrib: PostgresDatabase) -> None:
    with witness(contrib.admin_dsn):
        async with postgres(superuser_config(contrib)) as connector:
            certificate = await connector.certify()
    found = findings(certificate)
    assert certificate.grade == "D"
    for check in ("be a superuser", "reach other databases through dblink", "use foreign servers"):
        assert found[check] is True, check
    assert certificate.details["unknown"] == []
    assert all(finding.blocked for finding in certificate.findings if finding.severity == "high")


@pytest.mark.requirement("2.8")
async def test_the_certificate_s_script_makes_a_reader_of_an_older_server(
    contrib: PostgresDatabase,
) -> None:
    reader = f"test_{secrets.token_hex(5)}"
    async with postgres(superuser_config(contrib), schemas=["public"]) as connector:
        weak = await connector.certify()
    script = weak.script.replace("deepanalyze_reader", reader).replace("choose-a-long-password", "made-up")
    config = {**contrib.analyst_config, "user": reader, "password": "made-up"}
    with psycopg.connect(contrib.admin_dsn, autocommit=True) as connection:
        connection.execute(script.encode())
        try:
            async with postgres(config) as connector:
                certificate = await connector.certify()
                assert (await connector.query("SELECT a FROM t ORDER BY a"))["a"].tolist() == [1, 2]
                assert await what_gets_through(connector, CONTRIB_ATTACKS) == []
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(reader)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(reader)))
    assert certificate.grade == "A", [f for f in certificate.findings if f.allowed]


async def test_what_only_computes_is_not_in_the_way(contrib: PostgresDatabase) -> None:
    async with postgres(superuser_config(contrib)) as connector:
        assert await what_is_refused(connector, CONTRIB_READS) == []


def over_tls(debian: DebianServer, database: PostgresDatabase, **changes: Any) -> dict[str, Any]:
    config = {**database.analyst_config, "host": "localhost", "sslmode": "verify-full"}
    return {**config, "sslrootcert": debian.authority.certificate, **changes}


@pytest.mark.requirement("2.1")
async def test_the_server_proves_who_it_is(
    debian: DebianServer, database: PostgresDatabase, tmp_path: Path
) -> None:
    async with postgres(over_tls(debian, database)) as connector:
        assert (await connector.server_info())["tls"] is True
        exported = await connector.export(
            tmp_path / "x.csv",
            query="SELECT n, md5(n::text) FROM generate_series(1, 50000) n",
            max_rows=50_000,
        )
        told = await connector.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    assert (exported.rows, told["ssl"].tolist()) == (50_000, [True])


@pytest.mark.requirement("2.1")
@pytest.mark.parametrize(
    "changes",
    [
        {"sslrootcert": Authority("others").certificate},
        {"sslrootcert": None},
        {"sslrootcert": Authority("others").certificate, "sslmode": "verify-ca"},
        {"host": "127.0.0.1"},
    ],
    ids=["wrong authority", "the system's authorities", "wrong authority, any name", "wrong name"],
)
async def test_a_server_that_cannot_prove_it_is_refused(
    debian: DebianServer, database: PostgresDatabase, changes: dict[str, Any]
) -> None:
    with pytest.raises(SourceUnavailable, match="no trusted TLS connection"):
        async with postgres(over_tls(debian, database, **changes)):
            pass


@pytest.fixture
def roles(database: PostgresDatabase) -> Iterator[None]:
    """One that only a certificate lets in, one that is let in over TLS only."""
    grants = (sql.SQL("CREATE ROLE {0} LOGIN PASSWORD {1}"), sql.SQL("GRANT CONNECT ON DATABASE {2} TO {0}"))
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        for role in (BY_CERTIFICATE, ONLY_TLS):
            for grant in grants:
                names = (sql.Identifier(role), sql.Literal(role), sql.Identifier(database.name))
                connection.execute(grant.format(*names))
        yield
        for role in (BY_CERTIFICATE, ONLY_TLS):
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


@pytest.mark.requirement("2.1")
@pytest.mark.usefixtures("roles")
async def test_a_client_proves_who_it_is(debian: DebianServer, database: PostgresDatabase) -> None:
    own, others = debian.authority.sign(BY_CERTIFICATE), debian.authority.sign("somebody")
    foreign = Authority("others").sign(BY_CERTIFICATE)
    config = over_tls(debian, database, user=BY_CERTIFICATE, password=BY_CERTIFICATE)
    async with postgres(config, sslcert=own.certificate, sslkey=own.key) as connector:
        assert (await connector.server_info())["user"] == BY_CERTIFICATE
        assert (await connector.query("SELECT 1 AS a"))["a"].tolist() == [1]
    for shown, error, words in (
        (others, SourceAuthenticationFailed, "refuses the client certificate"),
        (None, SourceAuthenticationFailed, "requires a valid client certificate"),
        (foreign, SourceUnavailable, "no trusted TLS connection"),
    ):
        certificate = {"sslcert": shown.certificate, "sslkey": shown.key} if shown else {}
        with pytest.raises(error, match=words):
            async with postgres(config, **certificate):
                pass


@pytest.mark.requirement("2.1")
@pytest.mark.usefixtures("roles")
async def test_a_role_that_may_come_over_tls_only(debian: DebianServer, database: PostgresDatabase) -> None:
    config = over_tls(debian, database, user=ONLY_TLS, password=ONLY_TLS)
    for mode in ("require", "prefer", "verify-full"):
        async with postgres(config, sslmode=mode) as connector:
            assert (await connector.server_info())["tls"] is True
    with pytest.raises(SourceAuthenticationFailed, match=r"pg_hba\.conf"):
        async with postgres(config, sslmode="disable"):
            pass


@pytest.mark.requirement("2.1")
async def test_a_unix_socket_leads_to_the_server(debian: DebianServer, database: PostgresDatabase) -> None:
    config = {name: value for name, value in database.analyst_config.items() if name != "host"}
    config["socket_dir"] = str(debian.socket_dir)
    async with postgres(config) as connector:
        info = await connector.server_info()
        where = await connector.query("SELECT inet_server_addr() IS NULL AS by_socket")
    assert (info["tls"], info["pooler"], where["by_socket"].tolist()) == (False, False, [True])
    with pytest.raises(SourceAuthenticationFailed):
        async with postgres(config, password="wrong"):
            pass


async def test_discovery_on_an_older_server(database: PostgresDatabase) -> None:
    run_sql(database.admin_dsn, *FLIGHTS, *PARTITIONED)
    async with postgres(database.analyst_config) as connector:
        names = [item.name for item in await connector.list_items("public")]
        flights = await connector.get_metadata("flights")
        sales = await connector.get_metadata("sales")
        whole = await connector.schema()
        planes = await connector.preview("planes", limit=3)
        counted = await connector.statistics("planes")
    assert names == ["flights", "late", "notes", "planes", "sales", "worst"]
    assert [(c["name"], c["type"], c["identity"], c["comment"]) for c in flights["columns"]] == [
        ("id", "integer", "always", None),
        ("tailnum", "text", None, None),
        ("delay", "numeric(6,2)", None, "minutes"),
    ]
    (key,) = flights["foreign_keys"]
    assert (key["references"]["table"], key["on_update"], key["on_delete"]) == (
        "planes",
        "CASCADE",
        "SET NULL",
    )
    assert flights["primary_key"] == ["id"]
    assert sales["partitioned_by"] == "RANGE (day)"
    assert [part["name"] for part in sales["partitions"]] == ["sales_2023", "sales_2024"]
    assert [relation["name"] for relation in whole["schemas"][0]["relations"]] == names
    assert len(whole["relationships"]) == 2
    assert (planes.rows, planes.truncated) == ([["N1", 1], ["N2", 2], ["N3", 3]], True)
    assert (counted.row_count, counted.columns[1].min, counted.columns[1].max) == (500, 1, 500)
