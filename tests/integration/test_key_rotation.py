"""`rotate_secrets` over a real store: all or the rest, never half a row."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from deepanalyze.datasources import CredentialManager, DataSourceConfig, DataSourceRegistry
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.datasources.rotation import Rotated, rotate_secrets
from deepanalyze.errors import ConfigurationError
from deepanalyze.store import Store, open_store
from deepanalyze.store.found_keys import FoundKeys
from deepanalyze.store.sources import StoredSources

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
SOURCES = 5


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with filled_store(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def filled_store(directory: Path) -> AsyncIterator[Store]:
    async with open_store(directory / "store.sqlite") as opened:
        async with DataSourceRegistry(CredentialManager(OLD), opened.sources) as registry:
            for n in range(SOURCES):
                config = {"host": "db", "database": "d", "user": "u", "password": f"secret-{n}"}
                await registry.register_data_source(
                    DataSourceConfig(f"ds-{n}", "postgresql", f"s{n}", config)
                )
        yield opened


async def readable_with(keys: str, store: Store) -> bool:
    registry = DataSourceRegistry(CredentialManager(keys), store.sources)
    try:
        await registry.load()
    except ConfigurationError:
        return False
    return [registry.get_config(f"s{n}", sanitize=False).config["password"] for n in range(SOURCES)] == [
        f"secret-{n}" for n in range(SOURCES)
    ]


class Interrupted(Exception):
    pass


class StopsAfter(StoredSources):
    def __init__(self, store: Store, updates: int) -> None:
        super().__init__(store.database, FoundKeys(store.database))
        self.left = updates

    async def update(self, source: StoredSource, *, expected_version: int) -> None:
        if not self.left:
            raise Interrupted
        self.left -= 1
        await super().update(source, expected_version=expected_version)


@pytest.mark.requirement("6.2")
async def test_after_rotation_the_new_key_alone_opens_everything(store: Store) -> None:
    before = await store.sources.list()
    both = CredentialManager([NEW, OLD])
    assert await rotate_secrets(store.sources, both) == Rotated(SOURCES, 0)
    assert await readable_with(NEW, store)
    assert not await readable_with(OLD, store)
    after = await store.sources.list()
    assert [(s.version, s.updated_at) for s in after] == [(s.version, s.updated_at) for s in before]
    assert await rotate_secrets(store.sources, both) == Rotated(0, SOURCES)
    assert await store.sources.list() == after  # not even encrypted again


@pytest.mark.parametrize("updates", [0, 1, 3])
async def test_what_was_interrupted_is_gone_on_with(store: Store, updates: int) -> None:
    both = CredentialManager([NEW, OLD])
    with pytest.raises(Interrupted):
        await rotate_secrets(StopsAfter(store, updates), both)
    assert await readable_with(f"{NEW},{OLD}", store)
    assert await rotate_secrets(store.sources, both) == Rotated(SOURCES - updates, updates)
    assert await readable_with(NEW, store)


async def test_a_key_that_does_not_fit_changes_nothing(store: Store) -> None:
    before = await store.sources.list()
    with pytest.raises(ConfigurationError, match=r"'s0'.*none of the 2 keys in DEEPANALYZE_ENCRYPTION_KEY"):
        await rotate_secrets(store.sources, CredentialManager([NEW, OTHER]))
    assert await store.sources.list() == before


async def test_old_ciphertexts_leave_no_trace_in_the_file(tmp_path: Path) -> None:
    async with filled_store(tmp_path) as store:
        gone = await _ciphertexts(store)
        await rotate_secrets(store.sources, CredentialManager(f"{NEW},{OLD}"))
        gone += await _ciphertexts(store)
        for n in range(SOURCES):
            await store.sources.delete(f"ds-{n}")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(gone) == 2 * SOURCES
    assert not [token for token in gone if token.encode() in kept]


async def _ciphertexts(store: Store) -> list[str]:
    return [token for source in await store.sources.list() for token in source.secrets.values()]
