"""Forwarding: a request's shares to the versions they belong to, what each of them answers, and what is counted.

In: shares of a request (serving/division.py). Out: one answer, whatever became of a process in between: when it is
gone, another version answers, since to predict twice does no harm. Called by serving/router.py.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

from roadworthy.serving import division, wire
from roadworthy.serving.backends import Answer, Backends, Lost
from roadworthy.serving.division import Share
from roadworthy.serving.routes import Route, Table
from roadworthy.serving.tally import Tally, VersionMetrics

SHADOWS_MAX = 32  # copies on their way at once; more are dropped and counted
WARNING_S = 5.0
_PASSED = (b"x-roadworthy-model", b"x-roadworthy-rows", b"retry-after")
_log = logging.getLogger("roadworthy.serving")


class Forwarding:
    """Forwards, and counts per version.

    Args:
        backends: the connections.
        table: tells the routes as they are now.
        metrics: where Prometheus sees the counts.
    """

    def __init__(self, backends: Backends, table: Callable[[], Table], metrics: VersionMetrics) -> None:
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.unrouted = 0
        self.shadow_dropped = 0
        self._backends = backends
        self._table = table
        self._metrics = metrics
        self._warned_at = -WARNING_S
        self._shadows: set[asyncio.Task[None]] = set()

    async def answer(self, request: wire.Request, shares: Sequence[Share]) -> wire.Reply:
        """The answer to a request: one version's, or several versions' in the rows' order."""
        # Held before anything else may run: whoever takes a route away sees at once that it is still in use.
        with self._held([share.route for share in shares]):
            if len(shares) == 1:
                return await self._whole(request, shares[0])
            answers = await asyncio.gather(*(self._ask(request, share) for share in shares))
        for answer in answers:
            if isinstance(answer, wire.Reply):
                return answer
        return division.merged(request, shares, [a for a in answers if isinstance(a, Answer)])

    def copy(self, request: wire.Request, route: Route) -> None:
        """Send a shadow what the others answer; nobody waits for it."""
        if len(self._shadows) >= SHADOWS_MAX:
            self.shadow_dropped += 1
            return

        async def send() -> None:
            with contextlib.suppress(Lost), self._held([route]):
                await self._forward(route, division.message(request, route="shadow"), request.body)

        task = asyncio.ensure_future(send())
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    def tally(self, route: Route) -> Tally:
        """The counts of a version."""
        key = (route.release, route.model)
        if key not in self.tallies:
            self.tallies[key] = Tally(route.model, route.release, self._metrics)
        return self.tallies[key]

    async def _whole(self, request: wire.Request, share: Share) -> wire.Reply:
        answer = await self._ask(request, share)
        if isinstance(answer, wire.Reply):
            return answer
        headers = tuple((name, answer.headers[name]) for name in _PASSED if name in answer.headers)
        kind = answer.headers.get(b"content-type", b"").decode("latin-1")
        return wire.Reply(answer.status, answer.body, kind, headers)

    async def _ask(self, request: wire.Request, share: Share) -> Answer | wire.Reply:
        """A version's answer, or another's in its place, or that there is none."""
        message = division.message(request, route=share.route.state, part=share.part)
        try:
            return await self._forward(share.route, message, request.body)
        except Lost as lost:
            self._warn(share.route, lost)
            other = None if lost.slow else self._other(share.route)
        if other is not None:
            with contextlib.suppress(Lost), self._held([other]):
                return await self._forward(other, message, request.body)
        self.unrouted += 1
        return wire.come_back(f"{share.route.model} does not answer")

    async def _forward(self, route: Route, message: bytes, body: bytes) -> Answer:
        tally = self.tally(route)
        began = perf_counter()
        try:
            answer = await self._backends.of((route.uds, *route.more)).ask(message, body)
        except Lost:
            tally.lost()
            raise
        rows = int(answer.headers.get(b"x-roadworthy-rows", b"0"))
        by_model = answer.headers.get(b"x-roadworthy-error") == b"model"
        tally.answered(answer.status, rows, perf_counter() - began, by_model=by_model)
        return answer

    def _other(self, lost: Route) -> Route | None:
        """Another version by the routes as they are now, live ones first."""
        found = [span.route for span in self._table().spans if span.route.uds != lost.uds]
        return found[-1] if found else None

    def _warn(self, route: Route, lost: Lost) -> None:
        """Say that a version does not answer, but not for each of many requests."""
        now = perf_counter()
        if now - self._warned_at >= WARNING_S:
            self._warned_at = now
            _log.warning("%s does not answer: %s", route.model, lost)

    @contextlib.contextmanager
    def _held(self, routes: Sequence[Route]) -> Iterator[None]:
        tallies = [self.tally(route) for route in routes]
        for tally in tallies:
            tally.in_flight += 1
        try:
            yield
        finally:
            for tally in tallies:
                tally.in_flight -= 1
