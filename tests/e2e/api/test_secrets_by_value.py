"""A secret without a shape, in words that are not ours: in no answer and in no log record."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deepanalyze.datasources.masking import MASK
from deepanalyze.errors import SourceUnavailable
from tests.support.answers import error_of
from tests.support.canaries import canary
from tests.support.logs import captured_logs
from tests.support.server import ThreadedServer, serving
from tests.support.toysource import ToyConnector

WORDS = canary("words of a driver")
CHANGED = canary("other words of a driver")


class TalkativeConnector(ToyConnector):
    """Its driver repeats what it was given, and so does whoever logs for it."""

    async def test_connection(self) -> bool:
        self._fail()
        return False

    async def find(self, path: str) -> Any:
        self._fail()

    def _fail(self) -> None:
        words = f'invalid option "{self.config.config["password"]}"'
        logging.getLogger("some.driver").warning("failed: %s", words)
        error = SourceUnavailable("x")  # as it is made, the net for all tests looks at it
        error.message, error.args = f"source {self.config.name!r}: {words}", (words,)
        error.details = [{"message": words}]
        raise error


@pytest.fixture
def server() -> Iterator[ThreadedServer]:
    with serving() as server:
        server.runtime.registry.register_connector_class("toy", TalkativeConnector)
        yield server


def create(client: httpx.Client, **more: Any) -> httpx.Response:
    body = {"type": "toy", "name": "box", "config": {"toys": ["a.csv"], "password": WORDS}, **more}
    return client.post("/v1/data-sources", json=body)


def test_what_a_driver_repeats_is_hidden(server: ThreadedServer) -> None:
    with captured_logs() as log, server.client() as admin:
        answers = [create(admin)]
        path = f"/v1/data-sources/{create(admin, test_connection=False).json()['id']}"
        answers.append(admin.post(f"{path}/test"))
        answers.append(admin.post(f"{path}/fetch", json={"path": "a.csv"}))
        answers.append(admin.patch(path, json={"config": {"password": CHANGED}}))
        question = {"role": "user", "content": "?", "data_sources": [{"source_id": "box", "path": "a.csv"}]}
        answers.append(
            admin.post("/v1/chat/completions", json={"model": "deepanalyze-profiler", "messages": [question]})
        )
    for answer in answers:
        assert f'invalid option \\"{MASK}\\"' in answer.text, answer.text
        assert WORDS not in answer.text
        assert CHANGED not in answer.text
    for answer in (answers[0], *answers[2:]):
        error = error_of(answer, 424, "source_unavailable", answer.json()["error"]["param"])
        assert error["details"][0]["message"].endswith(f'invalid option "{MASK}"')
    assert log.getvalue().count(f'failed: invalid option \\"{MASK}\\"') == len(answers)
    assert WORDS not in log.getvalue()
    assert CHANGED not in log.getvalue()


def test_what_one_user_asks_tells_nothing_of_others_secrets(server: ThreadedServer) -> None:
    """Else who guesses a password could have the server say whether somebody has it."""
    guess = "a-weak-password"
    with captured_logs(), server.client() as admin, server.client(server.user("ada")) as ada:
        config = {"toys": ["a.csv"], "password": guess}
        assert create(admin, config=config, test_connection=False).status_code == 201
        mine = create(ada, name=guess)
        assert f"source '{guess}': invalid option" in mine.json()["error"]["message"]
        assert guess in ada.get(f"/v1/data-sources/{guess}").json()["error"]["message"]


def test_the_settings_secrets_are_hidden_from_the_log(server: ThreadedServer) -> None:
    key = server.runtime.settings.admin_api_key
    assert key is not None
    with captured_logs() as log:
        logging.getLogger("some.driver").warning("got x%sx", key.get_secret_value())
    assert f"got x{MASK}x" in log.getvalue()
