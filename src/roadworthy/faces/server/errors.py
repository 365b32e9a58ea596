"""Errors as each face says them: ours with what, where and fix; MLflow's with `error_code` and `message`.

In: what a handler raised. Out: an answer; whatever is no failure of the user's is "internal" outside, and a full report
in the server's log, under the request's id.
"""

import logging

import msgspec

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.nouns.errors import HTTP_INTERNAL, HTTP_STATUS, Code, Fault, invalid

_log = logging.getLogger("roadworthy.server")

# MLflow's names for our five kinds, with the status that MLflow gives each.
MLFLOW: dict[Code, tuple[str, int]] = {
    Code.INVALID: ("INVALID_PARAMETER_VALUE", 400),
    Code.NOT_FOUND: ("RESOURCE_DOES_NOT_EXIST", 404),
    Code.CONFLICT: ("RESOURCE_ALREADY_EXISTS", 400),
    Code.REFUSED: ("PERMISSION_DENIED", 403),
    Code.UNAVAILABLE: ("TEMPORARILY_UNAVAILABLE", 503),
}
_NO_NUL = "text with the character NUL is not kept"
_MLFLOW_PATHS = ("/api/2.0/", "/api/3.0/", "/ajax-api/", "/v1/traces", "/graphql")


class TooLarge(Exception):
    """A body over the route's cap."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"the body is over {bytes_max / (1 << 20):g} MiB")


class UnreadBody(Exception):
    """A body in an encoding that is not read (415)."""


class WireError(Exception):
    """A failure that MLflow's clients know by its code and message.

    Args:
        code: MLflow's error code, such as `RESOURCE_ALREADY_EXISTS`.
        status: the HTTP status that MLflow gives it.
    """

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def answer(problem: Exception, request: Request, route: Route | None) -> Reply:
    """The answer to whatever was raised."""
    mlflow = _speaks_mlflow(request, route)
    if isinstance(problem, RecursionError):  # nothing of ours goes that deep but what was sent
        problem = WireError("BAD_REQUEST", "what was sent is nested too deeply", 400) if mlflow else _too_deep()
    if _has_nul(problem):
        problem = WireError("INVALID_PARAMETER_VALUE", _NO_NUL, 400) if mlflow else invalid(_NO_NUL)
    if isinstance(problem, WireError):
        return mlflow_error(problem.code, str(problem), problem.status)
    if isinstance(problem, Fault):
        if mlflow:
            code, status = MLFLOW[problem.code]
            reply = mlflow_error(code, str(problem).replace("\n  ", "; "), status)
        else:
            reply = error(HTTP_STATUS[problem.code], problem.code, problem.what, where=problem.where, fix=problem.fix)
        return _later(reply) if problem.code is Code.UNAVAILABLE else reply
    if isinstance(problem, TooLarge):
        reply = (
            mlflow_error("INVALID_PARAMETER_VALUE", str(problem), 413)
            if mlflow
            else error(413, Code.INVALID, str(problem))
        )
        return reply._replace(headers=((b"connection", b"close"),))
    if isinstance(problem, UnreadBody):
        return (
            mlflow_error("INVALID_PARAMETER_VALUE", str(problem), 415)
            if mlflow
            else error(415, Code.INVALID, str(problem))
        )
    _log.exception("request %s failed: %s %s", request.id, request.method, request.path[:200], exc_info=problem)
    what = f"something of ours broke; the server's log has it under {request.id}"
    if mlflow:
        return mlflow_error("INTERNAL_ERROR", what, HTTP_INTERNAL)
    return error(HTTP_INTERNAL, "internal", what)


def _has_nul(problem: Exception) -> bool:
    """Whether PostgreSQL's driver refused text for a character that the engine keeps in none."""
    return type(problem).__module__.startswith("psycopg") and "NUL (0x00)" in str(problem)


def no_route(request: Request, allowed: tuple[str, ...]) -> Reply:
    """The answer where nothing is declared."""
    status = 405 if allowed else 404
    what = f"{request.method[:20]} is not allowed here" if allowed else f"there is no {request.path[:200]!r}"
    if _speaks_mlflow(request, None):
        reply = mlflow_error("ENDPOINT_NOT_FOUND", what, status)
    else:
        reply = error(status, Code.NOT_FOUND, what)
    return reply._replace(headers=((b"allow", ", ".join(sorted(set(allowed))).encode()),)) if allowed else reply


def error(status: int, code: str, what: str, *, where: str = "", fix: str = "") -> Reply:
    """Our own shape."""
    said = {"code": str(code), "what": what, "where": where, "fix": fix}
    return Reply(status, msgspec.json.encode({"error": {k: v for k, v in said.items() if v}}))


def mlflow_error(code: str, message: str, status: int) -> Reply:
    """MLflow's shape."""
    return Reply(status, msgspec.json.encode({"error_code": code, "message": message}))


def _too_deep() -> Fault:
    return Fault(Code.INVALID, "what was sent is nested too deeply")


def _later(reply: Reply) -> Reply:
    return reply._replace(headers=((b"retry-after", b"1"),))


def _speaks_mlflow(request: Request, route: Route | None) -> bool:
    return route.face == "mlflow" if route else request.path.startswith(_MLFLOW_PATHS)
