"""`deepanalyze sources query`: the rows, printed or written."""

from __future__ import annotations

import asyncio
import json as jsonlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from deepanalyze.cli.sources.asking import Asker, of
from deepanalyze.cli.sources.display import Display
from deepanalyze.errors import DeepAnalyzeError


async def run_query(
    asker: Asker, name: str, sql: str, *, max_rows: int | None, format: str, output: Path | None
) -> None:
    body = {"sql": sql} if max_rows is None else {"sql": sql, "max_rows": max_rows}
    if format == "csv":
        truncated = await _copy_csv(asker, of(name, "query"), body, output)
    else:
        answer = await asker.post(of(name, "query"), body)
        truncated = answer["truncated"]
        with _written(output) as file:
            file.write(_as_json(answer) if format == "json" else _as_table(answer, wide=output is not None))
    if truncated:
        print("deepanalyze: there are more rows; --max-rows raises the limit", file=sys.stderr)


async def _copy_csv(asker: Asker, path: str, body: dict[str, Any], output: Path | None) -> bool:
    answer = await asker.stream(path, body, "text/csv")
    try:
        with _written(output) as file:
            async for chunk in answer.aiter_bytes():
                await asyncio.to_thread(file.write, chunk)
    except httpx.TransportError as error:
        raise DeepAnalyzeError(f"the answer broke off ({str(error) or type(error).__name__})") from None
    finally:
        await answer.aclose()
    return bool(answer.headers.get("x-truncated") == "true")


def _as_json(answer: dict[str, Any]) -> bytes:
    return f"{jsonlib.dumps(answer, ensure_ascii=False)}\n".encode()


def _as_table(answer: dict[str, Any], *, wide: bool) -> bytes:
    return Display.text(lambda display: display.rows(answer), wide=wide).encode(errors="replace")


@contextmanager
def _written(output: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name once it is complete."""
    if output is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(output)
    except OSError as error:
        raise DeepAnalyzeError(f"cannot write {output}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
