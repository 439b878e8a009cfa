"""Whoever may write below the root tries to lead the server out of it."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepanalyze.datasources import beneath
from deepanalyze.datasources.connectors.local_file import LocalFileConnector
from deepanalyze.datasources.connectors.local_file.tree import Tree
from deepanalyze.errors import DeepAnalyzeError, InvalidRequest, PermissionDenied, Stale
from tests.support.local_sources import connector, paths_of, put

SECRET = b"canary: not below the root"


@pytest.fixture(params=["openat2", "step by step"], autouse=True)
def way_of_opening(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a kernel, or in a container, that does not know openat2."""

    def unknown(*_: object) -> int:
        raise OSError(errno.ENOSYS, "not implemented")

    if request.param == "step by step":
        monkeypatch.setattr(beneath, "_openat2", unknown)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, {"root/plain.csv": b"plain", "root/folder/in.csv": b"plain", "outside/secret.csv": SECRET})
    return tmp_path / "root"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


async def every_way_to(files: LocalFileConnector, path: str, out: Path) -> list[DeepAnalyzeError]:
    """The errors of all that takes a file's path."""
    errors = []
    for call in (
        files.find(path),
        files.download(path, out / "copy", max_bytes=1000),
        files.head(path, out / "copy", length=10),
        files.fetch_data(path, out),
        files.get_metadata(path),
    ):
        with pytest.raises(DeepAnalyzeError) as raised:
            await call
        errors.append(raised.value)
    assert list(out.iterdir()) == []
    return errors


@pytest.mark.parametrize(
    "target", ["../outside/secret.csv", "{base}/outside/secret.csv", "plain.csv", "gone"]
)
async def test_a_link_to_a_file(root: Path, out: Path, target: str) -> None:
    (root / "link.csv").symlink_to(target.format(base=root.parent))
    async with connector(root) as files:
        assert await paths_of(files) == {"plain.csv", "folder/in.csv"}
        assert {item.path for item in await files.list_items()} == {"plain.csv", "folder/"}
        assert {item.path for item in await files.find("*.csv")} == {"plain.csv"}
        for error in await every_way_to(files, "link.csv", out):
            assert isinstance(error, PermissionDenied)
            assert "'link.csv' is or goes through a symbolic link" in error.message
            assert "put a copy in its place" in error.message


@pytest.mark.parametrize("target", ["../outside", "{base}/outside", "folder", "/", "."])
async def test_a_link_to_a_folder(root: Path, out: Path, target: str) -> None:
    (root / "link").symlink_to(target.format(base=root.parent))
    (root / "folder/link").symlink_to(root.parent / "outside")
    async with connector(root) as files:
        assert await paths_of(files) == {"plain.csv", "folder/in.csv"}
        for path in ("link/secret.csv", "link/gone", "folder/link/secret.csv", "link/folder/in.csv"):
            for error in await every_way_to(files, path, out):
                assert isinstance(error, PermissionDenied), path
        for path in ("link", "link/", "folder/link/", "link/x/", "link/sec"):
            with pytest.raises(PermissionDenied, match="symbolic link"):
                await files.list_items(path)
            with pytest.raises(PermissionDenied):
                await files.find(path)
        with pytest.raises(PermissionDenied):
            await files.find("link/*.csv")
        assert {item.path for item in await files.find("**/*.csv")} == {"plain.csv", "folder/in.csv"}


async def test_a_hard_link(root: Path, out: Path) -> None:
    os.link(root.parent / "outside/secret.csv", root / "hard.csv")
    async with connector(root) as files:
        assert await paths_of(files) == {"plain.csv", "folder/in.csv"}
        for error in await every_way_to(files, "hard.csv", out):
            assert isinstance(error, PermissionDenied)
            assert "'hard.csv' has 2 names (hard links)" in error.message


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret.csv",
        "folder/../../outside/secret.csv",
        "{base}/outside/secret.csv",
        "folder/\\x2e\\x2e/../x",
        "{{..,x}}/outside/secret.csv",
        "{{../outside,x}}/*.csv",
        "{{,x}}/etc/passwd",
        "[.][.]/outside/*.csv",
        "..*/outside/secret.csv",
        "\\xae\\xae/outside/secret.csv",
        "folder/\x00/../../outside/secret.csv",
    ],
)
async def test_a_path_that_leads_out(root: Path, out: Path, path: str) -> None:
    path = path.format(base=root.parent)
    async with connector(root) as files:
        for error in await every_way_to(files, path, out):
            assert error.code in ("invalid_request", "blob_not_found")
            assert "canary" not in error.message
        with contextlib.suppress(InvalidRequest):
            assert await paths_of(files, path) == set()


async def test_what_an_escape_would_spell_is_no_path(root: Path) -> None:
    """Escaped bytes come after the check, so they must not be able to spell `/`, `.` or NUL."""
    for code in (0x00, 0x2E, 0x2F):
        async with connector(root) as files:
            with pytest.raises(DeepAnalyzeError) as raised:
                await files.find(f"folder\\x{code:02x}in.csv")
            assert raised.value.code == "blob_not_found"


@contextlib.contextmanager
def swapping(first: Path, second: Path) -> Iterator[None]:
    """Exchanges what two names stand for, over and over."""
    over = threading.Event()
    spare = first.with_name("spare")

    def swap() -> None:
        while not over.is_set():
            first.rename(spare)
            second.rename(first)
            spare.rename(second)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_a_link_that_comes_and_goes_is_never_followed(root: Path, out: Path, what: str) -> None:
    put(root, {f"many/{number}.csv": b"plain" for number in range(20)})
    put(root.parent, {f"outside/{number}.csv": SECRET for number in range(20)})
    if what == "folder":
        (root / "link").symlink_to(root.parent / "outside")
        pair = (root / "many", root / "link")
    else:
        (root / "many/link").symlink_to(root.parent / "outside/0.csv")
        pair = (root / "many/0.csv", root / "many/link")
    read = refused = 0
    async with connector(root) as files:
        with swapping(*pair):
            for number in range(300):
                copy = out / str(number)
                try:
                    await files.download("many/0.csv", copy, max_bytes=1000)
                    assert copy.read_bytes() == b"plain"
                    read += 1
                except DeepAnalyzeError:
                    refused += 1
                with contextlib.suppress(DeepAnalyzeError):
                    listed = [item async for item in files.iter_items(recursive=True)]
                    assert all(item.size == len(b"plain") for item in listed)
                with contextlib.suppress(DeepAnalyzeError):
                    assert all(item.size == 5 for item in await files.find("many/*"))
    assert read
    assert refused


async def test_a_folder_that_becomes_a_link_during_a_walk(root: Path) -> None:
    """Between the look at it and the step into it."""
    put(root, {f"folder/{number}": b"" for number in range(5)})
    tree_walk = Tree.walk

    async with connector(root) as files:
        walk = tree_walk(files._session.tree, "", recursive=True)
        seen = []
        for item in walk:
            if item is None and (root / "folder").is_dir() and not (root / "folder").is_symlink():
                (root / "folder").rename(root / "moved")
                (root / "folder").symlink_to(root.parent / "outside")
            elif item is not None:
                seen.append(item.path)
    assert all("secret" not in path for path in seen)


async def test_a_file_that_becomes_something_else_after_it_was_looked_at(
    root: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link, a second name, a pipe: put there between the look and the opening."""
    real_open = os.open
    planted: dict[str, tuple[Callable[[Path], None], type[DeepAnalyzeError]]] = {
        "link": (lambda path: path.symlink_to(root.parent / "outside/secret.csv"), PermissionDenied),
        "hard": (lambda path: os.link(root.parent / "outside/secret.csv", path), Stale),
        "pipe": (lambda path: os.mkfifo(path), Stale),
    }
    for kind, (plant, expected) in planted.items():
        path = root / f"{kind}.csv"
        path.write_bytes(b"plain")

        def planting(name, flags, *more, path=path, plant=plant, **named):  # type: ignore[no-untyped-def]
            if name == path.name:
                path.unlink()
                plant(path)
            return real_open(name, flags, *more, **named)

        async with connector(root) as files:
            monkeypatch.setattr(os, "open", planting)
            with pytest.raises(expected):
                await files.download(path.name, out / kind, max_bytes=1000)
            monkeypatch.setattr(os, "open", real_open)
    assert list(out.iterdir()) == []
