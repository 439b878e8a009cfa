"""Wrong keys at the door of the served API."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.support.answers import error_of
from tests.support.logs import captured_logs
from tests.support.server import serving

WRONG = "sk-da-not-a-key-of-this-server"


def try_key(client: httpx.Client, key: str) -> httpx.Response:
    return client.get("/v1/models", headers={"Authorization": f"Bearer {key}"})


@pytest.mark.requirement("7.2")
def test_wrong_keys_are_limited_and_a_right_one_works_afterwards() -> None:
    with (
        serving(auth_failures_per_minute=60) as server,
        captured_logs() as log,
        server.anonymous() as client,
    ):
        answers = [try_key(client, WRONG) for _ in range(70)]
        error_of(answers[0], 401, "invalid_api_key")
        last = next(answer for answer in answers if answer.status_code == 429)
        assert "auth_failures_per_minute" in error_of(last, 429, "rate_limited")["message"]
        wait_s = int(last.headers["retry-after"])
        assert wait_s >= 1
        assert client.get("/health").status_code == 200
        time.sleep(wait_s + 0.1)
        assert try_key(client, server.admin_key).status_code == 200
        for _ in range(5):
            try_key(client, WRONG)
        assert try_key(client, server.admin_key).status_code == 200  # it was accepted before
    text = log.getvalue()
    records = [json.loads(line) for line in text.splitlines()]
    told = [record["event"] for record in records if record["event"].startswith("authentication")]
    assert told == ["authentication failed", "authentication limited"]
    assert all(record["request_id"] for record in records if record["event"].startswith("authentication"))
    assert WRONG not in text


def test_behind_a_trusted_proxy_each_client_has_its_own_failures() -> None:
    with (
        serving(auth_failures_per_minute=2, trusted_proxies=("127.0.0.1/32",)) as server,
        server.anonymous() as client,
    ):
        guesser, other = ({"X-Forwarded-For": address} for address in ("192.0.2.7", "192.0.2.8"))
        statuses = [_guess(client, guesser) for _ in range(4)]
        assert statuses == [401, 401, 429, 429]
        assert _guess(client, other) == 401


def _guess(client: httpx.Client, headers: dict[str, str]) -> int:
    return client.get("/v1/models", headers={**headers, "Authorization": f"Bearer {WRONG}"}).status_code


def test_requests_without_a_key_are_no_guesses() -> None:
    with serving(auth_failures_per_minute=2) as server, server.anonymous() as client:
        for _ in range(10):
            error_of(client.get("/v1/models"), 401, "invalid_api_key")
        assert try_key(client, server.admin_key).status_code == 200
