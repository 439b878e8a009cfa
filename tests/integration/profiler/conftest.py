from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.profiling import Bench


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    running = Bench.start()
    yield running
    running.stop()
