"""What all tests share: real services, started once for each worker when a test first asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from deepanalyze.devservices import Services
from deepanalyze.devservices.azurite import Azurite
from deepanalyze.devservices.postgres import PostgresServer
from tests.support.canary_net import CanaryNet
from tests.support.services import (
    BlobContainer,
    PostgresDatabase,
    fresh_container,
    fresh_database,
    run_azurite,
    run_postgres,
)

if TYPE_CHECKING:
    from deepanalyze.devservices.sampledata import SampleData

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("deepanalyze", deadline=None)
hypothesis.settings.load_profile("deepanalyze")


def pytest_configure(config: pytest.Config) -> None:
    net = CanaryNet(config)
    config.pluginmanager.register(net, "canaries")
    net.open()


@pytest.fixture(scope="session")
def services_loop() -> Iterator[BlockingPortal]:
    """An event loop of the services' own, in a thread: theirs outlives the loops of single tests."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def postgres_server(
    services_loop: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    path = tmp_path_factory.mktemp("postgres")
    with services_loop.wrap_async_context_manager(run_postgres(path)) as server:
        yield server


@pytest.fixture
def postgres_database(
    services_loop: BlockingPortal, postgres_server: PostgresServer
) -> Iterator[PostgresDatabase]:
    with fresh_database(services_loop, postgres_server) as database:
        yield database


@pytest.fixture(scope="session")
def azurite(services_loop: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with services_loop.wrap_async_context_manager(run_azurite(tmp_path_factory.mktemp("azurite"))) as service:
        yield service


@pytest.fixture
def container(azurite: Azurite) -> Iterator[BlobContainer]:
    with fresh_container(azurite) as made:
        yield made


@pytest.fixture(scope="session")
def sample_data(
    services_loop: BlockingPortal, postgres_server: PostgresServer, azurite: Azurite
) -> SampleData:
    """The flights and the weather, as `deepanalyze demo` has them. Read-only by agreement: every test shares it."""
    from deepanalyze.devservices.sampledata import load_sample_data

    return services_loop.call(load_sample_data, Services(postgres_server, azurite))
