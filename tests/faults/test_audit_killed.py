"""`kill -9` between and amid appends and changes: the chain is whole, every record that was acknowledged is there, and
what the store holds is just what the trail tells of.
"""

import random
from pathlib import Path

import pytest

from deepanalyze.audit import AuditTrail, Chain
from deepanalyze.store import open_store
from tests.support.processes import acknowledged_until_killed

SECRET = b"the key of the tests"
WRITER = """
import asyncio, sys
from pathlib import Path
from deepanalyze.audit import AuditTrail, Chain, Entry
from deepanalyze.store import open_store

async def main():
    async with open_store(Path(sys.argv[1])) as store, AuditTrail(store.audit, Chain([sys.argv[3].encode()])) as trail:
        async def line(k):
            n = 0
            while True:
                n += 1
                name = f"{sys.argv[2]}-{k}-{n}"
                await trail.append(Entry(n, "query", "ok", name))
                print(name, flush=True)
        await asyncio.gather(*(line(k) for k in range(4)))

asyncio.run(main())
"""
CHANGER = """
import asyncio, sys
from pathlib import Path
from deepanalyze.accounts import Accounts
from deepanalyze.audit import AuditTrail, Chain, Origin, bound, changing, note
from deepanalyze.store import open_store
from tests.support import records

async def main():
    async with open_store(Path(sys.argv[1])) as store, AuditTrail(store.audit, Chain([sys.argv[3].encode()])) as trail:
        accounts = Accounts(store.accounts)
        async def line(k):
            n = 0
            while True:
                n += 1
                origin = Origin(trail)
                with bound(origin):
                    note("query")
                    user = await accounts.create_user(f"u{sys.argv[2]}-{k}-{n}")
                    file = records.uploaded(f"file-{sys.argv[2]}-{k}-{n}")
                    with changing("create", "file", file.id):
                        await store.files.add_file(file)
                    if n % 2:
                        await accounts.delete_user(user)
                await origin.settle()
                print(user.id, file.id, flush=True)
        await asyncio.gather(*(line(k) for k in range(4)))

asyncio.run(main())
"""


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
async def test_the_chain_is_whole_after_kill_9(tmp_path: Path, kills: int) -> None:
    database = tmp_path / "store.sqlite"
    acknowledged: set[str] = set()
    for round_ in range(kills):
        arguments = (str(database), str(round_), SECRET.decode())
        acknowledged |= acknowledged_until_killed(WRITER, *arguments, after=random.randint(1, 80))
        async with open_store(database) as store:
            trail = AuditTrail(store.audit, Chain([SECRET]))
            found = await trail.verify()
            assert found.valid, found
            kept = {record.entry.request_id for record in await store.audit.after(0, 100_000)}
            assert acknowledged <= kept
            assert found.records == len(kept)


@pytest.mark.requirement("7.5")
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
async def test_what_is_there_after_kill_9_is_what_the_trail_tells_of(tmp_path: Path, kills: int) -> None:
    database = tmp_path / "store.sqlite"
    acknowledged: set[str] = set()
    for round_ in range(kills):
        arguments = (str(database), str(round_), SECRET.decode())
        acknowledged |= acknowledged_until_killed(CHANGER, *arguments, after=random.randint(1, 40))
        async with open_store(database) as store:
            assert (await AuditTrail(store.audit, Chain([SECRET])).verify()).valid
            told = [record.entry for record in await store.audit.after(0, 100_000)]
            created = {entry.object_id for entry in told if entry.action == "create"}
            deleted = {entry.object_id for entry in told if entry.action == "delete"}
            kept = {user.id for user in await store.accounts.list_users()}
            assert kept | {file.id for file in await store.files.all_files()} == created - deleted
            assert {name for line in acknowledged for name in line.split()} <= created
