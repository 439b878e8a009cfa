"""Readiness: a check for each part, and an answer whatever is broken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from deepanalyze.errors import SandboxUnavailable
from deepanalyze.health import Health


async def fine() -> Mapping[str, Any]:
    return {"version": 3}


async def weaker() -> Mapping[str, Any]:
    return {"status": "degraded", "weaker": ["processes are visible"]}


async def unavailable() -> Mapping[str, Any]:
    raise SandboxUnavailable("no user namespaces here")


async def broken() -> Mapping[str, Any]:
    raise ZeroDivisionError("secret detail")


async def stuck() -> Mapping[str, Any]:
    await asyncio.Event().wait()
    return {}


async def test_every_part_fine_or_degraded_is_ready() -> None:
    ready, answer = await Health({"store": fine, "sandbox": weaker}).ready()
    assert ready
    assert answer["status"] == "ready"
    assert answer["checks"]["store"]["status"] == "ok"
    assert answer["checks"]["store"]["version"] == 3
    assert answer["checks"]["sandbox"]["weaker"] == ["processes are visible"]


async def test_a_failing_part_says_why_and_makes_the_server_not_ready() -> None:
    ready, answer = await Health({"store": fine, "sandbox": unavailable}).ready()
    assert not ready
    assert answer["status"] == "not_ready"
    assert answer["checks"]["sandbox"]["error"] == {
        "code": "sandbox_unavailable",
        "message": "no user namespaces here",
    }


async def test_a_defect_or_a_stuck_part_is_told_without_its_insides() -> None:
    ready, answer = await Health({"a": broken, "b": stuck}, timeout_s=0.05).ready()
    assert not ready
    assert answer["checks"]["a"]["error"]["code"] == "internal_error"
    assert "secret" not in str(answer)
    assert answer["checks"]["b"]["error"]["code"] == "timeout"


def test_liveness_is_a_constant_and_the_time() -> None:
    answer = Health({}).live()
    assert answer["status"] == "healthy"
    assert isinstance(answer["timestamp"], int)
