"""Counters: what the model server and the router count, as Prometheus scrapes it.

In: one call per request. Out: the text of `/metrics`. Called by serving/app.py and serving/router.py.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

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
        self.requests = Counter(
            "roadworthy_requests", "Requests by path and status code.", ("path", "code"), registry=self.registry
        )
        self.latency = Histogram(
            "roadworthy_request_seconds", "From a request's headers to its answer.", registry=self.registry,
            buckets=LATENCY_S,
        )  # fmt: skip

        self._requests: dict[tuple[str, int], Counter] = {}

    def observe(self, path: str, status: int, duration_s: float) -> None:
        counter = self._requests.get((path, status))
        if counter is None:
            counter = self._requests[path, status] = self.requests.labels(path, str(status))
        counter.inc()
        if self._every_path or path == "/invocations":
            self.latency.observe(duration_s)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A number that is read when asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        return generate_latest(self.registry)
