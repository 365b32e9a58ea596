"""Following: the state file as it is now, in memory, replaced as a whole.

In: the path of the file that releases write. Out: the table of routes, which digest it is of, and why the newest file
is not followed, if so. Called by serving/router.py.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from roadworthy.nouns.errors import Fault
from roadworthy.serving import routes
from roadworthy.serving.routes import State, Table
from roadworthy.store.blobs import digest_of

POLL_S = 0.05
_log = logging.getLogger("roadworthy.serving")


class Following:
    """Follows one file, told or not.

    Args:
        path: of the state file; it may appear later.
        changed: called with each new state.
    """

    def __init__(self, path: Path, changed: Callable[[State], None]) -> None:
        self.table: Table = routes.table(State())
        self.digest = ""
        self.problem = "the state file is not there yet"
        self._path = path
        self._changed = changed
        self._seen: tuple[int, int, int] | None = None

    def reload(self) -> None:
        """Read the file; one that is no state changes nothing and is told as a problem."""
        try:
            self._seen = self._mark()
            content = self._path.read_bytes()
            state = routes.parse_state(content)
        except (OSError, Fault) as problem:
            self.problem = str(problem)
            _log.warning("the state file is not followed: %s", problem)
            return
        self.table = routes.table(state)
        self.digest, self.problem = digest_of(content), ""
        self._changed(state)
        _log.info("routes: %s", ", ".join(f"{r.model} {r.state} {r.share:g}" for r in state.routes) or "none")

    async def watch(self) -> None:
        """Look at the file every `POLL_S`, for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            with contextlib.suppress(OSError):
                if self._mark() != self._seen:
                    self.reload()

    def _mark(self) -> tuple[int, int, int]:
        stat = self._path.stat()
        return stat.st_mtime_ns, stat.st_ino, stat.st_size
