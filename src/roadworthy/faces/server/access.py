"""Access: the guards that every request passes before anything is read of it.

In: a request and the route it found. Out: nothing, or the answer in the handler's place. A browser on someone else's
page can reach a server on this machine, so a request must name one of our hosts (DNS rebinding) and come from no other
origin (CSRF). Then: who asks, are they asking too often, and may they do this anywhere at all; the handler holds their
roles against the project of what it touches.
"""

import ipaddress
import socket
import time
from collections.abc import Awaitable
from functools import lru_cache
from urllib.parse import quote

from roadworthy.faces.server import errors
from roadworthy.faces.server.app import Guard
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.attempts import Throttled
from roadworthy.faces.server.identity.door import COOKIE
from roadworthy.faces.server.identity.who import OWNER
from roadworthy.faces.server.server import Server, Settings
from roadworthy.nouns.errors import Code, Fault
from roadworthy.serving.wire import LOCAL_NAMES, hostname

SAFE_METHODS = ("GET", "HEAD")
BURST_S = 5.0
BUCKETS_MAX = 50_000
HOSTS_KNOWN_MAX = 100
LOGIN = "/login"
PROXIES_SAY = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"forwarded", b"x-real-ip", b"via"})


def guards(settings: Settings) -> tuple[Guard, ...]:
    """Those of a server that was started so."""
    found: list[Guard] = [_host(settings), _who if settings.login else _owner]
    if not settings.login and not settings.behind_proxy:
        found.insert(1, _no_proxy)
    if settings.behind_proxy:
        found.insert(0, _forwarded)
    if settings.requests_per_s:
        found.append(_rate(settings.requests_per_s))
    return (*found, _role)


def sent_cookie(server: Server, request: Request, name: str) -> str:
    """A cookie of ours, or nothing. By TLS only one counts that no other host of the domain can have set."""
    name = f"__Host-{name}" if server.settings.secure else name
    for part in request.headers.get(b"cookie").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def _forwarded(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
    # The last entry is the proxy's own word; those before it are its client's.
    said = request.headers.get(b"x-forwarded-for").rpartition(",")[2].strip()
    if _is_address(said):
        request.source = said
    return None


def _host(settings: Settings) -> Guard:
    named = frozenset(name.lower() for name in settings.hosts)
    names = named | set(LOCAL_NAMES)
    if settings.exposed:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    @lru_cache(maxsize=HOSTS_KNOWN_MAX)  # clients write the same each time
    def ours(host: str) -> bool:
        name = hostname(host)
        # No name leads an address of numbers elsewhere, so that no page can pass for it by its own name.
        return name in names or (settings.exposed and _is_address(name.strip("[]")))

    def guard(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
        headers = request.headers
        host = headers.get(b"host")
        if headers.count(b"host") != 1 or not ours(host):
            fix = f"start it with --allow-host {hostname(host)[:80]}" if settings.exposed else ""
            return errors.answer(_Refusal("this server answers for other host names", 421, fix), request, route)
        origin = headers.get(b"origin")
        if origin:
            authority = origin.rpartition("://")[2].lower()
            if headers.count(b"origin") != 1 or (authority != host.lower() and hostname(authority) not in named):
                return errors.answer(_Refusal("requests from pages of other origins are refused", 403), request, route)
        elif headers.get(b"sec-fetch-site") in ("cross-site", "same-site") and not _follows_a_link(request):
            return errors.answer(_Refusal("requests from pages of other origins are refused", 403), request, route)
        return None

    return guard


def _no_proxy(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
    """Whoever trusts this machine does not trust all whom a proxy on it lets through."""
    for name, _ in request.headers.raw:
        if name in PROXIES_SAY:
            fix = "start it with --behind-proxy (and --no-login if the proxy knows who may come in)"
            return errors.answer(
                _Refusal("this server is not meant to be reached through a proxy", 403, fix), request, route
            )
    return None


def _owner(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
    request.identity = OWNER
    return None


def _who(server: Server, request: Request, route: Route | None) -> Reply | Awaitable[Reply | None] | None:
    authorization = request.headers.get(b"authorization")
    cookie = "" if authorization else sent_cookie(server, request, COOKIE)
    if cookie and request.method not in SAFE_METHODS and not _from_our_page(request):
        return errors.answer(_Refusal("what a page changes must come from a page of ours", 403), request, route)
    known = server.door.recall(authorization or cookie, request.source)
    if known is not None:
        request.identity = known
        return None
    if authorization or cookie:
        return _find(server, request, route, authorization, cookie)
    return None if route is not None and route.needs == "public" else _unknown(request, route)


async def _find(server: Server, request: Request, route: Route | None, authorization: str, cookie: str) -> Reply | None:
    public = route is not None and route.needs == "public"
    try:
        identity = None if public else await server.door.find(authorization, cookie, request.source)
    except Throttled as problem:
        return _later(problem.after_s, str(problem), request, route)
    if identity is None:
        return None if public else _unknown(request, route)
    request.identity = identity
    return None


def _unknown(request: Request, route: Route | None) -> Reply:
    """That somebody must say who they are: a page is led to the login, a program is told."""
    if request.method == "GET" and "text/html" in request.headers.get(b"accept"):
        back = quote(request.path, safe="/")
        return Reply(303, b"", "text/html", ((b"location", f"{LOGIN}?next={back}".encode()),))
    what = "say who you are: a token (MLFLOW_TRACKING_TOKEN), or a user's name and password"
    reply = errors.answer(errors.WireError("UNAUTHENTICATED", what, 401), request, route)
    challenges = (
        (b"www-authenticate", b'Bearer realm="roadworthy"'),
        (b"www-authenticate", b'Basic realm="roadworthy", charset="UTF-8"'),
    )
    return reply._replace(headers=(*reply.headers, *challenges))


def _rate(per_s: float) -> Guard:
    buckets: dict[str, tuple[float, float]] = {}
    most = per_s * BURST_S

    def guard(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
        key = request.identity.name or request.source
        now = time.monotonic()
        left, at = buckets.get(key, (most, now))
        left = min(most, left + (now - at) * per_s)
        if left < 1:
            return _later((1 - left) / per_s, "too many requests", request, route)
        if len(buckets) >= BUCKETS_MAX:
            buckets.clear()
        buckets[key] = (left - 1, now)
        return None

    return guard


def _role(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
    if route is None or route.needs == "public":
        return None
    who = request.identity
    if who.may(route.needs) if route.everywhere else who.somewhere(route.needs):
        return None
    where = " in all projects" if route.everywhere else ""
    return errors.answer(Fault(Code.REFUSED, f"this needs the role {route.needs}{where}"), request, route)


def _later(after_s: float, what: str, request: Request, route: Route | None) -> Reply:
    reply = errors.answer(errors.WireError("REQUEST_LIMIT_EXCEEDED", what, 429), request, route)
    return reply._replace(headers=(*reply.headers, (b"retry-after", str(int(after_s) + 1).encode())))


def _from_our_page(request: Request) -> bool:
    """Browsers say where a request comes from; the origin was held against our hosts before."""
    return bool(request.headers.get(b"origin")) or request.headers.get(b"sec-fetch-site") == "same-origin"


def _follows_a_link(request: Request) -> bool:
    return request.method in SAFE_METHODS and request.headers.get(b"sec-fetch-mode") == "navigate"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class _Refusal(errors.WireError):
    def __init__(self, message: str, status: int, fix: str = "") -> None:
        super().__init__("PERMISSION_DENIED", f"{message}; {fix}" if fix else message, status)
