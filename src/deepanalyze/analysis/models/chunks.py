"""The events of an OpenAI-compatible server's answer, as chunks. Servers differ in what they leave out."""

from __future__ import annotations

import json
from typing import Any

from deepanalyze.analysis.models.base import Chunk, TokenUsage


class Malformed(Exception):
    """Not in OpenAI's format."""


class ServerError(Exception):
    """What the server told in the middle of its stream."""


class ChunkReader:
    """Use one for each answer. `ended` tells whether the server said that the answer is complete."""

    def __init__(self) -> None:
        self.ended = False
        self._told = TokenUsage()

    def read(self, data: str) -> Chunk:
        """Raises Malformed and ServerError."""
        event = _json_object(data)
        if error := event.get("error"):
            raise ServerError(_words_of(error))
        choice = _first(event.get("choices"))
        delta = choice.get("delta")
        reason = choice.get("finish_reason")
        self.ended = self.ended or bool(reason)
        return Chunk(
            _text(delta.get("content")) if isinstance(delta, dict) else "",
            reason if isinstance(reason, str) else None,
            self._more(event.get("usage")),
        )

    def _more(self, usage: Any) -> TokenUsage | None:
        """Some servers tell with every chunk what it has come to so far."""
        if not isinstance(usage, dict):
            return None
        read = max(_count(usage.get("prompt_tokens")), self._told.prompt_tokens)
        written = max(_count(usage.get("completion_tokens")), self._told.completion_tokens)
        more = TokenUsage(read - self._told.prompt_tokens, written - self._told.completion_tokens)
        self._told = TokenUsage(read, written)
        return more if more.total_tokens else None


def _json_object(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed from error
    if not isinstance(event, dict):
        raise Malformed
    return event


def _first(choices: Any) -> dict[str, Any]:
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, dict) else {}


def _text(content: Any) -> str:
    """Of a text, or of OpenAI's content parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _words_of(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get("message") or error.get("code") or "no reason given"
    return str(error)
