"""A stranger's kinds of targets: they keep everything in memory; one can divide traffic, one cannot."""

from collections.abc import Mapping

import msgspec

from roadworthy.releases.targets.protocol import Ground, Observed, Server, Unit


class _Memory(msgspec.Struct):
    running: dict[str, str] = {}
    shares: dict[str, float] = {}


_MEMORIES: dict[str, _Memory] = {}


class Memory:
    def __init__(self, ground: Ground) -> None:
        self.memory = _MEMORIES.setdefault(str(ground.folder), _Memory())

    def observe(self) -> Observed:
        running, shares = self.memory.running, self.memory.shares
        servers = [Server(release=key, model=model, state="up") for key, model in running.items()]
        url = "http://memory" if shares else ""
        return Observed(url=url, up=bool(shares), servers=tuple(servers), shares=dict(shares))

    def start(self, unit: Unit) -> None:
        self.memory.running[unit.release] = unit.model.id

    def send_all(self, release: str) -> None:
        self.memory.shares = {release: 1.0}

    def keep(self, releases: frozenset[str]) -> None:
        self.memory.running = {key: model for key, model in self.memory.running.items() if key in releases}

    def down(self) -> None:
        self.memory.running, self.memory.shares = {}, {}


class Divided(Memory):
    def set_shares(self, shares: Mapping[str, float], *, live: str) -> None:
        assert live in shares
        self.memory.shares = dict(shares)


def make(ground: Ground) -> Memory:
    return Memory(ground)


def make_divided(ground: Ground) -> Divided:
    return Divided(ground)
