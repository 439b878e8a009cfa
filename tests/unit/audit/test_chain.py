"""What the MAC of a record covers: all of it, and its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.audit import Chain, Entry, Mark
from deepanalyze.audit.chain import START, canonical
from deepanalyze.audit.statements import statement_details

CHAIN = Chain([b"a secret"])
TEXT = st.none() | st.text(max_size=20)
ENTRIES = st.builds(
    Entry,
    time_ms=st.integers(0, 2**53),
    action=st.text(max_size=10),
    outcome=st.sampled_from(["ok", "failed", "refused"]),
    request_id=TEXT,
    user_id=TEXT,
    key_id=TEXT,
    client_address=TEXT,
    source_id=TEXT,
    code=TEXT,
    duration_ms=st.none() | st.floats(0, 1e9),
    details=st.text(max_size=30),
)


@given(st.integers(), TEXT, ENTRIES, st.integers(), TEXT, ENTRIES)
def test_different_records_have_different_canonical_forms(
    n: int, previous: Any, entry: Entry, other_n: int, other_previous: Any, other: Entry
) -> None:
    same = (n, previous, entry) == (other_n, other_previous, other)
    assert (canonical(n, previous, entry) == canonical(other_n, other_previous, other)) == same


@given(st.lists(ENTRIES, min_size=1, max_size=5), st.data())
def test_whatever_is_changed_breaks_the_chain(entries: list[Entry], data: st.DataObject) -> None:
    records, head = CHAIN.extend(None, entries)
    macs = [START, *(record.mac for record in records)]
    assert all(CHAIN.follows(before, record) for before, record in zip(macs, records, strict=False))
    assert CHAIN.signed(head)
    index = data.draw(st.integers(0, len(records) - 1))
    record = records[index]
    name = data.draw(st.sampled_from(Entry.__slots__))
    value = data.draw(st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5))
    entry = replace(record.entry, **{name: value})  # type: ignore[arg-type]
    changed = replace(record, entry=entry)
    if changed.entry != record.entry:
        assert not CHAIN.follows(macs[index], changed)
    assert not CHAIN.follows(macs[index], replace(record, sequence=record.sequence + 1))
    assert not CHAIN.follows(macs[index] + "0", record)


@pytest.mark.parametrize(
    "change", [{"name": "checkpoint"}, {"sequence": 1}, {"mac": "0"}, {"signature": "☃"}], ids=str
)
def test_a_mark_is_signed_as_a_whole(change: dict[str, Any]) -> None:
    mark = CHAIN.sign("head", 7, "abc")
    assert CHAIN.signed(mark)
    assert not CHAIN.signed(replace(mark, **change))


def test_a_chain_outlives_the_rotation_of_the_key() -> None:
    old, both, new = Chain([b"old"]), Chain([b"new", b"old"]), Chain([b"new"])
    [first], head = old.extend(None, [Entry(1, "create", "ok")])
    [second], _ = both.extend(head, [Entry(2, "delete", "ok")])
    assert both.follows(START, first)
    assert both.follows(first.mac, second)
    assert both.signed(head)
    assert not new.follows(START, first)
    assert new.follows(first.mac, second)
    assert not new.signed(Mark("head", 1, first.mac, head.signature))


def test_earlier_keys_verify_records_and_sign_nothing() -> None:
    old = Chain([b"old"])
    [first], old_head = old.extend(None, [Entry(1, "create", "ok")])
    both = Chain([b"new", b"old"])
    alone = Chain([b"new"], both.earlier)
    assert alone.follows(START, first)
    assert not alone.signed(old_head)
    assert alone.signed(both.renewed(old_head))
    forged = Mark("head", 1, first.mac, "no signature")
    assert both.renewed(forged) == forged
    assert list(Chain([b"newer", b"new"], alone.earlier).earlier) == [
        *Chain([b"", b"new"]).earlier,
        *both.earlier,
    ]


def test_nothing_follows_from_a_head_that_was_tampered_with() -> None:
    _, head = CHAIN.extend(None, [Entry(n, "create", "ok") for n in range(3)])
    [record], _ = CHAIN.extend(replace(head, signature="0"), [Entry(4, "create", "ok")])
    assert record.sequence == 4
    assert not CHAIN.follows(head.mac, record)


def test_a_fingerprint_is_of_the_statement_without_its_constants() -> None:
    one = statement_details("SELECT * FROM people WHERE name = 'hidden-1'", "fingerprint", CHAIN)
    two = statement_details("select *  from people where name='hidden-2'", "fingerprint", CHAIN)
    other = statement_details("SELECT * FROM pets WHERE name = 'hidden-1'", "fingerprint", CHAIN)
    assert one == two != other
    assert list(one) == ["fingerprint"]


@pytest.mark.parametrize("sql", ["SELEKT 'hidden'", "SELECT '\ud800hidden'", "SELECT " + "(" * 5_000])
def test_what_cannot_be_parsed_has_a_keyed_digest(sql: str) -> None:
    told = statement_details(sql, "fingerprint", CHAIN)
    assert list(told) == ["text_digest"]
    assert told != statement_details(sql, "fingerprint", Chain([b"another"]))
    assert "hidden" not in str(told)


def test_statements_are_kept_whole_or_not_at_all_when_asked_so() -> None:
    assert statement_details("SELECT 1", "full", CHAIN) == {"statement": "SELECT 1"}
    assert len(statement_details("x" * 10**6, "full", CHAIN)["statement"]) == 10_000
    assert statement_details("SELECT 1", "none", CHAIN) == {}
