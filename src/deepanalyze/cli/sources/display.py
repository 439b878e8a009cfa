"""Answers of the API on a terminal. Nothing that a source holds is taken for markup or for a control sequence."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from deepanalyze.cli.plain import plain
from deepanalyze.cli.printing import Terminal, moment, table

_GRADES = {"A": "bold green", "B": "bold green", "C": "bold yellow", "D": "bold red"}
_WIDE = 100_000  # characters of a line that nothing has to wrap


class Display:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Terminal()

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

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[Any]], *, none: str | None = None) -> None:
        table(head, rows, none=none, console=self._console)

    def sources(self, sources: Sequence[Mapping[str, Any]]) -> None:
        self._table(
            ("name", "type", "status", "tested", "read-only", "shared", "id"),
            [
                (
                    source["name"],
                    source["type"],
                    source["status"],
                    moment(source["last_tested_at"]),
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
            facts[name] = moment(facts[name])
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
            [(item["path"], item["kind"], item["size"], moment(item["modified_at"])) for item in items],
            none="There is nothing.",
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
        server = ", ".join(f"{key} {plain(_told(value))}" for key, value in facts.items())
        self._console.print(
            Text(plain(f"{name}: {result['status']} in {result['latency_ms']:,} ms")), Text(server, "dim")
        )
        for warning in warnings:
            self._console.print(Text(f"Warning: {plain(_told(warning))}", style="yellow"))
        if certificate := result.get("certificate"):
            self._certificate(certificate)

    def _certificate(self, certificate: Mapping[str, Any]) -> None:
        grade = certificate["grade"]
        self._console.print()
        self._console.print(Text(f"Grade {grade}", style=_GRADES[grade]))
        self._console.print(Text(plain(certificate["summary"])))
        self._table(
            ("check", "allowed", "severity", "evidence", "blocked by"),
            [
                (f["check"], _yes(f["allowed"]), f["severity"], f["evidence"], f["blocked"])
                for f in certificate["findings"]
            ],
        )
        self._console.print(Text("A credential that needs no guard is made by", style="bold"))
        print(certificate["script"])  # not wrapped, so that it can be copied


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _end(end: Mapping[str, Any]) -> str:
    return plain(f"{end['schema']}.{end['table']}({', '.join(end['columns'])})")


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"
