"""What a model server's failures mean to a user. Messages never hold a key, nor what a server says about one."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import openai

from deepanalyze.errors import ModelUnavailable
from deepanalyze.settings import ModelConfig

FAILURES = (openai.OpenAIError, json.JSONDecodeError)
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_MAX_QUOTED = 300


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _TRANSIENT_STATUS
    return isinstance(error, openai.APIError | json.JSONDecodeError)


def retry_after_s(error: Exception) -> float | None:
    """What the server asks for in seconds (its dates are not worth the trouble)."""
    if not isinstance(error, openai.APIStatusError):
        return None
    value = error.response.headers.get("retry-after", "")
    return float(value) if value.replace(".", "", 1).isdigit() else None


def host_of(config: ModelConfig) -> str:
    parts = urlsplit(str(config.base_url))
    return parts.netloc.rpartition("@")[2]


def model_unavailable(config: ModelConfig, error: Exception, *, started: bool = False) -> ModelUnavailable:
    what = _what_happened(config, error, started=started)
    message = f"model '{config.id}' at {host_of(config)} {what}"
    return ModelUnavailable(message, retry_after_s=retry_after_s(error))


def _what_happened(config: ModelConfig, error: Exception, *, started: bool) -> str:
    if isinstance(error, openai.APITimeoutError):
        return f"sent nothing for {config.timeout_s:g} s (timeout_s); it may be overloaded: try again later"
    if isinstance(error, openai.APIConnectionError):
        if started:
            return "dropped the connection in the middle of its answer; try again"
        return "cannot be reached; check its base URL and that the server is running"
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return f"refuses our API key (HTTP {error.status_code}); check the model's api_key setting"
    if isinstance(error, openai.RateLimitError):
        return "is busy (HTTP 429); try again later"
    if isinstance(error, openai.APIStatusError):
        return f"refused the request (HTTP {error.status_code}): {_quoted(config, error)}"
    if isinstance(error, openai.APIError):
        return f"failed: {_quoted(config, error)}"
    return "sent an answer that is not in OpenAI's format"


def _quoted(config: ModelConfig, error: openai.APIError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    text = str(body.get("message") or error.message)
    if config.api_key is not None and config.api_key.get_secret_value():
        text = text.replace(config.api_key.get_secret_value(), "********")
    return " ".join(text.split())[:_MAX_QUOTED]
