"""Requests that failed through the target's fault, per window: the target counts since it was started, we subtract.

In: what a target counted by now, what it had counted when the window before was judged. Out: the `errors` facts of a
window. Called by monitors.py for rules that ask for errors. Counting begins with the process, and a look is taken when
a window is judged: the share is of the requests since the look before, which is the window when watching is regular.
"""

from typing import Any

from roadworthy.nouns.errors import Fault
from roadworthy.nouns.monitor import Window
from roadworthy.nouns.project import Place
from roadworthy.operate import windows
from roadworthy.releases import grounds
from roadworthy.store.store import Store

LOOKED_BACK_MAX = 20


def measure(store: Store, place: Place, monitor: str, model: str, start: float) -> dict[str, Any]:
    """The errors of a version since the window before the one that begins at `start`; empty when it is not running."""
    try:
        seen = grounds.open_target(store, place, grounds.default(place)).observe()
    except Fault:
        return {}
    server = next((s for s in seen.servers if s.model == model), None)
    if server is None:
        return {}
    counts = server.counts
    before = _before(store, place, monitor, server.release, start)
    if before["requests"] > counts.requests or before["errors"] > counts.errors:
        before = {"requests": 0, "errors": 0}  # it was started again, and counts from nothing
    requests, errors = counts.requests - before["requests"], counts.errors - before["errors"]
    return {
        "requests": requests,
        "count": errors,
        "share": errors / requests if requests else 0.0,
        "counted": {"release": server.release, "requests": counts.requests, "errors": counts.errors},
    }


def _before(store: Store, place: Place, monitor: str, release: str, start: float) -> dict[str, int]:
    recent: list[Window] = windows.listing(store, place.project.name, monitor=monitor, most=LOOKED_BACK_MAX)
    for window in reversed(recent):
        counted = window.facts.get("errors", {}).get("counted", {})
        if window.start < start and counted.get("release") == release:
            return {"requests": int(counted["requests"]), "errors": int(counted["errors"])}
    return {"requests": 0, "errors": 0}
