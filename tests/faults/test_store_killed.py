"""What the store acknowledged is there after `kill -9`, whenever that strikes."""

import random
from pathlib import Path

from deepanalyze.store import open_store
from tests.support.processes import acknowledged_until_killed

WRITER = """
import asyncio, sys
from pathlib import Path
from deepanalyze.store import open_store
from tests.support import records

async def write(store, name):
    thread_id = f"thread-{name}"
    analysis_id = f"chatcmpl-{name}"
    await store.threads.add_thread(records.thread(thread_id))
    print("thread", thread_id, flush=True)
    await store.files.add_file(records.uploaded(f"file-{name}"))
    print("file", f"file-{name}", flush=True)
    await store.sources.add(records.source(f"ds-{name}", f"source-{name}"))
    print("source", f"ds-{name}", flush=True)
    await store.threads.add_analysis(records.analysis(analysis_id, thread_id))
    messages = [records.message(thread_id, n) for n in range(1, 4)]
    events = [records.event(thread_id, n) for n in range(1, 20)]
    await store.threads.finish_analysis(analysis_id, "completed", 300, None, messages, events)
    print("finished", analysis_id, flush=True)

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        async def line(k):
            n = 0
            while True:
                n += 1
                await write(store, f"{sys.argv[2]}-{k}-{n}")
        await asyncio.gather(*(line(k) for k in range(4)))

asyncio.run(main())
"""
ROUNDS = 4


async def test_every_acknowledged_row_survives_kill_9(tmp_path: Path) -> None:
    database = tmp_path / "store.sqlite"
    acknowledged: set[str] = set()
    for round_ in range(ROUNDS):
        arguments = (str(database), str(round_))
        acknowledged |= acknowledged_until_killed(WRITER, *arguments, after=random.randint(1, 120))
    async with open_store(database) as store:
        threads = {t.id for t in await store.threads.all_threads()}
        kept = {f"thread {i}" for i in threads}
        kept |= {f"file {f.id}" for f in await store.files.all_files()}
        kept |= {f"source {s.id}" for s in await store.sources.list()}
        for thread_id in threads:
            kept |= {f"finished {i}" for i in await _finished_whole(store, thread_id)}
    assert acknowledged <= kept
    assert len(acknowledged) >= ROUNDS


async def _finished_whole(store, thread_id: str) -> list[str]:  # type: ignore[no-untyped-def]
    """The finished analyses of a thread; one that is finished has its messages and events, else it has none."""
    analyses = await store.threads.list_analyses(thread_id)
    finished = [analysis.id for analysis in analyses if analysis.status == "completed"]
    counts = (
        len(await store.threads.list_messages(thread_id)),
        len(await store.threads.list_events(thread_id)),
    )
    assert counts == ((3, 19) if finished else (0, 0))
    return finished
