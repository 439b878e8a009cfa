"""TLS as a client sees it: a proxy speaks it for the embedded server, which cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.datasources import SourceUnavailable
from deepanalyze.errors import DeepAnalyzeError
from tests.support.postgres_sources import postgres
from tests.support.services import PostgresDatabase
from tests.support.tcp_proxy import tcp_proxy
from tests.support.tls import Authority


@asynccontextmanager
async def behind_tls(
    database: PostgresDatabase,
    directory: Path,
    authority: Authority,
    *,
    names: Sequence[str] = ("127.0.0.1", "localhost"),
    client_authority: str | None = None,
) -> AsyncIterator[dict[str, Any]]:
    signed = authority.sign("server", *names)
    context = signed.server_context(directory, client_authority=client_authority)
    config = database.analyst_config
    async with tcp_proxy(config["host"], config["port"], tls=context) as proxy:
        yield {**config, "host": "localhost", "port": proxy.port}


@pytest.mark.requirement("2.1")
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_trusted_server_is_reached_over_tls(
    postgres_database: PostgresDatabase, tmp_path: Path, mode: str
) -> None:
    authority = Authority()
    async with (
        behind_tls(postgres_database, tmp_path, authority) as config,
        postgres(config, sslmode=mode, sslrootcert=authority.certificate) as connector,
    ):
        assert (await connector.server_info())["tls"] is True
        exported = await connector.export(
            tmp_path / "x.csv",
            query="SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n",
            max_rows=50_000,
        )
        assert exported.rows == 50_000
        one = await connector.export(tmp_path / "one.csv", query="SELECT repeat('y', 2000000) AS a")
        assert one.bytes == 2_000_003


@pytest.mark.requirement("2.1")
@pytest.mark.parametrize(
    ("mode", "names", "trusted"),
    [
        ("verify-ca", ("localhost",), "others"),
        ("verify-full", ("localhost",), "others"),
        ("verify-full", ("localhost",), None),
        ("verify-full", ("db.internal",), "same"),
    ],
)
async def test_a_server_that_is_not_the_one_named_is_refused(
    postgres_database: PostgresDatabase, tmp_path: Path, mode: str, names: tuple[str], trusted: str | None
) -> None:
    authority = Authority()
    roots = {"same": authority.certificate, "others": Authority("others").certificate}
    trust = {"sslrootcert": roots[trusted]} if trusted else {}
    async with behind_tls(postgres_database, tmp_path, authority, names=names) as config:
        with pytest.raises(SourceUnavailable, match="no trusted TLS connection") as caught:
            async with postgres(config, sslmode=mode, **trust):
                pass
    assert postgres_database.analyst_config["password"] not in str(caught.value)


@pytest.mark.requirement("2.1")
async def test_a_server_without_tls_is_refused_where_it_is_required(
    postgres_database: PostgresDatabase,
) -> None:
    with pytest.raises(SourceUnavailable, match="no trusted TLS connection could be made"):
        async with postgres(postgres_database.analyst_config, sslmode="require"):
            pass


async def test_a_client_certificate_is_shown(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    authority = Authority()
    client = authority.sign("analyst")
    async with behind_tls(
        postgres_database, tmp_path, authority, client_authority=authority.certificate
    ) as config:
        config |= {"sslmode": "verify-full", "sslrootcert": authority.certificate}
        async with postgres(config, sslcert=client.certificate, sslkey=client.key) as connector:
            assert (await connector.query("SELECT 1 AS a"))["a"].tolist() == [1]
        with pytest.raises(DeepAnalyzeError) as caught:
            async with postgres(config):
                pass
        assert caught.value.code in ("source_authentication_failed", "source_unavailable")
