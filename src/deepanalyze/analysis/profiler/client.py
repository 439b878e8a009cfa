"""The built-in analyst: statistics written as code, for whoever has no model server at hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from deepanalyze.analysis.conversation import Conversation, SamplingOptions
from deepanalyze.analysis.models.base import Chunk, TokenUsage
from deepanalyze.analysis.profiler.rounds import next_text
from deepanalyze.settings.fallbacks import PROFILER

PIECE = 200  # characters, at line ends


class Profiler:
    """Deterministic, stateless, without a network. It ignores the sampling options.

    Its usage counts words, having no tokens: those of the conversation it read and those it wrote.
    """

    id = PROFILER
    prices = None  # it costs nothing
    takes_images = False

    async def stream(self, conversation: Conversation, options: SamplingOptions) -> AsyncIterator[Chunk]:
        text = await asyncio.to_thread(next_text, conversation)
        for piece in pieces_of(text):
            yield Chunk(text=piece)
            await asyncio.sleep(0)
        read = sum(len(turn.text.split()) for turn in conversation.turns)
        yield Chunk(finish_reason="stop", usage=TokenUsage(read, len(text.split())))


def pieces_of(text: str) -> Iterator[str]:
    """Whole lines, a few at a time."""
    piece = ""
    for line in text.splitlines(keepends=True):
        piece += line
        if len(piece) >= PIECE:
            yield piece
            piece = ""
    if piece:
        yield piece
