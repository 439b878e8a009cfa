"""A pytest plugin that looks for the secrets of `tests.support.canaries` wherever a run of tests leaves something.

Looked at: what is logged or written to stdout and stderr, the text of every error of ours, every HTTP response that a
client in this process gets; the arguments and environment of every process that the product starts, in this process and
in servers that run as processes of their own; what a model is asked; the data directories of servers, when they stop;
at the end the directories of all tests and the one for temporary files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import astuple
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

import deepanalyze
from deepanalyze.errors import DeepAnalyzeError
from tests.support.canaries import OVERLAP, Finding, found_in, is_legitimate

_PIECE_BYTES = 8 * 1024**2
_PRODUCT = str(Path(deepanalyze.__file__).parent)
_TESTS = str(Path(__file__).parents[1])

# Where a secret belongs, as long as nobody else can read it there. Every other file is looked at.
_KEPT_BY_DESIGN = {
    "admin-api-key": "the demo's, which shows it again at each start",
    "api-key": "what `--api-key-file` names",
    "credentials.json": "of the embedded services of development: their own passwords",
    "encryption.key": "the file of the encryption key, which opens everything else",
}
_OTHERS_DATA = {
    "postgres0": "the embedded PostgreSQL's own files: of the source's side, not ours",
    "azurite0": "Azurite's own files, likewise",
}

_findings: list[Finding] = []


def look(place: str, content: bytes | str, *, keys: bool = True, test: str | None = None) -> None:
    data = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
    for secret, encoding in found_in(data, keys=keys):
        finding = Finding(place, secret, encoding, test or os.environ.get("PYTEST_CURRENT_TEST", "no test"))
        if finding not in _findings:
            _findings.append(finding)


def look_at_directory(directory: Path) -> None:
    """Every regular file below it, as it is now."""
    for parent, folders, files in os.walk(directory):
        folders[:] = [folder for folder in folders if folder not in _OTHERS_DATA]
        for name in files:
            with contextlib.suppress(OSError):
                _look_at_file(Path(parent, name))


def _look_at_file(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode) or (path.name in _KEPT_BY_DESIGN and not mode & 0o077):
        return
    with path.open("rb") as file:
        before = b""
        while piece := file.read(_PIECE_BYTES):
            if piece.strip(b"\0"):
                look(f"the file {path}", before + piece)
            before = piece[-OVERLAP:]


@contextlib.contextmanager
def recorded_findings() -> Iterator[list[Finding]]:
    """What is found inside counts as found here, and for nothing else: for the test of the net itself."""
    before = _findings[:]
    found: list[Finding] = []
    try:
        yield found
    finally:
        found += [finding for finding in _findings if finding not in before]
        _findings[:] = before


class CanaryNet:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._resources = ExitStack()
        self._told: list[Finding] = []  # by the workers, where there are some

    def open(self) -> None:
        if self._config.getoption("numprocesses", None):  # the workers run the tests
            return
        temporary = self._resources.enter_context(_temporary_directory())
        self._resources.callback(look_at_directory, temporary)
        self._resources.enter_context(_patched(DeepAnalyzeError, "__init__", _heard_error))
        self._resources.enter_context(_patched(httpx.HTTPTransport, "handle_request", _heard_request))
        self._resources.enter_context(
            _patched(httpx.AsyncHTTPTransport, "handle_async_request", _heard_async_request)
        )
        sys.addaudithook(_look_at_new_process)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        report = yield
        for title, text in report.sections:
            look(title, text, test=item.nodeid)
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        factory = getattr(self._config, "_tmp_path_factory", None)
        if factory is not None and factory._basetemp is not None:
            look_at_directory(factory._basetemp)
        self._resources.close()
        if (output := getattr(self._config, "workeroutput", None)) is not None:
            output["canaries"] = [astuple(finding) for finding in _findings]
        self._told += _findings
        if self._told and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", None) or {}
        self._told += [Finding(*fields) for fields in output.get("canaries", ())]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._told:
            terminalreporter.section("secrets where they must not be", red=True, bold=True)
            for finding in self._told:
                terminalreporter.line(str(finding))


@contextlib.contextmanager
def _temporary_directory() -> Iterator[Path]:
    """For this process and those that it starts. Short, because sockets of kernels lie in it; open to all users, as
    temporary directories are.
    """
    directory = Path(tempfile.mkdtemp(prefix="da-tests-"))
    directory.chmod(0o1777)
    old = os.environ.get("TMPDIR")
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    try:
        yield directory
    finally:
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        if old is not None:
            os.environ["TMPDIR"] = old
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _patched(owner: type, name: str, heard: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, heard(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def _heard_error(original: Any) -> Any:
    def init(error: DeepAnalyzeError, message: str, **more: Any) -> None:
        original(error, message, **more)
        if not is_legitimate():
            look(f"the error {error.code}", f"{message} {more}")

    return init


def _look_at_new_process(event: str, args: tuple[Any, ...]) -> None:
    if event != "subprocess.Popen" or is_legitimate() or not _is_started_by_the_product():
        return
    _, arguments, _, environment = args
    given = [arguments] if isinstance(arguments, str | bytes) else list(arguments)
    look(f"the arguments of {os.fsdecode(given[0])}", _joined(given))
    pairs = (os.environ if environment is None else environment).items()
    look(f"the environment of {os.fsdecode(given[0])}", _joined([piece for pair in pairs for piece in pair]))


def _is_started_by_the_product() -> bool:
    """Rather than by a test, which may give its own processes what it likes."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith((_PRODUCT, _TESTS)) and file != __file__:
            return file.startswith(_PRODUCT)
        frame = frame.f_back
    return False


def _joined(pieces: list[Any]) -> bytes:
    return b"\0".join(os.fsencode(piece) for piece in pieces)


# --- HTTP -------------------------------------------------------------------------------------------------------------


class _Heard:
    """A response's body, looked at as it passes."""

    def __init__(self, request: httpx.Request, response: httpx.Response, stream: Any) -> None:
        self._place = f"the answer {response.status_code} to {request.method} {request.url.path}"
        # The one answer that shows a key: to who has just made it.
        self._keys = (request.method, request.url.path) != ("POST", "/v1/admin/api-keys")
        self._stream = stream
        self._before = b""
        self._silent = is_legitimate()
        self._look(repr(response.headers.raw).encode())
        self._before = b""

    def _look(self, piece: bytes) -> None:
        if not self._silent:
            look(self._place, self._before + piece, keys=self._keys)
            self._before = (self._before + piece)[-OVERLAP:]


class _HeardStream(_Heard, httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._look(piece)
            yield piece

    def close(self) -> None:
        self._stream.close()


class _HeardAsyncStream(_Heard, httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._look(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _heard_request(original: Any) -> Any:
    def handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = original(transport, request)
        response.stream = _HeardStream(request, response, response.stream)
        return response

    return handle


def _heard_async_request(original: Any) -> Any:
    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await original(transport, request)
        response.stream = _HeardAsyncStream(request, response, response.stream)
        return response

    return handle
