import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepanalyze.accounts import Principal, User
from deepanalyze.analysis.files import Files, plain_name
from deepanalyze.errors import FileTooLarge, InvalidRequest, NotFound
from deepanalyze.store import Store, open_store

ADA = Principal(User("user-ada", "ada", "analyst"))
BOB = Principal(User("user-bob", "bob", "admin"))
LIMIT = 1000


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    return path


@pytest.fixture
def files(store: Store, directory: Path) -> Files:
    return Files(store.files, directory, max_bytes=LIMIT)


async def test_an_upload_is_kept_as_it_came(files: Files) -> None:
    file = await files.create(ADA, "sales.csv", "assistants", chunks(b"a,b\n", b"", b"1,2\n"))
    assert file.id.startswith("file-")
    assert (file.filename, file.bytes, file.purpose) == ("sales.csv", 8, "assistants")
    assert files.path(file).read_bytes() == b"a,b\n1,2\n"
    assert await files.get(ADA, file.id) == file


async def test_it_survives_a_restart(files: Files, store: Store, directory: Path) -> None:
    file = await files.create(ADA, "sales.csv", "assistants", chunks(b"data"))
    restarted = Files(store.files, directory, max_bytes=LIMIT)
    assert await restarted.take_stock() == 0
    assert restarted.path(await restarted.get(ADA, file.id)).read_bytes() == b"data"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sales.csv", "sales.csv"),
        ("../../etc/passwd", "passwd"),
        ("/etc/cron.d/job", "job"),
        ("C:\\Users\\ada\\sales 2024.xlsx", "sales 2024.xlsx"),
        ("..\\..\\x.csv", "x.csv"),
        ("数据.csv", "数据.csv"),
        ("a\0b\nc.csv", "a_b_c.csv"),
        ("\ud800.csv", "_.csv"),
        ("..", "upload"),
        ("dir/", "upload"),
        ("", "upload"),
        ("/", "upload"),
        (".htaccess", "_htaccess"),
    ],
)
async def test_names_lose_every_directory_part(files: Files, given: str, kept: str) -> None:
    file = await files.create(ADA, given, "assistants", chunks(b"x"))
    assert file.filename == kept
    assert await files.get(ADA, file.id) == file


def test_a_long_name_keeps_its_extension() -> None:
    name = plain_name("数" * 300 + ".csv")
    assert name.endswith("数.csv")
    assert len(name.encode()) <= 255


async def test_too_large_a_file_is_refused_as_soon_as_it_shows(files: Files, directory: Path) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 400
            yield b"x" * 400

    with pytest.raises(FileTooLarge, match=r"'big.csv' is larger than 1,000 bytes \(max_file_bytes\)"):
        await files.create(ADA, "big.csv", "assistants", endless())
    assert given == 1200
    assert list(directory.iterdir()) == []
    assert (await files.list(ADA)).items == []
    await files.create(ADA, "fits.csv", "assistants", chunks(b"x" * LIMIT))


async def test_a_cancelled_upload_leaves_nothing(files: Files, directory: Path) -> None:
    arrived = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"first"
        arrived.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(files.create(ADA, "sales.csv", "assistants", stalls()))
    await arrived.wait()
    assert len(list(directory.iterdir())) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(directory.iterdir()) == []


async def test_an_upload_whose_client_vanishes_leaves_nothing(files: Files, directory: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"first"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await files.create(ADA, "sales.csv", "assistants", breaks())
    assert list(directory.iterdir()) == []


async def test_files_are_their_owners_alone(files: Files) -> None:
    file = await files.create(ADA, "sales.csv", "assistants", chunks(b"x"))
    for attempt in (files.get(BOB, file.id), files.delete(BOB, file.id), files.get(ADA, "file-none")):
        with pytest.raises(NotFound):
            await attempt
    assert (await files.list(BOB)).items == []
    assert (await files.list(ADA)).items == [file]


async def test_a_deleted_file_is_gone(files: Files, directory: Path) -> None:
    file = await files.create(ADA, "sales.csv", "assistants", chunks(b"x"))
    await files.delete(ADA, file.id)
    assert list(directory.iterdir()) == []
    with pytest.raises(NotFound):
        await files.delete(ADA, file.id)


async def test_lists_come_in_pages(files: Files) -> None:
    made = {(await files.create(ADA, f"{n}.csv", "assistants", chunks(b"x"))).id for n in range(5)}
    await files.create(ADA, "other.png", "vision", chunks(b"x"))
    seen: list[str] = []
    cursor = None
    while True:
        page = await files.list(ADA, purpose="assistants", limit=2, cursor=cursor)
        seen += [file.id for file in page.items]
        if not page.has_more:
            break
        cursor = page.next_cursor
    assert len(seen) == 5
    assert set(seen) == made


@pytest.mark.parametrize("cursor", ["", "x", "e30=", "WzEsMl0=", "WyJhIiwiYiJd", "☃", "WzFlOTk5LCAiYSJd"])
async def test_a_cursor_that_is_not_ours_is_refused(files: Files, cursor: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await files.list(ADA, cursor=cursor)
    assert raised.value.param == "cursor"


@pytest.mark.parametrize("purpose", ["", "a b", "x" * 65, "é", "../x"])
async def test_the_purpose_must_be_plain(files: Files, purpose: str, directory: Path) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await files.create(ADA, "sales.csv", purpose, chunks(b"x"))
    assert raised.value.param == "purpose"
    assert list(directory.iterdir()) == []


async def test_what_a_crash_left_is_removed_at_start(files: Files, directory: Path) -> None:
    file = await files.create(ADA, "sales.csv", "assistants", chunks(b"x"))
    (directory / "file-half.part").write_bytes(b"half")
    (directory / "file-norow").write_bytes(b"whole, but its row was never written")
    assert await files.take_stock() == 2
    assert os.listdir(directory) == [file.id]
