"""Control: what the router tells and is told over its own socket, which only this user may connect to.

In: the socket's path. Out: what the router follows and counted. Called by releases (is it followed yet, has the old
version answered all it was asked, how does the canary do); served by serving/router.py.
"""

import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from roadworthy.nouns.errors import unavailable
from roadworthy.serving.routes import RouteState


class RouteStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One version as the router sees it; counts are since the router started.

    Args:
        release, model: whose it is.
        state: as in the state file; `gone` when it is no longer in it.
        share: of new traffic, 0 to 1.
        in_flight: requests that wait for its answer.
        requests: that it answered or should have.
        rows: that it answered.
        errors: what is its fault: no answer, a 5xx, or a model that raised.
        rejected: what was the client's fault (4xx).
        latency_p50_ms, latency_p99_ms: of its answers, to within 10 %.
    """

    release: str
    model: str
    state: RouteState | str
    share: float = 0.0
    in_flight: int = 0
    requests: int = 0
    rows: int = 0
    errors: int = 0
    rejected: int = 0
    latency_p50_ms: float = 0.0
    latency_p99_ms: float = 0.0


class RouterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The router as a whole.

    Args:
        target: as in the state file.
        digest: BLAKE3 of the state file that is followed; empty before the first.
        problem: why the newest state file is not followed, if so.
        routes: every version it knows or still has requests of.
        unrouted: requests that no version could answer.
        shadow_dropped: copies not sent because too many were on their way.
    """

    target: str = ""
    digest: str = ""
    problem: str = ""
    routes: tuple[RouteStatus, ...] = ()
    unrouted: int = 0
    shadow_dropped: int = 0

    def route(self, release: str) -> RouteStatus | None:
        return next((route for route in self.routes if route.release == release), None)


def status(path: Path, *, timeout_s: float = 5.0) -> RouterStatus:
    """What the router follows and counted.

    Raises:
        Fault: unavailable, when no router answers.
    """
    return _ask(path, "GET", "/status", timeout_s)


def reload(path: Path, *, timeout_s: float = 5.0) -> RouterStatus:
    """Have the router read the state file now; when this returns, no new request goes by the older one.

    Raises:
        Fault: unavailable, when no router answers.
    """
    return _ask(path, "POST", "/reload", timeout_s)


def _ask(path: Path, method: str, route: str, timeout_s: float) -> RouterStatus:
    connection = UnixConnection(path, timeout_s=timeout_s)
    try:
        connection.request(method, route)
        return msgspec.json.decode(connection.getresponse().read(), type=RouterStatus)
    except (OSError, HTTPException, msgspec.MsgspecError) as problem:
        raise unavailable(f"the router does not answer: {problem}", where=str(path)) from None
    finally:
        connection.close()


class UnixConnection(HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path, *, timeout_s: float = 5.0) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
