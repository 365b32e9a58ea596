"""Tally: what the router counts per version: how requests ended, and how long they took.

In: one call per answer. Out: numbers for serving/control.py and for `/metrics`. Called by serving/router.py.
"""

import math

from prometheus_client import CollectorRegistry, Counter, Histogram

from roadworthy.serving.control import RouteStatus
from roadworthy.serving.counters import LATENCY_S

# Bounds of the latency classes grow by this, so a percentile is right to within 10 %.
GROWTH = 1.1
_LOG_GROWTH = math.log(GROWTH)


class Tally:
    """Counts of one release; see `RouteStatus` for what each is.

    Args:
        model, release: whose counts they are.
        metrics: where Prometheus sees them.
    """

    def __init__(self, model: str, release: str, metrics: "VersionMetrics") -> None:
        self.model = model
        self.release = release
        self.in_flight = 0
        self.requests = 0
        self.rows = 0
        self.errors = 0
        self.rejected = 0
        self._classes: dict[int, int] = {}
        self._metrics = metrics

    def answered(self, status: int, rows: int, duration_s: float, *, by_model: bool = False) -> None:
        """Count an answer; `by_model` when it is the model that could not say anything about the rows."""
        self.requests += 1
        self.rows += rows
        if status >= 500 or by_model:
            self.errors += 1
        elif status >= 400:
            self.rejected += 1
        place = math.ceil(math.log(max(duration_s * 1000.0, 0.001)) / _LOG_GROWTH)
        self._classes[place] = self._classes.get(place, 0) + 1
        self._metrics.requests.labels(self.model, self.release, str(status)).inc()
        self._metrics.rows.labels(self.model, self.release).inc(rows)
        self._metrics.latency.labels(self.model, self.release).observe(duration_s)

    def lost(self) -> None:
        """Count a request that got no answer."""
        self.requests += 1
        self.errors += 1
        self._metrics.requests.labels(self.model, self.release, "lost").inc()

    def quantile_ms(self, share: float) -> float:
        """The latency that a share of the answers did not exceed."""
        left = share * sum(self._classes.values())
        for place in sorted(self._classes):
            left -= self._classes[place]
            if left <= 0:
                return float(GROWTH**place)
        return 0.0

    def status(self, state: str, share: float) -> RouteStatus:
        return RouteStatus(
            release=self.release,
            model=self.model,
            state=state,
            share=share,
            in_flight=self.in_flight,
            requests=self.requests,
            rows=self.rows,
            errors=self.errors,
            rejected=self.rejected,
            latency_p50_ms=self.quantile_ms(0.5),
            latency_p99_ms=self.quantile_ms(0.99),
        )


class VersionMetrics:
    """The same counts for Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("model", "release")
        self.requests = Counter(
            "roadworthy_version_requests", "Requests by version and status code.", (*labels, "code"), registry=registry
        )
        self.rows = Counter("roadworthy_version_rows", "Rows answered by version.", labels, registry=registry)
        self.latency = Histogram(
            "roadworthy_version_seconds", "From a version being asked to its answer.", labels, registry=registry,
            buckets=LATENCY_S,
        )  # fmt: skip
