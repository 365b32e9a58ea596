"""A stranger's kind of target: it keeps everything in memory, and cannot divide traffic."""

from roadworthy.releases.targets.protocol import Ground, Observed, Server, Unit

_RUNNING: dict[str, dict[str, str]] = {}
_LIVE: dict[str, str] = {}


class Memory:
    def __init__(self, ground: Ground) -> None:
        self.key = str(ground.folder)

    def observe(self) -> Observed:
        servers = [Server(release=key, model=model, state="up") for key, model in self._running().items()]
        live = _LIVE.get(self.key)
        return Observed(
            url=f"memory:{self.key}" if live else "", up=live is not None, servers=tuple(servers),
            shares={live: 1.0} if live else {},
        )  # fmt: skip

    def start(self, unit: Unit) -> None:
        self._running()[unit.release] = unit.model.id

    def send_all(self, release: str) -> None:
        _LIVE[self.key] = release

    def keep(self, releases: frozenset[str]) -> None:
        for key in set(self._running()) - releases:
            del self._running()[key]

    def down(self) -> None:
        _RUNNING.pop(self.key, None)
        _LIVE.pop(self.key, None)

    def _running(self) -> dict[str, str]:
        return _RUNNING.setdefault(self.key, {})


def make(ground: Ground) -> Memory:
    return Memory(ground)
