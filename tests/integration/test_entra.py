"""Signing in to PostgreSQL with tokens of Microsoft Entra."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from deepanalyze.datasources import SourceAuthenticationFailed, SourceUnavailable
from deepanalyze.datasources.entra import EntraFields, EntraTokens, make_credential
from tests.support.canaries import canary
from tests.support.entra import CLIENT, HEADER, RESOURCE, SECRET, TENANT, TOKEN, entra_server
from tests.support.logs import captured_logs
from tests.support.postgres_sources import postgres, run_sql
from tests.support.services import PostgresDatabase
from tests.support.tls import Authority

WRONG_SECRET = canary("client secret that is wrong")

SCOPE = f"{RESOURCE}/.default"


@pytest.fixture
def entra_role(postgres_database: PostgresDatabase) -> Iterator[str]:
    """A role whose password is the token, which is what Azure's server makes of one."""
    role = f"entra_{secrets.token_hex(4)}"
    name = sql.Identifier(role)
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, TOKEN))
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(postgres_database.name), name)
        )
        yield role
        connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
        connection.execute(sql.SQL("DROP ROLE {}").format(name))


def set_password(database: PostgresDatabase, role: str, password: str) -> None:
    with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
        )
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role]
        )


def config(database: PostgresDatabase, role: str) -> dict[str, Any]:
    parts = {name: value for name, value in database.analyst_config.items() if name != "password"}
    return {**parts, "user": role, "credential": "managed_identity"}


async def test_a_managed_identity_opens_the_database(
    postgres_database: PostgresDatabase, entra_role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with entra_server() as entra:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{entra.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", HEADER)
        async with postgres(config(postgres_database, entra_role), pool_max_size=2) as connector:
            assert (await connector.query("SELECT current_user AS u"))["u"].tolist() == [entra_role]
            assert entra.asked == 1  # kept while it is good


async def test_a_connection_is_made_with_a_token_that_is_still_good(
    postgres_database: PostgresDatabase, entra_role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with entra_server() as entra:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{entra.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", HEADER)
        entra.lifetime_s = 0
        async with postgres(config(postgres_database, entra_role), pool_min_size=0) as connector:
            await connector.query("SELECT 1")
            entra.token = canary("second Entra token")
            set_password(postgres_database, entra_role, entra.token)
            assert len(await connector.query("SELECT 1")) == 1


async def test_without_an_identity_the_reason_is_told(
    postgres_database: PostgresDatabase, entra_role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with entra_server() as entra:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{entra.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "wrong")
        with captured_logs() as logs, pytest.raises(SourceAuthenticationFailed, match="Entra gives no token"):
            async with postgres(config(postgres_database, entra_role)):
                pass
        assert HEADER not in logs.getvalue()
    assert run_sql(postgres_database.admin_dsn, "SELECT 1") == [(1,)]


def principal(**changes: Any) -> EntraFields:
    fields = {
        "credential": "service_principal",
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "client_secret": SECRET,
    }
    return EntraFields.model_validate({**fields, **changes})


async def test_a_service_principal_gets_tokens_and_is_refused_in_clear_words(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.certificate)
    context = authority.sign("entra", "127.0.0.1").server_context(tmp_path)
    async with entra_server(context) as entra:
        options = {
            "authority": entra.url,
            "disable_instance_discovery": True,
            "connection_verify": str(tmp_path / "ca.pem"),
            "retry_total": 0,
        }
        async with EntraTokens(principal(), SCOPE, "pg", **options) as tokens:
            assert [await tokens.token() for _ in range(3)] == [TOKEN] * 3
        assert entra.asked == 1
        wrong = principal(client_secret=WRONG_SECRET)
        async with EntraTokens(wrong, SCOPE, "pg", **options) as tokens:
            with pytest.raises(SourceAuthenticationFailed, match="AADSTS7000215") as caught:
                await tokens.token()
        assert WRONG_SECRET not in str(caught.value)
    async with EntraTokens(principal(), SCOPE, "pg", **options) as tokens:
        with pytest.raises(SourceUnavailable, match="cannot be reached"):
            await tokens.token()


@pytest.mark.parametrize("authority", [None, "https://login.chinacloudapi.cn"])
@pytest.mark.parametrize("kind", ["default", "managed_identity", "workload_identity", "azure_cli"])
def test_every_credential_can_be_made_for_every_cloud(
    kind: str, authority: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    ids = {"tenant_id": TENANT, "client_id": CLIENT} if kind == "workload_identity" else {}
    fields = EntraFields.model_validate({"credential": kind, **ids})
    tokens = EntraTokens(fields, SCOPE, "s", authority=authority)
    assert make_credential(fields, **tokens.options)


async def test_a_certificate_that_is_none_is_told() -> None:
    broken = principal(client_secret=None, client_certificate=f"-----BEGIN CERTIFICATE-----\n{WRONG_SECRET}")
    async with EntraTokens(broken, SCOPE, "pg") as tokens:
        with pytest.raises(SourceAuthenticationFailed) as caught:
            await tokens.token()
    assert WRONG_SECRET not in str(caught.value)
