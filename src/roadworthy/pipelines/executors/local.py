"""Runs orders in processes of this machine: starts the worker, sends it orders, and hears of their ends.

In: orders in folders. Out: `Ended` records. Called by the runner. Another executor is another file with the same
functions (see `Executor`).
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

from roadworthy.nouns.errors import unavailable
from roadworthy.pipelines.orders import Ended, Kill, Start, Workplace

STOP_S_MAX = 5.0
_BLOCKED = {signal.SIGINT}


class Executor(Protocol):
    """Carries out orders somewhere."""

    def start(self, order: Start) -> None:
        """Begin an order; its folder holds it."""

    def ended(self, wait_s: float) -> list[Ended]:
        """The orders that have ended since the last call, waiting at most `wait_s` for one."""

    def kill(self, order_id: str) -> None:
        """End an order; `ended` tells of it."""

    def close(self) -> None:
        """End everything."""


class LocalExecutor:
    """A worker process of our own (see worker.py).

    Args:
        folder: for the worker's own files.
        workplace: what the orders share.
        seed: of Python's string hashes, so that sets iterate alike in every run.
    """

    def __init__(self, folder: Path, workplace: Workplace, *, seed: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._said = folder / "worker.log"
        order = folder / "workplace.json"
        order.write_bytes(msgspec.json.encode(workplace))
        # Steps run side by side, each with as many threads as there are cores: threads that spin while they wait for
        # one another (OpenMP's default) then take the time of those that work, many times over.
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONHASHSEED": str(seed % 2**32)}
        with self._said.open("wb") as said:
            # -P: the folder the user is in does not come before the libraries. A session of its own: Ctrl-C is for
            # the runner to hear, which then ends the worker.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "roadworthy.pipelines.worker", str(order)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment, start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        self._answers = self._process.stdout.fileno()
        self._waiting = b""

    def start(self, order: Start) -> None:
        self._send(msgspec.json.encode(order))

    def kill(self, order_id: str) -> None:
        self._send(msgspec.json.encode(Kill(id=order_id)))

    def ended(self, wait_s: float) -> list[Ended]:
        readable, _, _ = select.select([self._answers], [], [], wait_s)
        if not readable:
            return []
        received = os.read(self._answers, 1 << 16)
        if not received:
            raise self._gone()
        *lines, self._waiting = (self._waiting + received).split(b"\n")
        return [msgspec.json.decode(line, type=Ended) for line in lines]

    def close(self) -> None:
        """Close its input: it kills what it runs, and ends."""
        with _undisturbed(), contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        # Its end is seen by its answers ending: no need to ask again and again.
        deadline = time.monotonic() + STOP_S_MAX
        while True:
            readable, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                self._process.kill()
            if not readable or not os.read(self._answers, 1 << 16):
                break
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(message + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._gone() from None

    def _gone(self) -> Exception:
        deadline = time.monotonic() + STOP_S_MAX
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        said = self._said.read_text("utf-8", "replace").strip().splitlines()
        return unavailable(
            f"the worker that runs steps has ended ({self._process.returncode})",
            where=said[-1][:300] if said else "",
            fix="run again: what had finished is kept; if it ends again, it may be short of memory",
            detail={"worker": "\n".join(said[-40:])},
        )


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A block that Ctrl-C waits for."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
