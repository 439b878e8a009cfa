"""The README's and the documentation's examples run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
async def demo_server(sample_data: Any) -> Any:
    """A served API with the demo's two sources, and the environment that the README's examples want."""
    import httpx

    from deepanalyze.cli.demo.sources import register
    from tests.support.server import served

    async with served() as server:
        headers = {"Authorization": f"Bearer {server.admin_key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
            await register(client, sample_data.postgres_config, sample_data.blob_config)
        postgres = sample_data.postgres_config
        yield {
            "PATH": os.environ.get("PATH", os.defpath),
            "URL": server.url,
            "KEY": server.admin_key,
            "PGHOST": str(postgres["host"]),
            "PGPORT": str(postgres["port"]),
            "PGDATABASE": postgres["database"],
            "PGUSER": postgres["user"],
            "PGPASSWORD": postgres["password"],
        }


async def execute(command: list[str], environment: dict[str, str]) -> str:
    import asyncio

    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_curl_examples_run(demo_server: dict[str, str]) -> None:
    exports, chat, create = blocks("README.md", "bash")
    assert set(re.findall(r"export (\w+)=", exports)) == {"URL", "KEY"}
    answer = await execute(["bash", "-c", chat], demo_server)
    assert '"chat.completion"' in answer
    assert "<Answer>" in answer
    for airport in ("EWR", "JFK", "LGA"):
        assert airport in answer
    assert '"ds-' in await execute(["bash", "-c", create], demo_server)


async def test_the_upload_example_runs(demo_server: dict[str, str]) -> None:
    [upload] = blocks("docs/how-to/ask-over-http.md", "bash")
    answer = await execute(["bash", "-c", upload], demo_server)
    assert "north" in answer[answer.index("<Answer>") :]


async def test_the_postgresql_examples_run(demo_server: dict[str, str], tmp_path: Path) -> None:
    examples = blocks("docs/how-to/connect-postgresql.md", "bash")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{demo_server['PATH']}"
    environment = {**demo_server, "PATH": programs, "COLUMNS": "200", "LANG": "C.UTF-8"}
    script = f"set -e; cd {tmp_path}\n" + "\n".join(examples)
    output = await execute(["bash", "-c", script], environment)
    assert '"ds-' in output
    assert "Grade " in output
    assert "CREATE ROLE" in (tmp_path / "reader.sql").read_text()
    assert '"row_count":5' in output
    assert "public.airlines" in output
    assert (tmp_path / "delays.csv").read_text().startswith("carrier,avg\n")
    for part in ('{"schemas":', '"path":"public.flights"', '"truncated":true', '{"row_count":3322'):
        assert part in output


async def test_the_openai_example_runs(demo_server: dict[str, str]) -> None:
    [example] = blocks("README.md", "python")
    output = await execute([sys.executable, "-c", example], demo_server)
    assert "<Answer>" in output
    assert "report.md http" in output


async def test_the_custom_connector_example_runs(tmp_path: Path) -> None:
    connector, use, pooled = blocks("docs/how-to/add-a-source-type.md", "python")
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(connector + use + pooled, "add-a-source-type.md", "exec", dont_inherit=True), namespace)
    notes, workspace = tmp_path / "notes", tmp_path / "workspace"
    notes.mkdir()
    workspace.mkdir()
    (notes / "a note.txt").write_text("remember")
    assert Path(await namespace["use"](notes, workspace)).read_text() == "remember"
    assert await namespace["use_pooled"](notes) == 1


async def test_the_package_example_runs(sample_data: Any, tmp_path: Path) -> None:
    [example] = blocks("docs/reference/python-package.md", "python")
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "python-package.md", "exec", dont_inherit=True), namespace)
    path = Path(await namespace["first_rows"](sample_data.postgres_config, tmp_path))
    assert len(path.read_text().splitlines()) == 17
