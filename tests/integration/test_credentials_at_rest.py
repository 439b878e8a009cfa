"""Where credentials go: into the store encrypted, into memory to open a connection, and nowhere else."""

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from deepanalyze.datasources import CredentialManager, DataSourceConfig, DataSourceRegistry
from deepanalyze.errors import ConfigurationError, SourceAuthenticationFailed
from deepanalyze.store import open_store
from tests.support.canaries import canary, canary_fernet_key, encodings
from tests.support.logs import captured_logs
from tests.support.services import BlobContainer, PostgresDatabase

CANARY = canary("password at rest") + "/+=="
KEY = canary_fernet_key("key of the store")
WITH_SECRETS = {
    "postgresql": {"host": "db", "database": "sales", "user": "ada", "password": CANARY},
    "azure_blob": {
        "container_name": "lake",
        "account_url": "https://account.blob.core.windows.net",
        "account_key": base64.b64encode(CANARY.encode()).decode(),
    },
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def bytes_at_rest(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def holds(content: bytes, secret: str) -> bool:
    return any(trace in content for _, trace in encodings(secret))


@pytest.mark.requirement("3.5")
@pytest.mark.parametrize("type", WITH_SECRETS)
async def test_no_file_of_the_store_ever_holds_a_secret(database: Path, type: str) -> None:
    config = WITH_SECRETS[type]
    secret = config.get("password") or config["account_key"]
    async with open_store(database) as store, DataSourceRegistry(CredentialManager(KEY), store.sources) as r:
        await r.register_data_source(DataSourceConfig("ds-1", type, "source", dict(config)))
        while_open = bytes_at_rest(database.parent)
    after = bytes_at_rest(database.parent)
    assert "store.sqlite-wal" in while_open
    for content in (*while_open.values(), *after.values()):
        assert not holds(content, secret)
        assert not holds(content, KEY)
    assert b"gAAAA" in after["store.sqlite"]  # the ciphertext was looked at, not an empty table


@pytest.mark.requirement("6.2")
async def test_only_the_configured_key_opens_what_was_stored(database: Path) -> None:
    config = DataSourceConfig("ds-1", "postgresql", "sales", dict(WITH_SECRETS["postgresql"]))
    async with open_store(database) as store, DataSourceRegistry(CredentialManager(KEY), store.sources) as r:
        await r.register_data_source(config)
    other = Fernet.generate_key().decode()
    async with open_store(database) as store:
        for keys in (KEY, f"{other},{KEY}"):
            registry = DataSourceRegistry(CredentialManager(keys), store.sources)
            await registry.load()
            assert registry.get_config("sales", sanitize=False).config["password"] == CANARY
        with pytest.raises(ConfigurationError, match=r"'sales'.*encryption key") as raised:
            await DataSourceRegistry(CredentialManager(other), store.sources).load()
        assert CANARY not in str(raised.value)


async def test_a_ciphertext_that_was_moved_counts_for_nothing(database: Path) -> None:
    async with open_store(database) as store, DataSourceRegistry(CredentialManager(KEY), store.sources) as r:
        for number in (1, 2):
            config = dict(WITH_SECRETS["postgresql"], password=f"{CANARY}{number}")
            await r.register_data_source(DataSourceConfig(f"ds-{number}", "postgresql", f"s{number}", config))
        first, second = await store.sources.list()
        await store.sources.update(dataclasses.replace(first, secrets=second.secrets), expected_version=1)
        with pytest.raises(ConfigurationError, match="belongs to another place"):
            await DataSourceRegistry(CredentialManager(KEY), store.sources).load()


@pytest.mark.requirement("6.3")
@pytest.mark.requirement("7.2")
async def test_credentials_live_in_memory_only_and_reach_no_log(
    database: Path, postgres_database: PostgresDatabase, container: BlobContainer
) -> None:
    right = {"postgresql": postgres_database.analyst_config, "azure_blob": _blob_config(container)}
    wrong = {
        "postgresql": {**postgres_database.analyst_config, "password": CANARY},
        "azure_blob": _blob_config(container, account_key=base64.b64encode(CANARY.encode() * 3).decode()),
    }
    secrets = [_secret(config) for config in (*right.values(), *wrong.values())]
    with captured_logs() as logs:
        async with (
            open_store(database) as store,
            DataSourceRegistry(CredentialManager(KEY), store.sources) as r,
        ):
            for type, config in right.items():
                name = type.replace("_", "-")
                await r.register_data_source(
                    DataSourceConfig(f"ds-{type}", type, name, dict(config)), test_connection=True
                )
            for type, config in wrong.items():
                source = DataSourceConfig(f"ds-wrong-{type}", type, f"wrong-{type}", dict(config))
                with pytest.raises(SourceAuthenticationFailed) as raised:
                    await r.register_data_source(source, test_connection=True)
                assert not any(secret in str(raised.value) for secret in secrets)
                await r.register_data_source(source)
                assert not await r.test_connection(source.id)
            at_rest = bytes_at_rest(database.parent)
        output = logs.getvalue()
    assert not any(holds(content, secret) for content in at_rest.values() for secret in secrets)
    assert not any(secret in output for secret in secrets)
    for type in wrong:
        failure = next(
            line for line in output.splitlines() if f"ds-wrong-{type}" in line and "failed" in line
        )
        assert "source_authentication_failed" in failure


def _blob_config(container: BlobContainer, **changes: str) -> dict[str, Any]:
    return {
        "container_name": container.name,
        "account_url": container.blob_endpoint,
        "account_key": container.account_key,
        **changes,
    }


def _secret(config: dict[str, Any]) -> str:
    return next(str(config[f]) for f in ("password", "account_key") if f in config)
