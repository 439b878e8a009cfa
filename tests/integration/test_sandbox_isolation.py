"""What hostile code can not do, in each way of isolating it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from deepanalyze.errors import NotFound
from deepanalyze.sandbox import Kernel, KernelLimits, Sandbox, SandboxMode
from deepanalyze.sandbox.environment import find_environment
from deepanalyze.workspace import Workspace
from tests.support.canaries import canary
from tests.support.sandbox import ISOLATIONS, made_workspace, sandbox_or_skip, started_kernel

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CANARY = "canary-8c1f"
_LIMITS = KernelLimits(memory_mb=512, processes=64, file_bytes=8 * 1024**2, tmp_bytes=16 * 1024**2)


@dataclass(frozen=True)
class Cell:
    sandbox: Sandbox
    kernel: Kernel
    workspace: Workspace
    outside: Path

    async def says(self, code: str, timeout_s: float = 60) -> str:
        result = await self.kernel.execute(code, timeout_s=timeout_s)
        assert result.status in ("ok", "error", "timeout"), result
        return result.output

    async def is_refused(self, code: str) -> None:
        """Whatever the reason, it must not work."""
        result = await self.kernel.execute(code + "\nprint('it worked')", timeout_s=60)
        assert result.status == "error", result.output
        assert "it worked\n" not in result.output.splitlines(), result.output
        assert _CANARY not in result.output


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=ISOLATIONS)
async def cell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cell]:
    mode: SandboxMode = request.param
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text(_CANARY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPANALYZE_CANARY", _CANARY)
        sandbox = await sandbox_or_skip(mode, _LIMITS)
        with made_workspace(tmp_path_factory.mktemp("cell")) as workspace:
            async with started_kernel(sandbox, workspace) as kernel:
                yield Cell(sandbox, kernel, workspace, outside)


async def test_no_environment_of_the_server(cell: Cell) -> None:
    found = await cell.says(
        "import glob, os\nprint(dict(os.environ))\n"
        "for p in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: print(open(p, 'rb').read())\n"
        "    except OSError: pass"
    )
    assert "PATH" in found
    assert _CANARY not in found


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/root/.bashrc", "/proc/1/environ", "/proc/kcore", "/dev/mem"]
)
async def test_no_secrets_of_the_machine(cell: Cell, path: str) -> None:
    await cell.is_refused(f"open({path!r}, 'rb').read(1)[0]")


async def test_no_file_outside(cell: Cell) -> None:
    secret = str(cell.outside / "secret")
    await cell.is_refused(f"print(open({secret!r}).read())")
    await cell.is_refused(f"import os; print(os.listdir({str(cell.outside)!r}))")
    await cell.is_refused(f"import os; os.symlink({secret!r}, 'planted'); print(open('planted').read())")
    await cell.is_refused(f"import os; os.link({secret!r}, 'hard')")


async def test_no_other_workspace(cell: Cell, tmp_path: Path) -> None:
    with made_workspace(tmp_path, "other") as other:
        (other.root / "data.csv").write_text(_CANARY)
        await cell.is_refused(f"print(open({str(other.root / 'data.csv')!r}).read())")
        await cell.is_refused(f"import os; print(os.listdir({str(other.root)!r}))")


async def test_nothing_is_written_outside(cell: Cell) -> None:
    secret = cell.outside / "secret"
    for path in ("/usr/planted", "/etc/planted", "/planted", "/dev/planted", str(cell.outside / "planted")):
        await cell.is_refused(f"open({path!r}, 'w').write('x')")
    await cell.is_refused(f"import os; os.truncate({str(secret)!r}, 0)")
    await cell.is_refused("import pandas; open(pandas.__file__, 'a')")
    mode = secret.stat().st_mode
    await cell.says(f"import os\ntry: os.chmod({str(secret)!r}, 0o777)\nexcept OSError: pass")
    assert secret.stat().st_mode == mode
    assert secret.read_text() == _CANARY


async def test_no_network(cell: Cell) -> None:
    accepted = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)

        def accept() -> None:
            try:
                listener.accept()[0].close()
                accepted.set()
            except TimeoutError:
                pass

        thread = threading.Thread(target=accept)
        thread.start()
        port = listener.getsockname()[1]
        await cell.is_refused(f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=5)")
        thread.join()
    assert not accepted.is_set()
    for family in ("AF_PACKET", "AF_VSOCK", "AF_NETLINK", "AF_ALG"):
        kind = (
            "SOCK_SEQPACKET" if family == "AF_ALG" else "SOCK_RAW" if family != "AF_VSOCK" else "SOCK_STREAM"
        )
        await cell.is_refused(f"import socket; socket.socket(socket.{family}, socket.{kind})")


async def test_no_socket_of_the_machine(cell: Cell) -> None:
    path = str(cell.outside / "socket")
    with socket.socket(socket.AF_UNIX) as by_path, socket.socket(socket.AF_UNIX) as abstract:
        by_path.bind(path)
        os.chmod(path, 0o777)
        by_path.listen()
        abstract.bind("\0deepanalyze-test-" + str(os.getpid()))
        abstract.listen()
        for address in (path, abstract.getsockname().decode()):
            await cell.is_refused(f"import socket; socket.socket(socket.AF_UNIX).connect({address!r})")


@pytest.mark.parametrize(
    "call",
    [
        "ptrace(0, 0, 0, 0)",
        "unshare(0x10000000)",
        "setns(0, 0)",
        "mount(b'none', b'/tmp', b'tmpfs', 0, None)",
        "syscall(425, 8, ctypes.create_string_buffer(256))",  # io_uring_setup
        "syscall(321 if platform.machine() == 'x86_64' else 280, 0, 0, 0)",  # bpf
        "syscall(250 if platform.machine() == 'x86_64' else 219, 0, 0)",  # keyctl
        "syscall(323 if platform.machine() == 'x86_64' else 282, 0)",  # userfaultfd
        "syscall(435, 0, 0)",  # clone3
    ],
)
async def test_no_rare_system_calls(cell: Cell, call: str) -> None:
    code = f"import ctypes, platform; libc = ctypes.CDLL(None, use_errno=True); print(libc.{call}, ctypes.get_errno())"
    result, errno = (await cell.says(code)).split()
    assert result == "-1"
    assert int(errno) in (1, 38)


async def test_the_server_cannot_be_signalled(cell: Cell) -> None:
    await cell.is_refused(f"import os; os.kill({os.getpid()}, 0)")
    await cell.is_refused(f"import os; os.kill({os.getppid()}, 0)")


async def test_memory_is_bounded(cell: Cell) -> None:
    assert "MemoryError" in await cell.says("hog = bytearray(2 * 1024**3)")
    shared = await cell.says("import mmap; m = mmap.mmap(-1, 64 * 1024**3)")
    assert "Error" in shared


async def test_file_size_is_bounded(cell: Cell) -> None:
    output = await cell.says("with open('big', 'wb') as f:\n    for _ in range(64): f.write(bytes(1024**2))")
    assert "File too large" in output
    assert cell.workspace.size() <= 9 * 1024**2
    await cell.says("import os; os.remove('big')")


async def test_a_fork_bomb_stops_at_the_limit(cell: Cell) -> None:
    output = await cell.says(
        "import os, time\nchildren = []\n"
        "try:\n"
        "    while len(children) < 2000:\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n            time.sleep(60); os._exit(0)\n"
        "        children.append(pid)\n"
        "except OSError as error: print(error)\n"
        "for pid in children: os.kill(pid, 9)\n"
        "for pid in children: os.waitpid(pid, 0)\n"
        "len(children)"
    )
    assert "temporarily unavailable" in output
    assert int(output.split()[-1]) < 64


async def test_links_and_pipes_that_code_plants_are_not_served(cell: Cell) -> None:
    await cell.says(
        "import os\nos.makedirs('d', exist_ok=True)\n"
        f"os.symlink({str(cell.outside / 'secret')!r}, 'link')\nos.symlink({str(cell.outside)!r}, 'folder')\n"
        "os.symlink('/', 'd/root')\nopen('one', 'w').close(); os.link('one', 'two')\nos.mkfifo('pipe')"
    )
    names = {file.name for file in cell.workspace.list()}
    assert not names & {"link", "one", "two", "pipe"}
    assert not any(name.startswith(("folder/", "d/root/")) for name in names)
    for name in ("link", "folder/secret", "d/root/etc/passwd", "one", "pipe", "../staging", "d"):
        with pytest.raises(NotFound):
            cell.workspace.open(name)


async def test_a_kernel_that_lies_does_not_break_the_server(tmp_path: Path, cell: Cell) -> None:
    """Code has the key and the sockets, so it can send anything."""
    forge = (
        "kernel = get_ipython().kernel; session = kernel.session; parent = kernel.get_parent()\n"
        "pub = kernel.iopub_socket\n"
        "from jupyter_client.session import Session\n"
        "for content in (b'[]', b'5', b'{', {'name': 5, 'text': {'a': 1}}, {'traceback': [1, None]}, {'data': []}):\n"
        "    for kind in ('stream', 'error', 'display_data', 'status', 'x' * 10):\n"
        "        Session.send(session, pub, kind, content, parent)\n"
        "deep = '[' * 100_000; Session.send(session, pub, 'stream', deep.encode(), parent)\n"
        "for frames in ([b''], [b'<IDS|MSG>'], [b'<IDS|MSG>', b'', b'', b'', b'', b''],\n"
        "               [b'<IDS|MSG>', b'sig', deep.encode(), b'{}', b'{}', b'{}'], [b'x'] * 500):\n"
        "    pub.send_multipart(frames)\n"
        "print('done')"
    )
    assert "done" in await cell.says(forge)
    assert await cell.says("1 + 1") == "2\n"


async def test_what_a_kernel_sends_unasked_does_not_fill_the_servers_memory(cell: Cell) -> None:
    flood = (
        "kernel = get_ipython().kernel; pub = kernel.iopub_socket; parent = kernel.get_parent()\n"
        "import threading\nfrom jupyter_client.session import Session\n"
        'body = b\'{"name": "stdout", "text": "\' + b\'x\' * 900_000 + b\'"}\'\n'
        "def send():\n"
        "    for _ in range(150): Session.send(kernel.session, pub, 'stream', body, parent)\n"
        "    open('sent', 'w').close()\n"
        "threading.Thread(target=send).start()"
    )
    before = _memory_of_the_server()
    await cell.says(flood)
    async with asyncio.timeout(60):
        while not (cell.workspace.root / "sent").exists():  # noqa: ASYNC110 - a file of another process is no event
            await asyncio.sleep(0.01)
        assert _memory_of_the_server() - before < 80 * 1024**2
        while "still there" not in await cell.says("print('still there')"):
            pass  # what a block says behind a flood may be thrown away with it


def _memory_of_the_server() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def test_the_kernels_interpreter_is_asked_without_what_the_server_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPANALYZE_ADMIN_API_KEY", canary("admin key"))
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nenv > {tmp_path}/told\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert (await find_environment(python)).executable == sys.executable
    told = (tmp_path / "told").read_text()
    assert f"PYTHONUSERBASE={tmp_path}" in told
    assert "DEEPANALYZE" not in told
