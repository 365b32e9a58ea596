"""Access: the guards that every request passes before anything is read of it.

In: a request and the route it found. Out: nothing, or the answer in the handler's place. A browser on someone else's
page can reach a server on this machine, so a request must name one of our hosts (DNS rebinding) and come from no other
origin (CSRF).
"""

from roadworthy.faces.server import errors
from roadworthy.faces.server.app import Guard
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import OWNER
from roadworthy.faces.server.server import Server, Settings
from roadworthy.nouns.errors import Code, Fault
from roadworthy.serving.wire import LOCAL_NAMES, hostname


def guards(settings: Settings) -> tuple[Guard, ...]:
    """Those of a server that was started so."""
    return (_host(frozenset(LOCAL_NAMES) | {name.lower() for name in settings.hosts}), _owner, _role)


def _host(names: frozenset[str]) -> Guard:
    def guard(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
        headers = request.headers
        if headers.count(b"host") != 1 or hostname(headers.get(b"host")) not in names:
            return errors.answer(_Refusal("this server answers for other host names", 421), request, route)
        origin = headers.get(b"origin")
        if origin and hostname(origin.rpartition("://")[2]) not in names:
            return errors.answer(_Refusal("requests from pages of other origins are refused", 403), request, route)
        return None

    return guard


def _owner(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
    request.identity = OWNER
    return None


def _role(server: Server, request: Request, route: Route | None) -> Reply | None:  # noqa: ARG001
    if route is None or route.needs == "public" or request.identity.somewhere(route.needs):
        return None
    return errors.answer(Fault(Code.REFUSED, f"this needs the role {route.needs}"), request, route)


class _Refusal(errors.WireError):
    def __init__(self, message: str, status: int) -> None:
        super().__init__("PERMISSION_DENIED", message, status)
