"""The audit trail in a real database: written by many at once, tampered with, pruned, killed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deepanalyze.accounts import Accounts
from deepanalyze.audit import (
    AuditTrail,
    Chain,
    Deed,
    Entry,
    HeadFile,
    NotedHead,
    Origin,
    Verification,
    Wanted,
    bound,
    note,
)
from deepanalyze.errors import InternalError, InvalidRequest
from deepanalyze.store import Store, open_store

CHAIN = Chain([b"the key of the tests"])
DAY_MS = 24 * 60 * 60 * 1000
TAMPERED = [
    "UPDATE audit_records SET time_ms = time_ms + 1 WHERE sequence = 5",
    "UPDATE audit_records SET time_ms = 'noon' WHERE sequence = 5",
    "UPDATE audit_records SET action = 'quary' WHERE sequence = 5",
    "UPDATE audit_records SET outcome = 'failed' WHERE sequence = 5",
    "UPDATE audit_records SET request_id = NULL WHERE sequence = 5",
    "UPDATE audit_records SET user_id = 'user-2' WHERE sequence = 5",
    "UPDATE audit_records SET key_id = '' WHERE sequence = 5",
    "UPDATE audit_records SET client_address = X'00FF' WHERE sequence = 5",
    "UPDATE audit_records SET source_id = 'ds-2' WHERE sequence = 5",
    "UPDATE audit_records SET code = 'busy' WHERE sequence = 5",
    "UPDATE audit_records SET duration_ms = 1.25 WHERE sequence = 5",
    "UPDATE audit_records SET object_type = 'user' WHERE sequence = 5",
    "UPDATE audit_records SET object_id = 'user-2' WHERE sequence = 5",
    "UPDATE audit_records SET object_type = NULL, object_id = NULL WHERE sequence = 4",
    "UPDATE audit_records SET details = details || ' ' WHERE sequence = 5",
    "UPDATE audit_records SET mac = upper(mac) WHERE sequence = 5",
    "UPDATE audit_records SET mac = X'00' WHERE sequence = 5",
    "DELETE FROM audit_records WHERE sequence = 5",
    "UPDATE audit_records SET sequence = sequence + 100 WHERE sequence = 5",
]


@pytest.fixture
async def trail(store: Store) -> AsyncIterator[AuditTrail]:
    async with AuditTrail(store.audit, CHAIN) as opened:
        yield opened


async def test_an_empty_trail_is_whole(trail: AuditTrail) -> None:
    assert await trail.verify() == Verification(0, 0, 0, "")


async def test_many_writers_make_one_chain(trail: AuditTrail) -> None:
    await asyncio.gather(*(trail.append(entry(n)) for n in range(1_300)))
    assert (await trail.verify()).records == 1_300
    records, following = await trail.find(Wanted(), limit=3)
    assert ([record.sequence for record in records], following) == ([1300, 1299, 1298], 1298)
    # In the order in which they came
    assert [record.entry.time_ms for record in records] == [1299, 1298, 1297]


async def test_each_transaction_takes_all_that_waits(store: Store) -> None:
    sizes = []

    class Counting:
        async def append(self, extend):  # type: ignore[no-untyped-def]
            def counted(head):  # type: ignore[no-untyped-def]
                records, new_head = extend(head)
                sizes.append(len(records))
                return records, new_head

            await store.audit.append(counted)

    async with AuditTrail(Counting(), CHAIN) as trail:  # type: ignore[arg-type]
        await asyncio.gather(*(trail.append(entry(n)) for n in range(400)))
    assert sum(sizes) == 400
    assert len(sizes) <= 3


async def test_what_nobody_waits_for_is_gathered_unless_something_urgent_comes(store: Store) -> None:
    async with AuditTrail(store.audit, CHAIN) as trail:
        reads = [trail.append(entry(n), at_once=False) for n in range(3)]
        await asyncio.sleep(0.001)
        reads.append(trail.append(entry(3), at_once=False))
        assert not any(read.done() for read in reads)
        await trail.append(entry(4))
        assert all(read.done() for read in reads)
        alone = trail.append(entry(5), at_once=False)
        await asyncio.wait_for(alone, 10)


async def test_the_chain_goes_on_after_a_restart(database_path: Path) -> None:
    for _ in range(3):
        async with open_store(database_path) as store, AuditTrail(store.audit, CHAIN) as trail:
            _ = trail.append(entry(1))  # whoever does not wait is written, too
            _ = trail.append(entry(2))
    async with open_store(database_path) as store:
        assert (await AuditTrail(store.audit, CHAIN).verify()).records == 6


@pytest.mark.parametrize("sql", TAMPERED)
async def test_what_was_changed_is_found(
    store: Store, trail: AuditTrail, database_path: Path, sql: str
) -> None:
    await written(trail, 9)
    tamper(database_path, sql)
    found = await trail.verify()
    assert found.first_broken == int(sql[-1]), found
    assert not found.valid


@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("DELETE FROM audit_records WHERE sequence > 7", 8),
        ("DELETE FROM audit_records", 1),
        ("UPDATE audit_marks SET sequence = 7, mac = (SELECT mac FROM audit_records WHERE sequence = 7)", 10),
        ("DELETE FROM audit_marks", 10),
        ("INSERT INTO audit_marks VALUES ('checkpoint', 3, 'x', 'y')", 1),
    ],
)
async def test_the_ends_of_the_chain_are_guarded(
    trail: AuditTrail, database_path: Path, sql: str, broken: int
) -> None:
    await written(trail, 9)
    tamper(database_path, sql)
    assert (await trail.verify()).first_broken == broken


async def test_a_cut_chain_stays_broken_when_it_is_written_on(trail: AuditTrail, database_path: Path) -> None:
    await written(trail, 5)
    tamper(database_path, "DELETE FROM audit_records WHERE sequence > 3")
    tamper(
        database_path,
        "UPDATE audit_marks SET sequence = 3, mac = (SELECT mac FROM audit_records WHERE sequence = 3)",
    )
    await written(trail, 2)
    assert (await trail.verify()).first_broken == 4


async def test_an_old_head_with_its_signature_does_not_hide_newer_records(
    trail: AuditTrail, database_path: Path
) -> None:
    await written(trail, 3)
    old = CHAIN.sign("head", 2, (await trail.find(Wanted(), before=3))[0][0].mac)
    tamper(
        database_path,
        f"UPDATE audit_marks SET sequence = 2, mac = '{old.mac}', signature = '{old.signature}'",
    )
    assert (await trail.verify()).first_broken == 3


async def test_writing_goes_on_after_tampering_and_the_break_stays(
    trail: AuditTrail, database_path: Path
) -> None:
    await written(trail, 3)
    tamper(database_path, "DELETE FROM audit_marks")
    await written(trail, 3)
    assert (await trail.verify()).first_broken == 4


@pytest.mark.parametrize("sql", ["UPDATE audit_records SET action = ''", "DELETE FROM audit_records"])
async def test_the_database_itself_refuses_changes(trail: AuditTrail, database_path: Path, sql: str) -> None:
    await written(trail, 2)
    connection = sqlite3.connect(database_path)
    with pytest.raises(sqlite3.IntegrityError, match="audit records are"):
        connection.execute(sql)
    connection.close()
    assert (await trail.verify()).records == 2


async def test_pruning_leaves_a_checkpoint_from_which_the_rest_is_verified(
    store: Store, database_path: Path
) -> None:
    async with AuditTrail(store.audit, CHAIN, retention_days=2, clock=lambda: 10 * DAY_MS / 1000) as trail:
        await asyncio.gather(*(trail.append(entry(day * DAY_MS)) for day in (1, 2, 3, 9, 10)))
        assert await trail.prune() == 3
        assert await trail.prune() == 0
        found = await trail.verify()
        assert (found.records, found.pruned_through, found.first_broken) == (3, 3, None)
        [told] = (await trail.find(Wanted(action="prune")))[0]
        assert (told.sequence, told.entry.details) == (6, '{"records": 3}')
        tamper(database_path, "DELETE FROM audit_records WHERE sequence = 4")
        assert (await trail.verify()).first_broken == 4


async def test_much_is_pruned_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepanalyze.store.audit.PRUNED_AT_ONCE", 3)
    async with AuditTrail(store.audit, CHAIN, retention_days=1) as trail:
        await written(trail, 11)
        assert await trail.prune() == 10
        found = await trail.verify()
        assert (found.records, found.pruned_through, found.valid) == (2, 10, True)


async def test_all_is_kept_by_default_and_the_newest_always(store: Store) -> None:
    async with AuditTrail(store.audit, CHAIN) as trail:
        await written(trail, 3)
        assert await trail.prune() == 0
    async with AuditTrail(store.audit, CHAIN, retention_days=1) as trail:
        assert await trail.prune() == 2
        assert (await trail.verify()).records == 2


async def test_filters_are_combined(trail: AuditTrail) -> None:
    for n in range(6):
        await trail.append(Entry(n * 10, f"action-{n % 2}", "ok", user_id=f"user-{n % 3}", source_id="ds-1"))

    async def times(**wanted: object) -> list[int]:
        return [r.entry.time_ms for r in (await trail.find(Wanted(**wanted)))[0]]  # type: ignore[arg-type]

    assert await times(action="action-1") == [50, 30, 10]
    assert await times(user_id="user-1") == [40, 10]
    assert await times(action="action-1", user_id="user-1") == [10]
    assert await times(since_ms=20, until_ms=40) == [30, 20]
    assert await times(source_id="ds-2") == await times(outcome="failed") == []


async def test_details_are_redacted_and_bounded(trail: AuditTrail) -> None:
    with bound(Origin(trail, request_id="r-1", client_address="::1", who=lambda: ("user-1", "key-1"))):
        note(
            "fetch",
            details={"path": "https://a.example/b?sig=c2VjcmV0", "password": "open sesame"},
            change=True,
        )
        note("fetch", details={"path": "x" * 10_000, "odd": "\ud800", "none": None, "many": ["y" * 99] * 999})
        note("fetch", sql="SELECT \ud800", source_id="\ud800")
    note("fetch")  # outside of any origin
    await trail.append(entry(1))
    found = [record.entry for record in (await trail.find(Wanted(action="fetch")))[0]][::-1]
    assert len(found) == 3
    assert (found[0].user_id, found[0].key_id, found[0].client_address) == ("user-1", "key-1", "::1")
    assert "c2VjcmV0" not in found[0].details
    assert "sesame" not in found[0].details
    assert len(found[1].details) < 20_000
    assert (await trail.verify()).valid


async def test_after_renewing_the_new_key_alone_verifies_and_finds_what_was_changed(
    store: Store, database_path: Path
) -> None:
    async with AuditTrail(
        store.audit, Chain([b"old"]), retention_days=1, clock=lambda: DAY_MS / 1000 + 0.004
    ) as trail:
        await written(trail, 9)
        assert await trail.prune() == 4
    sealed: dict[str, bytes] = {}

    def seal(key: str) -> str:
        sealed[key[:8]] = bytes.fromhex(key)
        return key[:8]

    for _ in range(2):  # what was interrupted is gone on with
        await AuditTrail(store.audit, Chain([b"new", b"old"])).renew(seal)
    earlier = [sealed[key] for key in await store.audit.keys()]
    async with AuditTrail(store.audit, Chain([b"new"], earlier)) as trail:
        assert await trail.is_ours()
        await written(trail, 1)
        found = await trail.verify()
        assert (found.records, found.pruned_through, found.first_broken) == (7, 4, None)
        tamper(database_path, "UPDATE audit_records SET user_id = 'user-2' WHERE sequence = 6")
        assert (await trail.verify()).first_broken == 6
    assert not await AuditTrail(store.audit, Chain([b"old"])).is_ours()


async def test_whoever_has_the_old_key_can_change_nothing_after_renewing(
    store: Store, database_path: Path
) -> None:
    old = Chain([b"old"])
    async with AuditTrail(store.audit, old) as trail:
        await written(trail, 3)
    both = Chain([b"new", b"old"])
    await AuditTrail(store.audit, both).renew(lambda key: key)
    [second] = await store.audit.after(1, 1)
    [forged], head = old.extend(old.sign("head", 2, second.mac), [entry(4)])
    tamper(
        database_path,
        f"UPDATE audit_records SET time_ms = 4, object_type = NULL, object_id = NULL, mac = '{forged.mac}' "
        "WHERE sequence = 3",
    )
    trail = AuditTrail(store.audit, Chain([b"new"], both.earlier))
    assert not (await trail.verify()).valid
    tamper(database_path, f"UPDATE audit_marks SET mac = '{head.mac}', signature = '{head.signature}'")
    assert (await trail.verify()).reason == "the chain's signed head was changed"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "UPDATE audit_marks SET signature = 'x'",
        "DELETE FROM audit_marks",
        "DELETE FROM audit_records",
    ],
)
async def test_a_wrong_key_is_told_from_tampering(
    store: Store, trail: AuditTrail, database_path: Path, sql: str
) -> None:
    assert await trail.is_ours()
    await written(trail, 3)
    tamper(database_path, sql)
    assert await trail.is_ours()
    assert not await AuditTrail(store.audit, Chain([b"another"])).is_ours()


async def test_an_erased_trail_is_noticed_by_what_else_is_in_the_store(
    store: Store, trail: AuditTrail, database_path: Path
) -> None:
    await Accounts(store.accounts).create_user("ada")
    await written(trail, 3)
    erase(database_path)
    found = await trail.verify()
    assert (found.first_broken, found.reason) == (
        1,
        "the trail is empty, but the store is not: all records are gone",
    )


async def test_what_was_noted_outside_of_the_database_must_stay_in_it(
    store: Store, database_path: Path, tmp_path: Path
) -> None:
    file = tmp_path / "audit.head"
    async with AuditTrail(store.audit, CHAIN, noted=HeadFile(file)) as trail:
        await written(trail, 3)
    [third] = await store.audit.after(2, 1)
    noted = NotedHead(3, third.mac)
    assert file.read_text() == f"3:{third.mac}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    async with AuditTrail(store.audit, CHAIN, noted=HeadFile(file)) as trail:
        assert (await trail.verify(noted)).valid
        erase(database_path)
        assert (await trail.verify()).first_broken == 1
        await written(trail, 2)
        found = await trail.verify()
        assert (found.first_broken, found.reason) == (3, "record 3 was noted, but there is none after 2")
        await written(trail, 3)
        found = await trail.verify()
        assert (found.first_broken, found.reason) == (3, "the record is another one than was noted")
    assert HeadFile(file).read() == noted  # what proves it is not replaced
    alone = AuditTrail(store.audit, CHAIN)
    assert (await alone.verify()).valid
    assert (await alone.verify(noted)).first_broken == 3
    file.write_text("3:abc")
    with pytest.raises(InternalError, match=r"\(audit.head\) cannot be read"):
        await AuditTrail(store.audit, CHAIN, noted=HeadFile(file)).verify()


async def test_what_was_noted_and_then_pruned_is_not_missed(store: Store, tmp_path: Path) -> None:
    file = HeadFile(tmp_path / "audit.head")
    async with AuditTrail(store.audit, CHAIN, noted=file, retention_days=1) as trail:
        await written(trail, 3)
        await trail.note_head()
        noted = file.read()
        assert noted is not None
        await written(trail, 3)
        assert await trail.prune() == 5
        assert (await trail.verify()).valid
        assert file.read() != noted
        with pytest.raises(InvalidRequest, match="record 3 was pruned"):
            await trail.verify(noted)
        [sixth, _] = await store.audit.after(5, 2)
        assert (await trail.verify(NotedHead(6, sixth.mac))).valid
        assert (await trail.verify(NotedHead(5, sixth.mac))).first_broken == 5


async def test_a_table_that_is_gone_is_told(trail: AuditTrail, database_path: Path) -> None:
    tamper(database_path, "DROP TABLE audit_records")
    with pytest.raises(InternalError, match="its table audit_records is gone"):
        await trail.verify()


class FullDisk:
    """A repository whose disk is full until it is told otherwise."""

    def __init__(self, store: Store) -> None:
        self.full = True
        self.tried = asyncio.Event()
        self.written = asyncio.Event()
        self._store = store

    async def append(self, extend):  # type: ignore[no-untyped-def]
        self.tried.set()
        if self.full:
            raise InternalError("the server's store failed: the disk is full; nothing was changed")
        await self._store.audit.append(extend)
        self.written.set()


async def test_on_a_full_disk_changes_fail_reads_do_not_and_nothing_is_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepanalyze.audit.trail.RETRY_S", 0.05)
    monkeypatch.setattr("deepanalyze.audit.trail.GATHER_S", 0.001)
    disk = FullDisk(store)
    async with AuditTrail(disk, CHAIN) as trail:  # type: ignore[arg-type]
        reading, changing = Origin(trail, request_id="r-1"), Origin(trail, request_id="r-2")
        with bound(reading):
            note("query")
            await reading.settle()
        await disk.tried.wait()
        await asyncio.sleep(0)
        with bound(changing):
            with pytest.raises(InternalError, match="the disk is full"), Deed("upload").recorded():
                pytest.fail("it began")
            with pytest.raises(InternalError, match="changes are refused until it can be"):
                await changing.settle()
        disk.full = False
        async with asyncio.timeout(10):
            await disk.written.wait()
        await trail.append(entry(1))
        trail.check()
    async with AuditTrail(store.audit, CHAIN) as trail:
        assert [r.entry.action for r in (await trail.find(Wanted()))[0]] == ["query", "upload", "query"]


async def test_at_the_end_what_waits_is_written_from_what_was_kept_free(store: Store) -> None:
    class WithReserve(FullDisk):
        async def make_room(self) -> None:
            self.full = False

    disk = WithReserve(store)
    async with AuditTrail(disk, CHAIN) as trail:  # type: ignore[arg-type]
        for n in range(600):
            _ = trail.append(entry(n))
        await disk.tried.wait()
    assert (await AuditTrail(store.audit, CHAIN).verify()).records == 600


async def test_how_many_records_a_stop_lost_is_told(store: Store) -> None:
    class WithoutReserve(FullDisk):
        async def make_room(self) -> None:
            pass

    with capture_logs() as logs:
        async with AuditTrail(WithoutReserve(store), CHAIN) as trail:  # type: ignore[arg-type]
            for n in range(3):
                _ = trail.append(entry(n))
    assert [each["records"] for each in logs if "with this stop" in each["event"]] == [3]
    assert len([each for each in logs if each["event"] == "audit record lost"]) == 3


def entry(time_ms: int) -> Entry:
    """With an object when `time_ms` is odd: the fourth record of some that are counted from 0, but not the fifth."""
    told = Entry(
        time_ms, "query", "ok", "req-1", "user-1", "key-1", "127.0.0.1", "ds-1", None, 1.5, '{"rows": 3}'
    )
    return replace(told, object_type="thread", object_id="thread-1") if time_ms % 2 else told


async def written(trail: AuditTrail, count: int) -> None:
    for n in range(count):
        await trail.append(entry(n))


def erase(path: Path) -> None:
    tamper(path, "DELETE FROM audit_records")
    tamper(path, "DELETE FROM audit_marks")


def tamper(path: Path, sql: str) -> None:
    """As somebody who has the file, but not the key."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DROP TRIGGER IF EXISTS audit_records_stay")
        connection.execute("DROP TRIGGER IF EXISTS audit_records_stay_as_they_are")
        connection.execute(sql)
    connection.close()
