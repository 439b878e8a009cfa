"""The services directory: one holder at a time, and the passwords, keys and ports that outlive a run."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deepanalyze.errors import StartupError


def _password() -> str:
    return secrets.token_urlsafe(24)


def _account_key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()


@dataclass(slots=True)
class State:
    """Made once for a directory. Ports are those of the last run; they are kept while they are free, so that sources
    registered elsewhere stay right."""

    superuser_password: str = field(default_factory=_password, repr=False)
    analyst_password: str = field(default_factory=_password, repr=False)
    account_key: str = field(default_factory=_account_key, repr=False)
    postgres_port: int | None = None
    azurite_port: int | None = None


class Directory:
    """A services directory that this process holds.

    `lock_fd` is passed on to every service, so that the directory counts as in use until the last of them has ended.
    """

    def __init__(self, path: Path, state: State, lock_fd: int) -> None:
        self.path = path
        self.state = state
        self.lock_fd = lock_fd

    def save(self) -> None:
        _save_state(self.path, self.state)


@asynccontextmanager
async def open_directory(path: Path, *, wait_s: float = 20) -> AsyncIterator[Directory]:
    """Makes and locks the directory.

    A living holder is an error at once; services that a killed holder left behind are on their way out and are
    waited for, `wait_s` at most.
    """
    with ExitStack() as stack:
        owner, running = _lock_files(path, stack)
        if not await locked(owner) or not await locked(running, wait_s=wait_s):
            raise StartupError(
                f"the services in {path} are already running; stop them or use another directory"
            )
        yield Directory(path, _load_state(path), running)


def _lock_files(path: Path, stack: ExitStack) -> tuple[int, int]:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = stack.enter_context(lock_file(path / "owner.lock"))
        running = stack.enter_context(lock_file(path / "services.lock"))
    except OSError as error:
        raise StartupError(f"the services directory {path} cannot be used: {error.strerror}") from error
    return owner, running


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """An open lock file; the lock itself is released when every process that inherited the descriptor has ended."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def locked(descriptor: int, *, wait_s: float = 0) -> bool:
    """Whether the lock could be had within that time."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.05)
        else:
            return True


def _load_state(path: Path) -> State:
    file = path / "credentials.json"
    try:
        return State(**json.loads(file.read_text()))
    except FileNotFoundError:
        if (path / "postgres").exists():
            raise StartupError(f"{file} is gone, the data beside it is of no use; remove {path}") from None
        state = State()
        _save_state(path, state)
        return state
    except (ValueError, TypeError) as error:
        raise StartupError(f"{file} is damaged; remove {path} to start anew") from error
    except OSError as error:
        raise StartupError(f"{file} cannot be read: {error.strerror}") from error


def _save_state(path: Path, state: State) -> None:
    """Written beside, flushed, renamed: the passwords must not be lost to a crash."""
    file = path / "credentials.json"
    beside = path / "credentials.json.new"
    try:
        beside.unlink(missing_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump(asdict(state), stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    except OSError as error:
        raise StartupError(f"{file} cannot be written: {error.strerror}") from error
