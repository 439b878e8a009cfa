"""`deepanalyze sources`: asking a server, and opening the data directory that none holds."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.blob_sources import key_config, sas_config
from tests.support.canaries import legitimate
from tests.support.cli import KEY, Done, good, one_line, serving
from tests.support.postgres_sources import run_sql
from tests.support.processes import DEADLINE_S, deepanalyze, environment, run
from tests.support.registering import register, register_database
from tests.support.server import NO_TLS, bearer
from tests.support.services import BlobContainer, PostgresDatabase


@dataclass
class Served:
    """A served data directory with one source, `sales`; once `stop` was called, nobody serves it."""

    home: Path
    data_dir: Path
    url: str
    process: subprocess.Popen[str]

    def remotely(self, *arguments: str, **more: str) -> Done:
        return run(
            self.home, "sources", *arguments, DEEPANALYZE_URL=self.url, DEEPANALYZE_API_KEY=KEY, **more
        )

    def locally(self, *arguments: str, **more: str) -> Done:
        return run(self.home, "sources", *arguments, "--data-dir", str(self.data_dir), **more)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=bearer(KEY), timeout=60, verify=NO_TLS)


@pytest.fixture
def sales(postgres_database: PostgresDatabase) -> PostgresDatabase:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE orders (id int PRIMARY KEY, item text)",
        "INSERT INTO orders SELECT n, 'item ' || n FROM generate_series(1, 30) n",
        """INSERT INTO orders VALUES (31, E'[red]\\x1b[31m☃\\n'), (32, NULL)""",
        'CREATE TABLE "Weird "" Table" (a int)',
    )
    return postgres_database


@pytest.fixture
def served(tmp_path: Path, sales: PostgresDatabase) -> Iterator[Served]:
    data_dir = tmp_path / "data"
    with serving(tmp_path, data_dir) as (url, server):
        served = Served(tmp_path, data_dir, url, server.process)
        with served.client() as client:
            register_database(client, "sales", sales)
        yield served


def test_a_server_is_asked(served: Served) -> None:
    listed = good(served.remotely("list"))
    assert "sales" in listed
    assert "postgresql" in listed
    assert "success" in good(served.remotely("test", "sales"))
    browsed = good(served.remotely("browse", "sales", "public"))
    assert "public.orders" in browsed
    assert '"Weird "" Table"' in browsed
    shown = good(served.remotely("query", "sales", "SELECT count(*) AS n FROM orders"))
    assert "32" in shown
    assert "1 rows" in shown


def test_options_come_before_the_environment(served: Served) -> None:
    flags = ("list", "--url", served.url, "--api-key", KEY)
    wrong = {"DEEPANALYZE_URL": "http://127.0.0.1:1", "DEEPANALYZE_API_KEY": "wrong"}
    assert "sales" in good(run(served.home, "sources", *flags, **wrong))
    assert KEY not in good(served.remotely("query", "--help"))


def test_a_data_directory_that_nobody_serves_is_opened(served: Served) -> None:
    one_line(served.locally("list"), 2, str(served.data_dir), "running server", "--api-key-file")
    served.stop()
    assert "sales" in good(served.locally("list", DEEPANALYZE_API_KEY="not needed here"))
    assert "success" in good(served.locally("test", "sales"))
    assert "public.orders" in good(served.locally("browse", "sales", "public"))
    told = json.loads(good(served.locally("query", "sales", "SELECT 1 AS a", "--format", "json")))
    assert told["rows"] == [[1]]
    rows = good(served.locally("query", "sales", "SELECT id FROM orders ORDER BY id", "--format", "csv"))
    assert rows.splitlines()[:2] == ["id", "1"]
    one_line(served.locally("query", "sales", "SELECT 1/0"), 1, "22012", "request req-")


def test_a_directory_without_a_server_in_it_is_told_and_left_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "sources", "list", "--data-dir", str(tmp_path / "none"))
    one_line(done, 2, "deepanalyze serve", "--server")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("format", ["csv", "json", "table"])
def test_rows_are_written_as_they_are_asked_for(served: Served, format: str) -> None:
    statement = "SELECT id, item FROM orders ORDER BY id"
    done = served.remotely("query", "sales", statement, "--format", format, "--max-rows", "3")
    assert done.returncode == 0
    assert "--max-rows" in done.stderr
    whole = good(served.remotely("query", "sales", statement, "--format", format))
    rows: list[Any]
    if format == "csv":
        rows = list(csv.reader(io.StringIO(whole)))[1:]
        assert rows[30] == ["31", "[red]\x1b[31m☃\n"]
    elif format == "json":
        rows = json.loads(whole)["rows"]
        assert rows[30] == [31, "[red]\x1b[31m☃\n"]
    else:
        assert "\x1b" not in whole
        assert "[red]\\x1b[31m☃\\n" in whole
        assert "NULL" in whole
        assert "32 rows" in whole


def test_rows_go_into_a_file(served: Served) -> None:
    statement = "SELECT id, item FROM orders WHERE id < 3 ORDER BY id"
    (served.home / "out.csv").write_text("before")
    for arguments in (["out.csv"], ["out.json", "--format", "json"], ["out.txt", "--format", "table"]):
        assert good(served.remotely("query", "sales", statement, "--output", *arguments)) == ""
    assert (served.home / "out.csv").read_text() == "id,item\n1,item 1\n2,item 2\n"
    assert json.loads((served.home / "out.json").read_text())["row_count"] == 2
    assert "item 2" in (served.home / "out.txt").read_text()
    one_line(served.remotely("query", "sales", "SELECT 1/0", "--output", "bad.csv"), 1, "22012")
    one_line(served.remotely("query", "sales", "SELECT 1", "--output", "none/bad.csv"), 1, "none/bad.csv")
    assert not [path for path in served.home.iterdir() if "bad" in path.name or path.name.endswith(".part")]


@pytest.mark.requirement("3.4")
def test_a_deep_test_prints_grade_findings_and_script(served: Served) -> None:
    told = json.loads(good(served.remotely("test", "sales", "--deep", "--json")))
    certificate = told["certificate"]
    assert (told["status"], certificate["grade"] in "ABCD") == ("success", True)
    script = good(served.remotely("test", "sales", "--script"))
    assert script == certificate["script"] + "\n"
    printed = good(served.remotely("test", "sales", "--deep", COLUMNS="400"))
    assert f"Grade {certificate['grade']}" in printed
    assert certificate["summary"] in printed
    assert all(finding["check"] in printed for finding in certificate["findings"])
    assert script in printed


def test_a_token_that_ends_soon_is_warned_of(served: Served, container: BlobContainer) -> None:
    with served.client() as client:
        register(client, "lake", "azure_blob", sas_config(container))
    done = served.remotely("test", "lake")
    assert done.returncode == 0, done.stderr
    assert "Warning: the SAS token ends at" in done.stdout
    assert "sig" not in done.stdout


def test_a_test_that_fails_ends_with_one(served: Served, sales: PostgresDatabase) -> None:
    with served.client() as client:
        wrong = {**sales.analyst_config, "password": "wrong"}
        register(client, "wrong", "postgresql", wrong, test_connection=False)
    for option in ((), ("--deep",), ("--script",)):
        one_line(served.remotely("test", "wrong", *option), 1, "password", "request ")
    done = served.remotely("test", "wrong", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "source_authentication_failed"
    assert done.stderr.startswith("deepanalyze: ")


@pytest.mark.requirement("7.4")
def test_errors_are_one_line_with_the_remedy_and_the_request(served: Served) -> None:
    one_line(served.remotely("test", "../nothing"), 1, "there is no '../nothing'")
    one_line(served.remotely("test", "nothing"), 1, "no data source 'nothing'", "request ")
    one_line(served.remotely("query", "sales", "SELECT idd FROM orders"), 1, "42703", "orders.id", "request ")
    one_line(served.remotely("query", "sales", "DELETE FROM orders"), 1, "sales", "request ")
    one_line(served.remotely("query", "sales", "DELETE FROM orders", "--format", "csv"), 1, "request ")
    one_line(
        run(served.home, "sources", "list", "--url", served.url, "--api-key", "wrong"),
        1,
        "API key",
        "request ",
    )
    one_line(run(served.home, "sources", "list", "--url", served.url), 2, "--api-key", "DEEPANALYZE_API_KEY")
    one_line(run(served.home, "sources", "list", "--url", f"{served.url}/docs", "--api-key", "x"), 1, "/docs")


@pytest.mark.parametrize("url", ["no url", "ftp://x", "http://", "http://u:p@x", "http://x:port"])
def test_a_url_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    one_line(run(tmp_path, "sources", "list", "--url", url, "--api-key", "x"), 2, "--server")


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "sources", "list", "--url", "http://127.0.0.1:1", "--api-key", "x")
    one_line(done, 1, "http://127.0.0.1:1", "running")


def piped(command: list[str], *, env: dict[str, str], cwd: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    with legitimate("a command gets its key from its own environment"):
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=env, cwd=cwd, text=True)


@pytest.mark.parametrize("format", ["table", "csv"])
@pytest.mark.parametrize("where", ["remotely", "locally"])
def test_ctrl_c_ends_the_query_in_the_database(
    served: Served, sales: PostgresDatabase, where: str, format: str
) -> None:
    endless = "SELECT count(*) FROM generate_series(1, 1000000000000)"
    arguments = ["sources", "query", "sales", endless, "--format", format]
    variables = {"DEEPANALYZE_URL": served.url, "DEEPANALYZE_API_KEY": KEY}
    if where == "locally":
        served.stop()
        arguments += ["--data-dir", str(served.data_dir)]
        variables = {}
    process = piped(deepanalyze(*arguments), env=environment(served.home, **variables), cwd=served.home)
    try:
        until(lambda: active_queries(sales) == 1)
        process.send_signal(signal.SIGINT)
        output, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, output, complaints) == (130, "", "")
    until(lambda: active_queries(sales) == 0)


def active_queries(database: PostgresDatabase) -> int:
    [(count,)] = run_sql(
        database.admin_dsn,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
        "AND query LIKE '%1000000000000%' AND pid <> pg_backend_pid()",
    )
    return int(count)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_a_reader_that_has_seen_enough_may_close_the_pipe(served: Served) -> None:
    import sys

    command = [sys.executable, "-m", "deepanalyze", "sources", "query", "sales", "--format", "csv"]
    process = piped(
        [*command, "--max-rows", "300000", "SELECT n FROM generate_series(1, 300000) n"],
        env=environment(served.home, DEEPANALYZE_URL=served.url, DEEPANALYZE_API_KEY=KEY),
        cwd=served.home,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "n\n"
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)


def test_a_reader_that_has_seen_enough_ends_it_quietly(served: Served) -> None:
    """As `deepanalyze sources test sales --deep | head -1` does."""
    command = deepanalyze("sources", "test", "sales", "--deep")
    variables = environment(served.home, DEEPANALYZE_URL=served.url, DEEPANALYZE_API_KEY=KEY)
    with piped(command, env=variables, cwd=served.home) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaints = process.stderr.read()
    assert complaints == ""
    assert process.returncode == 1


def test_a_source_is_added_shown_changed_and_removed(served: Served, container: BlobContainer) -> None:
    container.client.upload_blob("a/sales.csv", b"region,amount\nnorth,1\nsouth,2\n")
    config = key_config(container)
    secret = config.pop("account_key")
    options = [f"--set={name}={value}" for name, value in config.items()]
    added = served.remotely(
        "add", "lake", "--type", "azure_blob", *options, "--secret", "account_key", typed=f"{secret}\n"
    )
    assert added.returncode == 0, added.stderr
    assert "Next: deepanalyze sources browse lake" in added.stdout
    shown = json.loads(served.remotely("show", "lake", "--json").stdout)
    assert shown["config"]["account_key"] == "********"
    assert secret not in added.stdout + added.stderr + json.dumps(shown)
    assert "north" in served.remotely("preview", "lake", "a/sales.csv").stdout
    stats = json.loads(served.remotely("stats", "lake", "a/sales.csv", "--json").stdout)
    assert stats["row_count"] == 2
    assert "amount" in served.remotely("stats", "lake", "a/sales.csv").stdout
    edited = served.remotely("edit", "lake", "--name", "pond", "--set", "verify=false", "--json")
    assert edited.returncode == 0, edited.stderr
    assert (json.loads(edited.stdout)["name"], json.loads(edited.stdout)["config"]["verify"]) == (
        "pond",
        False,
    )
    wrong = served.remotely("edit", "pond", "--set", "verfy=false")
    one_line(wrong, 1, "did you mean 'verify'")
    one_line(served.remotely("remove", "pond"), 1, "has to be confirmed", "'pond'", "--yes")
    assert served.remotely("remove", "pond", "--yes").stdout == "pond is removed.\n"
    one_line(served.remotely("show", "pond"), 1, "there is no data source 'pond'")


def test_what_is_missing_for_a_source_is_told(served: Served) -> None:
    one_line(served.remotely("add"), 1, "which type of source is it?")
    one_line(served.remotely("add", "--type", "postgres"), 1, "postgresql")
    one_line(served.remotely("add", "x", "--type", "local_file"), 1, "fill in config.root")
    one_line(served.remotely("add", "x", "--type", "local_file", "--set", "root"), 1, "name=value")
    one_line(served.remotely("edit", "sales"), 1, "nothing to change")


def test_a_schema_is_shown(served: Served) -> None:
    shown = served.remotely("schema", "sales")
    assert shown.returncode == 0, shown.stderr
    assert "orders" in shown.stdout
    assert json.loads(served.remotely("schema", "sales", "--json").stdout)["relationships"] == []


def test_files_are_fetched_and_replace_nothing(
    served: Served, container: BlobContainer, tmp_path: Path
) -> None:
    for name in ("a/x 1.csv", "b/x 1.csv", "c.csv"):
        container.client.upload_blob(name, name.encode())
    with served.client() as client:
        register(client, "lake", "azure_blob", key_config(container))
    target = tmp_path / "out"
    done = served.remotely("fetch", "lake", "**/*.csv", "--output", str(target))
    assert done.returncode == 0, done.stderr
    files = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert files == {"a/x 1.csv": "a/x 1.csv", "b/x 1.csv": "b/x 1.csv", "c.csv": "c.csv"}
    again = served.remotely("fetch", "lake", "c.csv", "--output", str(target))
    one_line(again, 1, "c.csv exists already; nothing is replaced")
    with served.client() as client:
        assert client.get("/v1/threads").json()["data"] == []
