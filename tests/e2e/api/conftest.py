"""One served runtime for all API tests of a worker. Tests keep apart by users and names of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import httpx
import openai
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from pydantic import SecretStr

from deepanalyze.accounts import Grant
from deepanalyze.settings import ModelConfig
from tests.support.canaries import canary
from tests.support.model_server import ModelServer, model_server
from tests.support.server import ThreadedServer, serving
from tests.support.toysource import ToyConnector

MAX_FILE_BYTES = 3 * 1024**2
SCRIPTED = "DeepAnalyze-8B"


@pytest.fixture(scope="session")
def models_loop() -> Iterator[BlockingPortal]:
    """Where the scripted model lives: what it waits for is set there."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def scripted_models(models_loop: BlockingPortal) -> Iterator[ModelServer]:
    with models_loop.wrap_async_context_manager(model_server()) as models:
        yield models


@pytest.fixture
def model(scripted_models: ModelServer) -> ModelServer:
    """The model named SCRIPTED, which says what the test tells it to."""
    scripted_models.forget()
    return scripted_models


@pytest.fixture(scope="session")
def server(scripted_models: ModelServer) -> Iterator[ThreadedServer]:
    key = SecretStr(canary("model key"))
    scripted = ModelConfig(id=SCRIPTED, base_url=scripted_models.base_url, api_key=key)
    with serving(max_file_bytes=MAX_FILE_BYTES, models=(scripted,)) as server:
        server.runtime.registry.register_connector_class("toy", ToyConnector)
        yield server


@pytest.fixture
def admin(server: ThreadedServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def anonymous(server: ThreadedServer) -> Iterator[httpx.Client]:
    with server.anonymous() as client:
        yield client


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Names that no other test has."""
    count = itertools.count()
    stem = f"{abs(hash(request.node.nodeid)) % 10**8}"
    return lambda prefix: f"{prefix}-{stem}-{next(count)}"


@pytest.fixture
def user(server: ThreadedServer, unique: Callable[[str], str]) -> Callable[..., str]:
    """Makes an analyst and returns a key for it."""

    def make(grants: Sequence[Grant] = ()) -> str:
        return server.user(unique("user"), "analyst", grants)

    return make


@pytest.fixture
def ada(server: ThreadedServer, user: Callable[..., str]) -> Iterator[httpx.Client]:
    with server.client(user()) as client:
        yield client


@pytest.fixture
def bob(server: ThreadedServer, user: Callable[..., str]) -> Iterator[httpx.Client]:
    with server.client(user()) as client:
        yield client


@pytest.fixture
def client(server: ThreadedServer, user: Callable[..., str]) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, as a fresh analyst."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=user(), max_retries=0) as client:
        yield client
