"""A server that is given secrets wherever it takes some, used in every way that a user can: none of them is anywhere
but where it was put, by the net that `tests/conftest.py` spreads for all tests.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from anyio.from_thread import BlockingPortal

from tests.support.blob_sources import key_config, sas
from tests.support.canaries import canary, canary_fernet_key, canary_key, legitimate
from tests.support.canary_net import look_at_directory, recorded_findings
from tests.support.model_server import Reply, model_server
from tests.support.processes import started
from tests.support.server import NO_TLS, bearer
from tests.support.services import BlobContainer, PostgresDatabase
from tests.support.tls import Authority

WRONG_PASSWORD = canary("wrong password") + "/+="
SIGNATURE = base64.b64encode(canary("signature").encode()).decode()


@pytest.mark.requirement("6.3")
@pytest.mark.requirement("7.2")
def test_no_secret_is_anywhere_but_where_it_was_put(
    tmp_path: Path,
    postgres_database: PostgresDatabase,
    container: BlobContainer,
    services_loop: BlockingPortal,
) -> None:
    container.client.upload_blob("a.csv", b"region,amount\nnorth,1\nsouth,2\n")
    with_headers = {
        "id": "with-headers",
        "headers": {"X-Team": canary("model header"), "Authorization": f"Basic {canary('model login')}"},
        "fallback": ["deepanalyze-profiler"],
    }
    environment = {
        "DEEPANALYZE_ADMIN_API_KEY": canary("admin key"),
        "DEEPANALYZE_ENCRYPTION_KEY": canary_fernet_key("encryption key"),
        "DEEPANALYZE_MODEL_BASE_URL": "http://127.0.0.1:9",
        "DEEPANALYZE_MODEL_API_KEY": canary("model key"),
        "DEEPANALYZE_LOG_LEVEL": "debug",
        "DEEPANALYZE_RETRY_MAX_ATTEMPTS": "1",
        "HTTPS_PROXY": f"http://proxy-user:{canary('proxy password')}@127.0.0.1:9",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    (tmp_path / "tmp").mkdir()
    arguments = ("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    with recorded_findings() as found, services_loop.wrap_async_context_manager(model_server()) as models:
        environment["DEEPANALYZE_MODELS"] = json.dumps([with_headers | {"base_url": models.base_url}])
        models.say(
            Reply(status=401, error=f"{canary('model header')} and {canary('model login')} are wrong"),
            Reply(status=400, error=f"{canary('model header')} and {canary('model login')} are wrong"),
        )
        with started(tmp_path, *arguments, **environment) as server:
            headers = bearer(canary("admin key"))
            with httpx.Client(base_url=server.url(), headers=headers, timeout=120, verify=NO_TLS) as client:
                _use(client, postgres_database, container)
        look_at_directory(tmp_path)
    assert found == []
    assert [request["X-Team"] for request in models.headers] == [canary("model header")] * len(models.headers)
    assert len(models.requests) == 2
    assert any("source operation" in line for line in server.lines)
    assert any(b"deepanalyze_kernel" in command for command in server.commands)
    assert (tmp_path / "data" / "store.sqlite").exists()


def _use(
    client: httpx.Client,
    database: PostgresDatabase,
    container: BlobContainer,
) -> None:
    def ask(method: str, path: str, body: Any = None, /, **params: Any) -> httpx.Response:
        return client.request(method, path, json=body, params=params)

    blob = key_config(container)
    signed = {
        "container_name": container.name,
        "account_url": container.blob_endpoint,
        "sas_token": f"{sas(container).rpartition('sig=')[0]}sig={quote(SIGNATURE, safe='')}",
    }
    far = {"container_name": "lake", "account_url": "https://acme.blob.core.windows.net"}
    principal = {
        "credential": "service_principal",
        "tenant_id": "tenant-1",
        "client_id": "client-1",
        "client_secret": canary("client secret"),
    }
    certified = {
        **database.analyst_config,
        "sslcert": Authority().sign("analyst").certificate,
        "sslkey": f"-----BEGIN PRIVATE KEY-----\n{canary('TLS key')}\n-----END PRIVATE KEY-----\n",
    }
    wrong = {**database.analyst_config, "password": WRONG_PASSWORD}
    sources = "/v1/data-sources"
    for name, type_name, config in (
        ("db", "postgresql", database.analyst_config),
        ("lake", "azure_blob", blob),
        ("signed", "azure_blob", signed),
        ("far", "azure_blob", {**far, "account_key": canary_key("far account")}),
        ("certified", "postgresql", certified),
        ("wrong", "postgresql", wrong),
        ("misspelt", "postgresql", {**wrong, "pasword": WRONG_PASSWORD}),
        ("both", "azure_blob", {**blob, **signed}),
    ):
        ask("POST", sources, {"type": type_name, "name": name, "config": config})
        ask("POST", f"{sources}/validate", {"type": type_name, "name": name, "config": config})
        ask("POST", sources, {"type": type_name, "name": name, "config": config, "test_connection": False})
        ask("GET", f"{sources}/{name}")
        ask("POST", f"{sources}/{name}/test", deep=type_name == "postgresql")
    unasked = {"type": "azure_blob", "name": "principal", "config": {**far, **principal}}
    ask("POST", sources, {**unasked, "test_connection": False})
    ask("POST", f"{sources}/principal/test")  # once: Entra's client takes its time to give up
    ask("PATCH", f"{sources}/db", {"config": {"password": WRONG_PASSWORD}})
    ask("PATCH", f"{sources}/db", {"config": {"password": WRONG_PASSWORD}, "test_connection": False})
    ask("POST", f"{sources}/db/query", {"sql": "SELECT 1"})
    ask("PATCH", f"{sources}/db", {"config": {"password": database.analyst_config["password"]}})
    ask("POST", f"{sources}/db/query", {"sql": "SELECT current_user, x FROM nothing"})
    literal = canary("SQL literal")
    with legitimate("who asks sees the own statement, its rows and what the database says of it"):
        ask("POST", f"{sources}/db/query", {"sql": f"SELECT '{literal}' AS a"})
        ask("POST", f"{sources}/db/query", {"sql": f"SELECT '{literal}'::int"})
        ask("POST", f"{sources}/db/query", {"sql": "SELECT $1::text AS a", "params": [literal]})
    for what in ("browse", "schema", "metadata", "preview", "statistics"):
        ask("GET", f"{sources}/lake/{what}", path="a.csv")
        ask("GET", f"{sources}/db/{what}", path="a.csv")
    ask("POST", f"{sources}/lake/fetch", {"path": "a.csv"})
    ask("POST", f"{sources}/lake/fetch", {"path": "nothing*"})
    for model in ("deepanalyze-profiler", "another", "with-headers", "with-headers"):
        question = {"role": "user", "content": "What is the average amount by region?"}
        reference = {"source_id": "lake", "path": "a.csv"}
        ask(
            "POST",
            "/v1/chat/completions",
            {"model": model, "messages": [question], "data_sources": [reference]},
        )
    ask("GET", sources)
    ask("GET", "/v1/models")
    ask("GET", "/v1/threads")
    ask("GET", "/health/ready")
    ask("GET", "/metrics")
