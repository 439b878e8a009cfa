"""Every operation of the OpenAPI document, asked whatever the document allows: no answer but those it describes."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.server import ThreadedServer, bearer
from tests.support.toysource import PASSWORD

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own, at its import
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def real(admin: httpx.Client, unique: Callable[[str], str], tmp_path: Any) -> Iterator[Mapping[str, str]]:
    """Ids of what is there, so that not every answer is 404."""
    body = {"type": "toy", "name": unique("toys"), "config": {"toys": ["a.csv"], "password": PASSWORD}}
    made = admin.post("/v1/data-sources", json=body)
    assert made.status_code == 201, made.text
    source = made.json()["id"]
    thread = admin.post(f"/v1/data-sources/{source}/fetch", json={"path": "a.csv"}).json()["thread_id"]
    file = admin.post("/v1/files", files={"file": ("a.csv", b"x\n1\n")}, data={"purpose": "assistants"})
    yield {"id": source, "thread_id": thread, "file_id": file.json()["id"], "path": "a.csv", "type": "toy"}
    admin.delete(f"/v1/data-sources/{source}")


def ask_everything(
    server: ThreadedServer, real: Mapping[str, str], examples: int, seeded: int
) -> Counter[tuple[str, int]]:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    headers = bearer(server.admin_key)
    seen: Counter[tuple[str, int]] = Counter()
    for result in schema.get_all_operations():
        _ask(result.ok(), headers, real, seen, examples, seeded)
    return seen


def _ask(
    operation: Any,
    headers: Mapping[str, str],
    real: Mapping[str, str],
    seen: Counter[tuple[str, int]],
    examples: int,
    seeded: int,
) -> None:
    @seed(seeded)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.booleans())
    def ask(case: Any, known: bool) -> None:
        if known and case.method.upper() != "DELETE":
            for name in case.path_parameters or {}:
                case.path_parameters[name] = real.get(name, case.path_parameters[name])
        answer = case.call(headers=headers, timeout=60)
        seen[operation.label, answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    ask()


def test_answers_are_as_the_document_describes_them(server: ThreadedServer, real: Mapping[str, str]) -> None:
    seen = ask_everything(server, real, examples=70, seeded=1)
    assert sum(seen.values()) >= 2_000
    assert {label for label, status in seen if status == 200}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seeded", range(10))
def test_answers_are_as_the_document_describes_them_at_length(
    server: ThreadedServer, real: Mapping[str, str], seeded: int
) -> None:
    seen = ask_everything(server, real, examples=150, seeded=seeded)
    assert sum(seen.values()) >= 5_000  # each of ten
