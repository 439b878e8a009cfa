"""`deepanalyze sources query`: the rows, printed or written."""

from __future__ import annotations

import asyncio
import json as jsonlib
import sys
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from deepanalyze.cli.client import Asker
from deepanalyze.cli.client.asker import pieces
from deepanalyze.cli.files import standard_output, written
from deepanalyze.cli.sources.names import Name, of


class Format(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


async def query(
    asker: Asker,
    name: Name,
    sql: Annotated[str, typer.Argument(help="One SQL statement.", metavar="SQL")],
    max_rows: Annotated[
        int | None,
        typer.Option("--max-rows", min=1, help="Rows at most.", show_default="the source's limit"),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", help="How to write the rows.", show_default="table; csv with --output"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file to write, instead of printing.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
) -> None:
    """Run one SQL statement in a data source."""
    if json and format not in (None, Format.JSON):
        raise typer.BadParameter(f"--json and --format {format} exclude each other")
    wanted = Format.JSON if json else format or (Format.TABLE if output is None else Format.CSV)
    body = {"sql": sql} if max_rows is None else {"sql": sql, "max_rows": max_rows}
    path = of(name, "query")
    if wanted is Format.CSV:
        truncated = await _copy_csv(asker, path, body, output)
    else:
        answer = await asker.post(path, body)
        truncated = answer["truncated"]
        as_text = _as_json if wanted is Format.JSON else _as_table
        with _opened(output) as file:
            file.write(as_text(answer, wide=output is not None))
    if truncated:
        print("deepanalyze: there are more rows; --max-rows raises the limit", file=sys.stderr)


async def _copy_csv(asker: Asker, path: str, body: dict[str, Any], output: Path | None) -> bool:
    async with asker.stream("POST", path, json=body, headers={"Accept": "text/csv"}) as answer:
        with _opened(output) as file:
            async for piece in pieces(answer):
                await asyncio.to_thread(file.write, piece)
        return bool(answer.headers.get("x-truncated") == "true")


def _as_json(answer: dict[str, Any], *, wide: bool) -> bytes:
    return f"{jsonlib.dumps(answer, ensure_ascii=False)}\n".encode()


def _as_table(answer: dict[str, Any], *, wide: bool) -> bytes:
    from deepanalyze.cli.sources.display import Display

    return Display.text(lambda display: display.rows(answer), wide=wide).encode(errors="replace")


def _opened(output: Path | None) -> AbstractContextManager[BinaryIO]:
    return standard_output() if output is None else written(output, replace=True)
