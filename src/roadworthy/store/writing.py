"""A thread that does one thing after another for an event loop.

In: work, and what takes its outcome on the loop. Called by store/group.py, whose work is short: an executor and its
futures take longer to hand a group over and back than the thread takes to prepare its statements.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class Writing:
    """The thread; it begins with its first work, and does not keep a process from ending."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Have `work` done, and its outcome given to `then` by the loop that runs here; `work` must not raise."""
        loop = asyncio.get_running_loop()

        def job() -> None:
            outcome = work()
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(then, outcome)

        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Wait for what was begun."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
