from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deepanalyze.errors import Busy, SandboxUnavailable
from deepanalyze.sandbox import KernelPool, Sandbox
from deepanalyze.sandbox.opening import UnavailableSandbox
from deepanalyze.workspace import Workspace
from tests.support.sandbox import made_workspace, sandbox_or_skip


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    """Probed once; it keeps nothing between kernels."""
    return asyncio.run(sandbox_or_skip("auto"))


@pytest.fixture
def workspaces(tmp_path: Path) -> Iterator[list[Workspace]]:
    with ExitStack() as stack:
        yield [stack.enter_context(made_workspace(tmp_path, name)) for name in ("a", "b")]


@pytest.fixture
async def pool(sandbox: Sandbox) -> AsyncIterator[KernelPool]:
    async with KernelPool(sandbox, max_kernels=1, idle_s=600, queue_s=0.2) as pool:
        yield pool


async def _run(pool: KernelPool, thread_id: str, workspace: Workspace, code: str) -> tuple[str, bool]:
    async with pool.lease(thread_id, workspace, user="ada") as lease:
        return (await lease.kernel.execute(code, timeout_s=30)).output, lease.fresh


async def test_a_thread_keeps_its_kernel_until_another_needs_the_place(
    pool: KernelPool, workspaces: list[Workspace]
) -> None:
    a, b = workspaces
    assert await _run(pool, "a", a, "x = 1; print(x)") == ("1\n", True)
    assert await _run(pool, "a", a, "x") == ("1\n", False)
    assert await _run(pool, "b", b, "2") == ("2\n", True)
    output, fresh = await _run(pool, "a", a, "x")
    assert "NameError" in output
    assert fresh


async def test_who_waits_too_long_is_told_to_come_again(
    pool: KernelPool, workspaces: list[Workspace]
) -> None:
    a, b = workspaces
    async with pool.lease("a", a, user="ada"):
        with pytest.raises(Busy, match="kernel_queue_s") as refused:
            async with pool.lease("b", b, user="ada"):
                pass
        with pytest.raises(Busy):  # nor does a thread get its own kernel twice
            async with pool.lease("a", a, user="ada"):
                pass
    assert refused.value.retry_after_s is not None
    assert await _run(pool, "b", b, "1") == ("1\n", True)


async def test_who_waits_gets_the_place_that_becomes_free(
    sandbox: Sandbox, workspaces: list[Workspace]
) -> None:
    a, b = workspaces
    async with KernelPool(sandbox, max_kernels=1, idle_s=600, queue_s=60) as pool:
        async with pool.lease("a", a, user="ada"):
            waiting = asyncio.create_task(_run(pool, "b", b, "1"))
            await asyncio.sleep(0)
        assert await waiting == ("1\n", True)


async def test_one_user_s_crowd_does_not_keep_another_from_a_kernel(
    sandbox: Sandbox, workspaces: list[Workspace]
) -> None:
    a, b = workspaces
    order: list[str] = []

    async def run(user: str, thread: str, workspace: Workspace) -> None:
        async with pool.lease(thread, workspace, user=user):
            order.append(thread)

    async with (
        KernelPool(sandbox, max_kernels=1, idle_s=600, queue_s=60) as pool,
        asyncio.TaskGroup() as group,
        pool.lease("ada-0", a, user="ada"),
    ):
        for n in (1, 2, 3):
            group.create_task(run("ada", f"ada-{n}", a))
        await asyncio.sleep(0)
        group.create_task(run("bob", "bob", b))
        await asyncio.sleep(0)
    assert order.index("bob") <= 1


async def test_a_dead_kernel_is_replaced(pool: KernelPool, workspaces: list[Workspace]) -> None:
    await _run(pool, "a", workspaces[0], "import os; os._exit(1)")
    assert await _run(pool, "a", workspaces[0], "1") == ("1\n", True)


async def test_a_warm_kernel_is_fresh_at_its_first_lease(
    pool: KernelPool, workspaces: list[Workspace]
) -> None:
    pool.warm("a", workspaces[0])
    pool.warm("a", workspaces[0])
    assert await _run(pool, "a", workspaces[0], "1") == ("1\n", True)


async def test_warming_never_takes_a_place_in_use(pool: KernelPool, workspaces: list[Workspace]) -> None:
    a, b = workspaces
    async with pool.lease("a", a, user="ada") as lease:
        pool.warm("b", b)
        assert lease.kernel.alive


async def test_closing_a_thread_ends_a_running_block(pool: KernelPool, workspaces: list[Workspace]) -> None:
    async with pool.lease("a", workspaces[0], user="ada") as lease:
        await lease.kernel.execute("1", timeout_s=30)
        running = asyncio.create_task(lease.kernel.execute("while True: pass", timeout_s=60))
        await asyncio.sleep(0)
        await pool.close_thread("a")
        assert (await running).status == "died"
        assert not lease.kernel.alive
    await pool.close_thread("a")


async def test_idle_kernels_are_closed(sandbox: Sandbox, workspaces: list[Workspace]) -> None:
    async with KernelPool(sandbox, max_kernels=1, idle_s=0.05, queue_s=10) as pool:
        async with pool.lease("a", workspaces[0], user="ada") as lease:
            kernel = lease.kernel
        async with asyncio.timeout(30):
            while kernel.alive:  # noqa: ASYNC110 - a kernel's end is no event for others
                await asyncio.sleep(0.01)


async def test_where_nothing_isolates_the_reason_is_told(workspaces: list[Workspace]) -> None:
    sandbox = UnavailableSandbox(["bubblewrap: no", "landlock: no"], "Do this.")
    async with KernelPool(sandbox, max_kernels=1, idle_s=60, queue_s=1) as pool:
        pool.warm("a", workspaces[0])
        for _ in range(2):
            with pytest.raises(SandboxUnavailable, match=r"landlock: no. Do this\."):
                await _run(pool, "a", workspaces[0], "1")
