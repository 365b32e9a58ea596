"""The five ways a request can fail, as one type.

Every room raises `Fault`; the faces turn its code into an exit code or an HTTP status with the one table below.
Whatever else is raised is a defect of ours: "internal" outside, a full report inside.
"""

from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """What kind of failure it is; the value is what JSON and logs show."""

    INVALID = "invalid"  # the input is wrong; the same request will fail again
    NOT_FOUND = "not_found"  # what is named does not exist
    CONFLICT = "conflict"  # it cannot be done now: the state is another, or someone else holds the lock
    REFUSED = "refused"  # a rule, a missing certificate or a missing permission says no
    UNAVAILABLE = "unavailable"  # something we need does not answer, is full, or took too long


EXIT_CODES: dict[Code, int] = {
    Code.INVALID: 2,
    Code.NOT_FOUND: 3,
    Code.CONFLICT: 4,
    Code.REFUSED: 5,
    Code.UNAVAILABLE: 6,
}
EXIT_INTERNAL = 70

HTTP_STATUS: dict[Code, int] = {
    Code.INVALID: 400,
    Code.NOT_FOUND: 404,
    Code.CONFLICT: 409,
    Code.REFUSED: 403,
    Code.UNAVAILABLE: 503,
}
HTTP_INTERNAL = 500


class Fault(Exception):
    """A failure the user can act on: what is wrong, where, and what would pass.

    Args:
        code: one of the five kinds.
        what: one sentence saying what is wrong.
        where: the file, line, key, row or step it is about; may be empty.
        fix: what to do, or what would pass; may be empty.
        detail: more for machines (`--json`, the API); JSON-like values only.
    """

    def __init__(
        self, code: Code, what: str, *, where: str = "", fix: str = "", detail: dict[str, Any] | None = None
    ) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.where = where
        self.fix = fix
        self.detail = detail or {}

    def __reduce__(self) -> tuple[Any, ...]:
        # Faults cross process boundaries (step workers), keyword arguments included.
        return _rebuild, (self.code, self.what, self.where, self.fix, self.detail)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.fix}" if self.fix else ""
        return f"{place}{self.what}{advice}"

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows instead of a traceback, which would be of our code rather than the user's."""
        return [f"{self.code.replace('_', ' ')}: {self}"]


def invalid(what: str, *, where: str = "", fix: str = "", detail: dict[str, Any] | None = None) -> Fault:
    return Fault(Code.INVALID, what, where=where, fix=fix, detail=detail)


def not_found(what: str, *, where: str = "", fix: str = "", detail: dict[str, Any] | None = None) -> Fault:
    return Fault(Code.NOT_FOUND, what, where=where, fix=fix, detail=detail)


def conflict(what: str, *, where: str = "", fix: str = "", detail: dict[str, Any] | None = None) -> Fault:
    return Fault(Code.CONFLICT, what, where=where, fix=fix, detail=detail)


def refused(what: str, *, where: str = "", fix: str = "", detail: dict[str, Any] | None = None) -> Fault:
    return Fault(Code.REFUSED, what, where=where, fix=fix, detail=detail)


def unavailable(what: str, *, where: str = "", fix: str = "", detail: dict[str, Any] | None = None) -> Fault:
    return Fault(Code.UNAVAILABLE, what, where=where, fix=fix, detail=detail)


def _rebuild(code: Code, what: str, where: str, fix: str, detail: dict[str, Any]) -> Fault:
    return Fault(code, what, where=where, fix=fix, detail=detail)
