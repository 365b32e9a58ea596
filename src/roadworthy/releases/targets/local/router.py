"""The router of a target on this machine: told who gets which share, asked what it saw. Called by target.py."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from roadworthy.nouns.errors import Fault, conflict, unavailable
from roadworthy.releases.targets.local import processes, servers
from roadworthy.releases.targets.local.processes import Process
from roadworthy.releases.targets.protocol import Counts, Ground
from roadworthy.serving import control, routes, runtime
from roadworthy.serving.control import RouterStatus, RouteStatus
from roadworthy.serving.routes import Route, RouteState, State
from roadworthy.store.blobs import digest_of
from roadworthy.store.clock import SystemClock

START_PATIENCE_S = 30.0
# A request that takes longer is cut off when its server is stopped.
DRAIN_PATIENCE_S = 30.0
POLL_S = 0.02
_clock = SystemClock()


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The router as found: its process and port, the shares it gives, and what it counted."""

    up: bool = False
    pid: int | None = None
    port: int = 0
    shares: dict[str, float] = msgspec.field(default_factory=dict)
    counts: dict[str, Counts] = msgspec.field(default_factory=dict)
    unrouted: int = 0
    problem: str = ""


def look(ground: Ground) -> Look:
    """Find and ask the router; change nothing."""
    process = _process(ground)
    if process is None:
        return Look()
    status = _status(ground)
    if status is None:
        return Look(pid=process.pid, port=_port(process))
    return Look(
        up=True,
        pid=process.pid,
        port=_port(process),
        shares={route.release: route.share for route in status.routes if route.state in {"live", "canary"}},
        counts={route.release: _counts(route) for route in status.routes},
        unrouted=status.unrouted,
        problem=status.problem,
    )


def divide(ground: Ground, shares: Mapping[str, float], *, live: str) -> None:
    """Give each release its share, all at once; those without one finish what they have and get nothing new."""
    wanted = [_route(ground, key, share, "live" if key == live else "canary") for key, share in shares.items()]
    for route in _read(ground).routes:
        if route.release not in shares:
            state: RouteState = "shadow" if route.state == "shadow" else "draining"
            wanted.append(msgspec.structs.replace(route, share=0.0, state=state))
    _write(ground, wanted)
    _ensure(ground)


def shadow(ground: Ground, release: str) -> None:
    """Send a release a copy of everything."""
    others = [route for route in _read(ground).routes if route.release != release]
    _write(ground, [*others, _route(ground, release, 0.0, "shadow")])
    _follow(ground)


def release(ground: Ground, kept: frozenset[str]) -> None:
    """Take every other release off the routes, once it has answered what it was asked."""
    over = {route.release for route in _read(ground).routes if route.release not in kept}
    if not over:
        return
    until = _clock.now() + DRAIN_PATIENCE_S
    while _clock.now() < until:
        status = _status(ground)
        if status is None or not any(route.in_flight for route in status.routes if route.release in over):
            break
        _clock.sleep(POLL_S)
    _write(ground, [route for route in _read(ground).routes if route.release in kept])
    _follow(ground)


def stop(ground: Ground) -> None:
    """Stop the router; it answers what it was asked first."""
    process = _process(ground)
    if process is not None:
        processes.stop(process)
    processes.forget(_notes(ground), servers.ROUTER)
    if _state(ground).exists():
        _write(ground, [])


def check_port(ground: Ground) -> None:
    """Whether the router has its port or could have it.

    Raises:
        Fault: conflict, naming who has it.
    """
    process = _process(ground)
    port = ground.settings.port
    if process is not None and _port(process) == port:
        return
    try:
        runtime.bind_port(port).close()
    except Fault as taken:
        raise conflict(
            f"port {port} is taken{processes.listener(port)}",
            where=f"[release.{ground.name}]",
            fix=f"stop it, or give another `port` in [release.{ground.name}]",
        ) from taken


def _ensure(ground: Ground) -> None:
    """The router runs, on its port, and follows the state as written."""
    process = _process(ground)
    if process is not None:
        if _port(process) == ground.settings.port and _follow(ground):
            return
        processes.stop(process)
    check_port(ground)
    command = ["roadworthy.serving.router", "--state", str(_state(ground)), "--port", str(ground.settings.port)]
    log = ground.folder / "logs" / "router.log"
    process = processes.start(_notes(ground), servers.ROUTER, command, log=log, about=ground.name)
    until = _clock.now() + START_PATIENCE_S
    while not _follow(ground):
        if not processes.alive(process) or _clock.now() > until:
            processes.stop(process)
            said = processes.tail(process)
            raise unavailable(f"the router does not come up: {said}", where=ground.name, fix=f"see {process.log}")
        _clock.sleep(POLL_S)


def _follow(ground: Ground) -> bool:
    """Have the router follow the state as written; whether it answered. No new request goes by an older one then."""
    try:
        status = control.status(_control(ground))
        if status.digest != digest_of(_state(ground).read_bytes()):
            status = control.reload(_control(ground))
    except Fault:
        return False
    if status.problem:
        raise unavailable(f"the router does not follow: {status.problem}", where=str(_state(ground)))
    return True


def _status(ground: Ground) -> RouterStatus | None:
    try:
        return control.status(_control(ground))
    except Fault:
        return None


def _counts(route: RouteStatus) -> Counts:
    return Counts(
        requests=route.requests, errors=route.errors, rejected=route.rejected, rows=route.rows,
        in_flight=route.in_flight, latency_p50_ms=route.latency_p50_ms, latency_p99_ms=route.latency_p99_ms,
    )  # fmt: skip


def _process(ground: Ground) -> Process | None:
    return processes.find(_notes(ground), servers.ROUTER, str(_state(ground)))


def _port(process: Process) -> int:
    return int(process.option("--port") or 0)


def _control(ground: Ground) -> Path:
    return runtime.control_socket(ground.home, ground.name)


def _read(ground: Ground) -> State:
    if not _state(ground).exists():
        return State(target=ground.name)
    return routes.read_state(_state(ground))


def _write(ground: Ground, wanted: list[Route]) -> None:
    serving = ground.serving
    state = State(target=ground.name, routes=tuple(wanted), entity=serving.entity, max_body_mb=serving.max_body_mb)
    if not _state(ground).exists() or _read(ground) != state:
        routes.write_state(_state(ground), state)


def _route(ground: Ground, release: str, share: float, state: RouteState) -> Route:
    first, *more = servers.sockets(ground, release)
    model = servers.model_of(ground, release)
    return Route(model=model, release=release, share=share, state=state, uds=str(first), more=tuple(map(str, more)))


def _state(ground: Ground) -> Path:
    return ground.folder / "state.json"


def _notes(ground: Ground) -> Path:
    return ground.folder / "run"
