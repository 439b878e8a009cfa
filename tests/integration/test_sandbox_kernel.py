"""What honest code finds in a kernel, in each way of isolating it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from deepanalyze.sandbox import CodeResult, Kernel, KernelLimits, SandboxMode
from deepanalyze.sandbox.opening import NEARLY_ALWAYS_USED
from deepanalyze.workspace import Workspace
from tests.support.sandbox import ISOLATIONS, made_workspace, sandbox_or_skip, started_kernel

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Desk:
    kernel: Kernel
    workspace: Workspace

    async def run(self, code: str, timeout_s: float = 60) -> CodeResult:
        return await self.kernel.execute(code, timeout_s=timeout_s)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=ISOLATIONS)
async def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    mode: SandboxMode = request.param
    sandbox = await sandbox_or_skip(mode, KernelLimits(output_bytes=20_000), preload=NEARLY_ALWAYS_USED)
    assert sandbox.isolation.name == mode
    with made_workspace(tmp_path_factory.mktemp("desk")) as workspace:
        async with started_kernel(sandbox, workspace) as kernel:
            yield Desk(kernel, workspace)


async def test_state_survives_between_blocks(desk: Desk) -> None:
    await desk.run("number = 41")
    result = await desk.run("number + 1")
    assert (result.status, result.output) == ("ok", "42\n")


async def test_output_comes_in_order_with_tables_as_text_and_errors_without_colours(desk: Desk) -> None:
    result = await desk.run(
        "import pandas as pd\nprint('first')\ndisplay(pd.DataFrame({'carrier': ['AA'], 'delay': [1.5]}))\n1 / 0"
    )
    assert result.status == "error"
    assert "\x1b" not in result.output
    positions = [
        result.output.index(part) for part in ("first", "carrier", "AA", "ZeroDivisionError: division")
    ]
    assert positions == sorted(positions)


async def test_a_traceback_shows_the_codes_own_lines_and_where_the_libraries_failed(desk: Desk) -> None:
    result = await desk.run(
        "import pandas as pd\n"
        "def wanted(frame):\n"
        "    return frame.groupby('a').agg(lambda part: part['none'])\n"
        "try:\n"
        "    wanted(pd.DataFrame({'a': [1], 'b': [2]}))\n"
        "except Exception as error:\n"
        "    raise RuntimeError('as it was raised') from error"
    )
    assert "----> 3     return frame.groupby('a').agg(lambda part: part['none'])" in result.output
    assert "\nFile pandas/core/groupby/" in result.output
    assert "more frames …" in result.output
    assert "direct cause of the following exception" in result.output
    assert result.output.rstrip().endswith("RuntimeError: as it was raised")
    assert "site-packages" not in result.output
    assert len(result.output) < 2_500


async def test_a_traceback_of_the_workspaces_own_modules_is_whole(desk: Desk) -> None:
    lines = "".join(f"def f{n}():\n    return f{n + 1}()\n" for n in range(6)) + "def f6():\n    1 / 0\n"
    result = await desk.run(f"open('steps.py', 'w').write({lines!r})\nimport steps\nsteps.f0()")
    for n in range(6):
        assert f"return f{n + 1}()" in result.output
    await desk.run("import os\nos.unlink('steps.py')")


async def test_what_child_processes_print_is_part_of_the_block(desk: Desk) -> None:
    result = await desk.run(
        "import os, subprocess\nsubprocess.run(['echo', 'from echo'])\n"
        "pid = os.fork()\nif pid == 0:\n    print('from a fork'); os._exit(0)\nos.waitpid(pid, 0)[1]"
    )
    assert "from echo\n" in result.output
    assert "from a fork\n" in result.output


async def test_long_output_keeps_its_head_and_its_tail(desk: Desk) -> None:
    result = await desk.run("print('head'); print('x' * 3_000_000); print('tail')")
    assert result.truncated
    assert result.output.startswith("head")
    assert result.output.endswith("tail\n")
    assert len(result.output.encode()) < 21_000


async def test_a_huge_error_and_a_huge_value_are_bounded_too(desk: Desk) -> None:
    error = await desk.run("raise ValueError('y' * 20_000_000)")
    assert error.status == "error"
    wide = await desk.run("raise ValueError('🚀' * 2_000_000)")
    assert wide.output.rstrip().endswith("🚀")
    value = await desk.run("'z' * 20_000_000")
    assert value.status == "ok"
    assert value.truncated
    assert (await desk.run("1 + 1")).output == "2\n"


async def test_charts_become_files_under_names_that_are_told(desk: Desk) -> None:
    result = await desk.run(
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2]); plt.title('航班延误'); plt.show()\n"
        "figure, axes = plt.subplots(); axes.plot([3, 1])"
    )
    assert result.status == "ok", result.output
    assert "figure-1.png" in result.output
    assert "figure-2.png" in result.output
    assert "Glyph" not in result.output  # the font has the characters
    names = [file.name for file in desk.workspace.list()]
    assert {"figure-1.png", "figure-2.png"} <= set(names)


async def test_a_chart_that_the_code_saved_is_not_saved_twice(desk: Desk) -> None:
    before = desk.workspace.snapshot()
    result = await desk.run(
        "import matplotlib.pyplot as plt\nplt.bar(['a'], [1]); plt.savefig('own.png', dpi=50); plt.show()"
    )
    assert result.status == "ok", result.output
    assert [file.name for file in desk.workspace.changes_since(before)] == ["own.png"]


async def test_a_plotly_figure_becomes_a_page_of_its_own(desk: Desk) -> None:
    result = await desk.run("import plotly.express as px\npx.line(y=[1, 3, 2])")
    assert "figure-1.html" in result.output
    descriptor, file = desk.workspace.open("figure-1.html")
    with open(descriptor, "rb") as page:
        content = page.read()
    assert file.mime_type == "text/html"
    assert b"<script src=" not in content


async def test_the_usual_libraries_import(desk: Desk) -> None:
    libraries = "numpy pandas scipy.stats sklearn.linear_model statsmodels.api matplotlib.pyplot seaborn plotly.express"
    more = "openpyxl pyarrow.parquet duckdb psycopg psycopg2 sqlalchemy azure.storage.blob tabulate"
    result = await desk.run(f"import {', '.join(f'{libraries} {more}'.split())}")
    assert result.status == "ok", result.output
    query = await desk.run("import duckdb; duckdb.sql('select 40 + 2 as answer').fetchall()")
    assert query.output == "[(42,)]\n"
    files = await desk.run(
        "import pandas as pd; frame = pd.DataFrame({'a': [1.5, None], 'b': ['x', 'ÿ']})\n"
        "frame.to_parquet('t.parquet'); frame.to_excel('t.xlsx'); frame.to_csv('t.csv')\n"
        "pd.read_parquet('t.parquet').equals(frame), len(pd.read_excel('t.xlsx'))"
    )
    assert files.output == "(True, 2)\n"


async def test_files_can_be_copied_moved_and_removed(desk: Desk) -> None:
    result = await desk.run(
        "import os, shutil, tempfile\nopen('a.txt', 'w').write('hi')\nshutil.copy('a.txt', 'b.txt')\n"
        "os.makedirs('sub', exist_ok=True); shutil.move('b.txt', 'sub/c.txt'); shutil.copytree('sub', 'sub2')\n"
        "with tempfile.TemporaryDirectory() as d: open(os.path.join(d, 'x'), 'w').write('x')\n"
        "print(open('sub2/c.txt').read()); shutil.rmtree('sub')"
    )
    assert (result.status, result.output) == ("ok", "hi\n")


async def test_a_loop_without_end_is_interrupted_and_state_survives(desk: Desk) -> None:
    await desk.run("kept = 'kept'")
    result = await desk.run("while True: pass", timeout_s=1)
    assert result.status == "timeout"
    assert (await desk.run("kept")).output == "'kept'\n"


async def test_sleeping_and_waiting_code_is_interrupted(desk: Desk) -> None:
    result = await desk.run("import subprocess; subprocess.run(['sleep', '600'])", timeout_s=1)
    assert result.status == "timeout"
    assert (await desk.run("3")).output == "3\n"


async def test_cancelling_the_caller_interrupts_the_code(desk: Desk) -> None:
    started = desk.workspace.root / "started"
    task = asyncio.create_task(desk.run("open('started', 'w').close()\nwhile True: pass"))
    while not started.exists() and not task.done():  # noqa: ASYNC110 - a file of another process is no event
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await desk.run("'free again'")).output == "'free again'\n"


async def test_input_is_refused_at_once(desk: Desk) -> None:
    result = await desk.run("input('name?')")
    assert result.status == "error"
    assert "StdinNotImplementedError" in result.output


async def test_code_runs_as_nobody_else(desk: Desk) -> None:
    result = await desk.run("import os; print(os.getuid(), os.geteuid(), os.getgid(), os.getgroups())")
    uid, effective, gid, *groups = result.output.replace("[", "").replace("]", "").replace(",", "").split()
    assert uid == effective
    if os.geteuid() == 0:
        assert int(uid) == desk.workspace.owner_uid != 0
        assert uid == gid
        assert groups == []
    capabilities = await desk.run(
        "print([l for l in open('/proc/self/status') if l.startswith('CapEff')][0].split()[1])"
    )
    assert int(capabilities.output, 16) in (0, 1 << 2)  # Landlock may keep the right to pass directories
    assert (await desk.run("import os; os.setuid(0)")).status == "error"


async def test_what_it_made_belongs_to_the_workspace(desk: Desk) -> None:
    before = desk.workspace.snapshot()
    await desk.run(
        "import os; os.makedirs('out', exist_ok=True); open('out/report.md', 'w').write('# Report')"
    )
    (file,) = desk.workspace.changes_since(before)
    assert (file.name, file.size, file.mime_type) == ("out/report.md", 8, "text/markdown")


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_kernel_that_ends_itself_is_told_and_another_starts(
    isolation: SandboxMode, tmp_path: Path
) -> None:
    sandbox = await sandbox_or_skip(isolation)
    with made_workspace(tmp_path) as workspace:
        async with started_kernel(sandbox, workspace) as kernel:
            result = await kernel.execute(
                "print('last words', flush=True)\nimport os; os._exit(3)", timeout_s=30
            )
            assert result.status == "died"
            assert not kernel.alive
            assert (await kernel.execute("1", timeout_s=30)).status == "died"
        async with started_kernel(sandbox, workspace) as kernel:
            assert (await kernel.execute("1", timeout_s=30)).output == "1\n"


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_code_that_ignores_the_interrupt_is_ended(isolation: SandboxMode, tmp_path: Path) -> None:
    sandbox = await sandbox_or_skip(isolation)
    with made_workspace(tmp_path) as workspace:
        async with started_kernel(sandbox, workspace) as kernel:
            await kernel.execute("import signal", timeout_s=60)
            stubborn = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.pause()"
            result = await kernel.execute(stubborn, timeout_s=1)
            assert result.status == "timeout"
            assert "variables are lost" in result.output
            assert not kernel.alive


async def test_without_isolation_code_still_runs_when_asked_for_by_name(tmp_path: Path) -> None:
    sandbox = await sandbox_or_skip("none")
    assert sandbox.isolation.weaker
    with made_workspace(tmp_path) as workspace:
        async with started_kernel(sandbox, workspace) as kernel:
            assert (await kernel.execute("6 * 7", timeout_s=30)).output == "42\n"
