"""Liveness and readiness without a key."""

from __future__ import annotations

import httpx


def test_live(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/health").json()
    assert answer["status"] == "healthy"
    assert isinstance(answer["timestamp"], int)


def test_ready_has_a_check_for_each_part(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/health/ready")
    assert answer.status_code == 200
    checks = answer.json()["checks"]
    assert {"store", "sandbox", "models"} <= set(checks)
    assert checks["sandbox"]["isolation"] in ("bubblewrap", "landlock", "none")
    assert isinstance(checks["sandbox"]["weaker"], list)
