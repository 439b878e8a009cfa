"""The registry on a connector of our own: one live object for each source, whoever asks and whatever fails."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from cryptography.fernet import Fernet
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from deepanalyze.datasources import (
    AlreadyExists,
    ConfigurationError,
    CredentialManager,
    DataSourceConfig,
    DataSourceRegistry,
    DataSourceType,
    InvalidRequest,
    NotFound,
    SourceUnavailable,
)
from deepanalyze.datasources.memory import InMemoryRepository
from deepanalyze.datasources.repository import StoredSource
from tests.support.canaries import canary
from tests.support.empty_source import EmptySource

SECRET = canary("connector's secret")


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user: str = "me"
    password: SecretStr


class LampConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")
    host: str = Field(description="Where it hangs.")
    watts: int = Field(default=5, ge=1)
    api_key: SecretStr | None = None
    login: Login | None = None


class Lamp(EmptySource):
    config_model = LampConfig
    made: ClassVar[list[Lamp]] = []

    def __init__(self, config: DataSourceConfig) -> None:
        super().__init__(config)
        self.trying = False
        self.connected = 0
        self.disconnected = 0
        self.gate = gates.get(config.id)
        Lamp.made.append(self)

    async def connect(self) -> None:
        self.trying = True
        if self.gate is not None:
            await self.gate.wait()
        if self.config.config["host"] == "strange":
            raise RuntimeError(f"a secret: {SECRET}")
        if self.config.config["host"] == "dark":
            raise SourceUnavailable("no light")
        self.connected += 1

    async def disconnect(self) -> None:
        self.disconnected += 1

    async def test_connection(self) -> bool:
        self.last_error = (
            None if self.config.config["host"] != "flickers" else SourceUnavailable("it flickers")
        )
        return self.last_error is None


gates: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Lamp.made.clear()
    gates.clear()


def lamp(source_id: str = "lamp", name: str | None = None, **config: Any) -> DataSourceConfig:
    return DataSourceConfig(source_id, "lamp", name or source_id, {"host": "hall", **config})


@pytest.fixture
def registry() -> DataSourceRegistry:
    made = DataSourceRegistry()
    made.register_connector_class("lamp", Lamp)
    return made


def test_built_in_types_come_from_entry_points_and_any_string_is_a_type(registry: DataSourceRegistry) -> None:
    assert {"azure_blob", "postgresql", "lamp"} <= set(registry.types())
    assert DataSourceType("lamp") == "lamp"
    assert DataSourceType.POSTGRESQL.value == "postgresql"
    registry.register_connector_class(DataSourceType.CUSTOM, Lamp)
    assert registry.connector_class("custom") is Lamp
    assert registry.connector_class("postgresql").__name__ == "PostgreSQLConnector"


async def test_an_unknown_type_names_the_nearest(registry: DataSourceRegistry) -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'postgresql'"):
        await registry.register_data_source(DataSourceConfig("a", "postgres", "a"))
    with pytest.raises(InvalidRequest):
        registry.register_connector_class("x", dict)  # type: ignore[arg-type]


async def test_a_plug_in_that_cannot_be_imported_is_named(registry: DataSourceRegistry) -> None:
    from importlib.metadata import EntryPoint

    registry._types._found["odd"] = EntryPoint("odd", "no_such_module:X", "deepanalyze.connectors")
    with pytest.raises(ConfigurationError, match=r"'odd'.*no_such_module"):
        registry.connector_class("odd")


@pytest.mark.parametrize(
    ("config", "param", "words"),
    [
        ({}, "config.host", "is required: Where it hangs."),
        ({"host": "h", "wats": 3}, "config.wats", "did you mean 'watts'?"),
        ({"host": "h", "zzz": 3}, "config.zzz", "known are host, watts"),
        ({"host": "h", "watts": 0}, "config.watts", "greater than or equal to 1"),
        ({"host": "h", "login": {"passwort": SECRET}}, "config.login.password", "required"),
    ],
)
async def test_each_wrong_field_is_told(
    registry: DataSourceRegistry, config: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await registry.register_data_source(DataSourceConfig("a", "lamp", "a", config))
    assert caught.value.param == param
    assert words in caught.value.details[0]["message"]
    assert SECRET not in repr(caught.value.details) + str(caught.value)


@pytest.mark.requirement("3.2")
@pytest.mark.requirement("3.5")
async def test_secrets_are_kept_apart_and_only_shown_when_asked(registry: DataSourceRegistry) -> None:
    source = await registry.register_data_source(
        lamp(api_key=SECRET, login={"password": f"{SECRET}3"}, watts=7), created_by="user-1", shared=False
    )
    assert source.config == {"host": "hall", "watts": 7, "login": {}}
    assert set(source.secrets) == {"api_key", "login.password"}
    shown = f"{registry.list_data_sources()} {registry.get_config('lamp')} {source}"
    assert SECRET not in shown
    assert SECRET not in repr(dataclasses.asdict(registry.get_config("lamp")))
    assert registry.get_config("lamp").config["api_key"] == "********"
    plain = registry.get_config("lamp", sanitize=False).config
    assert (plain["api_key"], plain["login"]["password"]) == (SECRET, f"{SECRET}3")
    connector = await registry.get_connector("lamp")
    assert connector.config.config["api_key"] == SECRET


async def test_without_a_model_secrets_are_known_by_name_and_shape() -> None:
    class Bare(Lamp):
        config_model = None

    registry = DataSourceRegistry()
    registry.register_connector_class("bare", Bare)
    config = {"host": "h", "token": SECRET, "nested": {"url": f"https://me:{SECRET}3@h/"}, "n": 1}
    source = await registry.register_data_source(DataSourceConfig("a", "bare", "a", config))
    assert source.config == {"host": "h", "nested": {}, "n": 1}
    assert registry.get_config("a", sanitize=False).config == config


@pytest.mark.parametrize(
    "name", ["", "Upper", "1st", "a" * 42, "a b", "templates", "validate", "ds-mine", "ä"]
)
async def test_names_follow_the_rules(registry: DataSourceRegistry, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await registry.register_data_source(DataSourceConfig("ok", "lamp", name, {"host": "h"}))
    assert caught.value.param == "name"


async def test_names_and_ids_share_one_space(registry: DataSourceRegistry) -> None:
    await registry.register_data_source(lamp("one", "uno"))
    for clash in (lamp("one", "x"), lamp("x", "one"), lamp("uno", "x"), lamp("x", "uno")):
        with pytest.raises(AlreadyExists):
            await registry.register_data_source(clash)
    assert registry.stored("uno").id == registry.stored("one").id == "one"


async def test_of_many_registrations_at_once_one_succeeds(registry: DataSourceRegistry) -> None:
    results = await asyncio.gather(
        *(registry.register_data_source(lamp(f"id{n}", "same"), test_connection=True) for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, AlreadyExists) for r in results) == 19
    assert len(registry.list_data_sources()) == 1


async def test_a_cancelled_registration_is_stored_whole_or_not_at_all() -> None:
    class Slow(InMemoryRepository):
        def __init__(self) -> None:
            super().__init__()
            self.asked, self.go_on, self.done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def add(self, source: StoredSource) -> None:
            self.asked.set()
            await self.go_on.wait()
            await super().add(source)
            asyncio.get_running_loop().call_soon(self.done.set)

    slow = Slow()
    async with DataSourceRegistry(repository=slow) as slowly:
        slowly.register_connector_class("lamp", Lamp)
        registering = asyncio.create_task(slowly.register_data_source(lamp("a")))
        await slow.asked.wait()
        registering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await registering
        slow.go_on.set()
        await slow.done.wait()
        assert [source.id for source in slowly.stored_sources()] == [
            source.id for source in await slow.list()
        ]
        assert len(slowly.stored_sources()) == 1


def test_the_library_says_nothing_unless_asked() -> None:
    script = """
import asyncio
from deepanalyze.datasources import DataSourceConfig, DataSourceRegistry
async def main():
    async with DataSourceRegistry() as registry:
        config = {"host": "no-such-host.invalid", "database": "d", "user": "u", "connect_timeout_s": 1}
        await registry.register_data_source(DataSourceConfig("a", "postgresql", "a", config))
        await registry.test_connection("a")
        await registry.unregister_data_source("a")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


async def test_a_failing_test_stores_nothing_and_frees_the_name(registry: DataSourceRegistry) -> None:
    for host in ("dark", "flickers", "strange"):
        with pytest.raises(SourceUnavailable) as caught:
            await registry.register_data_source(lamp(host=host), test_connection=True)
        assert SECRET not in str(caught.value)
    assert registry.list_data_sources() == []
    assert all(made.disconnected for made in Lamp.made)
    assert (await registry.register_data_source(lamp(), test_connection=True)).status == "ok"


async def test_callers_share_one_connector_made_once(registry: DataSourceRegistry) -> None:
    await registry.register_data_source(lamp())
    connectors = await asyncio.gather(*(registry.get_connector("lamp") for _ in range(50)))
    assert len(set(map(id, connectors))) == 1
    assert [made.connected for made in Lamp.made] == [1]


async def test_a_source_that_hangs_holds_up_no_other(registry: DataSourceRegistry) -> None:
    gates["slow"] = asyncio.Event()
    await registry.register_data_source(lamp("slow"))
    await registry.register_data_source(lamp("quick"))
    waiting = asyncio.create_task(registry.get_connector("slow"))
    impatient = asyncio.create_task(registry.get_connector("slow"))
    assert await registry.get_connector("quick")
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    gates["slow"].set()
    assert (await waiting).config.id == "slow"
    assert [made.connected for made in Lamp.made if made.config.id == "slow"] == [1]


async def test_a_failed_connect_is_tried_anew(registry: DataSourceRegistry) -> None:
    await registry.register_data_source(lamp(host="dark"))
    results = await asyncio.gather(
        *(registry.get_connector("lamp") for _ in range(3)), return_exceptions=True
    )
    assert [type(r) for r in results] == [SourceUnavailable] * 3
    with pytest.raises(SourceUnavailable):
        await registry.get_connector("lamp")
    assert len(Lamp.made) == 2
    assert not await registry.test_connection("lamp")
    assert registry.stored("lamp").status == "error"


@pytest.mark.requirement("3.3")
async def test_unregistering_closes_and_forgets(registry: DataSourceRegistry) -> None:
    await registry.register_data_source(lamp())
    connector = await registry.get_connector("lamp")
    registry.cache_metadata("lamp", {"a": 1})
    await registry.unregister_data_source("lamp")
    assert isinstance(connector, Lamp)
    assert connector.disconnected == 1
    assert registry.get_cached_metadata("lamp") is None
    for call in (registry.get_connector, registry.unregister_data_source, registry.test_connection):
        with pytest.raises(NotFound):
            await call("lamp")
    await registry.register_data_source(lamp())


async def test_unregistering_while_connecting_ends_the_attempt(registry: DataSourceRegistry) -> None:
    gates["lamp"] = asyncio.Event()
    await registry.register_data_source(lamp())
    waiting = asyncio.create_task(registry.get_connector("lamp"))
    while not (Lamp.made and Lamp.made[0].trying):  # noqa: ASYNC110 - it takes a few turns of the loop
        await asyncio.sleep(0)
    await registry.unregister_data_source("lamp")
    with pytest.raises(NotFound):
        await waiting
    assert Lamp.made[0].disconnected == 1


async def test_leaving_the_registry_disconnects_everything() -> None:
    async with DataSourceRegistry() as registry:
        registry.register_connector_class("lamp", Lamp)
        for number in range(3):
            await registry.register_data_source(lamp(f"l{number}"))
            await registry.get_connector(f"l{number}")
    assert [made.disconnected for made in Lamp.made] == [1, 1, 1]


def test_metadata_is_cached_for_its_time() -> None:
    registry = DataSourceRegistry()
    registry.cache_metadata("a", 1)
    registry.cache_metadata("b", 2)
    registry.clear_cache("a")
    assert (registry.get_cached_metadata("a"), registry.get_cached_metadata("b")) == (None, 2)
    registry.clear_cache()
    assert registry.get_cached_metadata("b") is None
    off = DataSourceRegistry(metadata_ttl_s=0)
    off.cache_metadata("a", 1)
    assert off.get_cached_metadata("a") is None


async def test_a_key_that_does_not_fit_stops_the_load_and_names_the_source() -> None:
    repository = InMemoryRepository()
    key, other = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    first = DataSourceRegistry(CredentialManager(key), repository)
    first.register_connector_class("lamp", Lamp)
    await first.register_data_source(lamp(api_key=SECRET))
    again = DataSourceRegistry(CredentialManager(f"{other},{key}"), repository)
    await again.load()
    assert again.get_config("lamp", sanitize=False).config["api_key"] == SECRET
    with pytest.raises(ConfigurationError, match=r"'lamp'.*encryption key"):
        await DataSourceRegistry(CredentialManager(other), repository).load()
