"""Local files as a source: names, lists, patterns, roots."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deepanalyze.datasources.base import DataSourceConfig
from deepanalyze.datasources.browse import browse
from deepanalyze.datasources.connectors.local_file.names import shown
from deepanalyze.datasources.limits import Limits, SourceDefaults
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.errors import (
    BlobNotFound,
    DeepAnalyzeError,
    FileTooLarge,
    InvalidRequest,
    NotSupported,
    PermissionDenied,
    SourceAuthenticationFailed,
    SourceUnavailable,
)
from tests.support.file_sources import ODD_FILE_NAMES
from tests.support.local_sources import connector, paths_of, put

ODD_NAMES = [
    *ODD_FILE_NAMES,
    "back\\slash",
    "\\xe9",
    "~",
    "-rf",
    "deep/" * 20 + "down.csv",
    "long/" + "x" * 255,
]


def reads_everything() -> bool:
    """Of root, and not even of root in some containers."""
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)
        return os.access(file.name, os.R_OK)


async def test_every_name_is_listed_found_and_read(tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    out.mkdir()
    contents = {name: f"content of {name}".encode() for name in ODD_NAMES}
    put(root, contents)
    async with connector(root) as files:
        assert await paths_of(files) == {shown(name) for name in ODD_NAMES}
        for number, (name, content) in enumerate(contents.items()):
            path = shown(name)
            assert [item.path for item in await files.find(path)] == [path]
            assert (await files.download(path, out / str(number), max_bytes=5000)).bytes == len(content)
            assert (out / str(number)).read_bytes() == content
            assert (await files.get_metadata(path))["size"] == len(content)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(min_size=1, max_size=40).filter(
            lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
        ),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
@example([b"caf\xe9.csv", b"caf\\xe9.csv", b"caf\\x5cxe9.csv"])
@example([b"\xed\xa0\x80", b"\\\xff", b"\\x\xff5c"])
def test_any_bytes_that_can_be_a_name(tmp_path_factory: pytest.TempPathFactory, names: list[bytes]) -> None:
    root, out = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("out")
    put(root, {name: name for name in names})

    async def check() -> None:
        async with connector(root) as files:
            listed = {item.path: item for item in await files.list_items()}
            assert len(listed) == len([name for name in names if not name.startswith(b".")])
            for number, name in enumerate(names):
                path = shown(os.fsdecode(name))
                path.encode()  # text that any answer can hold
                assert path.isprintable() or path in listed or name.startswith(b".")
                assert [item.path for item in await files.find(path)] == [path]
                await files.download(path, out / str(number), max_bytes=100)
                assert (out / str(number)).read_bytes() == name

    asyncio.run(check())


@pytest.mark.parametrize(
    "name",
    ["", "/", "/etc/passwd", "..", "../x", "a/../b", "./a", "a/.", "a//b", "//", "a//", "nul\x00", "\ud800"],
)
async def test_names_that_cannot_be_meant(tmp_path: Path, name: str) -> None:
    async with connector(tmp_path) as files:
        for call in (
            files.find(name),
            files.download(name, tmp_path / "x", max_bytes=1),
            files.head(name, tmp_path / "x", length=1),
            files.get_metadata(name),
        ):
            with pytest.raises(InvalidRequest) as raised:
                await call
            assert raised.value.param == "path"
        if name:
            with pytest.raises(InvalidRequest):
                await files.list_items(name)


@pytest.mark.parametrize("name", ["x" * 256, "x" * 5000, "a/" * 2100 + "b", "é" * 2100])
async def test_names_too_long_for_any_file_system(tmp_path: Path, name: str) -> None:
    async with connector(tmp_path) as files:
        with pytest.raises((InvalidRequest, BlobNotFound)):
            await files.find(name)


async def test_a_list_tells_names_sizes_times_and_folders(tmp_path: Path) -> None:
    put(tmp_path, {"a.csv": b"12345", "b/c.csv": b"", "b/d/e.csv": b"1"})
    (tmp_path / "empty").mkdir()
    os.utime(tmp_path / "a.csv", (1, 1_700_000_000))
    async with connector(tmp_path) as files:
        page = await browse(files)
        assert [(i.path, i.name, i.kind, i.size) for i in page.items] == [
            ("a.csv", "a.csv", "file", 5),
            ("b/", "b", "folder", None),
            ("empty/", "empty", "folder", None),
        ]
        assert page.items[0].modified_at == 1_700_000_000
        assert page.items[0].metadata["content_type"] == "text/csv"
        assert page.items[1].modified_at == int((tmp_path / "b").stat().st_mtime)
        for path in ("b", "b/"):
            assert {i.path for i in await files.list_items(path)} == {"b/c.csv", "b/d/"}
        assert {i.path for i in await files.list_items("b/d")} == {"b/d/e.csv"}
        assert await files.list_items("empty") == []
        assert {i.path for i in await files.list_items("em")} == {"empty/"}
        assert await files.list_items("nothing/") == []
        assert await files.list_items("a.csv/") == []
        assert await paths_of(files) == {"a.csv", "b/c.csv", "b/d/e.csv"}
        assert await paths_of(files, "b") == {"b/c.csv", "b/d/e.csv"}
        assert (await files.get_metadata("a.csv"))["etag"] == page.items[0].metadata["etag"]
        assert (await files.get_metadata("b/"))["kind"] == "folder"
        with pytest.raises(BlobNotFound, match=r"'a.csv' is a file"):
            await files.get_metadata("a.csv/")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.csv", {"a.csv"}),
        ("w/2013/*.csv", {"w/2013/01.csv", "w/2013/02.csv"}),
        ("**/*.csv", {"a.csv", "w/2013/01.csv", "w/2013/02.csv", "w/2014.csv"}),
        ("w/**", {"w/2013/01.csv", "w/2013/02.csv", "w/2013/notes.txt", "w/2014.csv"}),
        ("*", {"a.csv", "odd[1].txt", "odd1.txt"}),
        ("*/*", {"w/2014.csv"}),
        ("w/{2013/01,2014}.csv", {"w/2013/01.csv", "w/2014.csv"}),
        ("w/2013/0[2-9].csv", {"w/2013/02.csv"}),
        ("?.csv", {"a.csv"}),
        ("w/", {"w/2013/01.csv", "w/2013/02.csv", "w/2013/notes.txt", "w/2014.csv"}),
        ("odd[1].txt", {"odd[1].txt"}),
        ("w[1].txt", {"w1.txt"}),
        (".hidden", {".hidden"}),
        (".c/x.csv", {".c/x.csv"}),
        (".c/*", {".c/x.csv"}),
        (".*", {".hidden"}),
    ],
)
async def test_what_a_path_stands_for(tmp_path: Path, path: str, expected: set[str]) -> None:
    names = [
        "a.csv",
        "w/2013/01.csv",
        "w/2013/02.csv",
        "w/2013/notes.txt",
        "w/2014.csv",
        ".hidden",
        ".c/x.csv",
    ]
    names += ["odd[1].txt", "odd1.txt", "w/.part.csv"] + (["w1.txt"] if "w[1]" in path else [])
    put(tmp_path, dict.fromkeys(names, b"x"))
    (tmp_path / "w[1].txt").mkdir()  # a folder is no match
    async with connector(tmp_path) as files:
        assert {item.path for item in await files.find(path)} == expected


async def test_what_matches_nothing_shows_the_nearest_names(tmp_path: Path) -> None:
    put(tmp_path, {"sales/2013.csv": b"", "sales/2014.csv": b"", "other/thing.bin": b""})
    async with connector(tmp_path) as files:
        with pytest.raises(
            BlobNotFound, match=r"file 'sales/2015.csv'.*nearest: 'sales/201[34].csv'"
        ) as raised:
            await files.find("sales/2015.csv")
        assert (raised.value.code, raised.value.param) == ("blob_not_found", "path")
        with pytest.raises(BlobNotFound, match=r"no file matches 'sale/\*.csv'; nearest: 'sales/201"):
            await files.find("sale/*.csv")
        with pytest.raises(BlobNotFound, match=r"it is a folder: 'sales/'"):
            await files.find("sales")
        with pytest.raises(BlobNotFound, match=r"matches 'nix/'"):
            await files.find("nix/")
        with pytest.raises(BlobNotFound, match=r"'sales' does not exist; it is a folder"):
            await files.download("sales", tmp_path / "x", max_bytes=1)
    (tmp_path / "empty").mkdir()
    async with connector(tmp_path / "empty") as files:
        with pytest.raises(BlobNotFound, match="the root is empty"):
            await files.find("x.csv")


async def test_more_matches_than_the_limit_are_refused(tmp_path: Path) -> None:
    put(tmp_path, {"1": b"", "2": b"", "3": b""})
    async with connector(tmp_path, defaults=SourceDefaults(limits=Limits(max_files=2))) as files:
        with pytest.raises(FileTooLarge, match="more than 2 files"):
            await files.find("*")


async def test_only_the_folders_that_a_pattern_can_reach_are_entered(tmp_path: Path) -> None:
    """A tree that is too deep to be walked does not matter where it is not asked for."""
    put(tmp_path, {"top.csv": b"", "deep/" * 40 + "x.csv": b""})
    async with connector(tmp_path) as files:
        assert [item.path for item in await files.find("*.csv")] == ["top.csv"]
        for call in (files.find("**/*.csv"), paths_of(files)):
            with pytest.raises(InvalidRequest, match="more than 32 folders"):
                await call
        assert len(await files.find("deep/" * 20 + "**/*.csv")) == 1
        assert len(await files.find("deep/" * 40 + "x.csv")) == 1


async def test_many_entries_come_in_pages_of_bounded_size(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"n{number:04}").touch()
    async with connector(tmp_path) as files:
        cursor, seen = None, []
        while True:
            page = await browse(files, limit=700, cursor=cursor)
            seen += [item.path for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        before = open_descriptors()
        async for _ in files.iter_items():
            break  # whoever stops early
        for _ in range(100):  # a thread closes what is open
            if open_descriptors() == before:
                break
            await asyncio.sleep(0.05)
        assert open_descriptors() == before
    assert seen == [f"n{number:04}" for number in range(3000)]


async def test_special_files_are_not_listed_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    put(tmp_path, {"a.csv": b""})
    with socket.socket(socket.AF_UNIX) as listener:
        monkey = os.open(tmp_path, os.O_RDONLY)  # the path of a socket must be short
        try:
            listener.bind(f"/proc/self/fd/{monkey}/s.csv")
        finally:
            os.close(monkey)
        async with connector(tmp_path) as files, asyncio.timeout(10):
            assert [item.path for item in await files.find("**")] == ["a.csv"]
            for name, kind in (("pipe.csv", "a named pipe"), ("s.csv", "a socket")):
                for call in (
                    files.find(name),
                    files.download(name, tmp_path / "x", max_bytes=1),
                    files.get_metadata(name),
                ):
                    with pytest.raises(NotSupported, match=f"'{name}' is {kind}, not a file"):
                        await call


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
async def test_devices_are_not_read(tmp_path: Path) -> None:
    os.mknod(tmp_path / "zero", 0o666 | 0o020000, os.makedev(1, 5))
    async with connector(tmp_path) as files:
        with pytest.raises(NotSupported, match="a device"):
            await files.download("zero", tmp_path / "x", max_bytes=1)


@pytest.mark.skipif(reads_everything(), reason="root may read everything")
async def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root, {"a.csv": b"x", "closed/b.csv": b"x", "open/c.csv": b"x"})
    (root / "a.csv").chmod(0)
    for mode in (0o000, 0o400, 0o100):
        (root / "closed").chmod(mode)
        async with connector(root) as files:
            assert {i.path for i in await files.list_items()} == {"a.csv", "closed/", "open/"}
            assert {item.path for item in await files.find("**/*.csv")} == {"a.csv", "open/c.csv"}
            with pytest.raises(SourceAuthenticationFailed, match=r"'a.csv' may not be read by the user"):
                await files.download("a.csv", tmp_path / "x", max_bytes=9)
            with pytest.raises(SourceAuthenticationFailed):
                await files.list_items("closed")
    (root / "closed").chmod(0o700)
    assert not (tmp_path / "x").exists()
    root.chmod(0o100)
    files = connector(root)
    assert not await files.test_connection()
    assert isinstance(files.last_error, SourceAuthenticationFailed)
    root.chmod(0o700)


# roots


def allowing(*roots: Path, private: tuple[Path, ...] = ()) -> SourceDefaults:
    return SourceDefaults(local_roots=roots, private_directories=private)


async def reason(files: Any) -> DeepAnalyzeError | None:
    await files.test_connection()
    error: DeepAnalyzeError | None = files.last_error
    return error


async def test_a_root_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert isinstance(error := await reason(connector(tmp_path / "file")), SourceUnavailable)
    assert "is not a directory" in error.message
    assert isinstance(error := await reason(connector(tmp_path / "gone")), SourceUnavailable)
    assert f"'{tmp_path}/gone' does not exist" in error.message


async def test_a_root_lies_below_an_allowed_one(tmp_path: Path) -> None:
    for name in ("data/a", "database", "other"):
        (tmp_path / name).mkdir(parents=True)
    allowed = allowing(tmp_path / "data", tmp_path / "missing")
    for root in ("data", "data/a", "data/../data/a", "data/"):
        assert await reason(connector(Path(f"{tmp_path}/{root}"), defaults=allowed)) is None
    for root in ("database", "other", "data/..", "data/../other", ""):
        error = await reason(connector(Path(f"{tmp_path}/{root}"), defaults=allowed))
        assert isinstance(error, PermissionDenied), root
        assert "DEEPANALYZE_LOCAL_ROOTS" in error.message
        assert error.param == "config.root"
    error = await reason(connector(tmp_path / "data", defaults=allowing()))
    assert isinstance(error, PermissionDenied)
    assert "is not allowed; to allow it, name it" in error.message


async def test_a_root_that_is_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    put(tmp_path, {"data/a/in.csv": b"", "secret/out.csv": b""})
    (tmp_path / "data/in").symlink_to("a")
    (tmp_path / "data/out").symlink_to(tmp_path / "secret")
    (tmp_path / "real").symlink_to("data")
    for allowed in (allowing(tmp_path / "data"), allowing(tmp_path / "real")):
        async with connector(tmp_path / "data/in", defaults=allowed) as files:
            assert await paths_of(files) == {"in.csv"}
        async with connector(tmp_path / "real/a", defaults=allowed) as files:
            assert await paths_of(files) == {"in.csv"}
        for root in ("data/out", "real/out"):
            error = await reason(connector(tmp_path / root, defaults=allowed))
            assert isinstance(error, PermissionDenied)
            assert f"(that is, '{tmp_path}/secret')" in error.message


async def test_no_root_holds_or_lies_in_what_is_the_servers_own(tmp_path: Path) -> None:
    for name in ("data/state/keys", "data/files"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/link").symlink_to("state/keys")
    guarded = allowing(tmp_path, private=(tmp_path / "data/state",))
    for root in ("", "data", "data/state", "data/state/keys", "data/link"):
        error = await reason(connector(tmp_path / root, defaults=guarded))
        assert isinstance(error, PermissionDenied), root
        assert "the server's own data directory" in error.message
    assert await reason(connector(tmp_path / "data/files", defaults=guarded)) is None
    unguarded = SourceDefaults(private_directories=(tmp_path / "not-there",))
    assert await reason(connector(tmp_path / "data", defaults=unguarded)) is None


async def test_a_root_that_is_replaced_after_it_was_connected(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(tmp_path, {"root/old.csv": b"", "secret/s.csv": b""})
    async with connector(root) as files:
        root.rename(tmp_path / "away")
        with pytest.raises(SourceUnavailable, match="does not exist"):
            await files.list_items()
        root.symlink_to("secret")
        for call in (files.list_items(), files.find("s.csv"), files.get_metadata("s.csv")):
            with pytest.raises(SourceUnavailable, match="symbolic link"):
                await call
        root.unlink()
        put(tmp_path, {"root/new.csv": b""})
        assert await paths_of(files) == {"new.csv"}


async def test_a_failing_root_is_not_registered(tmp_path: Path) -> None:
    async with DataSourceRegistry(defaults=allowing()) as registry:
        source = DataSourceConfig("f", "local_file", "f", {"path": str(tmp_path)})
        with pytest.raises(PermissionDenied):
            await registry.register_data_source(source, test_connection=True)
        await registry.register_data_source(source)  # untested, but no more usable
        with pytest.raises(PermissionDenied):
            await registry.get_connector("f")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
