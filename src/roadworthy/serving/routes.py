"""Routes: which version answers whom. The state file that releases write and the router follows.

In: the JSON state file, and the entities of a request's rows. Out: for each row the route that answers it. The same
entity always meets the same version: a keyed hash puts it at a point between 0 and 1, a canary owns the points from 0
up to its share, so when its share grows, whoever met it before still does. Called by serving/router.py, by
serving/app.py (which takes its rows of a divided request), and by releases, which write the file.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from roadworthy.nouns.errors import invalid

RouteState = Literal["live", "canary", "draining", "shadow"]
POINTS = 2**64
ROUTES_MAX = 32
STATE_BYTES_MAX = 1 << 20


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One version behind the router.

    Args:
        model: `name@version`.
        release: id of its release.
        share: of new traffic, 0 to 1; shares of live and canary routes are scaled to sum to 1.
        uds: the model server's socket.
        state: `live` and `canary` answer; `draining` finishes what it has; `shadow` sees all and answers nobody.
        more: sockets of further processes of the same version.
    """

    model: str
    release: str = ""
    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    uds: str
    state: RouteState = "live"
    more: tuple[str, ...] = ()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the router is told.

    Args:
        target: the target's name.
        routes: in any order.
        entity: column that names whom a row is about; None routes by the request.
        salt: keys the hash of entities; the canary's release when empty, so that not always the same are asked first.
        max_body_mb: largest body in MiB; the router's own limit when 0.
    """

    target: str = "local"
    routes: Annotated[tuple[Route, ...], Meta(max_length=ROUTES_MAX)] = ()
    entity: str | None = None
    salt: str = ""
    max_body_mb: Annotated[int, Meta(ge=0, le=1024)] = 0


class Span(msgspec.Struct, frozen=True):
    """The points that a route owns: from `low` up to, and without, `high`."""

    route: Route
    low: int
    high: int


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A state made ready for lookups."""

    state: State
    spans: tuple[Span, ...]
    shadows: tuple[Route, ...]
    salt: bytes


def read_state(path: Path) -> State:
    """The state file.

    Raises:
        Fault: invalid, when it is not there or not a state.
    """
    try:
        with path.open("rb") as file:
            content = file.read(STATE_BYTES_MAX + 1)
        return parse_state(content)
    except OSError as problem:
        raise invalid(f"the state file cannot be read: {problem.strerror}", where=str(path)) from None


def parse_state(content: bytes) -> State:
    """The content of a state file.

    Raises:
        Fault: invalid, when it is no state.
    """
    if len(content) > STATE_BYTES_MAX:
        raise invalid("the state file is too large", fix=f"write at most {STATE_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(content, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise invalid(f"the state file is not a state: {problem}") from None


def write_state(path: Path, state: State) -> None:
    """Replace the state file at once: the router reads the old or the new, never half."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        with temporary.open("xb") as file:
            file.write(msgspec.json.encode(state))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def table(state: State) -> Table:
    """Lay out the points: canaries from 0 upwards, then the live versions; draining ones own none."""
    answering = [r for r in state.routes if r.state == "canary"] + [r for r in state.routes if r.state == "live"]
    total = sum(route.share for route in answering)
    spans = []
    low, reached = 0, 0.0
    for route in answering:
        reached += route.share
        high = min(POINTS, round(reached / total * POINTS)) if total > 0 else 0
        if high > low:
            spans.append(Span(route, low, high))
            low = high
    if spans:
        spans[-1] = Span(spans[-1].route, spans[-1].low, POINTS)
    canaries = [route.release or route.model for route in answering if route.state == "canary"]
    salt = state.salt or (canaries[0] if canaries else "")
    shadows = tuple(route for route in state.routes if route.state == "shadow")
    return Table(state=state, spans=tuple(spans), shadows=shadows, salt=salt_bytes(salt))


def salt_bytes(salt: str) -> bytes:
    """The key of the hash: 32 bytes of any text."""
    return hashlib.blake2b(salt.encode("utf-8", "surrogatepass"), digest_size=32).digest()


def point(entity: str, salt: bytes) -> int:
    """Where an entity stands: uniform in 0 to 2^64 - 1, the same for ever under one salt (BLAKE2b, keyed)."""
    return int.from_bytes(hashlib.blake2b(entity.encode("utf-8", "replace"), digest_size=8, key=salt).digest(), "big")


def span_of(spans: Sequence[Span], at: int) -> int:
    """The index of the span that owns a point."""
    for index, span in enumerate(spans):
        if at < span.high:
            return index
    return len(spans) - 1


def points(entities: Sequence[Any], salt: bytes, *, otherwise: int) -> list[int]:
    """A point per row; rows without an entity stand where the request does."""
    known: dict[str, int] = {}
    found = []
    for value in entities:
        text = canonical(value)
        if text is None:
            found.append(otherwise)
            continue
        if text not in known:
            known[text] = point(text, salt)
        found.append(known[text])
    return found


def canonical(value: Any) -> str | None:
    """An entity or key as text, the same whether it came as 7, 7.0 or "7"; None when there is none."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


class Part(msgspec.Struct, frozen=True):
    """The rows of a divided request that one version answers: those whose entity stands in `low` to `high`.

    Each server finds its rows by itself, so the request travels as the client sent it and an error names the row as
    the client counts.
    """

    column: str
    salt: str
    low: int
    high: int
    otherwise: int

    def header(self) -> bytes:
        return msgspec.json.encode(self)

    def rows(self, entities: Sequence[Any]) -> list[int]:
        """The indices of its rows."""
        at = points(entities, bytes.fromhex(self.salt), otherwise=self.otherwise)
        return [row for row, place in enumerate(at) if self.low <= place < self.high]


def read_part(header: bytes) -> Part:
    """A `Part` as the router sent it.

    Raises:
        Fault: invalid, when it is none.
    """
    try:
        part = msgspec.json.decode(header, type=Part)
        bytes.fromhex(part.salt)
    except (msgspec.DecodeError, ValueError) as problem:
        raise invalid(f"the part of the request is not understood: {problem}", where="x-roadworthy-part") from None
    return part
