"""Living: a server whose store was removed, or moved, ends by itself rather than serve for ever what nobody can stop.

In: the store's folder, as it was when the server came up. Out: a SIGTERM to this very process, which answers what it
was asked and ends. Called by serving/app.py and serving/router.py.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

POLL_S = 2.0
# So many looks in a row must fail: a disk of the network may be away for a moment.
MISSES = 3
_log = logging.getLogger("roadworthy.serving")


class Home:
    """A folder, known by its inode: another one in its place is not it.

    Args:
        folder: must be there; one that is not is never missed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = self._mark()

    def is_there(self) -> bool:
        """Whether the folder is still the one it was."""
        return self._known is None or self._mark() == self._known

    async def end_without(self, before: Callable[[], None] = lambda: None) -> None:
        """Look at the folder for as long as it is there, then call `before` and end the process."""
        missed = 0
        while missed < MISSES:
            await asyncio.sleep(POLL_S)
            missed = 0 if self.is_there() else missed + 1
        _log.warning("the store's folder %s is gone: ending", self._folder)
        before()
        os.kill(os.getpid(), signal.SIGTERM)

    def _mark(self) -> tuple[int, int] | None:
        try:
            stat = self._folder.stat()
        except OSError:
            return None
        return stat.st_dev, stat.st_ino
