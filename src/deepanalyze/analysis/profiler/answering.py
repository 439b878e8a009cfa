"""The final answer of each kind of analysis."""

from __future__ import annotations

from collections.abc import Sequence

from deepanalyze.analysis.conversation import DataFile
from deepanalyze.analysis.profiler.facts import Data
from deepanalyze.analysis.profiler.prose import listed, rows, safe, spoken
from deepanalyze.analysis.profiler.quality import quality_notes, truncation_note
from deepanalyze.analysis.profiler.state import State
from deepanalyze.analysis.profiler.telling import findings_of

NOT_A_MODEL = (
    "*These are statistics computed by DeepAnalyze's built-in profiler. It is not a "
    "language model: it recognises "
    "column names and a few kinds of questions, and understands nothing beyond them.*"
)
FELL_BACK = "What follows is a general profile of the data instead; asking again may help."
HOW_TO_ATTACH = (
    "Attach data to the message: name a data source in `data_sources` (a table, an SQL query, or a blob path "
    "such as `sales/*.csv`), "
    "or upload a CSV, JSON, Parquet or Excel file with `POST /v1/files` and give its id in `file_ids`."
)


def answer(state: State) -> str:
    notes = understanding_notes(state)
    if not any(t.rows for t in state.data.tables.values()):
        names = listed(
            [
                f"{spoken(t.name)} ({listed([spoken(c.name) for c in t.columns]) or 'no columns'})"
                for t in state.data.tables.values()
            ]
        )
        return join(
            [
                truncation_note(state),
                f"There are no rows to analyse: the data has only {names}.",
                *unreadable(state.data),
                NOT_A_MODEL,
            ]
        )
    found = findings_of(state)
    astray = went_astray(state)
    points = "\n".join(f"- {point}" for point in found.points)
    quality = "\n".join(f"- {note}" for note in quality_notes(state)[:10])
    caveats = " ".join(found.caveats)
    return join([
        truncation_note(state),
        *(notes if astray else ()),
        found.headline,
        points,
        *(() if astray else notes),
        *found.tables[:2],
        f"**About the data**\n\n{quality}" if quality else "",
        caveats,
        where(state),
        NOT_A_MODEL,
    ])  # fmt: skip


def join(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def went_astray(state: State) -> bool:
    """That a question was not answered matters most; what was assumed can wait."""
    return "study" in state.failures or (state.plan is not None and state.plan.kind == "overview")


def understanding_notes(state: State) -> list[str]:
    """What was not understood or had to be assumed."""
    plan = state.plan
    if plan is None:
        return []
    notes = list(plan.notes)
    if why := state.failures.get("study"):
        return [f"**I could not work out the answer to the question:** {safe(why, 200)}. {FELL_BACK}", *notes]
    if plan.unknown and plan.kind == "overview":
        words = listed([f"“{safe(w, 40)}”" for w in plan.unknown[:6]])
        notes.insert(
            0,
            f"I found no column that fits {words}. {columns_there_are(state.data)} Here is a general profile instead.",
        )
    elif plan.unknown:
        words = listed([f"“{safe(w, 40)}”" for w in plan.unknown[:6]])
        notes.append(f"These words of the question name nothing in the data and were left aside: {words}.")
    elif plan.kind == "overview":
        notes.append(
            "The question names no column that I know how to analyse, so this is a general profile. "
            + columns_there_are(state.data)
        )
    return notes


def columns_there_are(data: Data) -> str:
    told = [
        f"{spoken(t.name)}: {listed([spoken(c.name) for c in t.columns if c.name != 'source_file'], 40)}"
        for t in list(data.tables.values())[:8]
    ]
    return f"The columns are: {'; '.join(told)}."


def where(state: State) -> str:
    written = state.results.get("report")
    figures = state.results.get("draw", {}).get("figures", [])
    if not written:
        why = state.failures.get("report")
        return f"The report could not be written: {safe(why, 200)}." if why else ""
    charts = (
        f" with {len(figures)} chart{'s' if len(figures) != 1 else ''} "
        f"({listed([spoken(path) for path, _ in figures])})"
        if figures
        else ""
    )
    return f"The report is in `{written['file']}`{charts}."


def unreadable(data: Data) -> list[str]:
    return [f"- {safe(name)}: {safe(why, 200)}" for name, why in data.unreadable[:20]]


def no_files_answer(files: Sequence[DataFile]) -> str:
    others = [safe(f.name) for f in files if not f.name.startswith("figures/")]
    seen = (
        f" I see {listed(others)}, but I read only tables (CSV, TSV, JSON, JSON Lines, Parquet and Excel files)."
        if others
        else ""
    )
    return join([
        f"I have no data to analyse yet.{seen}",
        HOW_TO_ATTACH,
        "Then ask, for example, “average price by region”, “top 10 products by revenue”, “revenue over time” "
        "or “how do price and region drive sales?”.",
        NOT_A_MODEL,
    ])  # fmt: skip


def nothing_readable_answer(state: State) -> str:
    failed = unreadable(state.data) or [
        f"- {safe(n)}: {safe(w, 200)}" for n, w in state.results.get("read", {}).get("failed", ())
    ]
    broken = [f"- the step “{safe(step)}” failed: {safe(why, 200)}" for step, why in state.failures.items()]
    names = [
        f"- {safe(f.name)} ({rows(f.rows) if f.rows is not None else f'{f.bytes:,} bytes'})"
        for f in state.files[:20]
    ]
    return join([
        truncation_note(state),
        "None of the files could be read as a table with columns, so there is nothing to compute with:",
        "\n".join([*failed, *broken] or names),
        HOW_TO_ATTACH,
        NOT_A_MODEL,
    ])  # fmt: skip
