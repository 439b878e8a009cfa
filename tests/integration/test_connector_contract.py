"""What every connector promises. A new type adds one `Subject` to `SUBJECTS` and passes all of this."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deepanalyze.datasources.base import DataItem, DataSourceConfig, DataSourceConnector, Progress
from deepanalyze.datasources.capabilities import SupportsDownload, SupportsExport
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.limits import Limits, RetryPolicy, SourceDefaults, Timeouts
from deepanalyze.datasources.masking import MASK
from deepanalyze.datasources.plugins import ConnectorTypes
from deepanalyze.datasources.references import DataReference
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.datasources.templates import template_of
from deepanalyze.errors import (
    AlreadyExists,
    DeepAnalyzeError,
    InvalidRequest,
    NotFound,
    SourceAuthenticationFailed,
    SourceUnavailable,
)
from tests.support.blob_sources import WRONG_KEY, key_config, put
from tests.support.canaries import canary
from tests.support.services import fresh_container, fresh_database

SECRET = canary("wrong credential")

QUICK = SourceDefaults(
    timeouts=Timeouts(connect_s=2), retries=RetryPolicy(max_attempts=2, base_delay_s=0.01, max_delay_s=0.05)
)


@dataclass(frozen=True)
class Subject:
    """A source that holds `item` in `folder`, and what would be wrong with it."""

    type: str
    config: Mapping[str, Any]
    item: str
    folder: str
    missing: str
    wrong_credentials: Mapping[str, Any] | None  # None for a type that has no credentials
    unreachable: Callable[[int], Mapping[str, Any]]
    secrets: list[str]
    types: ConnectorTypes = field(default_factory=ConnectorTypes)

    @property
    def connector_class(self) -> type[DataSourceConnector]:
        return self.types.connector_class(self.type)

    def connector(self, **changes: Any) -> DataSourceConnector:
        made = self.connector_class(self.source(**changes))
        made.defaults = QUICK
        return made

    def source(self, **changes: Any) -> DataSourceConfig:
        return DataSourceConfig("subject", self.type, "subject", {**self.config, **changes})

    def reference(self, item: str) -> DataReference:
        downloads = isinstance(self.connector(), SupportsDownload)
        return DataReference("subject", path=item) if downloads else DataReference("subject", table=item)


@contextmanager
def postgresql(request: pytest.FixtureRequest) -> Iterator[Subject]:
    portal, server = (request.getfixturevalue(name) for name in ("services_loop", "postgres_server"))
    with fresh_database(portal, server) as database:
        with psycopg.connect(database.admin_dsn, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE numbers AS SELECT n, 'number ' || n AS name FROM generate_series(1, 50000) n"
            )
        yield Subject(
            type="postgresql",
            config=database.analyst_config,
            item="public.numbers",
            folder="public",
            missing="public.nothing",
            wrong_credentials={"password": f"{SECRET}-wrong-password"},
            unreachable=lambda port: {"host": "127.0.0.1", "port": port},
            secrets=[database.analyst_config["password"], f"{SECRET}-wrong-password"],
        )


@contextmanager
def azure_blob(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with fresh_container(request.getfixturevalue("azurite")) as container:
        rows = "".join(f"{n},number {n}\n" for n in range(1, 500_001))
        put(container, {"folder/numbers.csv": b"n,name\n" + rows.encode(), "top.csv": b"x\n"})
        yield Subject(
            type="azure_blob",
            config=key_config(container),
            item="folder/numbers.csv",
            folder="folder",
            missing="folder/nothing.csv",
            wrong_credentials={"account_key": WRONG_KEY},
            unreachable=lambda port: {"account_url": f"http://127.0.0.1:{port}/account"},
            secrets=[container.account_key, WRONG_KEY],
        )


@contextmanager
def local_file(request: pytest.FixtureRequest) -> Iterator[Subject]:
    root = request.getfixturevalue("tmp_path_factory").mktemp("local-file")
    rows = "".join(f"{n},number {n}\n" for n in range(1, 500_001))
    (root / "folder").mkdir()
    (root / "folder" / "numbers.csv").write_bytes(b"n,name\n" + rows.encode())
    (root / "top.csv").write_bytes(b"x\n")
    yield Subject(
        type="local_file",
        config={"root": str(root)},
        item="folder/numbers.csv",
        folder="folder",
        missing="folder/nothing.csv",
        wrong_credentials=None,
        unreachable=lambda port: {"root": str(root / f"not-there-{port}")},
        secrets=[],
    )


SUBJECTS = [postgresql, azure_blob, local_file]
WITHOUT_CREDENTIALS = {"local_file"}


@pytest.fixture(scope="module", params=SUBJECTS, ids=lambda subject: subject.__name__)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """One for all tests, since none of them changes what the source holds."""
    with request.param(request) as made:
        yield made


@pytest.fixture
def refusing_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def wrong_credentials(subject: Subject) -> Mapping[str, Any]:
    if subject.wrong_credentials is None:
        assert subject.type in WITHOUT_CREDENTIALS
        pytest.skip("this type has no credentials")
    return subject.wrong_credentials


async def everything(connector: DataSourceConnector) -> list[DataItem]:
    return [item async for item in connector.iter_items(recursive=True)]


def test_every_registered_type_is_held_to_the_contract() -> None:
    assert set(ConnectorTypes().names()) == {subject.__name__ for subject in SUBJECTS}


def test_a_wrong_config_is_refused_without_repeating_it(subject: Subject) -> None:
    with pytest.raises(InvalidRequest) as raised:
        subject.connector(no_such_parameter=SECRET)
    assert raised.value.param == "config.no_such_parameter"
    assert SECRET not in str(raised.value) + repr(raised.value.details)


def test_can_give_files_in_one_way_at_least(subject: Subject) -> None:
    connector = subject.connector()
    assert isinstance(connector, (SupportsDownload, SupportsExport))


async def test_opens_and_closes_as_often_as_one_likes(subject: Subject) -> None:
    connector = subject.connector()
    await connector.disconnect()
    for _ in range(2):
        await connector.connect()
        await connector.connect()
        assert await connector.list_items()
        await connector.disconnect()
        await connector.disconnect()
        with pytest.raises(SourceUnavailable, match="subject"):
            await connector.list_items()
    async with connector:
        assert await connector.list_items()


async def test_says_who_answers(subject: Subject) -> None:
    async with subject.connector() as connector:
        assert await connector.test_connection()
        assert connector.last_error is None
        info = await connector.server_info()
    assert info["product"]
    assert info["version"]
    assert isinstance(info["tls"], bool)
    assert_shows_no_secret(subject, json.dumps(info))


async def test_a_test_leaves_a_source_connected_or_not_as_it_was(subject: Subject) -> None:
    connector = subject.connector()
    assert await connector.test_connection()
    with pytest.raises(SourceUnavailable, match="not connected"):
        await connector.list_items()
    async with connector:
        assert await connector.test_connection()
        assert await connector.list_items()


async def test_closing_a_source_while_it_is_opened_leaves_nothing_open(subject: Subject) -> None:
    connector = subject.connector()
    opening = asyncio.create_task(connector.connect())
    await asyncio.sleep(0)  # it has begun
    await connector.disconnect()
    await opening
    with pytest.raises(SourceUnavailable, match="not connected"):
        await connector.list_items()


async def test_refused_credentials_are_an_authentication_failure(
    subject: Subject, wrong_credentials: Mapping[str, Any]
) -> None:
    connector = subject.connector(**wrong_credentials)
    try:
        assert not await connector.test_connection()
        assert isinstance(connector.last_error, SourceAuthenticationFailed)
        assert "subject" in str(connector.last_error)
        assert_shows_no_secret(subject, repr(connector.last_error) + repr(connector) + repr(connector.config))
    finally:
        await connector.disconnect()


async def test_a_source_that_is_not_there_is_unavailable(subject: Subject, refusing_port: int) -> None:
    connector = subject.connector(**subject.unreachable(refusing_port))
    try:
        assert not await connector.test_connection()
        assert isinstance(connector.last_error, SourceUnavailable)
        assert str(refusing_port) in str(connector.last_error)
    finally:
        await connector.disconnect()


async def test_lists_from_the_top_down(subject: Subject) -> None:
    async with subject.connector() as connector:
        top = await connector.list_items()
        below = await connector.list_items(subject.folder)
        all_of_it = await everything(connector)
        assert [item async for item in connector.iter_items()] == top
    assert subject.item not in {item.path for item in top}
    assert subject.item in {item.path for item in below}
    assert subject.item in {item.path for item in all_of_it}
    for items in (top, below, all_of_it):
        assert len({item.path for item in items}) == len(items)
        assert all(item.name and item.path for item in items)
        json.dumps([dict(item.metadata) for item in items])


async def test_describes_one_item(subject: Subject) -> None:
    async with subject.connector() as connector:
        assert json.loads(json.dumps(await connector.get_metadata(subject.item)))
        with pytest.raises(NotFound):
            await connector.get_metadata(subject.missing)


async def test_fetches_into_the_directory_and_replaces_nothing(subject: Subject, tmp_path: Path) -> None:
    async with subject.connector() as connector:
        first = Path(await connector.fetch_data(subject.item, str(tmp_path)))
        assert first.parent == tmp_path
        content = first.read_bytes()
        assert content.startswith(b"n,name\n1,number 1\n")
        first.write_bytes(b"mine")
        try:
            second = Path(await connector.fetch_data(subject.item, tmp_path))
        except AlreadyExists:
            second = first
        else:
            assert second.read_bytes() == content
        assert first.read_bytes() == b"mine"
    assert set(tmp_path.iterdir()) == {first, second}


async def test_a_fetch_that_is_refused_takes_nothing_away(subject: Subject, tmp_path: Path) -> None:
    async with subject.connector() as connector:
        reference = subject.reference(subject.item)
        (file,) = await fetch(connector, reference, tmp_path, limits=Limits())
        (tmp_path / file.file).write_bytes(b"mine")
        with pytest.raises(AlreadyExists):
            await fetch(connector, reference, tmp_path, limits=Limits())
    assert (tmp_path / file.file).read_bytes() == b"mine"


async def test_what_is_missing_is_not_found_and_leaves_nothing(subject: Subject, tmp_path: Path) -> None:
    async with subject.connector() as connector:
        with pytest.raises(NotFound, match="nothing"):
            await connector.fetch_data(subject.missing, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_fetch_tells_what_it_brought(subject: Subject, tmp_path: Path) -> None:
    seen: list[Progress] = []
    async with subject.connector() as connector:
        (file,) = await fetch(
            connector, subject.reference(subject.item), tmp_path, limits=Limits(), on_progress=seen.append
        )
    path = tmp_path / file.file
    assert path.is_file()
    assert (file.source_id, file.name, file.type) == ("subject", "subject", subject.type)
    assert file.bytes == path.stat().st_size
    assert seen[-1].bytes == file.bytes
    assert [progress.bytes for progress in seen] == sorted(progress.bytes for progress in seen)


async def test_many_use_one_connector_at_once(subject: Subject, tmp_path: Path) -> None:
    async def use(number: int) -> str:
        await connector.list_items(subject.folder)
        await connector.get_metadata(subject.item)
        directory = tmp_path / str(number)
        directory.mkdir()
        return await connector.fetch_data(subject.item, directory)

    async with subject.connector() as connector:
        fetched = await asyncio.gather(*(use(number) for number in range(12)))
    assert len({Path(path).read_bytes() for path in fetched}) == 1


@pytest.mark.parametrize("steps", [0, 1, 3, 10, 30])
async def test_a_cancelled_fetch_leaves_nothing(subject: Subject, steps: int, tmp_path: Path) -> None:
    """Cancelled after so many turns of the event loop, wherever it is by then."""
    async with subject.connector() as connector:
        await connector.list_items()
        task = asyncio.create_task(connector.fetch_data(subject.item, tmp_path))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(tmp_path.iterdir()) == []
        assert Path(await connector.fetch_data(subject.item, tmp_path)).is_file()


async def test_disconnecting_ends_what_runs(subject: Subject, tmp_path: Path) -> None:
    connector = subject.connector()
    await connector.connect()
    tasks = [asyncio.create_task(connector.fetch_data(subject.item, tmp_path / str(n))) for n in range(4)]
    for _ in range(10):
        await asyncio.sleep(0)
    await connector.disconnect()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, (str, DeepAnalyzeError)), repr(result)


async def test_goes_through_the_registry_and_back(subject: Subject) -> None:
    async with DataSourceRegistry(defaults=QUICK) as registry:
        await registry.register_data_source(subject.source(), test_connection=True)
        connector = await registry.get_connector("subject")
        assert await registry.get_connector("subject") is connector
        assert await connector.list_items()
        shown = json.dumps(registry.get_config("subject").config)
        assert (MASK in shown) == (subject.type not in WITHOUT_CREDENTIALS)
        assert_shows_no_secret(subject, shown + repr(registry.list_data_sources()))
        await registry.unregister_data_source("subject")
        with pytest.raises(SourceUnavailable):
            await connector.list_items()


async def test_a_source_whose_credentials_are_refused_is_not_registered(
    subject: Subject, wrong_credentials: Mapping[str, Any]
) -> None:
    async with DataSourceRegistry(defaults=QUICK) as registry:
        with pytest.raises(SourceAuthenticationFailed):
            await registry.register_data_source(subject.source(**wrong_credentials), test_connection=True)
        assert registry.list_data_sources() == []


async def test_a_source_that_is_not_there_is_not_registered(subject: Subject, refusing_port: int) -> None:
    async with DataSourceRegistry(defaults=QUICK) as registry:
        with pytest.raises(SourceUnavailable):
            await registry.register_data_source(
                subject.source(**subject.unreachable(refusing_port)), test_connection=True
            )
        assert registry.list_data_sources() == []


def test_its_template_describes_every_parameter(subject: Subject) -> None:
    template = template_of(subject.type, subject.connector_class)
    assert template.title
    assert template.description
    assert template.path_patterns
    for name, parameter in template.schema["properties"].items():
        assert parameter.get("description"), name
    assert ('"writeOnly": true' in json.dumps(template.schema)) == (subject.type not in WITHOUT_CREDENTIALS)
    for example in template.examples:
        assert example["title"]
        assert example["description"]
        subject.connector_class(DataSourceConfig("example", subject.type, "example", dict(example["config"])))


def assert_shows_no_secret(subject: Subject, text: str) -> None:
    assert [secret for secret in subject.secrets if secret in text] == []
