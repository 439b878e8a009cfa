"""What is refused before it reaches any route is in the audit trail, too."""

from __future__ import annotations

from tests.e2e.api.test_audit import record_of, records, records_of
from tests.support.server import serving

PROXY = {"trusted_proxies": ("127.0.0.1/32",)}
STRANGER, GUEST = ({"X-Forwarded-For": address} for address in ("198.51.100.3", "192.0.2.7"))


def test_another_server_s_name_and_a_foreign_address() -> None:
    with (
        serving({"allowed_client_networks": ("192.0.2.0/24",), **PROXY}) as server,
        server.client() as admin,
    ):
        admin.headers.update(GUEST)
        for request_id, headers in (
            ("named", {"Host": "rebound.example"}),
            ("elsewhere", STRANGER),
        ):
            answer = admin.get("/v1/models", headers={"X-Request-ID": request_id, **headers})
            assert answer.status_code == 403
        named, elsewhere = (record_of(admin, request_id, "request") for request_id in ("named", "elsewhere"))
    for record in (named, elsewhere):
        assert (record["outcome"], record["code"], record["user_id"]) == (
            "refused",
            "permission_denied",
            None,
        )
        assert (record["details"]["method"], record["details"]["path"]) == ("GET", "/v1/models")
    assert (named["client_address"], elsewhere["client_address"]) == ("192.0.2.7", "198.51.100.3")
    assert "rebound.example" in named["details"]["reason"]


def test_limited_log_ins_are_told_once_for_each_address() -> None:
    with serving({"auth_failures_per_minute": 2, **PROXY}) as server, server.client() as admin:
        for guesser in (STRANGER, GUEST):
            wrong = {**guesser, "Authorization": "Bearer sk-da-wrong", "X-Request-ID": "guess"}
            statuses = [admin.get("/v1/models", headers=wrong).status_code for _ in range(6)]
            assert statuses == [401, 401, 429, 429, 429, 429]
        records(admin, 6, action="login_failure")
        found = records_of(admin, "guess", action="login_failure")
    told = [(record["client_address"], record["code"]) for record in reversed(found)]
    assert told == [
        (guesser["X-Forwarded-For"], code)
        for guesser in (STRANGER, GUEST)
        for code in ("invalid_api_key", "invalid_api_key", "rate_limited")
    ]
