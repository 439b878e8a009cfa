"""Figures for Prometheus."""

from __future__ import annotations

import httpx
import pytest

from tests.support.server import ThreadedServer, served


def test_requests_are_counted_by_route_and_status(admin: httpx.Client) -> None:
    for _ in range(3):
        admin.get("/v1/data-sources/nothing-of-that-name")
    answer = admin.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    label = 'method="GET",route="/v1/data-sources/{id}",status="404"'
    counted = next(
        line for line in lines if line.startswith(f"deepanalyze_http_request_seconds_count{{{label}}}")
    )
    assert float(counted.split()[-1]) >= 3
    assert 'deepanalyze_kernels{state="max"}' in answer.text
    assert 'deepanalyze_analyses{state="waiting"}' in answer.text
    assert 'deepanalyze_source_connections{state="in_use"}' in answer.text
    assert "nothing-of-that-name" not in answer.text


def test_they_are_for_administrators(ada: httpx.Client, anonymous: httpx.Client) -> None:
    assert ada.get("/metrics").status_code == 403
    assert anonymous.get("/metrics").status_code == 401


async def test_they_may_be_opened() -> None:
    async with served(metrics_open=True) as server, httpx.AsyncClient(base_url=server.url) as nobody:
        answer = await nobody.get("/metrics")
        assert answer.status_code == 200
        assert "deepanalyze_http_request_seconds" in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing/at/all"])
def test_what_is_no_route_is_one_label(server: ThreadedServer, admin: httpx.Client, path: str) -> None:
    assert admin.get(path).status_code == 404
    assert path not in admin.get("/metrics").text
