"""The target `local` as the rest of the room sees it; the work is done by servers.py and router.py beside it."""

from collections.abc import Mapping

import msgspec

from roadworthy.releases.targets.local import router, servers
from roadworthy.releases.targets.protocol import Counts, Ground, Observed, Unit
from roadworthy.serving import runtime


def make(ground: Ground) -> "Local":
    """The target of a project on this machine."""
    return Local(ground)


class Local:
    """Model servers behind a router; see targets/protocol.py for what each method does.

    Args:
        ground: what it is built from; `settings.port` is where clients come in, `settings.workers` how many processes
            serve one release.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    def observe(self) -> Observed:
        seen = router.look(self.ground)
        found = [
            msgspec.structs.replace(server, counts=seen.counts.get(server.release, Counts()))
            for server in servers.listing(self.ground)
        ]
        return Observed(
            url=f"http://{runtime.LOOPBACK}:{seen.port}" if seen.up else "", up=seen.up, port=seen.port,
            servers=tuple(found), shares=seen.shares, unrouted=seen.unrouted, problem=seen.problem,
            detail={"router": seen.pid, "logs": str(self.ground.folder / "logs")},
        )  # fmt: skip

    def start(self, unit: Unit) -> None:
        # Asked before anything is started: without its port, a server that answers would be of no use.
        router.check_port(self.ground)
        servers.start(self.ground, unit)

    def send_all(self, release: str) -> None:
        self.set_shares({release: 1.0}, live=release)

    def set_shares(self, shares: Mapping[str, float], *, live: str) -> None:
        router.divide(self.ground, shares, live=live)

    def shadow(self, release: str) -> None:
        router.shadow(self.ground, release)

    def keep(self, releases: frozenset[str]) -> None:
        router.release(self.ground, releases)
        for release in servers.names(self.ground):
            if release not in releases:
                servers.stop(self.ground, release)

    def down(self) -> None:
        router.stop(self.ground)
        for release in servers.names(self.ground):
            servers.stop(self.ground, release)
