"""What a browser and the network are told, by a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import run, started
from tests.support.server import served

ORIGIN = "https://app.example.org"


async def test_every_answer_has_security_headers() -> None:
    async with served() as server, server.client() as client:
        for path, status in (
            ("/v1/models", 200),
            ("/health", 200),
            ("/v1/data-sources/none", 404),
            ("/docs", 200),
        ):
            answer = await client.get(path)
            assert answer.status_code == status
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert ("content-security-policy" in answer.headers) == path.startswith("/v1/")
        assert answer.headers.get("access-control-allow-origin") is None


async def test_a_foreign_name_is_refused_before_anything_else() -> None:
    async with served() as server, server.client("wrong-key-that-is-never-tried") as client:
        answer = await client.get("/v1/models", headers={"Host": "rebound.example"})
        assert answer.status_code == 403
        assert "allowed_hosts" in answer.json()["error"]["message"]
        assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


async def test_clients_of_other_networks_are_refused() -> None:
    async with served(allowed_client_networks=("192.0.2.0/24",)) as server, server.client() as client:
        spoofed = {"X-Forwarded-For": "192.0.2.7"}
        assert (await client.get("/v1/models", headers=spoofed)).status_code == 403
    networks = {"allowed_client_networks": ("192.0.2.0/24",), "trusted_proxies": ("127.0.0.1/32",)}
    async with served(networks) as server, server.client() as client:
        assert (await client.get("/v1/models", headers=spoofed)).status_code == 200


async def test_pages_of_other_origins_may_only_call_when_named() -> None:
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "api-key",
    }
    async with served() as server, server.client() as client:
        assert (
            "access-control-allow-origin"
            not in (await client.options("/v1/models", headers=preflight)).headers
        )
        answer = await client.get("/v1/models", headers={"Origin": ORIGIN})
        assert "access-control-allow-origin" not in answer.headers
    async with served(cors_origins=(ORIGIN,)) as server, server.client() as client:
        answer = await client.options("/v1/models", headers=preflight)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
        refused = await client.get("/v1/models", headers={"Origin": ORIGIN, "Authorization": "Bearer wrong"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
        other = await client.get("/v1/models", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("before", [False, True])
def test_no_listening_beyond_this_machine_with_only_the_first_key(tmp_path: Path, before: bool) -> None:
    serve = ("serve", "--port", "0", "--log-level", "error", "--data-dir", str(tmp_path / "data"))
    if before:
        with started(tmp_path, *serve) as server:
            server.until("Admin API key")
    done = run(tmp_path, *serve, "--host", "0.0.0.0")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for words in ("0.0.0.0", "DEEPANALYZE_ADMIN_API_KEY", "[[users]]", "127.0.0.1"):
        assert words in done.stderr
    with started(
        tmp_path, *serve, "--host", "0.0.0.0", DEEPANALYZE_ADMIN_API_KEY="a-chosen-key-0123456789"
    ) as server:
        server.until("answers at")
    if not before:  # the refused start has not used up the key that is shown once
        with started(tmp_path, *serve) as server:
            server.until("Admin API key")
