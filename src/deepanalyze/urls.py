"""Signed URLs of a thread's files: they work without an API key, for one user's file, until they expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from urllib.parse import quote, urlencode

from deepanalyze.errors import PermissionDenied


class UrlSigner:
    """
    Args:
        secret: derived from the encryption key, so that a new key voids every URL.
        base_url: how others see the server, without a path of the API.
        ttl_s: life of a URL unless its maker says otherwise.
    """

    def __init__(
        self, secret: bytes, base_url: str, ttl_s: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._secret = secret
        self._base_url = base_url.rstrip("/")
        self._ttl_s = ttl_s
        self._clock = clock

    def sign(self, user_id: str, thread_id: str, path: str, *, expires_at: int | None = None) -> str:
        expires = int(self._clock()) + self._ttl_s if expires_at is None else expires_at
        query = urlencode(
            {
                "user": user_id,
                "expires": expires,
                "signature": self._signature(user_id, thread_id, path, expires),
            }
        )
        return f"{self._base_url}/v1/threads/{quote(thread_id, safe='')}/files/{quote(path)}?{query}"

    def verify(self, thread_id: str, path: str, user: str, expires: int, signature: str) -> None:
        """Raises PermissionDenied. Whether the thread still belongs to the user is the caller's to check."""
        expected = self._signature(user, thread_id, path, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise PermissionDenied(
                "this link is not valid; ask for the thread's files again to get a new one"
            )
        if expires <= self._clock():
            raise PermissionDenied("this link has expired; ask for the thread's files again to get a new one")

    def _signature(self, user_id: str, thread_id: str, path: str, expires: int) -> str:
        # Unambiguous, whatever they hold
        signed = json.dumps(["thread-file", user_id, thread_id, path, expires])
        digest = hmac.digest(self._secret, signed.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
