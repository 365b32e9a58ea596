"""What a target is to the rest of the room: somewhere that model servers run and traffic is divided between them.

A target knows no records and decides nothing: it is told, and says what it sees. Everything it is told may be told
twice. A kind of target is one file here, or a stranger's package with an entry point in the group `roadworthy.targets`
that names a function `(Ground) -> Target`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Serving
from roadworthy.nouns.project import Target as Settings
from roadworthy.store.blobs import Blobs


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a target is built from.

    Args:
        name: the target's name in the project file.
        project: the project's name.
        root: the project's folder.
        home: the `.roadworthy` folder; what the target keeps there lies in `serving/<name>/`.
        settings: `[release.NAME]`.
        serving: `[serving]`.
        blobs: where models are read from.
        public: the public key that certificates are checked with.
        sensitive: columns that may not be written in the clear.
        salt: gives the key of masked values, as hex digits.
    """

    name: str
    project: str
    root: Path
    home: Path
    settings: Settings
    serving: Serving
    blobs: Blobs
    public: bytes
    sensitive: tuple[str, ...] = ()
    salt: Callable[[], str] = str

    @property
    def folder(self) -> Path:
        return self.home / "serving" / self.name


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be started: a model with the certificate (a DSSE envelope) that allows it, for one release."""

    release: str
    model: Model
    envelope: bytes


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the target counted of one release.

    Args:
        requests: asked of it.
        rows: that it answered.
        errors: requests that failed through its fault.
        rejected: requests that failed through the client's.
        in_flight: requests that wait for its answer.
        latency_p50_ms, latency_p99_ms: of its answers.
    """

    requests: int = 0
    rows: int = 0
    errors: int = 0
    rejected: int = 0
    in_flight: int = 0
    latency_p50_ms: float = 0.0
    latency_p99_ms: float = 0.0


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One release's model server as found.

    Args:
        release, model: whose it is.
        state: `up` (answers), `silent` (is there and does not answer: on its way up, overloaded or stuck), `down`
            (should be there and is not).
        address: where it listens, for people.
        pid: its process, where there is one.
        since: when it was started, seconds since the epoch.
        counts: what went through it.
    """

    release: str
    model: str
    state: Literal["up", "silent", "down"]
    address: str = ""
    pid: int | None = None
    since: float | None = None
    counts: Counts = Counts()


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What a target looks like now.

    Args:
        url: where clients send rows, empty when nothing listens.
        up: whether whoever divides the traffic answers.
        port: of that, 0 when it does not apply.
        servers: every server that runs or should.
        shares: release to share of traffic, as divided now.
        unrouted: requests that no release could answer.
        problem: what is wrong with whoever divides the traffic, if something is.
        detail: more for people: process ids, where the logs are.
    """

    url: str = ""
    up: bool = False
    port: int = 0
    servers: tuple[Server, ...] = ()
    shares: dict[str, float] = msgspec.field(default_factory=dict)
    unrouted: int = 0
    problem: str = ""
    detail: dict[str, Any] = msgspec.field(default_factory=dict)

    def server(self, release: str) -> Server | None:
        return next((s for s in self.servers if s.release == release), None)

    def healthy(self, release: str) -> bool:
        found = self.server(release)
        return found is not None and found.state == "up"


@runtime_checkable
class Target(Protocol):
    """Any target."""

    def observe(self) -> Observed:
        """Look; change nothing."""
        ...

    def start(self, unit: Unit) -> None:
        """Bring a release's server up, without traffic, and return when it answers; nothing when it does already.

        Raises:
            Fault: unavailable, with what its log says last, when it does not come up.
        """
        ...

    def send_all(self, release: str) -> None:
        """Send all traffic to a started release, from one moment to the next, losing no request."""
        ...

    def keep(self, releases: frozenset[str]) -> None:
        """Stop every other server, each once it has answered what it was asked."""
        ...

    def down(self) -> None:
        """Stop everything; nothing when nothing runs."""
        ...


@runtime_checkable
class CanSplitTraffic(Protocol):
    """A target that can give several releases a share each, so that canaries can be released to it."""

    def set_shares(self, shares: Mapping[str, float], *, live: str) -> None:
        """Divide the traffic from one moment to the next.

        Args:
            shares: of started releases, adding up to 1.
            live: the one that gets what the others, canaries, do not.
        """
        ...


@runtime_checkable
class CanShadow(Protocol):
    """A target that can send a copy of the traffic to a release whose answers nobody sees."""

    def shadow(self, release: str) -> None:
        """Send a started release a copy of all traffic, beside what `set_shares` divides, until it is kept no more."""
        ...


Maker = Callable[[Ground], Target]


def abilities(target: Target) -> dict[str, bool]:
    """What this target can do beyond what every target can; the documentation's table is made from it."""
    return {"splits traffic": isinstance(target, CanSplitTraffic), "shadows": isinstance(target, CanShadow)}
