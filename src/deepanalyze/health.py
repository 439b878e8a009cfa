"""Whether the server lives, and whether each of its parts can do its work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from deepanalyze.errors import DeepAnalyzeError

Check = Callable[[], Awaitable[Mapping[str, Any]]]

log = structlog.get_logger()


class Health:
    """
    Args:
        checks: by the part's name. A check returns what is worth knowing of its part, with `"status": "degraded"`
            when it works but not as it should, and raises when it does not work.
    """

    def __init__(self, checks: Mapping[str, Check], *, timeout_s: float = 5) -> None:
        self._checks = dict(checks)
        self._timeout_s = timeout_s

    def live(self) -> dict[str, Any]:
        return {"status": "healthy", "timestamp": int(time.time())}

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """All checks at once. Ready means that every part works, be it degraded."""
        results = await asyncio.gather(*(self._run(name, check) for name, check in self._checks.items()))
        checks = dict(zip(self._checks, results, strict=True))
        ready = all(result["status"] != "error" for result in results)
        return ready, {
            "status": "ready" if ready else "not_ready",
            "timestamp": int(time.time()),
            "checks": checks,
        }

    async def _run(self, name: str, check: Check) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                result = {"status": "ok", **await check()}
        except TimeoutError:
            result = _failed("timeout", f"no answer within {self._timeout_s:g} s")
        except DeepAnalyzeError as error:
            result = _failed(error.code, error.message)
        except Exception:
            log.exception("health check failed", check=name)
            result = _failed("internal_error", "the check itself failed; the log has the rest")
        result["latency_ms"] = round((time.perf_counter() - started) * 1000, 1)
        return result


def _failed(code: str, message: str) -> dict[str, Any]:
    return {"status": "error", "error": {"code": code, "message": message}}
