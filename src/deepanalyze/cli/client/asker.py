"""The HTTP API as the commands use it. httpx is only imported by the door, so that `--help` answers at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deepanalyze.errors import DeepAnalyzeError

if TYPE_CHECKING:
    import httpx


class Asker:
    """Raises DeepAnalyzeError for every answer that is an error, in the server's words and with the request's id."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, /, **params: Any) -> dict[str, Any]:
        return await self._content("GET", path, params=_given(params))

    async def post(self, path: str, body: Any = None, /, **params: Any) -> dict[str, Any]:
        return await self._content("POST", path, json=body, params=_given(params))

    async def patch(self, path: str, body: Any, /) -> dict[str, Any]:
        return await self._content("PATCH", path, json=body)

    async def delete(self, path: str, /) -> dict[str, Any]:
        return await self._content("DELETE", path)

    @asynccontextmanager
    async def stream(self, method: str, path: str, /, **request: Any) -> AsyncIterator[httpx.Response]:
        """The answer, whose body is still to be read with `pieces`."""
        answer = await self._sent(method, path, stream=True, **request)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def items(self, path: str, /, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """Of all pages."""
        cursor = None
        while True:
            page = await self.get(path, limit=1000, cursor=cursor, **params)
            for item in page["data"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def all(self, path: str, /, **params: Any) -> list[dict[str, Any]]:
        return [item async for item in self.items(path, **params)]

    async def _content(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer = await self._sent(method, path, **request)
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise DeepAnalyzeError(failure(answer))
        return content

    async def _sent(self, method: str, path: str, *, stream: bool = False, **request: Any) -> httpx.Response:
        with _connected(f"cannot reach {self._client.base_url}", "; is the server running?"):
            answer = await self._client.send(
                self._client.build_request(method, path, **request), stream=stream
            )
            if answer.is_success and "x-request-id" in answer.headers:  # which other servers' lack
                return answer
            await answer.aread()
            await answer.aclose()
        raise DeepAnalyzeError(failure(answer))


async def pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Of a streamed body. Raises DeepAnalyzeError where it breaks off."""
    with _connected("the answer broke off"):
        async for piece in answer.aiter_bytes():
            yield piece


@contextmanager
def _connected(what: str, remedy: str = "") -> Iterator[None]:
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        raise DeepAnalyzeError(f"{what} ({str(error) or type(error).__name__}){remedy}") from None


def below(path: str, name: str, what: str = "") -> str:
    """The address of one thing of a collection, or of `what` it has."""
    if "/" in name or name in ("", ".", ".."):  # which mean another address, however they are written
        raise DeepAnalyzeError(f"there is no {name!r}: neither names nor ids are empty, dots or have a '/'")
    return f"{path}/{quote(name, safe='')}" + (f"/{what}" if what else "")


def failure(answer: httpx.Response) -> str:
    try:
        return told(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered with HTTP status {answer.status_code}, and not as DeepAnalyze does; check --server"


def told(error: dict[str, Any]) -> str:
    """On one line."""
    hint = next((detail["hint"] for detail in error["details"] if detail.get("hint")), None)
    words = " ".join(f"{error['message']}{f'; {hint}' if hint else ''}".split())
    return f"{words} (request {error['request_id']})"


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
