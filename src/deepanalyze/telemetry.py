"""What the server does, in figures: for Prometheus. No label names a user, a source or SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

Gauges = Callable[[], Mapping[str, float]]


class Telemetry:
    """One for each server, with a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "deepanalyze_http_request_seconds",
            "Answered requests, by route and status",
            ("method", "route", "status"),
            registry=self._registry,
            buckets=_BUCKETS_S,
        )

    def watch(self, name: str, what: str, gauges: Gauges, label: str = "state") -> None:
        """`gauges` is called for each scrape; its keys become the label's values."""
        self._registry.register(_Watched(name, what, label, gauges))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` as a template, so that ids do not become labels."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)


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
