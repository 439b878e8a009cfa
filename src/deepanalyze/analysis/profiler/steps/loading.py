"""The first rounds: read the files, give the columns their types, describe them, find what links the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepanalyze.analysis.conversation import DataFile
from deepanalyze.analysis.profiler.code import block, kit, literal
from deepanalyze.analysis.profiler.facts import Data, Hit, link_from, table_from
from deepanalyze.analysis.profiler.mentions import read_question
from deepanalyze.analysis.profiler.naming import table_files
from deepanalyze.analysis.profiler.prose import listed, number, rows, safe, several, spoken
from deepanalyze.analysis.profiler.state import State
from deepanalyze.analysis.profiler.words import MAX_QUESTION, normalise

MANY_FILES = 40
ROOM = 8000  # characters for the facts of all tables; the loop shows 12,000 of an output


def read_text(state: State) -> str:
    tables = table_files(state.files)
    count = sum(len(files) for files in tables.values())
    told = [f"{several(len(files), 'file')} as {spoken(name)}" for name, files in tables.items()]
    cut = [safe(f.name) for files in tables.values() for f in files if f.truncated]
    warning = f" {listed(cut)} had more rows than the limit allowed, so only a part is here." if cut else ""
    return f"I read {several(count, 'file')} first, detecting format, encoding and separator: {listed(told)}.{warning}"


def read_code(state: State) -> str:
    entries = [
        f"    {literal(name)}: {paths_code(files)}," for name, files in table_files(state.files).items()
    ]
    return block(
        kit("reading"),
        ["files = {", *entries, "}"],
        [
            "raw, failed = {}, []",
            "for table, paths in files.items():",
            "    for path in paths:",
            "        try:",
            "            for sheet, frame in read_file(Path(path)).items():",
            "                raw[table, sheet, str(path)] = frame",
            '                print(f"{str(path)!r:.120}: {len(frame):,} rows, {len(frame.columns)} columns")',
            "        except (ValueError, OSError, EOFError, ImportError, KeyError, IndexError, TypeError, "
            "csv.Error) as error:",
            '            failed.append([str(path), f"{type(error).__name__}: {error}"[:200]])',
            'print("#result", json.dumps({"step": "read", "frames": len(raw), "failed": failed[:10]}))',
        ],
    )


def paths_code(files: Sequence[DataFile]) -> str:
    names = [f.name for f in files]
    folder, suffix = names[0].rpartition("/")[0], names[0].rsplit(".", 1)[-1]
    if len(names) <= MANY_FILES or not folder or any(n.rpartition("/")[0] != folder for n in names):
        return literal(names) if len(literal(names)) < 90 else "[\n" + wrapped(names) + "\n    ]"
    return f"sorted(Path({literal(folder)}).glob({literal('*.' + suffix)}))"


def wrapped(names: Sequence[str]) -> str:
    lines, line = [], ""
    for name in names:
        item = f"{literal(name)}, "
        if line and len(line) + len(item) > 96:
            lines.append(f"        {line.rstrip()}")
            line = ""
        line += item
    return "\n".join([*lines, f"        {line.rstrip()}"])


def tidy_text(state: State) -> str:
    failed = state.results["read"]["failed"]
    trouble = (
        f"{listed([f'{safe(name)} ({safe(why, 160)})' for name, why in failed])} could not be read. "
        if failed
        else ""
    )
    return f"{trouble}Next I turn texts into the numbers, dates and booleans they are, and stack files of one shape."


def tidy_code(state: State) -> str:
    return block(
        kit("tidying"),
        [
            "tables, notes = stack(raw)",
            "del raw",
            "for name, table in tables.items():",
            "    tables[name] = tidy(table, notes[name])",
            '    print(f"{name}: {len(table):,} rows, {len(table.columns)} columns", *notes[name], sep="\\n  ")',
            "told = {name: [note[:160] for note in lines[: max(1, 40 // len(notes))]] for name, lines in "
            "notes.items()}",
            'print("#result", json.dumps({"step": "tidy", "notes": told}))',
        ],
    )


def describe_text(state: State) -> str:
    notes = [safe(note, 200) for lines in state.results["tidy"]["notes"].values() for note in lines]
    told = f" On the way: {'; '.join(notes[:6])}." if notes else ""
    return f"The tables are in memory.{told} Now every column: what it means, what is missing, its range and outliers."


def describe_code(state: State) -> str:
    return block(
        kit("describing"),
        [
            "described = {name: describe(name, table) for name, table in tables.items()}",
            f"asked = {literal(normalise(state.question))}",
            f"room = {ROOM} // max(1, len(tables))",
            "told = {name: facts_of(table, described[name], asked, room) for name, table in tables.items()}",
            'show("describe", {"tables": told})',
        ],
    )


def link_text(state: State) -> str:
    told = [
        f"{spoken(t.name)} has {rows(t.rows)} and {several(len(t.columns) + t.left_out, 'column')}"
        for t in state.data.tables.values()
    ]
    return f"{listed(told)}. I look for keys that link the tables, and for values that the question names."


def link_code(state: State) -> str:
    question = " ".join(state.question[:MAX_QUESTION].split())
    return block(
        kit("linking"),
        [
            'kinds = {name: dict(zip(table["column"], table["kind"])) for name, table in described.items()}',
            "found_links = links(tables, kinds)",
            "for link in found_links:",
            '    on = ", ".join(a if a == b else f"{a} = {b}" for a, b in link["on"])',
            "    print(f\"{link['many']} -> {link['one']} on {on}: {link['matched']:,} of {link['of']:,} rows match\")",
            f"question = {literal(question)}",
            'show("link", {"links": found_links, "values": values_in(question, tables, kinds)})',
        ],
    )


def data_from(state: State) -> Data:
    """All that the loading rounds have found."""
    groups = table_files(state.files)
    printed: dict[str, Any] = state.results["describe"]["tables"]
    notes: dict[str, list[str]] = state.results.get("tidy", {}).get("notes", {})
    tables = {}
    for name, facts in printed.items():
        files = groups.get(name) or next((f for group, f in groups.items() if name.startswith(group)), [])
        tables[name] = table_from(
            name,
            facts,
            files=tuple(f.name for f in files),
            truncated=any(f.truncated for f in files),
            from_query=any(f.sql for f in files),
            notes=tuple(notes.get(name, ())),
        )
    linked = state.results.get("link", {})
    unreadable = [(str(name), str(why)) for name, why in state.results["read"]["failed"]]
    hits = [Hit(*hit) for hit in linked.get("values", ())]
    return Data(tables, [link_from(li) for li in linked.get("links", ())], hits, unreadable)


def study_text(state: State) -> str:
    links = [
        f"{spoken(li.many)} → {spoken(li.one)} ({number(100 * li.matched / li.of, 1)} %)"
        for li in state.data.links[:6]
    ]
    reading = read_question(state.question, state.data)
    names = [
        spoken(named.name)
        for m in reading.mentions
        if (named := m.columns[0] if m.columns else m.table) is not None
    ]
    linked = f"Keys link {listed(links, 6)}. " if links else ""
    asked = f"The question names {listed(list(dict.fromkeys(names)))}. " if names else ""
    return linked + asked
