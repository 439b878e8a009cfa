from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepanalyze.sandbox import KernelLimits, Sandbox, open_sandbox
from tests.support.desk import Desk, open_desk
from tests.support.model_server import ModelServer, model_server


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """What code runs in here; probing takes a while, and it keeps nothing between kernels."""
    return asyncio.run(open_sandbox("auto", limits=KernelLimits(), preload=()))


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as started:
        yield started


@pytest.fixture
async def desk(tmp_path: Path, server: ModelServer, sandbox: Sandbox) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path, server, sandbox) as opened:
        yield opened
