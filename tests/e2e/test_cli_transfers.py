"""Files between a source, a thread and here: brought, written back, and cut off on the way."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.blob_sources import key_config
from tests.support.cli import KEY, Done, good, one_line, serving
from tests.support.processes import Running, deepanalyze, environment, run
from tests.support.registering import register, register_database
from tests.support.server import NO_TLS, bearer
from tests.support.services import BlobContainer, PostgresDatabase

NAME = "out/report ☃'\".md"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Running]]:
    with serving(tmp_path, tmp_path / "data") as served:
        yield served


@pytest.fixture
def client(served: tuple[str, Running]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[0], headers=bearer(KEY), timeout=60, verify=NO_TLS) as client:
        yield client


def test_a_threads_file_is_uploaded(
    tmp_path: Path, served: tuple[str, Running], client: httpx.Client, container: BlobContainer
) -> None:
    def upload(*arguments: str) -> Done:
        asked = {"DEEPANALYZE_SERVER": served[0], "DEEPANALYZE_API_KEY": KEY}
        return run(tmp_path, "sources", "upload", "lake", *arguments, **asked)

    container.client.upload_blob("seed.csv", b"a,b\n1,2\n")
    register(client, "lake", "azure_blob", key_config(container, read_only=False, upload_prefix="out"))
    thread = client.post("/v1/data-sources/lake/fetch", json={"path": "seed.csv"}).json()["thread_id"]
    told = good(upload("seed.csv", NAME, "--thread", thread))
    assert told == f"{NAME} is written (8 bytes).\n"
    assert container.client.get_blob_client(NAME).download_blob().readall() == b"a,b\n1,2\n"
    one_line(upload("seed.csv", NAME, "--thread", thread), 1, "exists", "request ")
    item = json.loads(good(upload("seed.csv", NAME, "--thread", thread, "--overwrite", "--json")))
    assert (item["path"], item["size"]) == (NAME, 8)
    one_line(upload("seed.csv", "elsewhere.md", "--thread", thread), 1, "out", "request ")
    one_line(upload("none.csv", NAME, "--thread", thread), 1, "none.csv")
    one_line(upload("seed.csv", NAME, "--thread", "thread-none"), 1, "thread-none")
    assert upload("seed.csv", NAME).returncode == 2


def test_a_terminal_sees_how_far_a_fetch_is(
    tmp_path: Path, served: tuple[str, Running], client: httpx.Client, container: BlobContainer
) -> None:
    container.client.upload_blob("big.csv", b"x\n" * 2_000_000)
    register(client, "lake", "azure_blob", key_config(container))
    ours, theirs = os.openpty()
    asked = {"DEEPANALYZE_SERVER": served[0], "DEEPANALYZE_API_KEY": KEY, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        deepanalyze("sources", "fetch", "lake", "big.csv"),
        env=environment(tmp_path, **asked),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # how Linux says that nobody holds the other side any more
            pass
        assert process.wait(timeout=60) == 0, shown
    os.close(ours)
    assert b"Fetching from lake" in shown
    assert b"4.0/4.0 MB" in shown
    assert shown.endswith(b"big.csv\r\n")
    assert (tmp_path / "big.csv").stat().st_size == 4_000_000


def test_a_server_that_dies_amid_its_answer_is_told(
    tmp_path: Path,
    served: tuple[str, Running],
    client: httpx.Client,
    postgres_database: PostgresDatabase,
) -> None:
    register_database(client, "sales", postgres_database)
    url, server = served
    endless = "SELECT n FROM generate_series(1, 100000000) n"
    arguments = ("query", "sales", endless, "--format", "csv", "--max-rows", "1000000")
    asked = {"DEEPANALYZE_SERVER": url, "DEEPANALYZE_API_KEY": KEY}
    with subprocess.Popen(
        deepanalyze("sources", *arguments),
        env=environment(tmp_path, **asked),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "n\n"
        server.process.kill()
        server.process.wait(timeout=60)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaints.startswith("deepanalyze: the answer broke off (")
    assert complaints.count("\n") == 1
    one_line(run(tmp_path, "sources", "list", **asked), 1, url, "is the server running?")
