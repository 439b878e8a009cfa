"""A server that is given secrets wherever it takes some, used in every way that a user can: none of them is anywhere
but where it was put.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import httpx
import pytest
from cryptography.fernet import Fernet

from tests.support.blob_sources import key_config, sas
from tests.support.processes import Running, started
from tests.support.server import NO_TLS, bearer
from tests.support.services import BlobContainer, PostgresDatabase

_FORKED_AND_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC among the flags of proc(5)'s stat


@dataclass
class Watch:
    """The secrets, and every text in which one of them could turn up."""

    secrets: Mapping[str, str]
    texts: dict[str, bytes] = field(default_factory=dict)

    def found(self) -> list[tuple[str, str]]:
        return [
            (name, place)
            for name, secret in self.secrets.items()
            for place, text in self.texts.items()
            if any(form in text for form in forms(secret))
        ]


def forms(secret: str) -> Iterator[bytes]:
    plain = secret.encode()
    yield plain
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()
    yield plain.hex().encode()
    yield secret.encode("utf-16-le")
    for shift in range(3):  # base64 of a text that holds it at any offset
        coded = base64.b64encode(b"x" * shift + plain)
        yield coded[4 if shift else 0 : len(coded) - 8]


@pytest.fixture
def given_secrets(postgres_database: PostgresDatabase, container: BlobContainer) -> dict[str, str]:
    return {
        "database password": postgres_database.analyst_config["password"],
        "wrong password": f"wrong/{secrets.token_urlsafe(12)}+=",
        "account key": container.account_key,
        "signature": parse_qs(sas(container))["sig"][0],
        "encryption key": Fernet.generate_key().decode(),
        "admin key": f"sk-{secrets.token_urlsafe(24)}",
        "model key": f"model-{secrets.token_urlsafe(16)}",
    }


@pytest.mark.requirement("6.3")
@pytest.mark.requirement("7.2")
def test_no_secret_is_anywhere_but_where_it_was_put(
    tmp_path: Path,
    postgres_database: PostgresDatabase,
    container: BlobContainer,
    given_secrets: dict[str, str],
) -> None:
    container.client.upload_blob("a.csv", b"region,amount\nnorth,1\nsouth,2\n")
    watch = Watch(given_secrets)
    environment = {
        "DEEPANALYZE_ADMIN_API_KEY": given_secrets["admin key"],
        "DEEPANALYZE_ENCRYPTION_KEY": given_secrets["encryption key"],
        "DEEPANALYZE_MODEL_BASE_URL": "http://127.0.0.1:9",
        "DEEPANALYZE_MODEL_API_KEY": given_secrets["model key"],
        "DEEPANALYZE_LOG_LEVEL": "debug",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    (tmp_path / "tmp").mkdir()
    arguments = ("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    with started(tmp_path, *arguments, **environment) as server:
        url = next(word for word in server.until("answers at").split() if word.startswith("http"))
        headers = bearer(given_secrets["admin key"])
        with (
            _children_looked_at(watch, server),
            httpx.Client(base_url=url, headers=headers, timeout=120, verify=NO_TLS) as client,
        ):
            _use(client, watch, postgres_database, container, given_secrets)
    watch.texts["log"] = server.rest().encode()
    assert "source operation" in watch.texts["log"].decode()
    for path in [*(tmp_path / "data").rglob("*"), *(tmp_path / "tmp").rglob("*")]:
        with contextlib.suppress(OSError):
            if path.is_file():
                watch.texts[str(path)] = path.read_bytes()
    assert any("store" in place for place in watch.texts)
    assert watch.found() == []


def _use(
    client: httpx.Client,
    watch: Watch,
    database: PostgresDatabase,
    container: BlobContainer,
    given: Mapping[str, str],
) -> None:
    def ask(method: str, path: str, body: Any = None, /, **params: Any) -> httpx.Response:
        answer = client.request(method, path, json=body, params=params)
        watch.texts[f"{len(watch.texts)} {method} {path} {answer.status_code}"] = (
            answer.content + str(answer.headers).encode()
        )
        return answer

    blob = key_config(container)
    signed = {
        "container_name": container.name,
        "account_url": container.blob_endpoint,
        "sas_token": f"{sas(container).rpartition('sig=')[0]}sig={quote(given['signature'], safe='')}",
    }
    wrong = {**database.analyst_config, "password": given["wrong password"]}
    sources = "/v1/data-sources"
    for name, type_name, config in (
        ("db", "postgresql", database.analyst_config),
        ("lake", "azure_blob", blob),
        ("signed", "azure_blob", signed),
        ("wrong", "postgresql", wrong),
        ("misspelt", "postgresql", {**wrong, "pasword": given["wrong password"]}),
        ("both", "azure_blob", {**blob, **signed}),
    ):
        ask("POST", sources, {"type": type_name, "name": name, "config": config})
        ask("POST", f"{sources}/validate", {"type": type_name, "name": name, "config": config})
        ask("GET", f"{sources}/{name}")
        ask("POST", f"{sources}/{name}/test", deep=type_name == "postgresql")
    ask("PATCH", f"{sources}/db", {"config": {"password": given["wrong password"]}})
    ask("PATCH", f"{sources}/db", {"config": {"password": given["wrong password"]}, "test_connection": False})
    ask("POST", f"{sources}/db/query", {"sql": "SELECT 1"})
    ask("PATCH", f"{sources}/db", {"config": {"password": given["database password"]}})
    ask("POST", f"{sources}/db/query", {"sql": "SELECT current_user, x FROM nothing"})
    for what in ("browse", "schema", "metadata", "preview", "statistics"):
        ask("GET", f"{sources}/lake/{what}", path="a.csv")
        ask("GET", f"{sources}/db/{what}", path="a.csv")
    ask("POST", f"{sources}/lake/fetch", {"path": "a.csv"})
    ask("POST", f"{sources}/lake/fetch", {"path": "nothing*"})
    for model in ("deepanalyze-profiler", "another"):
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


@contextlib.contextmanager
def _children_looked_at(watch: Watch, server: Running) -> Iterator[None]:
    """Environment and arguments of whatever the server runs meanwhile, its kernels among them."""
    ended = threading.Event()

    seen_as_copy: Counter[int] = Counter()

    def look() -> None:
        while not ended.wait(0.02):
            for pid in _descendants(server.process.pid):
                if _is_a_copy(pid) and seen_as_copy[pid] < 100:
                    seen_as_copy[pid] += 1
                    continue
                for what in ("environ", "cmdline"):
                    with contextlib.suppress(OSError):
                        watch.texts[f"{what} of {pid}"] = Path(f"/proc/{pid}/{what}").read_bytes()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()
    assert any(b"deepanalyze_kernel" in text for place, text in watch.texts.items() if "cmdline" in place)


def _is_a_copy(pid: int) -> bool:
    """Forked, and no program of its own executed yet: for that moment it shows the server's environment, being the
    server. One that stays a copy is looked at all the same.
    """
    with contextlib.suppress(OSError):
        flags = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[6])
        return bool(flags & _FORKED_AND_NOT_EXECUTED)
    return False


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found
