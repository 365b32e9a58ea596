"""Windows: the stretches of time that monitors ask about, and what was found in each.

In: the moment of a target's first served row, a monitor's window length. Out: where windows begin and end; the table
`windows`. Called by monitors.py, the loop and the commands.

Windows of a day or longer begin at midnight UTC of the day the first row was served, so that a release's first month
is one window; shorter ones begin at multiples of their length since 1970. Once a window is stored, later ones follow
it without a gap.
"""

import math

import msgspec

from roadworthy.nouns.monitor import Window
from roadworthy.store.sql import Transaction
from roadworthy.store.store import Store

DAY_S = 86_400.0
LISTED_MAX = 10_000

_SAVE = """
INSERT INTO windows (project, monitor, model, start_at, end_at, record)
VALUES (:project, :monitor, :model, :start_at, :end_at, :record)
ON CONFLICT (project, monitor, model, start_at) DO UPDATE SET end_at = excluded.end_at, record = excluded.record
"""
_OF_MONITOR = """
SELECT record FROM windows WHERE project = :project AND monitor = :monitor AND start_at >= :since
ORDER BY start_at DESC, model LIMIT :most
"""
_ALL = """
SELECT record FROM windows WHERE project = :project AND start_at >= :since ORDER BY start_at DESC, monitor, model
LIMIT :most
"""


_EXTENT = """
SELECT MIN(start_at), MAX(start_at) FROM windows
WHERE project = :project AND monitor = :monitor AND end_at - start_at > :low AND end_at - start_at < :high
"""


class Grid(msgspec.Struct, frozen=True):
    """Equal windows side by side: window `k` is `[anchor + k * width, anchor + (k + 1) * width)`, in seconds."""

    anchor: float
    width: float

    def start(self, k: int) -> float:
        return self.anchor + k * self.width

    def end(self, k: int) -> float:
        return self.anchor + (k + 1) * self.width

    def index(self, moment: float) -> int:
        """The window that holds a moment."""
        return math.floor((moment - self.anchor) / self.width)

    def complete(self, now: float) -> int:
        """How many windows from the anchor on have ended by `now`."""
        return max(self.index(now), 0)


def grid(first: float, width: float) -> Grid:
    """Windows of `width` seconds that cover everything from `first` on.

    >>> grid(90_000.0, 86_400.0).anchor
    86400.0
    >>> grid(95.0, 60.0).anchor
    60.0
    """
    unit = min(DAY_S, width)
    return Grid(math.floor(first / unit) * unit, width)


def save(tx: Transaction, project: str, window: Window) -> None:
    """Keep a window, in place of what was found in it before."""
    tx.execute(
        _SAVE, project=project, monitor=window.monitor, model=window.model, start_at=window.start, end_at=window.end,
        record=msgspec.json.encode(window).decode(),
    )  # fmt: skip


def extent(store: Store, project: str, monitor: str, width: float) -> tuple[float, float] | None:
    """Where a monitor's first and newest stored windows of a length begin; None when there are none."""
    with store.read() as reader:
        row = reader.row(_EXTENT, project=project, monitor=monitor, low=width * (1 - 1e-6), high=width * (1 + 1e-6))
    return None if row is None or row[0] is None else (float(row[0]), float(row[1]))


def listing(
    store: Store, project: str, *, monitor: str = "", since: float = -math.inf, most: int = LISTED_MAX
) -> list[Window]:
    """Stored windows, oldest first.

    Args:
        monitor: only this one's; all when empty.
        since: only those that begin then or later, seconds since the epoch.
        most: the newest so many, up to 10,000.
    """
    since = max(since, -1e18)
    most = min(most, LISTED_MAX)
    with store.read() as reader:
        if monitor:
            rows = reader.rows(_OF_MONITOR, project=project, monitor=monitor, since=since, most=most)
        else:
            rows = reader.rows(_ALL, project=project, since=since, most=most)
    return [msgspec.json.decode(str(row[0]), type=Window) for row in reversed(rows)]
