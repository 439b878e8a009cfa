"""Liveness and readiness without a key."""

from __future__ import annotations

import re
import socket

import httpx

from deepanalyze.settings import ModelConfig
from tests.support.server import serving


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


def test_a_model_server_that_does_not_answer_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    away = ModelConfig(base_url=f"http://127.0.0.1:{port}/v1")
    with serving(models=(away,)) as server, server.anonymous() as anonymous:
        answer = anonymous.get("/health/ready")
    assert answer.status_code == 200  # what needs no model server still works
    check = answer.json()["checks"]["models"]
    assert (check["status"], check["not_answering"]) == ("degraded", [f"127.0.0.1:{port}"])
    assert check["models"] == ["deepanalyze-profiler"]


def test_the_documentation_needs_no_other_server(anonymous: httpx.Client) -> None:
    page = anonymous.get("/docs")
    assert page.status_code == 200
    assert not re.findall(r"(?:src|href)=[\"']https?:", page.text)
    for asset in re.findall(r"(?:src|href)=[\"'](/[^\"']+)", page.text):
        assert anonymous.get(asset).status_code == 200
