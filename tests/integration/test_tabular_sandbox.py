"""The reading program in the sandbox: it sees its one file, no other and no network, and has its limits."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.datasources import SourceDefaults
from deepanalyze.datasources.tabular import protocol
from deepanalyze.datasources.tabular.protocol import TableTask
from deepanalyze.errors import InvalidRequest, SandboxUnavailable
from deepanalyze.sandbox import Sandbox
from deepanalyze.sandbox import tables as sandboxed
from deepanalyze.sandbox.opening import UnavailableSandbox
from tests.support.file_sources import FolderSource
from tests.support.sandbox import ISOLATIONS, processes_with, sandbox_or_skip

PREVIEW = TableTask("a.csv", "preview", 10)


@pytest.fixture(params=ISOLATIONS)
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await sandbox_or_skip(request.param)


async def code_in(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, code: str, *arguments: str, timeout_s: float = 30
) -> Any:
    """What a program would say that a hostile file had taken over."""
    monkeypatch.setattr(
        sandboxed, "program", lambda python, file, task: [python, "-P", "-c", code, *arguments]
    )
    async with sandbox.tables.scratch() as directory:
        (directory / "data").write_bytes(b"a,b\n1,2\n")
        output = await sandbox.tables.read(directory / "data", PREVIEW, timeout_s=timeout_s)
    return json.loads(output) if output else None


@pytest.mark.requirement("8.3")
async def test_a_sandboxed_program_reads_what_the_child_reads(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,x\n1,0.5\n2,\n")
    source = FolderSource(tmp_path, defaults=SourceDefaults(tables=sandbox.tables))
    alone = FolderSource(tmp_path)
    assert await source.preview("a.csv") == await alone.preview("a.csv")
    assert await source.statistics("a.csv") == await alone.statistics("a.csv")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 is all there is")
    with pytest.raises(InvalidRequest, match="not a readable Parquet file"):
        await source.preview("a.parquet")


async def test_nothing_is_left_behind(sandbox: Sandbox) -> None:
    async with sandbox.tables.scratch() as directory:
        (directory / "data").write_bytes(b"a,b\n1,2\n")
        mark = f"left-{os.getpid()}.csv"
        await sandbox.tables.read(directory / "data", dataclasses.replace(PREVIEW, name=mark), timeout_s=30)
        assert processes_with(mark) == []
    assert not directory.parent.exists()


_LOOK = """
import json, os, sys
def tried(act):
    try: return repr(act())
    except Exception as error: return type(error).__name__
print(json.dumps([tried(lambda: open(path).read()) for path in sys.argv[1:]]
                 + [tried(lambda: open("data").read()), os.getuid(), sorted(os.environ)]))
"""


async def test_other_files_are_out_of_reach(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "secret").chmod(0o644)
    monkeypatch.setenv("A_SECRET", "hunter2")
    secret, hosts, passwords, own, uid, environment = await code_in(
        sandbox, monkeypatch, _LOOK, str(tmp_path / "secret"), "/etc/hosts", "/etc/shadow"
    )
    assert {secret, hosts, passwords} <= {"FileNotFoundError", "PermissionError"}
    assert own == repr("a,b\n1,2\n")
    assert uid != 0
    assert "A_SECRET" not in environment


_ENGINE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from table_worker.engine import Engine
from table_worker.failures import Failure
engine = Engine(Path.cwd(), memory_bytes=2**28, spill_bytes=2**28)
def tried(sql):
    try: return repr(engine.rows(sql))
    except Failure as error: return "refused: " + str(error)
print(json.dumps([tried(sql) for sql in sys.argv[2:]]))
"""


async def test_the_engine_refuses_what_lies_elsewhere_by_itself(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's files can be seen in the sandbox, and the engine does not read even those."""
    attempts = [
        "SELECT * FROM read_csv('/usr/lib/os-release')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "SELECT * FROM glob('/usr/*')",
        "SELECT * FROM read_csv('../../etc/passwd')",
        "SELECT * FROM 'https://example.com/a.parquet'",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET memory_limit = '100GB'",
    ]
    *found, own = await code_in(
        sandbox,
        monkeypatch,
        _ENGINE,
        str(protocol.PROGRAMS),
        *attempts,
        "SELECT 1",
    )
    assert [answer.split(":")[0] for answer in found] == ["refused"] * len(attempts)
    assert own == "[(1,)]"


_CONNECT = """
import json, socket, sys
def tried(act):
    try: return repr(act())
    except OSError as error: return type(error).__name__
print(json.dumps(tried(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5))))
"""


async def test_there_is_no_network(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = await code_in(sandbox, monkeypatch, _CONNECT, str(listening.getsockname()[1]))
    assert found in ("ConnectionRefusedError", "PermissionError", "OSError")


async def test_memory_has_a_limit(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import json\ntry: print(json.dumps(len(bytearray(2**30))))\nexcept MemoryError: print('\"none\"')"
    assert await code_in(sandbox, monkeypatch, code) == "none"


async def test_a_program_that_does_not_end_is_ended(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"endless-{os.getpid()}"
    code = "import os\nif os.fork() == 0: os.setsid()\nwhile True: pass"
    with pytest.raises(TimeoutError):
        await code_in(sandbox, monkeypatch, code, mark, timeout_s=2)
    assert processes_with(mark) == []


async def test_an_endless_answer_is_cut_off(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxed, "MAX_ANSWER_BYTES", 100_000)
    assert await code_in(sandbox, monkeypatch, "while True: print('x' * 10_000)") is None


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no JSON",
        "[]",
        '{"columns": [], "rows": [], "truncated": "yes"}',
        '{"columns": [], "rows": [], "truncated": false, "more": 1}',
        '{"row_count": 1, "columns": []}',
        '{"error": "needs_whole"}',
        '{"error": "anything", "message": "x"}',
        '{"columns": [{"name": 1, "type": "x"}], "rows": [], "truncated": false}',
        '{"columns": [{"name": "a", "type": "x"}], "rows": [[1, 2]], "truncated": false}',
        '{"columns":[],"rows":' + "[" * 5000 + "]" * 5000 + ',"truncated":false}',
    ],
)
async def test_what_it_says_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    class Liar:
        scratch = FolderSource(tmp_path).defaults.tables.scratch

        async def read(self, file: Path, task: TableTask, *, timeout_s: float) -> bytes:
            return said.encode()

    (tmp_path / "a.csv").write_text("a\n1\n")
    source = FolderSource(tmp_path, defaults=SourceDefaults(tables=Liar()))
    with pytest.raises(InvalidRequest, match=r"'a\.csv' could not be read"):
        await source.preview("a.csv")


async def test_where_nothing_can_be_isolated_nothing_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    tables = UnavailableSandbox(["no namespaces"], "Allow them.").tables
    source = FolderSource(tmp_path, defaults=SourceDefaults(tables=tables))
    for ask in (source.preview, source.statistics):
        with pytest.raises(SandboxUnavailable, match="no namespaces"):
            await ask("a.csv")
