"""What a reader has to know about the data before believing the numbers."""

from __future__ import annotations

from collections.abc import Iterable

from deepanalyze.analysis.profiler.facts import Table
from deepanalyze.analysis.profiler.naming import table_files
from deepanalyze.analysis.profiler.prose import listed, percent, rows, safe, several, spoken
from deepanalyze.analysis.profiler.state import State


def truncation_note(state: State) -> str:
    """Comes before anything else."""
    cut = [f for files in table_files(state.files).values() for f in files if f.truncated]
    if not cut:
        return ""
    names = listed([f"{safe(f.name)}" + (f" ({rows(f.rows)})" if f.rows else "") for f in cut])
    verb, first = (
        ("was", "holds only its first rows") if len(cut) == 1 else ("were", "hold only their first rows")
    )
    used = state.plan and any(name in {f.name for f in cut} for name in used_files(state))
    effect = (
        "The numbers below describe only those rows."
        if used
        else "The main numbers below come from other, complete files."
    )
    return (
        f"**Truncated data:** {names} {verb} cut off at the row limit and {first}. {effect} Raise "
        "`max_rows` for all of them."
    )


def used_files(state: State) -> list[str]:
    plan = state.plan
    if plan is None:
        return []
    if plan.kind == "overview":
        return [name for table in state.data.tables.values() for name in table.files]
    names = [plan.base.name, *(j.link.one for j in plan.joins)]
    return [file for name in names for file in state.data.tables[name].files]


def quality_notes(state: State) -> list[str]:
    plan = state.plan
    involved = (
        [plan.base.name, *(j.link.one for j in plan.joins)]
        if plan and plan.kind != "overview"
        else list(state.data.tables)
    )
    notes = [note for name in involved for note in table_notes(state.data.tables[name])]
    notes += [f"{safe(name)} could not be read: {safe(why, 160)}." for name, why in state.data.unreadable]
    return [*join_notes(state), *notes]


def table_notes(table: Table) -> Iterable[str]:
    for note in table.notes[:6]:
        yield f"{spoken(table.name)}: {safe(note, 240)}."
    gaps = sorted((c for c in table.columns if c.missing), key=lambda c: -c.missing)
    if gaps and table.rows:
        told = [f"{spoken(c.name)} {percent(c.missing / table.rows)}" for c in gaps[:6]]
        yield f"{spoken(table.name)}: missing values in {several(len(gaps), 'column')} ({listed(told, 6)})."
    if table.duplicates:
        yield f"{spoken(table.name)}: {rows(table.duplicates)} repeat an earlier row exactly; they were kept."
    wild = [
        c
        for c in table.columns
        if c.kind == "number" and c.far and beyond_belief(c.low, c.mean, c.high, c.far, table.rows)
    ]
    for column in wild[:4]:
        values = f"{several(column.far, 'value')} far outside its usual range (largest {column.high:,g})"
        yield f"{spoken(table.name)}: {spoken(column.name)} has {values}; they may be errors and were kept."


def beyond_belief(low: float, mean: float | None, high: float, far: int, count: int) -> bool:
    """Few and very far: more likely slips than a long tail."""
    return (
        mean is not None and far < 0.001 * count + 2 and high > 20 * abs(mean) + 1 and high > 0 >= -abs(low)
    )


def join_notes(state: State) -> Iterable[str]:
    study = state.results.get("study") or {}
    plan = state.plan
    for name, matched, of in study.get("joined", ()):
        join = next((j for j in plan.joins if j.link.one == name), None) if plan else None
        if join is None or not of:
            continue
        on = listed([spoken(a) if a == b else f"{spoken(a)} = {spoken(b)}" for a, b in join.link.on])
        told = (
            "every row found its partner"
            if matched == of
            else f"{rows(of - matched)} ({percent(1 - matched / of)}) found no partner and count as missing there"
        )
        yield f"{spoken(name)} was joined to {spoken(plan.base.name) if plan else ''} on {on}, many to one: {told}."
        if join.link.repeated:
            yield f"{rows(join.link.repeated)} of {spoken(name)} repeat a key; the first of each was taken."
