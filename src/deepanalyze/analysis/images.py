"""Images in a conversation: not every model takes them."""

from __future__ import annotations

from collections.abc import Sequence

from deepanalyze.analysis.conversation import Turn
from deepanalyze.analysis.models.base import ModelClient
from deepanalyze.errors import NotSupported


def has_images(turns: Sequence[Turn]) -> bool:
    return any(
        part.get("type") == "image_url"
        for turn in turns
        if isinstance(turn.content, list)
        for part in turn.content
    )


def refuse_images(model: ModelClient, turns: Sequence[Turn]) -> None:
    """Raises NotSupported where the model would not see them: an answer that passes over them would mislead."""
    if not model.takes_images and has_images(turns):
        raise NotSupported(
            f"model '{model.id}' takes no images, and the conversation has some; ask another model, or send it without "
            "them (in a new thread, where an earlier question has them)",
            param="messages",
        )
