"""The library's contract on a real PostgreSQL: connecting, sharing few connections."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from deepanalyze.datasources import (
    CredentialManager,
    DataSourceConfig,
    DataSourceRegistry,
    DataSourceType,
    DeepAnalyzeError,
    HostNotAllowed,
    PermissionDenied,
    SourceAuthenticationFailed,
    SourceUnavailable,
)
from tests.support.logs import captured_logs
from tests.support.postgres_schemas import FLIGHTS
from tests.support.postgres_sources import defaults, postgres, run_sql
from tests.support.services import PostgresDatabase


@pytest.fixture
def database(postgres_database: PostgresDatabase) -> PostgresDatabase:
    run_sql(postgres_database.admin_dsn, *FLIGHTS)
    return postgres_database


@pytest.fixture
def free_port() -> Iterator[int]:
    """Bound but not listening, so that nobody else can take it and connecting is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.requirement("3.4")
async def test_the_calls_of_the_library(database: PostgresDatabase, tmp_path: Any) -> None:
    config = DataSourceConfig(
        id="flights-db", type=DataSourceType.POSTGRESQL, name="flights", config=database.analyst_config
    )
    async with DataSourceRegistry(CredentialManager()) as registry:
        await registry.register_data_source(config, test_connection=True)
        assert await registry.test_connection("flights-db")
        connector = await registry.get_connector("flights-db")
        assert connector is await registry.get_connector("flights")
        assert [item.name for item in await connector.list_items("public")]
        path = await connector.fetch_data("planes", tmp_path)
        assert path == str(tmp_path / "planes.csv")
        assert (await connector.get_metadata("planes"))["estimated_rows"] == 500
        shown = registry.list_data_sources()[0]
        assert shown.config["password"] == "********"
        assert database.analyst_config["password"] not in f"{registry.list_data_sources()} {shown.config}"
        await registry.unregister_data_source("flights-db")
        with pytest.raises(SourceUnavailable, match="not connected"):
            await connector.list_items()


async def test_what_the_role_may_not_read_is_told(database: PostgresDatabase) -> None:
    async with postgres(database.analyst_config) as connector:
        with pytest.raises(PermissionDenied, match="permission denied for table closed"):
            await connector.query("SELECT * FROM closed")


async def test_the_server_tells_what_it_is(database: PostgresDatabase) -> None:
    async with postgres(database.analyst_config) as connector:
        info = await connector.server_info()
    assert info["product"] == "PostgreSQL"
    assert info["database"] == database.name
    assert info["user"] == database.analyst_config["user"]


@pytest.mark.requirement("2.1")
async def test_a_connection_string_does_the_same(database: PostgresDatabase) -> None:
    parts = database.analyst_config
    uri = "postgresql://{user}:{password}@{host}:{port}/{database}".format(**parts)
    async with postgres({}, connection_string=uri, search_path=["hidden", "public"]) as connector:
        assert len(await connector.query("SELECT * FROM planes")) == 500
        assert (await connector.query("SELECT current_setting('search_path')"))["current_setting"][
            0
        ] == "hidden, public"
        assert (await connector.query("SELECT current_setting('application_name') AS a"))["a"][
            0
        ] == "deepanalyze"


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"password": "wrong-hunter2"}, SourceAuthenticationFailed, "refuses the user or the password"),
        ({"user": "nobody"}, SourceAuthenticationFailed, "refuses the user or the password"),
        ({"database": "no_such_db"}, SourceUnavailable, 'database "no_such_db" does not exist'),
        ({"host": "no-such-host.invalid"}, SourceUnavailable, "no-such-host.invalid:.* cannot be reached"),
        ({"host": "db..internal"}, SourceUnavailable, "db..internal:.* cannot be reached"),
        ({"host": "169.254.169.254"}, HostNotAllowed, "link-local or cloud metadata"),
        ({"sslmode": "require"}, SourceUnavailable, "TLS"),
    ],
)
async def test_what_is_wrong_with_a_connection_is_told(
    database: PostgresDatabase, changes: dict[str, Any], kind: type[DeepAnalyzeError], words: str
) -> None:
    async with DataSourceRegistry(defaults=defaults()) as registry:
        config = DataSourceConfig("pg", "postgresql", "pg", {**database.analyst_config, **changes})
        with captured_logs() as logs, pytest.raises(kind, match=words) as caught:
            await registry.register_data_source(config, test_connection=True)
        assert registry.list_data_sources() == []
        await registry.register_data_source(config)
        with captured_logs() as logs_of_test:
            assert not await registry.test_connection("pg")
    told = [json.loads(line) for line in logs_of_test.getvalue().splitlines()]
    (failure,) = [record for record in told if record["event"] == "data source test failed"]
    assert (failure["source_id"], failure["code"], failure["level"]) == ("pg", kind.code, "warning")
    for secret in ("wrong-hunter2", database.analyst_config["password"]):
        assert secret not in f"{caught.value} {caught.value.details} {logs.getvalue()} {told}"


async def test_a_port_where_nobody_listens(database: PostgresDatabase, free_port: int) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        async with postgres(database.analyst_config, port=free_port):
            pass


async def test_the_environment_of_the_server_lends_nothing(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = database.analyst_config["password"]
    for name, value in {
        "PGPASSWORD": password,
        "PGOPTIONS": "-c role=none",
        "PGHOSTADDR": "127.0.0.9",
    }.items():
        monkeypatch.setenv(name, value)
    config = {name: value for name, value in database.analyst_config.items() if name != "password"}
    with pytest.raises(SourceAuthenticationFailed):
        async with postgres(config):
            pass
    async with postgres(database.analyst_config) as connector:
        assert await connector.test_connection()


@pytest.mark.requirement("2.7")
@pytest.mark.requirement("10.3")
async def test_many_queries_share_few_connections(database: PostgresDatabase) -> None:
    async with postgres(database.analyst_config, pool_max_size=4) as connector:
        sql = "SELECT pg_backend_pid() AS pid, sum(n) AS total FROM generate_series(1, 50000) n"
        frames = await asyncio.gather(*(connector.query(sql) for _ in range(30)))
        open_now = run_sql(
            database.admin_dsn,
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'deepanalyze'",
        )
    assert {int(frame["total"][0]) for frame in frames} == {1250025000}
    assert 1 <= len({int(frame["pid"][0]) for frame in frames}) <= 4
    assert open_now[0][0] <= 4
