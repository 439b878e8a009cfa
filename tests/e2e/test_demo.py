"""The main job as a newcomer sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from deepanalyze.devservices import open_services
from tests.support.processes import run

FLIGHTS = 336_776


@pytest.mark.requirement("4.1")
@pytest.mark.requirement("4.2")
@pytest.mark.requirement("4.3")
@pytest.mark.timeout(480)
async def test_the_demo_answers_with_true_numbers(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    done = run(tmp_path, "demo", "--once", "--json", "--port", "0", "--data-dir", str(home))
    assert done.returncode == 0, done.stderr[-4000:]
    summary = json.loads(done.stdout.splitlines()[-1])

    assert summary["ok"] is True
    postgres = next(s for s in summary["sources"] if s["type"] == "postgresql")
    blob = next(s for s in summary["sources"] if s["type"] == "azure_blob")
    assert sorted(postgres["files"]) == ["carriers.csv", "flights.csv"]
    assert postgres["rows"] == FLIGHTS + 16
    assert len(blob["files"]) == 12
    assert summary["code_blocks"] >= 3
    assert summary["answer_chars"] > 500
    report = Path(summary["report"]).read_text()
    figures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", report)
    assert figures
    for figure in figures:
        assert (Path(summary["report"]).parent / figure).read_bytes().startswith(b"\x89PNG")

    # A second start finds the same data; its averages over all rows must be the report's, to the cent.
    async with open_services(home / "services") as services:
        with psycopg.connect(services.postgres.dsn("flights")) as connection:
            truth = connection.execute(
                "SELECT a.name, round(avg(f.dep_delay)::numeric, 2) "
                "FROM flights f JOIN airlines a USING (carrier) GROUP BY 1"
            ).fetchall()
    assert len(truth) == 16
    for airline, mean in truth:
        lines = [line for line in report.splitlines() if airline in line]
        assert any(f"{mean}" in line for line in lines), f"{airline}: {mean} is not in {lines}"
