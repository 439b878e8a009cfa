from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepanalyze.store import Store, open_store


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
async def store(database_path: Path) -> AsyncIterator[Store]:
    async with open_store(database_path) as opened:
        yield opened
