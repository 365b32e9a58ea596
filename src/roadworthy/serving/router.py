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
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from roadworthy.nouns.errors import EXIT_CODES, Fault
from roadworthy.nouns.version import __version__
from roadworthy.serving import division, runtime, wire
from roadworthy.serving.aggregate import aggregated
from roadworthy.serving.backends import Backends, Lost
from roadworthy.serving.control import RouterStatus
from roadworthy.serving.counters import TYPE, Counters
from roadworthy.serving.following import Following
from roadworthy.serving.forwarding import Forwarding
from roadworthy.serving.living import Home
from roadworthy.serving.routes import State
from roadworthy.serving.tally import VersionMetrics

BODY_MB_MAX = 64
PING_S_MAX = 5.0


class Router:
    """Follows a state file and forwards.

    Args:
        path: of the state file; it may appear later.
        home: the store's folder, without which it ends.
    """

    def __init__(self, path: Path, home: Home | None = None) -> None:
        self._home = home
        self.counters = Counters()
        self._backends = Backends()
        self._following = Following(path, self._changed)
        metrics = VersionMetrics(self.counters.registry)
        self._forwarding = Forwarding(self._backends, lambda: self._following.table, metrics)
        self._watching: list[asyncio.Task[None]] = []
        self.public = self._public()
        self.control = self._control()

    def _changed(self, state: State) -> None:
        self.public.body_bytes_max = (state.max_body_mb or BODY_MB_MAX) << 20
        self._backends.keep({path for route in state.routes for path in (route.uds, *route.more)})

    async def invocations(self, request: wire.Request) -> wire.Reply:
        table = self._following.table
        if not table.spans:
            self._forwarding.unrouted += 1
            return wire.come_back("no version is released here", fix="run `rw release`")
        for route in table.shadows:
            self._forwarding.copy(request, route)
        return await self._forwarding.answer(request, division.divide(request, table))

    # What else is asked.

    async def ping(self, _: wire.Request) -> wire.Reply:
        """Whether a version answers."""
        if not self._following.table.spans:
            return wire.come_back("no version is released here", fix="run `rw release`")
        route = self._following.table.spans[-1].route
        try:
            backend = self._backends.of((route.uds, *route.more))
            answer = await backend.ask(division.get(b"/ping"), limit_s=PING_S_MAX)
        except Lost as lost:
            return wire.come_back(f"{route.model} does not answer: {lost}")
        return wire.Reply(answer.status, answer.body)

    async def version(self, _: wire.Request) -> wire.Reply:
        return wire.json({"roadworthy": __version__})

    async def about(self, _: wire.Request) -> wire.Reply:
        state = self._following.table.state
        shown = [{"model": r.model, "state": r.state, "share": r.share} for r in state.routes]
        return wire.json({"target": state.target, "entity": state.entity, "routes": shown})

    async def metrics(self, _: wire.Request) -> wire.Reply:
        """The router's own, and those of every model server, which listen where Prometheus does not reach."""
        asked = [(route, path) for route in self._following.table.state.routes for path in (route.uds, *route.more)]
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
        self._following.reload()
        return wire.json(self._status())

    def _status(self) -> RouterStatus:
        state = self._following.table.state
        known = {(route.release, route.model): route for route in state.routes}
        for route in state.routes:
            self._forwarding.tally(route)
        told = []
        for key, tally in self._forwarding.tallies.items():
            found = known.get(key)
            told.append(tally.status(found.state if found else "gone", found.share if found else 0.0))
        return RouterStatus(
            target=state.target,
            digest=self._following.digest,
            problem=self._following.problem,
            routes=tuple(told),
            unrouted=self._forwarding.unrouted,
            shadow_dropped=self._forwarding.shadow_dropped,
        )

    # Its life.

    async def _start(self) -> None:
        self._following.reload()
        self._watching = [asyncio.create_task(self._following.watch())]
        if self._home is not None:
            self._watching.append(asyncio.create_task(self._home.end_without()))

    async def _stop(self) -> None:
        for watching in self._watching:
            watching.cancel()
        self._backends.close()

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
        state = given.state.absolute()
        home = given.home or (state.parents[2] if state.parents[1].name == "serving" else None)
        router = Router(given.state, Home(home.absolute()) if home is not None else None)
        router.public.names = frozenset((*wire.LOCAL_NAMES, *map(str.lower, given.allow_host)))
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
