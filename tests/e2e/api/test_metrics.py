"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.api.conftest import SCRIPTED
from tests.e2e.api.test_audit import made
from tests.support.model_server import ModelServer, Reply
from tests.support.server import ThreadedServer, served

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figures(admin: httpx.Client) -> Figures:
    families = text_string_to_metric_families(admin.get("/metrics").text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def grown(before: Figures, after: Figures, name: str, **labels: str) -> float:
    key = (f"deepanalyze_{name}", frozenset(labels.items()))
    return after.get(key, 0) - before.get(key, 0)


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
    assert 'deepanalyze_analysis_jobs{state="waiting"}' in answer.text
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


def test_uses_of_sources_and_what_they_bring_are_counted(
    admin: httpx.Client, ada: httpx.Client, unique: Callable[[str], str]
) -> None:
    before = figures(admin)
    source = made(ada, unique("box"))
    path = f"/v1/data-sources/{source['id']}"
    fetched = ada.post(f"{path}/fetch", json={"path": "a.csv"}).json()
    assert ada.post(f"{path}/fetch", json={"path": "missing"}).status_code == 404
    after = figures(admin)
    for operation, outcome in (("create", "ok"), ("fetch", "ok"), ("fetch", "failed")):
        labels = {"operation": operation, "type": "toy", "outcome": outcome}
        assert grown(before, after, "source_operation_seconds_count", **labels) == 1
    [size] = [file["bytes"] for file in fetched["files"]]
    assert grown(before, after, "fetched_bytes_total", type="toy") == size > 0
    assert grown(before, after, "workspace_bytes") >= size
    assert not any(source["id"] in str(key) or source["name"] in str(key) for key in after)


def test_analyses_their_calls_and_their_code_are_counted(
    admin: httpx.Client, client: openai.OpenAI, model: ModelServer
) -> None:
    before = figures(admin)
    model.say("<Code>print(6 * 7)</Code>", "<Code>1 / 0</Code>", "<Answer>42</Answer>")
    client.chat.completions.create(model=SCRIPTED, messages=[{"role": "user", "content": "?"}])
    model.say(Reply(status=400))
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model=SCRIPTED, messages=[{"role": "user", "content": "?"}])
    after = figures(admin)
    assert grown(before, after, "code_seconds_count", status="ok") == 1
    assert grown(before, after, "code_seconds_count", status="error") == 1
    assert grown(before, after, "model_call_seconds_count", outcome="ok") == 3
    assert grown(before, after, "model_call_seconds_count", outcome="failed") == 1
    assert grown(before, after, "model_tokens_total", kind="prompt") == 300
    assert grown(before, after, "model_tokens_total", kind="completion") == 30
    assert grown(before, after, "analyses_total", status="completed") == 1
    assert grown(before, after, "analyses_total", status="failed") == 1


def test_refusals_are_counted_by_reason(
    admin: httpx.Client, ada: httpx.Client, anonymous: httpx.Client
) -> None:
    before = figures(admin)
    anonymous.get("/v1/models")
    ada.get("/v1/admin/users")
    admin.get("/v1/models", headers={"Host": "rebound.example"})
    after = figures(admin)
    assert grown(before, after, "refused_total", reason="invalid_api_key") == 1
    assert grown(before, after, "refused_total", reason="permission_denied") == 2
