"""Local files on their way into a directory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.access import SourceAccess
from deepanalyze.accounts import Principal, User
from deepanalyze.datasources.base import DataItem, DataSourceConfig, Progress
from deepanalyze.datasources.connectors.local_file.tree import Tree
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.limits import Limits, PoolLimits, SourceDefaults, Timeouts
from deepanalyze.datasources.references import DataReference
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.datasources.shared_file import SharedFile
from deepanalyze.errors import AlreadyExists, DeepAnalyzeError, FileTooLarge, SourceUnavailable, Stale
from deepanalyze.workspace import Workspace
from tests.support.blob_sources import left_over, sha256
from tests.support.local_sources import connector, put

MIB = 1024**2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("size", [0, 1, MIB, 30 * MIB + 7])
async def test_every_byte_arrives(root: Path, out: Path, size: int) -> None:
    put(root, {"data.bin": os.urandom(size)})
    seen: list[Progress] = []
    async with connector(root) as files:
        done = await files.download("data.bin", out / "copy", max_bytes=size, on_progress=seen.append)
        beginning = await files.head("data.bin", out / "head", length=MIB + 1)
        etag = (await files.get_metadata("data.bin"))["etag"]
    assert sha256(out / "copy") == sha256(root / "data.bin")
    assert (out / "head").read_bytes() == (root / "data.bin").read_bytes()[: MIB + 1]
    assert (done.bytes, done.etag) == (size, etag)
    assert (beginning.bytes, beginning.size, beginning.etag) == (min(size, MIB + 1), size, etag)
    assert seen[-1] == Progress(size, total_bytes=size)
    assert [each.bytes for each in seen] == sorted(each.bytes for each in seen)
    assert left_over(out, {"copy", "head"}) == set()


async def test_names_are_kept_and_nothing_is_replaced(root: Path, out: Path) -> None:
    put(root, {"a/Übersicht 2013.final.CSV": b"one", "b/Übersicht 2013.final.CSV": b"two", ".env": b"three"})
    async with connector(root) as files:
        for name in ("a/Übersicht 2013.final.CSV", "b/Übersicht 2013.final.CSV", ".env"):
            await files.fetch_data(name, out)
        with pytest.raises(AlreadyExists, match="'_2eenv'"):
            await files.download(".env", out / "_2eenv", max_bytes=10)
        with pytest.raises(AlreadyExists):
            await files.head(".env", out / "_2eenv", length=10)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        "Übersicht 2013.final.CSV": b"one",
        "Übersicht 2013.final-2.CSV": b"two",
        "_2eenv": b"three",
    }


async def test_files_come_into_the_thread_s_workspace(tmp_path: Path, root: Path) -> None:
    put(root, {"s/1.csv": b"a\n", "s/2.csv": b"b\n", "S/1.csv": b"c\n", b"s/caf\xe9.csv": b"d\n"})
    workspace = Workspace(tmp_path / "work", tmp_path / "staging")
    workspace.create()
    admin = Principal(User(id="user-1", name="admin", role="admin"))
    async with DataSourceRegistry() as registry:
        config = DataSourceConfig("files", "local_file", "files", {"root": str(root)})
        await registry.register_data_source(config, test_connection=True)
        fetched = await SourceAccess(registry).fetch(admin, DataReference("files", path="**"), workspace)
    assert {file.file: (workspace.root / file.file).read_bytes() for file in fetched} == {
        "s/1.csv": b"a\n",
        "S/1.csv": b"c\n",
        "2.csv": b"b\n",
        "caf_5cxe9.csv": b"d\n",
    }
    assert left_over(workspace.staging) == set()


async def test_a_file_over_the_limit_is_refused_before_a_byte_of_it_moves(
    root: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = Limits().max_file_bytes + 1
    with (root / "big.bin").open("wb") as file:
        file.truncate(size)
    monkeypatch.setattr(Tree, "opened_file", None)  # would fail
    async with connector(root) as files:
        with pytest.raises(
            FileTooLarge, match=r"'big.bin' has 104,857,601 bytes.*104,857,600 \(max_file_bytes\)"
        ):
            await files.fetch_data("big.bin", out)
        with pytest.raises(FileTooLarge):
            await files.download("big.bin", out / "x", max_bytes=0)
        with pytest.raises(FileTooLarge):
            await fetch(files, DataReference("files", path="*"), out, limits=Limits())
        put(root, {"small": b""})
        with pytest.raises(FileTooLarge, match="2 files, the limit is 1"):
            await fetch(files, DataReference("files", path="*"), out, limits=Limits(max_files=1))
    assert left_over(out) == set()


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * MIB)


def rewrite_keeping_times(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"new")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"new")
    new.rename(path)


CHANGES: dict[str, Callable[[Path], Any]] = {
    "append": append,
    "truncate": lambda path: os.truncate(path, 5),
    "rewrite": lambda path: path.write_bytes(path.read_bytes()),
    "rewrite, times kept": rewrite_keeping_times,
    "replace": replace,
    "remove": lambda path: path.unlink(),
    "link": lambda path: os.link(path, path.with_name("second")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("after", ["the look", "the opening", "the first piece"])
async def test_a_file_that_changes_while_it_is_read(
    root: Path, out: Path, change: Callable[[Path], Any], after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noticed, and no more than the limit is written meanwhile."""
    path = root / "a.bin"
    put(root, {"a.bin": os.urandom(3 * MIB)})
    changed = threading.Event()
    largest = 0

    def once(*_: object) -> None:
        if not changed.is_set():
            changed.set()
            change(path)

    def changing(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            result = method(*args)
            once()
            return result

        return wrapped

    def watch(progress: Progress) -> None:
        nonlocal largest
        largest = max(largest, progress.bytes)
        if after == "the first piece":
            once()

    if after == "the look":
        monkeypatch.setattr(Tree, "file_status", changing(Tree.file_status))
    if after == "the opening":
        monkeypatch.setattr(Tree, "_check_unchanged", changing(Tree._check_unchanged))
    if after == "the first piece":  # in the thread that copies, so that it cannot be done before
        monkeypatch.setattr(SharedFile, "write", changing(SharedFile.write))
    async with connector(root) as files:
        with pytest.raises(DeepAnalyzeError) as raised:
            await files.download("a.bin", out / "a.bin", max_bytes=3 * MIB, on_progress=watch)
    assert changed.is_set()
    if after == "the look" and change in (CHANGES["remove"], CHANGES["link"]):
        assert raised.value.code in ("blob_not_found", "permission_denied")
    else:
        assert isinstance(raised.value, Stale)
        assert "'a.bin' was changed while it was read" in raised.value.message
    assert largest <= 3 * MIB
    assert left_over(out) == set()


async def test_a_cancelled_download_leaves_nothing(root: Path, out: Path) -> None:
    put(root, {"a.bin": bytes(64 * MIB)})
    moving = asyncio.Event()
    async with connector(root) as files:
        download = asyncio.create_task(
            files.download("a.bin", out / "a", max_bytes=64 * MIB, on_progress=lambda _: moving.set())
        )
        await moving.wait()
        download.cancel()
        with pytest.raises(asyncio.CancelledError):
            await download
        assert left_over(out) == set()
        assert (await files.download("a.bin", out / "b", max_bytes=64 * MIB)).bytes == 64 * MIB


async def test_fifty_downloads_at_once(root: Path, out: Path) -> None:
    contents: dict[str | bytes, bytes] = {f"{number}.bin": os.urandom(1000 * number) for number in range(50)}
    put(root, contents)
    async with connector(root) as files:
        await asyncio.gather(
            *(files.download(str(name), out / str(name), max_bytes=MIB) for name in contents)
        )
    assert {name: (out / str(name)).read_bytes() for name in contents} == contents
    assert left_over(out, map(str, contents)) == set()


class Hanging:
    """A file system that stops answering, as a dead network mount does."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.both_wait = threading.Event()
        self.waiting = 0

    def __call__(self, *_: object, **__: object) -> Any:
        self.waiting += 1
        if self.waiting == 2:
            self.both_wait.set()
        self.answers.wait(20)
        raise OSError(5, "Input/output error")


@pytest.fixture
def hanging() -> Any:
    made = Hanging()
    yield made
    made.answers.set()


HASTY = SourceDefaults(timeouts=Timeouts(connect_s=10, query_s=0.6), pool=PoolLimits(max_size=2))
PATIENT = SourceDefaults(pool=PoolLimits(max_size=2))


async def test_a_mount_that_does_not_answer_is_told(
    root: Path, out: Path, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, {"a.bin": bytes(MIB)})
    async with connector(root, defaults=HASTY) as files:
        with monkeypatch.context() as patched:
            patched.setattr(os, "read", hanging)
            with pytest.raises(SourceUnavailable, match=r"did not answer for 0.6 s; check .* mounted"):
                await files.download("a.bin", out / "a", max_bytes=MIB)
            assert left_over(out) == set()
        with monkeypatch.context() as patched:
            patched.setattr(Tree, "status", hanging)
            with pytest.raises(SourceUnavailable, match="did not answer"):
                await files.get_metadata("a.bin")
        assert hanging.waiting == 2  # both threads that it may have: nobody gets another one
        with pytest.raises(SourceUnavailable, match="did not answer"):
            await files.get_metadata("a.bin")
        hanging.answers.set()
        assert await files.get_metadata("a.bin")
    with monkeypatch.context() as patched:
        hanging.answers.clear()
        patched.setattr(os.path, "realpath", hanging)
        fresh = connector(root, defaults=SourceDefaults(timeouts=Timeouts(connect_s=0.2)))
        assert not await fresh.test_connection()
        assert "did not answer" in str(fresh.last_error)


@pytest.mark.parametrize("end", ["cancel", "disconnect"])
async def test_what_waits_for_a_dead_mount_ends_at_once(
    root: Path, out: Path, hanging: Hanging, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, {"a.bin": bytes(MIB)})
    files = connector(root, defaults=PATIENT)
    await files.connect()
    with monkeypatch.context() as patched:
        patched.setattr(os, "read", hanging)
        patched.setattr(os, "scandir", hanging)
        calls: list[asyncio.Task[Any]] = [
            asyncio.create_task(files.download("a.bin", out / "a", max_bytes=MIB)),
            asyncio.create_task(files.list_items()),
        ]
        await asyncio.to_thread(hanging.both_wait.wait, 10)
        calls.append(asyncio.create_task(files.get_metadata("a.bin")))  # waits for a place
        await asyncio.sleep(0.05)
        started = time.monotonic()
        if end == "disconnect":
            await files.disconnect()
        else:
            for call in calls:
                call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - started < 1
        expected = SourceUnavailable if end == "disconnect" else asyncio.CancelledError
        assert [type(result) for result in results] == [expected] * 3
        assert left_over(out) == set()
    await files.disconnect()
    async with files:
        assert len(await files.list_items()) == 1
        assert (await files.download("a.bin", out / "a", max_bytes=MIB)).bytes == MIB


async def test_the_event_loop_itself_touches_nothing_of_the_root(
    root: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, {f"{number}/a.csv": b"x" for number in range(20)})
    touching: set[int] = set()

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **named: Any) -> Any:
            touching.add(threading.get_ident())
            return function(*args, **named)

        return noted

    for name in ("scandir", "read"):
        monkeypatch.setattr(os, name, noting(getattr(os, name)))
    monkeypatch.setattr(os.path, "realpath", noting(os.path.realpath))
    monkeypatch.setattr(Tree, "_open_root", noting(Tree._open_root))
    async with connector(root, defaults=SourceDefaults(local_roots=(root,))) as files:
        assert await files.test_connection()
        assert len(await files.list_items()) == 20
        assert len(await files.find("**")) == 20
        assert await files.get_metadata("3/a.csv")
        await files.download("3/a.csv", out / "a", max_bytes=9)
        await files.head("3/a.csv", out / "b", length=1)
        async for _ in files.iter_items(recursive=True):
            break
    assert touching
    assert threading.get_ident() not in touching


async def test_a_walk_that_is_left_early_is_closed_in_a_thread(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing what lies on a dead mount may wait for it."""
    closed_by: list[int] = []
    closed = threading.Event()

    def entries() -> Iterator[DataItem]:
        try:
            for number in range(2000):
                yield DataItem(str(number), str(number), "file")
        finally:
            closed_by.append(threading.get_ident())
            closed.set()

    walk = entries()  # held here, so that nothing but the session closes it
    monkeypatch.setattr(Tree, "walk", lambda *_, **__: walk)
    async with connector(root) as files:
        async with contextlib.aclosing(files.iter_items()) as items:
            async for _ in items:
                break
        assert await asyncio.to_thread(closed.wait, 10)
    assert threading.get_ident() not in closed_by


async def test_a_copy_that_wakes_up_late_writes_nowhere(
    root: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the number of its descriptor is another file's."""
    put(root, {"a.bin": bytes(MIB)})
    reading, answers = threading.Event(), threading.Event()
    copying: list[threading.Thread] = []

    def read(*_: object) -> bytes:
        copying.append(threading.current_thread())
        reading.set()
        answers.wait(20)
        return b"late"

    async with connector(root) as files:
        download = asyncio.create_task(files.download("a.bin", out / "a", max_bytes=MIB))
        with monkeypatch.context() as patched:
            patched.setattr(os, "read", read)
            assert await asyncio.to_thread(reading.wait, 10)
            download.cancel()
            with pytest.raises(asyncio.CancelledError):
                await download
            with contextlib.ExitStack() as opened:
                others = [opened.enter_context((out / f"other-{n}").open("wb")) for n in range(20)]
                answers.set()
                await asyncio.to_thread(copying[0].join, 10)
                assert [os.fstat(other.fileno()).st_size for other in others] == [0] * 20
