"""Answers of the API on a terminal. Nothing that a source holds is taken for markup or for a control sequence."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GRADES = {"A": "bold green", "B": "bold green", "C": "bold yellow", "D": "bold red"}
_WIDE = 100_000  # characters of a line that nothing has to wrap


class _Terminal(Console):
    """Rich ends the process where a reader has gone (`… | head`), in the middle of whatever task prints."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Display:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _Terminal()

    @classmethod
    def text(cls, show: Callable[[Self], None], *, wide: bool) -> str:
        """What `show` prints, for standard output or, `wide`, for a file."""
        if not wide:
            console = Console()
            with console.capture() as captured:
                show(cls(console))
            return captured.get()
        file = io.StringIO()
        show(cls(Console(file=file, width=_WIDE)))
        return file.getvalue()

    def sources(self, sources: Sequence[Mapping[str, Any]]) -> None:
        self._table(
            ("name", "type", "status", "tested", "read-only", "shared", "id"),
            [
                (
                    source["name"],
                    source["type"],
                    source["status"],
                    _time(source["last_tested_at"]),
                    _yes(source["read_only"]),
                    _yes(source["shared"]),
                    source["id"],
                )
                for source in sources
            ],
            none="There are no data sources.",
        )

    def source(self, source: Mapping[str, Any]) -> None:
        facts = {
            name: value for name, value in source.items() if name not in ("object", "config", "metadata")
        }
        for name in ("created_at", "updated_at", "last_tested_at"):
            facts[name] = _time(facts[name])
        rows = [*facts.items(), *((f"config.{k}", v) for k, v in source["config"].items())]
        rows += [(f"metadata.{k}", v) for k, v in source["metadata"].items()]
        self._table(("field", "value"), [(name, _told(value)) for name, value in rows])

    def preview(self, answer: Mapping[str, Any]) -> None:
        self._table(
            [column["name"] for column in answer["columns"]], answer["rows"], none="There are no rows."
        )
        if answer["truncated"]:
            self._console.print(Text("There are more rows.", style="dim"))

    def statistics(self, answer: Mapping[str, Any]) -> None:
        head = ("column", "type", "count", "nulls", "distinct", "min", "max", "mean", "stddev")
        self._table(
            head,
            [[column["name"], *(column[name] for name in head[1:])] for column in answer["columns"]],
            none="There are no columns.",
        )
        counted = f"{answer['row_count']:,} rows" + (", estimated" if answer["estimated"] else "")
        self._console.print(Text(counted, style="dim"))

    def schema(self, answer: Mapping[str, Any]) -> None:
        self._table(
            ("relation", "kind", "rows", "columns"),
            [
                (
                    relation["path"],
                    relation["kind"],
                    relation["estimated_rows"],
                    ", ".join(f"{column['name']} {column['type']}" for column in relation["columns"]),
                )
                for schema in answer["schemas"]
                for relation in schema["relations"]
            ],
            none="There are no relations.",
        )
        for each in answer["relationships"]:
            self._console.print(Text(f"{_end(each['from'])} → {_end(each['to'])}", style="dim"))

    def items(self, items: Sequence[Mapping[str, Any]]) -> None:
        self._table(
            ("path", "kind", "bytes", "modified"),
            [(item["path"], item["kind"], item["size"], _time(item["modified_at"])) for item in items],
            none="There is nothing.",
        )

    def audit(self, records: Sequence[Mapping[str, Any]]) -> None:
        self._table(
            ("record", "time", "user", "action", "object", "outcome", "code", "request"),
            [
                (
                    record["sequence"],
                    f"{datetime.fromtimestamp(record['created_at'], UTC):%Y-%m-%d %H:%M:%S}",
                    *(record[name] or "" for name in ("user_id", "action")),
                    record["object_id"] or record["object_type"] or "",
                    *(record[name] or "" for name in ("outcome", "code")),
                    record["request_id"] or "",
                )
                for record in records
            ],
            none="There are no records.",
        )

    def rows(self, answer: Mapping[str, Any]) -> None:
        names = [column["name"] for column in answer["columns"]]
        if names:
            self._table(names, answer["rows"])
        changed = answer.get("rows_affected")
        counted = f"{answer['row_count']:,} rows" if changed is None else f"{changed:,} rows changed"
        self._console.print(Text(f"{counted}, {answer['elapsed_ms']:,} ms", style="dim"))

    def test(self, name: str, result: Mapping[str, Any]) -> None:
        facts = dict(result["server"])
        warnings = facts.pop("warnings", None) or []
        server = ", ".join(f"{key} {_plain(value)}" for key, value in facts.items())
        self._console.print(
            Text(f"{name}: {result['status']} in {result['latency_ms']:,} ms"), Text(server, "dim")
        )
        for warning in warnings:
            self._console.print(Text(f"Warning: {_plain(warning)}", style="yellow"))

    def certificate(self, certificate: Mapping[str, Any]) -> None:
        grade = certificate["grade"]
        self._console.print()
        self._console.print(Text(f"Grade {grade}", style=_GRADES[grade]))
        self._console.print(Text(_plain(certificate["summary"])))
        self._table(
            ("check", "allowed", "severity", "evidence", "blocked by"),
            [
                (f["check"], _yes(f["allowed"]), f["severity"], f["evidence"], f["blocked"])
                for f in certificate["findings"]
            ],
        )
        self._console.print(Text("A credential that needs no guard is made by", style="bold"))
        print(certificate["script"])  # not wrapped, so that it can be copied

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Any]], *, none: str) -> None:
        """`none` is said in place of an empty one."""
        self._table(head, rows, none=none)

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[Any]], *, none: str | None = None) -> None:
        if none is not None and not rows:
            self._console.print(none)
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for index, name in enumerate(head):
            numeric = all(isinstance(row[index], int | float | None) for row in rows)
            table.add_column(Text(_plain(name)), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        self._console.print(table)


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _end(end: Mapping[str, Any]) -> str:
    return _plain(f"{end['schema']}.{end['table']}({', '.join(end['columns'])})")


def _cell(value: Any) -> Text:
    return Text("NULL", style="dim") if value is None else Text(_plain(value))


def _plain(value: Any) -> str:
    """What a terminal would act on is shown by its code."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def _time(seconds: int | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
