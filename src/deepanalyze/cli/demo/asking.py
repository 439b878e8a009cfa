"""Asking the question with the official OpenAI client, and taking home what the analysis made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import openai

from deepanalyze.cli.demo.sources import message_of
from deepanalyze.errors import DeepAnalyzeError


class Watcher(Protocol):
    """Sees the analysis as it happens."""

    def text(self, piece: str) -> None: ...
    def event(self, event: dict[str, Any]) -> None: ...


@dataclass(slots=True)
class Answer:
    text: str = ""
    thread_id: str = ""
    code_blocks: int = 0
    files: list[dict[str, Any]] = field(default_factory=list)
    data_sources: list[dict[str, Any]] = field(default_factory=list)


async def ask(
    client: openai.AsyncOpenAI,
    model: str,
    question: str,
    references: Sequence[dict[str, Any]],
    watcher: Watcher,
) -> Answer:
    """Streams one analysis. Raises DeepAnalyzeError in the server's words when it fails."""
    answer = Answer()
    try:
        stream = await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": question}],
            extra_body={"data_sources": list(references)},
            stream=True,
        )
        async for chunk in stream:
            if chunk.choices:
                _take(answer, chunk.choices[0].delta.model_dump(exclude_unset=True), watcher)
    except openai.APIError as error:
        raise DeepAnalyzeError(_words(error)) from error
    return answer


def _take(answer: Answer, delta: dict[str, Any], watcher: Watcher) -> None:
    if piece := delta.get("content"):
        answer.text += piece
        watcher.text(piece)
    if event := delta.get("event"):
        answer.code_blocks += event["type"] == "code"
        watcher.event(event)
    for key in ("thread_id", "files", "data_sources"):
        if key in delta:
            setattr(answer, key, delta[key])


def _words(error: openai.APIError) -> str:
    body = error.body
    if isinstance(body, dict):
        body = body.get("error", body)
    if isinstance(body, dict) and body.get("message"):
        return str(body["message"])
    return error.message


async def download(client: httpx.AsyncClient, answer: Answer, directory: Path) -> list[Path]:
    """Copies the analysis's files out of the thread, which expires, into `directory`."""
    saved = []
    for entry in answer.files:
        target = directory / entry["name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        route = f"/v1/threads/{answer.thread_id}/files/{quote(entry['name'])}"
        async with client.stream("GET", route) as response:
            if response.status_code != httpx.codes.OK:
                await response.aread()
                raise DeepAnalyzeError(f"file '{entry['name']}': {message_of(response)}")
            with target.open("wb") as file:
                async for piece in response.aiter_bytes():
                    file.write(piece)
        saved.append(target)
    return saved
