"""What the commands ask the API, and what they show of the answers."""

from __future__ import annotations

import json as jsonlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import typer

from deepanalyze.cli.failures import FAILED
from deepanalyze.cli.sources.display import Display
from deepanalyze.errors import DeepAnalyzeError


class Asker:
    """Raises DeepAnalyzeError for every answer that is an error, in the server's words and with the request's id."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, /, **params: Any) -> dict[str, Any]:
        given = {name: value for name, value in params.items() if value is not None}
        return _content(await self._sent(self._client.build_request("GET", path, params=given)))

    async def post(self, path: str, body: Any = None, /, **params: Any) -> dict[str, Any]:
        return _content(await self._sent(self._client.build_request("POST", path, json=body, params=params)))

    async def patch(self, path: str, body: Any, /) -> dict[str, Any]:
        return _content(await self._sent(self._client.build_request("PATCH", path, json=body)))

    async def delete(self, path: str, /) -> dict[str, Any]:
        return _content(await self._sent(self._client.build_request("DELETE", path)))

    async def content(self, path: str, /) -> AsyncIterator[bytes]:
        """Of a file. Raises DeepAnalyzeError where it breaks off."""
        answer = await self._sent(self._client.build_request("GET", path), stream=True)
        try:
            async for chunk in answer.aiter_bytes():
                yield chunk
        except httpx.TransportError as error:
            raise DeepAnalyzeError(f"the answer broke off ({str(error) or type(error).__name__})") from None
        finally:
            await answer.aclose()

    async def stream(self, path: str, body: Any, accept: str) -> httpx.Response:
        """To be read and closed by the caller."""
        request = self._client.build_request("POST", path, json=body, headers={"Accept": accept})
        return await self._sent(request, stream=True)

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

    async def _sent(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        try:
            answer = await self._client.send(request, stream=stream)
            if answer.is_success:
                return answer
            await answer.aread()
            await answer.aclose()
        except httpx.TransportError as error:
            raise DeepAnalyzeError(
                f"cannot reach {self._client.base_url} ({str(error) or type(error).__name__}); is the server running?"
            ) from None
        raise DeepAnalyzeError(failure(answer))


def of(name: str, what: str = "") -> str:
    if "/" in name:  # which servers take for the end of a path's part however it is written
        raise DeepAnalyzeError(f"there is no data source {name!r}; a name has no '/'")
    return f"/v1/data-sources/{quote(name, safe='')}" + (f"/{what}" if what else "")


def failure(answer: httpx.Response) -> str:
    try:
        return told(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered with HTTP status {answer.status_code}, and not as DeepAnalyze does; check --url"


def told(error: dict[str, Any]) -> str:
    """On one line."""
    hint = next((detail["hint"] for detail in error["details"] if detail.get("hint")), None)
    words = " ".join(f"{error['message']}{f'; {hint}' if hint else ''}".split())
    return f"{words} (request {error['request_id']})"


def _content(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise DeepAnalyzeError(failure(answer))
    return content


async def list_all(asker: Asker) -> None:
    Display().sources([source async for source in asker.items("/v1/data-sources")])


async def browse_it(asker: Asker, name: str, path: str | None) -> None:
    Display().items([item async for item in asker.items(of(name, "browse"), path=path)])


async def try_it(asker: Asker, name: str, *, deep: bool, script: bool, json: bool) -> None:
    result = await asker.post(of(name, "test"), deep=deep or script)
    if json:
        print(jsonlib.dumps(result, ensure_ascii=False, indent=2))
    if result["status"] != "success":
        if json:
            raise typer.Exit(FAILED)
        raise DeepAnalyzeError(told(result["error"]))
    if json:
        return
    if script:
        print(result["certificate"]["script"])
        return
    display = Display()
    display.test(name, result)
    if deep:
        display.certificate(result["certificate"])
