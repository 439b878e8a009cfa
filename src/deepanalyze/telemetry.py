"""What the server does, in figures: for Prometheus. No label names a user, a source or SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

Gauges = Callable[[], Mapping[str, float]]
CallOutcome = Literal["ok", "failed", "cancelled", "timeout"]

# By the status of the answer
_REFUSALS = {401: "invalid_api_key", 403: "permission_denied", 429: "rate_limited"}


@dataclass(frozen=True, slots=True)
class Figure:
    """What one metric is, for its documentation."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: Sequence[str]
    what: str


class Telemetry:
    """One for each server, with a registry of its own. Seconds and bytes are plain numbers."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self._registry = CollectorRegistry()
        self._requests = self._histogram(
            "deepanalyze_http_request_seconds",
            "Answered requests",
            "method",
            "route",
            "status",
        )
        self._refused = self._counter(
            "deepanalyze_refused_total",
            f"Requests that were refused: {', '.join(_REFUSALS.values())}",
            "reason",
        )
        self._operations = self._histogram(
            "deepanalyze_source_operation_seconds",
            "Uses of data sources, by outcome (ok, failed, refused); waiting for a connection is part of it",
            "operation",
            "type",
            "outcome",
        )
        self._fetched = self._counter(
            "deepanalyze_fetched_bytes_total", "Bytes that were fetched into threads", "type"
        )
        self._code = self._histogram(
            "deepanalyze_code_seconds",
            "Blocks of generated code that ran to an end, by how (ok, error, timeout, died)",
            "status",
        )
        self._calls = self._histogram(
            "deepanalyze_model_call_seconds",
            "Calls of models, to the end of the reply, by outcome (ok, failed, cancelled, timeout)",
            "outcome",
        )
        self._tokens = self._counter(
            "deepanalyze_model_tokens_total",
            "Tokens that model servers say they read (prompt) and wrote (completion)",
            "kind",
        )
        self._analyses = self._counter(
            "deepanalyze_analyses_total",
            "Analyses that ended, by how (completed, failed, cancelled, interrupted)",
            "status",
        )

    def watch(self, name: str, what: str, gauges: Gauges, label: str = "state") -> None:
        """`gauges` is called for each scrape; its keys become the label's values."""
        self.figures.append(Figure(name, "gauge", (label,), what))
        self._registry.register(_Watched(name, what, label, gauges))

    def watch_one(self, name: str, what: str, gauge: Callable[[], float]) -> None:
        """As `watch`, without a label."""
        self.figures.append(Figure(name, "gauge", (), what))
        Gauge(name, what, registry=self._registry).set_function(gauge)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` as a template, so that ids do not become labels."""
        self._requests.labels(method, route, str(status)).observe(seconds)
        if reason := _REFUSALS.get(status):
            self._refused.labels(reason).inc()

    def source_used(self, operation: str, type: str, outcome: str, seconds: float) -> None:
        self._operations.labels(operation, type, outcome).observe(seconds)

    def fetched(self, type: str, size: int) -> None:
        """`size` in bytes."""
        self._fetched.labels(type).inc(size)

    def code_ran(self, status: str, seconds: float) -> None:
        self._code.labels(status).observe(seconds)

    def model_called(
        self, outcome: CallOutcome, seconds: float, *, prompt_tokens: int, completion_tokens: int
    ) -> None:
        self._calls.labels(outcome).observe(seconds)
        self._tokens.labels("prompt").inc(prompt_tokens)
        self._tokens.labels("completion").inc(completion_tokens)

    def analysis_ended(self, status: str) -> None:
        self._analyses.labels(status).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _histogram(self, name: str, what: str, *labels: str) -> Histogram:
        self.figures.append(Figure(name, "histogram", labels, what))
        return Histogram(name, what, labels, registry=self._registry, buckets=_BUCKETS_S)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        self.figures.append(Figure(name, "counter", labels, what))
        return Counter(name, what, labels, registry=self._registry)


class _Watched(Collector):
    def __init__(self, name: str, what: str, label: str, gauges: Gauges) -> None:
        self._name = name
        self._what = what
        self._label = label
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._what, labels=[self._label])
        for value, figure in self._gauges().items():
            family.add_metric([value], figure)
        yield family

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self._name, self._what, labels=[self._label])]
