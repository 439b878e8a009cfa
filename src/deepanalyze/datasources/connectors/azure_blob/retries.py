"""When a request to Azure is tried again, and when it is not worth waiting for."""

from __future__ import annotations

import random
from typing import Any

from azure.storage.blob.aio import ExponentialRetry

from deepanalyze.datasources.connectors.azure_blob.errors import retry_after_s
from deepanalyze.datasources.limits import RetryPolicy

_LONGEST_WAIT_S = 30.0


class BoundedRetry(ExponentialRetry):
    """The SDK's rules for what is transient, with our attempts and delays; `Retry-After` is honoured up to a bound,
    and ends the attempts beyond it. The caller then learns when to come back.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        again = policy.max_attempts - 1
        super().__init__(retry_total=again, retry_connect=again, retry_read=again, retry_status=again)
        self._policy = policy

    def increment(
        self, settings: dict[str, Any], request: Any, response: Any = None, error: Any = None
    ) -> bool:
        wait_s = retry_after_s(response)
        if wait_s is not None and wait_s > _LONGEST_WAIT_S:
            return False
        return super().increment(settings, request, response=response, error=error)

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        asked_s = retry_after_s(settings["history"][-1].http_response)
        if asked_s is not None:
            return asked_s
        delay_s: float = min(
            self._policy.max_delay_s, self._policy.base_delay_s * 2 ** (settings["count"] - 1)
        )
        return delay_s * random.uniform(0.5, 1)  # noqa: S311  jitter, not a secret
