"""Router: one port before all versions of a target. `python -m roadworthy.serving.router --state FILE --port N`

In: the state file, which releases replace at once, and clients' requests. Out: the answers of model servers, each row's
by the version that its entity belongs to. It listens on the loopback address, and on a unix socket on which releases
ask what it follows (serving/control.py).

    the port             POST /invocations   GET /ping /health /metrics /version /
    the control socket   POST /reload        GET /ping /status

No request is lost when versions change: the table in memory is replaced as a whole, requests under way keep the route
they were given, and the control socket says when an old one has answered all of its own.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from roadworthy import __version__
from roadworthy.nouns.errors import EXIT_CODES, Fault
from roadworthy.serving import division, routes, runtime, wire
from roadworthy.serving.aggregate import aggregated
from roadworthy.serving.backends import Answer, Backends, Lost
from roadworthy.serving.control import RouterStatus
from roadworthy.serving.counters import TYPE, Counters
from roadworthy.serving.division import Share
from roadworthy.serving.routes import Route, State
from roadworthy.serving.tally import Tally, VersionMetrics
from roadworthy.store.blobs import digest_of

POLL_S = 0.05
BODY_MB_MAX = 64
SHADOWS_MAX = 32  # copies on their way at once; more are dropped and counted
PING_S_MAX = 5.0
WARNING_S = 5.0
_PASSED = (b"x-roadworthy-model", b"x-roadworthy-rows", b"retry-after")
_log = logging.getLogger("roadworthy.serving")


class Router:
    """Follows a state file and forwards.

    Args:
        path: of the state file; it may appear later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counters = Counters()
        self._metrics = VersionMetrics(self.counters.registry)
        self._backends = Backends()
        self._table = routes.table(State())
        self._digest = ""
        self._problem = "the state file is not there yet"
        self._seen: tuple[int, int, int] | None = None
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._unrouted = 0
        self._warned_at = -WARNING_S
        self._shadow_dropped = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self.public = self._public()
        self.control = self._control()

    def reload(self) -> None:
        """Read the state file; one that is no state changes nothing and is told as a problem."""
        try:
            stat = self.path.stat()
            self._seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            content = self.path.read_bytes()
            state = routes.parse_state(content)
        except (OSError, Fault) as problem:
            self._problem = str(problem)
            _log.warning("the state file is not followed: %s", problem)
            return
        self._table = routes.table(state)
        self._digest, self._problem = digest_of(content), ""
        self.public.body_bytes_max = (state.max_body_mb or BODY_MB_MAX) << 20
        self._backends.keep({path for route in state.routes for path in (route.uds, *route.more)})
        _log.info("routes: %s", ", ".join(f"{r.model} {r.state} {r.share:g}" for r in state.routes) or "none")

    async def invocations(self, request: wire.Request) -> wire.Reply:
        table = self._table
        if not table.spans:
            self._unrouted += 1
            return wire.error(503, "no version is released here", fix="run `rw release`")._replace(
                headers=((b"retry-after", b"1"),)
            )
        for route in table.shadows:
            self._copy(route, request)
        shares = division.divide(request, table)
        if len(shares) == 1:
            return await self._whole(shares[0], request)
        return await self._divided(shares, request)

    async def _whole(self, share: Share, request: wire.Request) -> wire.Reply:
        message = division.message(request, route=share.route.state)
        answer = await self._ask(share.route, message, request.body)
        if isinstance(answer, wire.Reply):
            return answer
        headers = tuple((name, answer.headers[name]) for name in _PASSED if name in answer.headers)
        return wire.Reply(
            answer.status, answer.body, answer.headers.get(b"content-type", b"").decode("latin-1"), headers
        )

    async def _divided(self, shares: list[Share], request: wire.Request) -> wire.Reply:
        """Each version answers its rows; the answers come together in the rows' order."""
        asked = [
            self._ask(share.route, division.message(request, route=share.route.state, part=share.part), request.body)
            for share in shares
        ]
        answers = await asyncio.gather(*asked)
        for answer in answers:
            if isinstance(answer, wire.Reply):
                return answer
        return division.merged(request, shares, [a for a in answers if isinstance(a, Answer)])

    async def _ask(self, route: Route, message: bytes, body: bytes) -> Answer | wire.Reply:
        """A version's answer; when its process is gone, another's: predicting twice does no harm."""
        try:
            return await self._forward(route, message, body)
        except Lost as lost:
            self._warn(route, lost)
            other = None if lost.slow else self._other(route)
        if other is not None:
            with contextlib.suppress(Lost):
                return await self._forward(other, message, body)
        self._unrouted += 1
        return wire.error(503, f"{route.model} does not answer", fix="try again in a second")._replace(
            headers=((b"retry-after", b"1"),)
        )

    async def _forward(self, route: Route, message: bytes, body: bytes) -> Answer:
        tally = self._tally(route)
        tally.in_flight += 1
        began = perf_counter()
        try:
            answer = await self._backends.of((route.uds, *route.more)).ask(message, body)
        except Lost:
            tally.lost()
            raise
        finally:
            tally.in_flight -= 1
        rows = answer.headers.get(b"x-roadworthy-rows", b"0")
        by_model = answer.headers.get(b"x-roadworthy-error") == b"model"
        tally.answered(answer.status, int(rows), perf_counter() - began, by_model=by_model)
        return answer

    def _warn(self, route: Route, lost: Lost) -> None:
        """Say that a version does not answer, but not for each of many requests."""
        now = perf_counter()
        if now - self._warned_at >= WARNING_S:
            self._warned_at = now
            _log.warning("%s does not answer: %s", route.model, lost)

    def _other(self, lost: Route) -> Route | None:
        """Another version that answers now, the live one first; the same one if it has been replaced meanwhile."""
        found = [span.route for span in self._table.spans if span.route.uds != lost.uds]
        return found[-1] if found else None

    def _copy(self, route: Route, request: wire.Request) -> None:
        """Send a shadow what the others answer; nobody waits for it."""
        if len(self._tasks) >= SHADOWS_MAX:
            self._shadow_dropped += 1
            return

        async def send() -> None:
            with contextlib.suppress(Lost):
                await self._forward(route, division.message(request, route="shadow"), request.body)

        task = asyncio.ensure_future(send())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tally(self, route: Route) -> Tally:
        key = (route.release, route.model)
        if key not in self._tallies:
            self._tallies[key] = Tally(route.model, route.release, self._metrics)
        return self._tallies[key]

    # What else is asked.

    async def ping(self, _: wire.Request) -> wire.Reply:
        """Whether a version answers."""
        if not self._table.spans:
            return wire.error(503, "no version is released here", fix="run `rw release`")
        route = self._table.spans[-1].route
        try:
            backend = self._backends.of((route.uds, *route.more))
            answer = await backend.ask(division.get(b"/ping"), limit_s=PING_S_MAX)
        except Lost as lost:
            return wire.error(503, f"{route.model} does not answer: {lost}")
        return wire.Reply(answer.status, answer.body)

    async def version(self, _: wire.Request) -> wire.Reply:
        return wire.json({"roadworthy": __version__})

    async def about(self, _: wire.Request) -> wire.Reply:
        state = self._table.state
        shown = [{"model": r.model, "state": r.state, "share": r.share} for r in state.routes]
        return wire.json({"target": state.target, "entity": state.entity, "routes": shown})

    async def metrics(self, _: wire.Request) -> wire.Reply:
        """The router's own, and those of every model server, which listen where Prometheus does not reach."""
        asked = [(route, path) for route in self._table.state.routes for path in (route.uds, *route.more)]
        answers = await asyncio.gather(*(self._metrics_of(path) for _, path in asked))
        parts = [
            ({"model": route.model, "release": route.release, "process": Path(path).stem}, text)
            for (route, path), text in zip(asked, answers, strict=True)
        ]
        return wire.Reply(200, self.counters.text() + aggregated(parts), TYPE)

    async def _metrics_of(self, path: str) -> str:
        try:
            answer = await self._backends.of((path,)).ask(division.get(b"/metrics"), limit_s=PING_S_MAX)
        except Lost:
            return ""
        return answer.body.decode("utf-8", "replace")

    async def up(self, _: wire.Request) -> wire.Reply:
        return wire.json({"status": "ok"})

    async def status(self, _: wire.Request) -> wire.Reply:
        return wire.json(self._status())

    async def reloaded(self, _: wire.Request) -> wire.Reply:
        self.reload()
        return wire.json(self._status())

    def _status(self) -> RouterStatus:
        state = self._table.state
        known = {(route.release, route.model): route for route in state.routes}
        for route in state.routes:
            self._tally(route)
        told = []
        for key, tally in self._tallies.items():
            found = known.get(key)
            told.append(tally.status(found.state if found else "gone", found.share if found else 0.0))
        return RouterStatus(
            target=state.target,
            digest=self._digest,
            problem=self._problem,
            routes=tuple(told),
            unrouted=self._unrouted,
            shadow_dropped=self._shadow_dropped,
        )

    # Its life.

    async def _start(self) -> None:
        self.reload()
        self._watching = asyncio.ensure_future(self._watch())

    async def _stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._backends.close()

    async def _watch(self) -> None:
        """Follow the file within `POLL_S`, told or not."""
        while True:
            await asyncio.sleep(POLL_S)
            with contextlib.suppress(OSError):
                stat = self.path.stat()
                if (stat.st_mtime_ns, stat.st_ino, stat.st_size) != self._seen:
                    self.reload()

    def _public(self) -> wire.Application:
        return wire.Application(
            {
                "/": {"GET": self.about},
                "/ping": {"GET": self.ping},
                "/health": {"GET": self.ping},
                "/version": {"GET": self.version},
                "/metrics": {"GET": self.metrics},
                "/invocations": {"POST": self.invocations},
            },
            body_bytes_max=BODY_MB_MAX << 20,
            startup=self._start,
            shutdown=self._stop,
            observe=self.counters.observe,
        )

    def _control(self) -> wire.Application:
        return wire.Application(
            {
                "/ping": {"GET": self.up},
                "/status": {"GET": self.status},
                "/reload": {"POST": self.reloaded},
            },
            body_bytes_max=1 << 16,
            names=None,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Route until told to stop; the exit code."""
    given = _arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    runtime.raise_file_limit()
    try:
        router = Router(given.state)
        router.public.names = frozenset((*wire.LOCAL_NAMES, *map(str.lower, given.allow_host)))
        state = given.state.absolute()
        control = given.control or runtime.control_socket(given.home or state.parents[2], state.parent.name)
        pairs = (
            (router.public, runtime.bind_port(given.port)),
            (router.control, runtime.bind_unix(control)),
        )
    except Fault as fault:
        sys.stderr.write(f"error: {fault}\n")
        return EXIT_CODES[fault.code]
    from roadworthy.serving.guard import serve

    serve(*pairs)
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m roadworthy.serving.router", description="Route to versions.")
    parser.add_argument("--state", type=Path, required=True, help="the state file: <home>/serving/<target>/state.json")
    parser.add_argument("--port", type=int, required=True, help="port of the loopback address")
    parser.add_argument("--home", type=Path, help="the store's folder, where it is not above the state file")
    parser.add_argument(
        "--control", type=Path, help="the control socket; in the store's folder for sockets if not given"
    )
    parser.add_argument("--allow-host", action="append", default=[], help="a host name to answer for, beside localhost")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
