"""Declared sources and users in force: in the API, beside the stored ones, at rest and after a reload."""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.accounts import Grant
from deepanalyze.cli.server import listen, running
from deepanalyze.errors import AlreadyExists, ConfigurationError, PermissionDenied
from deepanalyze.settings import load_settings
from tests.support.canaries import canary
from tests.support.logs import captured_logs
from tests.support.server import Server
from tests.support.services import PostgresDatabase

ADMIN = canary("configured admin key")
ADA = canary("declared API key")
DECLARED_PASSWORD = canary("declared password")
UNREACHABLE = """
[[data_sources]]
name = "far"
type = "postgresql"
[data_sources.config]
host = "192.0.2.1"
database = "x"
user = "ada"
password = "${env:TEST_PASSWORD}"
"""
USER = """
[[users]]
name = "ada"
api_key = "${env:TEST_ADA_KEY}"
grants = [{ source = "far" }]
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setenv("TEST_PASSWORD", DECLARED_PASSWORD)
    monkeypatch.setenv("TEST_ADA_KEY", ADA)

    def write_config(text: str) -> Path:
        path = tmp_path / "deepanalyze.toml"
        path.write_text(text)
        return path

    return write_config


@asynccontextmanager
async def server(config: Path) -> AsyncIterator[Server]:
    environ = {"DEEPANALYZE_ADMIN_API_KEY": ADMIN, "DEEPANALYZE_PORT": "0"}
    settings = load_settings({"data_dir": config.parent / "data"}, config, environ=environ)
    with listen(settings.host, settings.port) as listener:
        async with running(settings, listener) as live:
            yield Server(live.url, ADMIN, live.runtime)


def declared(name: str, database: PostgresDatabase, variable: str = "TEST_DB_PASSWORD") -> str:
    config = database.analyst_config
    os.environ[variable] = str(config["password"])
    lines = [
        f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v}" for k, v in config.items() if k != "password"
    ]
    head = f'[[data_sources]]\nname = "{name}"\ntype = "postgresql"\n[data_sources.config]\n'
    return head + "\n".join([*lines, f'password = "${{env:{variable}}}"']) + "\n"


@pytest.mark.requirement("6.1")
async def test_a_declared_source_is_shared_read_only_and_needs_no_connection_at_start(write: Write) -> None:
    async with server(write(UNREACHABLE)) as live, live.client() as admin:
        [source] = (await admin.get("/v1/data-sources")).json()["data"]
        assert (source["name"], source["origin"], source["shared"]) == ("far", "config", True)
        assert (source["status"], source["config"]["password"]) == ("untested", "********")
        refused = await admin.delete("/v1/data-sources/far")
        assert refused.status_code == 403
        assert "configuration file" in refused.json()["error"]["message"]
        body = {"type": "postgresql", "name": "far", "config": {"host": "h", "database": "d", "user": "u"}}
        assert (
            await admin.post("/v1/data-sources", json={**body, "test_connection": False})
        ).status_code == 409
        with pytest.raises(PermissionDenied):
            await live.runtime.registry.unregister_data_source("far")
        changed = await admin.patch("/v1/data-sources/far", json={"name": "near", "test_connection": False})
        assert changed.status_code == 403
        assert "configuration file" in changed.json()["error"]["message"]
        first_id = source["id"]
    async with server(write(UNREACHABLE)) as live, live.client() as admin:
        assert (await admin.get("/v1/data-sources/far")).json()["id"] == first_id


@pytest.mark.requirement("6.3")
async def test_nothing_of_a_declared_source_or_user_comes_to_rest(write: Write) -> None:
    with captured_logs() as logs:
        async with server(write(UNREACHABLE + USER)) as live, live.client(ADA) as ada:
            assert (await ada.get("/v1/data-sources/far")).status_code == 200
            data = live.runtime.settings.data_dir
    written = b"".join(p.read_bytes() for p in data.rglob("*") if p.is_file())
    for secret in (DECLARED_PASSWORD, ADA):
        assert secret.encode() not in written
        assert secret not in logs.getvalue()
    assert b"192.0.2.1" not in written


async def test_a_declared_user_comes_in_with_the_key_and_the_grants(
    write: Write, postgres_database: PostgresDatabase
) -> None:
    text = declared("sales", postgres_database) + UNREACHABLE + USER.replace("far", "sales")
    async with server(write(text)) as live, live.client(ADA) as ada:
        names = [source["name"] for source in (await ada.get("/v1/data-sources")).json()["data"]]
        assert names == ["sales"]
        answer = await ada.post("/v1/data-sources/sales/query", json={"sql": "SELECT 1 AS one"})
        assert answer.json()["rows"] == [[1]]
        accounts = live.runtime.accounts
        user = (await accounts.authenticate(ADA)).user
        with pytest.raises(PermissionDenied, match="configuration file"):
            await accounts.create_key(user.id, "another")
        for name in ("ada", "Ada"):
            with pytest.raises(AlreadyExists):
                await accounts.create_user(name)
        with pytest.raises(AlreadyExists, match="configuration file"):
            await accounts.change_user((await accounts.create_user("bob")).id, name="ada")
        assert (await accounts.authenticate(ADA)).key_id is not None


async def test_a_declared_user_and_key_are_changed_in_the_file_only(write: Write) -> None:
    async with server(write(UNREACHABLE + USER)) as live, live.client() as admin:
        principal = await live.runtime.accounts.authenticate(ADA)
        user, key = f"/v1/admin/users/{principal.user_id}", f"/v1/admin/api-keys/{principal.key_id}"
        for refused in (
            await admin.patch(user, json={"role": "admin"}),
            await admin.patch(user, json={"grants": []}),
            await admin.delete(user),
            await admin.delete(key),
        ):
            assert refused.status_code == 403, refused.text
            assert "configuration file" in refused.json()["error"]["message"]
        with pytest.raises(PermissionDenied):  # before any of the user's analyses is ended
            await live.runtime.accounts.check_removable(principal.user)
        assert await live.runtime.accounts.authenticate(ADA) == principal


async def test_a_name_that_a_stored_source_or_user_has_stops_the_start(write: Write) -> None:
    config = write("")
    body = {"type": "postgresql", "name": "far", "config": {"host": "h", "database": "d", "user": "u"}}
    async with server(config) as live, live.client() as admin:
        made = await admin.post("/v1/data-sources", json={**body, "test_connection": False})
        assert made.status_code == 201, made.text
        await live.runtime.accounts.create_user("ada", grants=[Grant("*")])
    with pytest.raises(ConfigurationError, match=rf"'far' of the configuration file.*{made.json()['id']}"):
        async with server(write(UNREACHABLE)):
            pass
    with pytest.raises(ConfigurationError, match=r"'ada' of the configuration file.*user-"):
        async with server(write(USER)):
            pass


async def test_a_reload_takes_what_was_added_changed_and_removed(
    write: Write, postgres_database: PostgresDatabase
) -> None:
    sales = declared("sales", postgres_database)
    async with server(write(sales + UNREACHABLE)) as live, live.client() as admin:
        runtime = live.runtime
        untouched = await runtime.registry.get_connector("sales")
        write(sales + UNREACHABLE.replace("192.0.2.1", "192.0.2.2") + USER)
        assert await runtime.configured.reload()
        assert await runtime.registry.get_connector("sales") is untouched
        assert (await admin.get("/v1/data-sources/far")).json()["config"]["host"] == "192.0.2.2"
        async with live.client(ADA) as ada:
            assert (await ada.get("/v1/data-sources/far")).status_code == 200
            write(sales)
            assert await runtime.configured.reload()
            assert (await ada.get("/v1/models")).status_code == 401
        assert (await admin.get("/v1/data-sources/far")).status_code == 404


@pytest.mark.requirement("7.5")
async def test_the_audit_trail_tells_of_the_start_and_of_each_reload(write: Write) -> None:
    async with server(write(UNREACHABLE)) as live, live.client() as admin:

        async def told(action: str) -> list[dict[str, Any]]:
            found = (await admin.get("/v1/admin/audit", params={"action": action})).json()["data"]
            return [{**r["details"], "outcome": r["outcome"]} for r in found[::-1]]

        write(UNREACHABLE.replace("192.0.2.1", "192.0.2.2") + USER + USER.replace("ada", "bob"))
        assert not await live.runtime.configured.reload()
        write(UNREACHABLE.replace("192.0.2.1", "192.0.2.2") + USER)
        assert await live.runtime.configured.reload()
        write(USER.replace('grants = [{ source = "far" }]', 'role = "admin"'))
        assert await live.runtime.configured.reload()
        file = {"file": str(live.runtime.settings.config_file)}
        nothing = {
            f"{kind}_{how}": [] for kind in ("users", "sources") for how in ("added", "changed", "removed")
        }
        assert await told("configure") == [{**file, **nothing, "sources_added": ["far"], "outcome": "ok"}]
        failed, first, second = await told("reload")
        assert failed["outcome"] == "failed"
        assert any("bob" in problem for problem in failed["problems"])
        assert ADA not in str(failed)
        changed = {"users_added": ["ada"], "sources_changed": ["far"]}
        assert first == {**file, **nothing, **changed, "outcome": "ok"}
        changed = {"users_changed": ["ada"], "sources_removed": ["far"]}
        assert second == {**file, **nothing, **changed, "outcome": "ok"}


async def test_what_the_file_declares_is_in_force_when_the_audit_trail_durably_says_so(write: Write) -> None:
    async with server(write("")) as live:
        write(UNREACHABLE)
        await live.runtime.configured.apply()
        with closing(sqlite3.connect(live.runtime.settings.data_dir / "store.sqlite")) as beside:
            [record] = beside.execute("SELECT details FROM audit_records WHERE action = 'configure'")
    assert json.loads(record[0])["sources_added"] == ["far"]


async def test_a_broken_file_leaves_all_as_it_was_and_is_told(write: Write) -> None:
    async with server(write(UNREACHABLE + USER)) as live, live.client(ADA) as ada:
        with captured_logs() as logs:
            write(UNREACHABLE.replace("host", "hots") + USER.replace("role", "roll"))
            assert not await live.runtime.configured.reload()
            write("[[data_sources")
            assert not await live.runtime.configured.reload()
        assert "did you mean 'host'" in logs.getvalue()
        assert "not valid TOML" in logs.getvalue()
        assert (await ada.get("/v1/data-sources/far")).json()["config"]["host"] == "192.0.2.1"


async def test_a_query_under_way_outlives_the_change_of_its_source(
    write: Write, postgres_database: PostgresDatabase
) -> None:
    text = declared("sales", postgres_database)
    async with server(write(text)) as live, live.client() as admin:
        old = await live.runtime.registry.get_connector("sales")
        sql = {"sql": "SELECT count(*) AS n FROM generate_series(1, 20000000)"}
        running_query = asyncio.create_task(admin.post("/v1/data-sources/sales/query", json=sql))
        await asyncio.sleep(0.3)
        assert not running_query.done()
        write(text + "query_timeout_s = 20\n")
        assert await live.runtime.configured.reload()
        assert await live.runtime.registry.get_connector("sales") is not old
        answer = await running_query
        assert answer.status_code == 200, answer.text
        assert answer.json()["rows"] == [[20_000_000]]
