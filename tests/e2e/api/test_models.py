"""The models, through OpenAI's client."""

from __future__ import annotations

import httpx
import openai
import pytest

from tests.support.answers import error_of


def test_the_profiler_is_always_there(client: openai.OpenAI) -> None:
    assert "deepanalyze-profiler" in [model.id for model in client.models.list()]
    assert client.models.retrieve("deepanalyze-profiler").object == "model"


def test_an_unknown_model(client: openai.OpenAI, admin: httpx.Client) -> None:
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
    for name in ("org/model", "a%2Fb", "☃"):
        error = error_of(admin.get(f"/v1/models/{name}"), 404, "model_not_found", "model")
        assert "deepanalyze-profiler" in error["message"]
