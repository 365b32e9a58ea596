"""Counters: what the model server and the router count, as Prometheus scrapes it.

In: one call per request. Out: the text of `/metrics`. Called by serving/app.py, serving/router.py and faces/server.
"""

import itertools
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000)


class Counters:
    """A registry of our own: nothing of the process that embeds us is shown.

    Args:
        every_path: whether the time of each request counts, and the process's memory, files and processor time are
            shown; a router's histogram is of predictions alone.
    """

    def __init__(self, *, every_path: bool = False) -> None:
        self.registry = CollectorRegistry()
        self._every_path = every_path
        if every_path:
            ProcessCollector(registry=self.registry)
        self._seen = _Seen()
        self.registry.register(self._seen)

    def observe(self, path: str, status: int, duration_s: float) -> None:
        seen = self._seen
        seen.requests[path, status] += 1
        if self._every_path or path == "/invocations":
            seen.within[bisect_left(LATENCY_S, duration_s)] += 1
            seen.took_s += duration_s

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A number that is read when asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Seen(Collector):
    """Plain numbers, made metrics of when they are asked for: the library's own would lock at each request."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.within = [0] * (len(LATENCY_S) + 1)  # requests by the first of LATENCY_S that they kept to
        self.took_s = 0.0

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "roadworthy_requests", "Requests by path and status code.", labels=("path", "code")
        )
        for (path, status), count in self.requests.items():
            requests.add_metric((path, str(status)), count)
        yield requests
        bounds = [*map(floatToGoString, LATENCY_S), "+Inf"]
        yield HistogramMetricFamily(
            "roadworthy_request_seconds",
            "From a request's headers to its answer.",
            buckets=[*zip(bounds, itertools.accumulate(self.within), strict=True)],
            sum_value=self.took_s,
        )
