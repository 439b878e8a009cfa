"""Jupyter's messages on the wire, as the server reads them: from a stranger.

What comes is JSON of a bounded size in a fixed frame; whatever does not look as expected is dropped.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_DELIMITER = b"<IDS|MSG>"
_PROTOCOL = "5.3"
_MAX_FRAMES = 16
_MAX_BYTES = 5 * 1024**2 // 4
_MAX_STRUCTURE_BYTES = 16 * 1024  # of a message besides its texts: a million small things take long to read
_JSON_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Message:
    type: str
    parent_id: str
    content: dict[str, Any]

    def text(self, field: str) -> str:
        value = self.content.get(field)
        return value if isinstance(value, str) else ""


class Wire:
    """Signs what goes out and checks what comes in, with a key that only this kernel and the server know."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._session = uuid.uuid4().hex

    def pack(self, type_: str, content: dict[str, Any]) -> tuple[str, list[bytes]]:
        """The new message's id, and its frames."""
        message_id = uuid.uuid4().hex
        header = {
            "msg_id": message_id,
            "msg_type": type_,
            "session": self._session,
            "username": "",
            "date": datetime.now(UTC).isoformat(),
            "version": _PROTOCOL,
        }
        parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
        return message_id, [_DELIMITER, self._sign(parts), *parts]

    def unpack(self, frames: Sequence[bytes]) -> Message | None:
        """None for anything that is no message of this kernel."""
        if len(frames) > _MAX_FRAMES or sum(map(len, frames)) > _MAX_BYTES:
            return None
        try:
            at = list(frames).index(_DELIMITER)
            signature, *parts = frames[at + 1 : at + 6]
            if len(parts) != 4 or not hmac.compare_digest(signature, self._sign(parts)):
                return None
            if sum(len(_JSON_STRING.sub(b"", part)) for part in parts) > _MAX_STRUCTURE_BYTES:
                return None
            header, parent, content = (json.loads(parts[i]) for i in (0, 1, 3))
            return Message(_text(header["msg_type"]), _text(parent.get("msg_id", "")), _mapping(content))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            digest.update(part)
        return digest.hexdigest().encode()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value
