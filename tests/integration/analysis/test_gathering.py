"""Data named in a request, from real sources into the workspace and the prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deepanalyze.analysis.conversation import Turn
from deepanalyze.analysis.events import Code, Fetch, Text
from deepanalyze.analysis.manifest import load_manifest, record_fetched
from deepanalyze.datasources.base import DataItem, DataSourceConfig, OnProgress
from deepanalyze.datasources.capabilities import Downloaded
from deepanalyze.datasources.references import DataReference, FetchedFile
from deepanalyze.errors import BlobNotFound, QueryFailed
from tests.support.desk import ADA, Desk
from tests.support.empty_source import EmptySource
from tests.support.model_server import ModelServer
from tests.support.services import BlobContainer, PostgresDatabase

ANSWER = "<Answer>\nSo.\n</Answer>"
READ_BOTH = """<Code>
import pandas as pd
print(pd.read_csv('query.csv')['n'].sum(), pd.read_csv('01.csv')['temp'].mean())
</Code>"""


@pytest.fixture
def database(postgres_database: PostgresDatabase) -> PostgresDatabase:
    with psycopg.connect(postgres_database.admin_dsn) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT n, n * 2.5 AS half FROM generate_series(1, 20) n")
    return postgres_database


@pytest.fixture
def weather(container: BlobContainer) -> BlobContainer:
    for month in ("01", "02"):
        container.client.upload_blob(f"weather/2013/{month}.csv", f"month,temp\n{month},10\n{month},20\n")
    return container


async def add(desk: Desk, type: str, name: str, config: dict[str, Any]) -> None:
    await desk.registry.register_data_source(DataSourceConfig(f"ds-{name}", type, name, config))


@pytest.fixture
async def sources(desk: Desk, database: PostgresDatabase, weather: BlobContainer) -> Desk:
    await add(desk, "postgresql", "warehouse", database.analyst_config)
    blobs = {"connection_string": weather.connection_string, "container": weather.name}
    await add(desk, "azure_blob", "lake", blobs)
    return desk


NUMBERS = DataReference("warehouse", query="SELECT n, half FROM numbers ORDER BY n", save_as="query.csv")
MONTHS = DataReference("lake", path="weather/2013/*.csv")


@pytest.mark.requirement("4.1")
@pytest.mark.requirement("4.2")
@pytest.mark.requirement("4.3")
@pytest.mark.requirement("4.6")
async def test_data_is_fetched_then_told_to_the_model_and_there_for_its_code(
    sources: Desk, server: ModelServer, tmp_path: Path
) -> None:
    seen: list[list[str]] = []

    def answer_once_the_files_are_there(request: dict[str, Any]) -> str:
        [root] = tmp_path.glob("threads/*/work")
        seen.append(sorted(path.name for path in root.rglob("*.csv")))
        return READ_BOTH.replace("01.csv", next(root.rglob("01.csv")).relative_to(root).as_posix())

    server.say(answer_once_the_files_are_there, ANSWER)
    answer = await sources.ask("How warm?", references=[NUMBERS, MONTHS])
    assert seen == [["01.csv", "02.csv", "query.csv"]]
    assert server.messages(1)[-1]["content"] == "210 15.0"

    prompt = server.messages(0)[0]["content"]
    for part in ("warehouse (postgresql)", "SELECT n, half FROM numbers", '"rows": 20', '"half": "numeric"'):
        assert part in prompt
    for part in ("lake (azure_blob)", "weather/2013/01.csv", "weather/2013/02.csv"):
        assert part in prompt

    root = sources.threads.workspace(answer.thread_id).root
    assert (root / "query.csv").read_text().splitlines()[:2] == ["n,half", "1,2.5"]
    fetched = answer.finished.fetched
    assert [(f.name, f.rows) for f in fetched] == [("warehouse", 20), ("lake", None), ("lake", None)]
    done = [e for e in answer.of(Fetch) if e.status == "done"]
    assert {e.param for e in done} == {"messages[0].data_sources[0]", "messages[0].data_sources[1]"}
    kinds = [type(e) for e in answer.events]
    assert max(i for i, k in enumerate(kinds) if k is Fetch) < kinds.index(Text) < kinds.index(Code)


@pytest.mark.requirement("4.4")
async def test_whatever_fails_is_told_together_before_any_model_call(
    sources: Desk, server: ModelServer
) -> None:
    wrong = DataReference("warehouse", query="SELECT nothing FROM numbers")
    missing = DataReference("lake", path="weather/1913/*.csv")
    answer = await sources.ask(references=[NUMBERS, wrong, missing, DataReference("nowhere", path="x")])
    error = answer.error
    assert error.code == QueryFailed.code
    assert error.param == "messages[0].data_sources[1]"
    assert [(d["param"], d["code"]) for d in error.details] == [
        ("messages[0].data_sources[1]", QueryFailed.code),
        ("messages[0].data_sources[2]", BlobNotFound.code),
        ("messages[0].data_sources[3]", "not_found"),
    ]
    assert error.details[0]["sqlstate"] == "42703"
    assert [e.status for e in answer.of(Fetch)].count("failed") == 3
    assert answer.text == ""
    assert server.requests == []


async def test_what_arrived_before_a_failure_is_taken_back_and_brought_again_under_its_name(
    sources: Desk, server: ModelServer
) -> None:
    thread = await sources.new_thread()
    upload_id = await upload(sources, "notes.csv", b"x\n1\n")
    wrong = DataReference("warehouse", query="SELECT nothing FROM numbers")
    failed = await sources.ask(references=[NUMBERS, MONTHS, wrong], files=[upload_id], thread=thread)
    assert failed.error.code == QueryFailed.code
    assert {e.status for e in failed.of(Fetch)} >= {"done", "failed"}
    workspace = sources.threads.workspace(thread)
    assert workspace.list() == []
    server.say(ANSWER)
    await sources.ask(references=[NUMBERS, MONTHS], files=[upload_id], thread=thread)
    names = {file.name.rpartition("/")[2] for file in workspace.list()}
    assert names == {"query.csv", "01.csv", "02.csv", "notes.csv"}


async def test_what_arrived_before_a_cancellation_is_taken_back(desk: Desk) -> None:
    MeetingConnector.meeting = asyncio.Barrier(2)  # one never comes
    desk.registry.register_connector_class("meeting", MeetingConnector)
    await add(desk, "meeting", "late", {})
    thread = await desk.new_thread()
    upload_id = await upload(desk, "notes.csv", b"x\n1\n")
    request = desk.request(references=[DataReference("late", path="a.csv")], files=[upload_id], thread=thread)
    job = await desk.analyses.start(request)
    workspace = desk.threads.workspace(thread)
    async with asyncio.timeout(30):
        while not workspace.list():  # noqa: ASYNC110 - an upload's arrival is no event
            await asyncio.sleep(0.01)
    assert job.cancel()
    await job.wait()
    assert workspace.list() == []


async def test_fetches_at_the_same_time_are_all_known(desk: Desk) -> None:
    workspace = desk.threads.workspace(await desk.new_thread())

    def bring(n: int) -> None:
        file = FetchedFile(f"{n}.csv", "ds-lake", "lake", "azure_blob", 1)
        record_fetched(workspace, DataReference("lake", path=f"{n}.csv"), [file])

    await asyncio.gather(*(asyncio.to_thread(bring, n) for n in range(40)))
    manifest = load_manifest(workspace)
    assert set(manifest.fetched) == {f"{n}.csv" for n in range(40)}
    assert len(manifest.references) == 40


class MeetingConnector(EmptySource):
    """Two downloads that wait for each other: one after the other they would never end."""

    meeting: asyncio.Barrier

    async def find(self, path: str) -> list[DataItem]:
        return [DataItem(path, path, "blob", 2)]

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        await self.meeting.wait()
        destination.write_text("a\n")
        return Downloaded(2)


@pytest.mark.requirement("4.5")
async def test_all_sources_are_fetched_in_parallel(desk: Desk, server: ModelServer) -> None:
    MeetingConnector.meeting = asyncio.Barrier(3)
    desk.registry.register_connector_class("meeting", MeetingConnector)
    for name in ("one", "two", "three"):
        await add(desk, "meeting", name, {})
    server.say(ANSWER)
    answer = await desk.ask(references=[DataReference(n, path=f"{n}.csv") for n in ("one", "two", "three")])
    assert [f.file for f in answer.finished.fetched] == ["one.csv", "two.csv", "three.csv"]


async def test_truncated_data_is_told_before_anything_else_and_again(
    sources: Desk, server: ModelServer
) -> None:
    server.say(ANSWER, ANSWER)
    cut = DataReference("warehouse", table="numbers", max_rows=5)
    first = await sources.ask(references=[cut], thread=await sources.new_thread())
    again = await sources.ask("And now?", thread=first.thread_id)
    [file] = first.finished.fetched
    for answer in (first, again):
        assert answer.text.startswith("**Incomplete data:**")
        notice = answer.of(Text)[0].text
        for part in (file.file, "first 5 rows", "max_rows = 5", "warehouse"):
            assert part in notice
    assert '"truncated": true' in server.messages(0)[0]["content"]
    assert '"truncated": true' in server.messages(1)[-1]["content"]


async def test_a_conversation_sent_again_does_not_fetch_again(sources: Desk, server: ModelServer) -> None:
    server.say(ANSWER, ANSWER)
    first = await sources.ask("First?", references=[NUMBERS], thread=await sources.new_thread())
    again = [Turn("user", "First?"), Turn("assistant", first.text), Turn("user", "Second?")]
    second = await sources.ask(again, references=[NUMBERS], references_in=0, thread=first.thread_id)
    assert second.of(Fetch) == []
    assert [f.file for f in second.finished.fetched] == ["query.csv"]
    assert [f.name for f in sources.threads.workspace(first.thread_id).list()] == ["query.csv"]
    assert "query.csv" in server.messages(1)[-1]["content"]


async def test_what_was_fetched_beforehand_is_known(sources: Desk, server: ModelServer) -> None:
    server.say(ANSWER)
    thread = await sources.new_thread()
    workspace = sources.threads.workspace(thread)
    files = await sources.sources.fetch(
        ADA, DataReference("warehouse", table="numbers", max_rows=3), workspace
    )
    record_fetched(workspace, DataReference("warehouse", table="numbers", max_rows=3), files)
    answer = await sources.ask(thread=thread)
    assert answer.text.startswith("**Incomplete data:**")
    assert "warehouse (postgresql)" in server.messages(0)[0]["content"]


async def upload(desk: Desk, name: str, content: bytes) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return (await desk.files.create(ADA, name, "assistants", chunks())).id


async def test_uploaded_files_lie_in_the_workspace_once(desk: Desk, server: ModelServer) -> None:
    server.say(ANSWER, ANSWER)
    ids = [await upload(desk, "a.csv", b"x\n1\n"), await upload(desk, "a.csv", b"x\n2\n")]
    first = await desk.ask(files=ids, thread=await desk.new_thread())
    await desk.ask("Again?", files=ids, thread=first.thread_id)
    root = desk.threads.workspace(first.thread_id).root
    assert {p.name for p in root.iterdir()} == {"a.csv", "a-2.csv"}
    assert {p.read_text() for p in root.iterdir()} == {"x\n1\n", "x\n2\n"}
    assert '"a-2.csv"' in server.messages(0)[0]["content"]


async def test_a_missing_upload_is_told_with_its_place(desk: Desk, server: ModelServer) -> None:
    error = (await desk.ask(files=["file-unknown"])).error
    assert (error.code, error.param) == ("not_found", "messages[0].file_ids[0]")
    assert server.requests == []
