"""Secrets for tests, made so that one look finds every one of them wherever it turns up, in whatever encoding.

Each carries the mark of this test run. What a server generates itself, its API keys, is recognised by its prefix. The
plugin `tests.support.canary_net` looks everywhere; a test that gives a secret to a server takes it from here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import quote

# The same in every worker of a run: names of tests, of which some are made of their parameters, have to be.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(16)
_MARK_BYTES = 15  # a multiple of three, so that base64 of it is the same whatever follows


def _letters(text: str, length: int) -> str:
    """Letters and digits only: percent-encoding, JSON and quoting leave them as they are."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:length]


MARK = _letters(_RUN, _MARK_BYTES)
_made: dict[str, str] = {}


def canary(name: str) -> str:
    """The secret of that name: 31 letters and digits. Always the same one in a test run."""
    return _made.setdefault(name, f"{MARK}{_letters(f'{_RUN} {name}', 16)}")


def canary_key(name: str) -> str:
    """The same as an Azure account key: 64 bytes in base64."""
    return _made.setdefault(
        name, base64.b64encode(canary(f"{name} inside").encode().ljust(64, b".")).decode()
    )


def canary_fernet_key(name: str) -> str:
    inside = (MARK + secrets.token_hex(16))[:32]
    return _made.setdefault(name, base64.urlsafe_b64encode(inside.encode()).decode())


def encodings(text: str) -> Iterator[tuple[str, bytes]]:
    """Names, and what bytes that hold the text in that encoding hold; in base64 what does not depend on what is around.

    JSON and URLs leave letters and digits as they are; other text may be found by its first three encodings only.
    """
    plain = text.encode()
    yield "plain", plain
    yield "percent-encoded", quote(text, safe="").encode()
    yield "JSON", json.dumps(text)[1:-1].encode()
    for offset, first in enumerate((0, 2, 3)):
        coded = base64.b64encode(b"\0" * offset + plain)[first : (offset + len(plain)) * 8 // 6]
        yield f"base64 at offset {offset}", coded
        yield f"URL-safe base64 at offset {offset}", coded.translate(bytes.maketrans(b"+/", b"-_"))
    yield "hex", plain.hex().encode()
    yield "HEX", plain.hex().upper().encode()
    yield "UTF-16", text.encode("utf-16-le")


def _needles() -> dict[bytes, str]:
    """Also those of the mark in base64: a key in base64 may be encoded once more."""
    once = {needle: name for name, needle in reversed(list(encodings(MARK)))}
    coded = base64.b64encode(MARK.encode()).decode()
    return {needle: f"base64, {name}" for name, needle in encodings(coded)} | once


_NEEDLES = _needles()
# Of a key no more than ten characters are ever shown; in a page of the store its digest follows them.
_API_KEY = re.compile(rb"sk-da-[A-Za-z0-9_-]{4}(?![0-9a-f]{20})[A-Za-z0-9_-]{20}")
_CODED_API_KEY = re.compile(
    b"|".join(needle for name, needle in encodings("sk-da-") if name.startswith("base64"))
)
OVERLAP = 256
"""Bytes of the end of one piece to look at with the next: no secret and none of its encodings is longer."""


@dataclass(frozen=True, slots=True)
class Finding:
    place: str
    secret: str
    encoding: str
    test: str

    def __str__(self) -> str:
        return f"{self.secret} ({self.encoding}) in {self.place}, in {self.test}"


def found_in(data: bytes, *, keys: bool = True) -> Iterator[tuple[str, str]]:
    """Which secrets, and how they are encoded.

    Args:
        keys: whether API keys that a server has made count, too.
    """
    for needle, encoding in _NEEDLES.items():
        if (at := data.find(needle)) >= 0:
            yield _which(data[max(0, at - OVERLAP) : at + OVERLAP]), encoding
    if not keys:
        return
    if match := _API_KEY.search(data):
        yield f"the API key {match[0].decode()[:10]}…", "plain"
    for match in _CODED_API_KEY.finditer(data):
        around = re.sub(rb"[^A-Za-z0-9+/]", b"", data[max(0, match.start() - 4) : match.start() + 80])
        for start in range(4):
            part = around[start:]
            if _API_KEY.search(base64.b64decode(part[: len(part) // 4 * 4])):
                yield "an API key", "base64"


def _which(text: bytes) -> str:
    return next(
        (name for name, secret in _made.items() if any(needle in text for _, needle in encodings(secret))),
        "a secret of unknown name",
    )


_allowed: ContextVar[str] = ContextVar("allowed", default="")


@contextmanager
def legitimate(reason: str) -> Iterator[None]:
    """Inside, this thread or task may show a secret, for that reason."""
    assert reason
    token = _allowed.set(reason)
    try:
        yield
    finally:
        _allowed.reset(token)


def is_legitimate() -> bool:
    return bool(_allowed.get())
