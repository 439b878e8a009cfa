"""What a model server's failures mean to a user. Messages never hold a key, nor what a server says about one."""

from __future__ import annotations

import email.utils
import json
import time
from urllib.parse import urlsplit

import httpx
import openai

from deepanalyze.analysis.models.chunks import Malformed, ServerError
from deepanalyze.analysis.models.sse import EventTooLong
from deepanalyze.errors import ModelUnavailable
from deepanalyze.settings import ModelConfig

_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_MAX_QUOTED = 300
_SHORTEST_HIDDEN = 4  # characters; shorter ones are in every other word


class NoStream(Exception):
    """The answer holds no event; the argument is its content type."""


class CutOff(Exception):
    """The answer ended without a finish_reason and without [DONE]."""


FAILURES = (
    openai.OpenAIError,
    httpx.HTTPError,
    httpx.StreamError,
    TimeoutError,
    Malformed,
    ServerError,
    EventTooLong,
    NoStream,
    CutOff,
    json.JSONDecodeError,  # of a listing
    UnicodeDecodeError,
)


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed a moment later. One that was waited for in vain is not asked again: that
    would take as long once more, of a server that has too much to do.
    """
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _TRANSIENT_STATUS
    if _waited_in_vain(error):
        return False
    return isinstance(error, openai.APIConnectionError | httpx.HTTPError | ServerError | Malformed | CutOff)


def retry_after_s(error: Exception) -> float | None:
    """What the server asks for, in seconds."""
    if not isinstance(error, openai.APIStatusError):
        return None
    value = error.response.headers.get("retry-after", "").strip()
    if value.replace(".", "", 1).isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def host_of(config: ModelConfig) -> str:
    parts = urlsplit(str(config.base_url))
    return parts.netloc.rpartition("@")[2]


def model_unavailable(config: ModelConfig, error: Exception, *, started: bool = False) -> ModelUnavailable:
    what = what_happened(config, error, started=started)
    message = f"model '{config.id}' at {host_of(config)} {what}"
    return ModelUnavailable(message, retry_after_s=retry_after_s(error))


def what_happened(config: ModelConfig, error: Exception, *, started: bool = False) -> str:
    if _waited_in_vain(error):
        return f"sent nothing for {config.timeout_s:g} s (timeout_s); it may be overloaded: try again later"
    if isinstance(error, openai.APIConnectionError | httpx.HTTPError | CutOff):
        if started:
            return "dropped the connection in the middle of its answer; try again"
        if isinstance(error, CutOff) or _is_mid_answer(error):
            return "ended the connection before its answer; try again"
        return "cannot be reached; check its base URL and that the server is running"
    if isinstance(error, openai.APIStatusError):
        return _refusal(config, error)
    if isinstance(error, ServerError):
        return f"failed: {quoted(config, str(error))}"
    if isinstance(error, NoStream):
        kind = str(error)[:60]
        return f"answered with {kind} instead of a stream; check that base_url is where its API begins (…/v1)"
    if isinstance(error, EventTooLong):
        return f"sent {error}"
    return "sent an answer that is not in OpenAI's format"


def quoted(config: ModelConfig, text: str) -> str:
    """What a server says, short and without our secrets, which it may repeat."""
    for secret in sorted(config.secrets(), key=len, reverse=True):
        if len(secret) >= _SHORTEST_HIDDEN:
            text = text.replace(secret, "********")
    return " ".join(text.split())[:_MAX_QUOTED]


def _refusal(config: ModelConfig, error: openai.APIStatusError) -> str:
    status = error.status_code
    if status in (401, 403):
        return f"refuses our API key (HTTP {status}); check the model's api_key setting"
    if status == 429:
        return "is busy (HTTP 429); try again later"
    if 300 <= status < 400:
        place = urlsplit(error.response.headers.get("location", ""))
        to = f" to {place.scheme}://{place.netloc.rpartition('@')[2]}" if place.netloc else ""
        return f"redirects{to} (HTTP {status}), which is not followed; set base_url to where its API is"
    return f"refused the request (HTTP {status}): {quoted(config, _words(error))}"


def _words(error: openai.APIStatusError) -> str:
    if isinstance(error.body, dict):
        return str(error.body.get("message") or error.message)
    kind = error.response.headers.get("content-type", "").partition(";")[0].strip()
    return "it answered with a web page" if kind == "text/html" else error.message


def _waited_in_vain(error: Exception) -> bool:
    """For an answer, rather than for a connection."""
    if isinstance(error, openai.APITimeoutError):
        return not isinstance(error.__cause__, httpx.ConnectTimeout)
    return isinstance(error, TimeoutError | httpx.ReadTimeout)


def _is_mid_answer(error: Exception) -> bool:
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
    return isinstance(cause, httpx.RemoteProtocolError | httpx.ReadError)
