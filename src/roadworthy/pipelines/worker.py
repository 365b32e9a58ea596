"""The worker: a small process that imports the libraries once and forks a child for every step.

In: orders, one JSON line each on standard input. Out: one line on standard output for each that has ended, with its
exit code, time and memory. Each child is a process group of its own, so that a time limit ends all of it; when the
runner goes away (standard input ends), every group is killed and the worker ends. Started by executors/local.py.
"""

import contextlib
import ctypes
import importlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from roadworthy.pipelines import child, project_import
from roadworthy.pipelines.orders import Ended, Kill, Start, Workplace

_PR_SET_PDEATHSIG = 1
_IDLE_S = 3600.0
_EXIT_BROKEN = 70


class _Running:
    def __init__(self, order: Start, started: float) -> None:
        self.order = order
        self.started = started
        self.timed_out = False


def main() -> None:
    """Serve orders until standard input ends."""
    workplace = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Workplace)
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print while they are imported is not an answer
    die_with_parent = _die_with_parent()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    project_import.install(workplace)
    _preload(workplace)
    _serve(workplace, answers, wake_read, die_with_parent)


def _serve(workplace: Workplace, answers: int, wake: int, die_with_parent: Callable[[], None]) -> None:
    running: dict[int, _Running] = {}
    waiting = b""
    try:
        while True:
            readable, _, _ = select.select([0, wake], [], [], _next_limit(running))
            if wake in readable:
                os.read(wake, 4096)
            _answer(answers, running)
            _end_late(running)
            if 0 not in readable:
                continue
            received = os.read(0, 1 << 16)
            if not received:
                return
            *lines, waiting = (waiting + received).split(b"\n")
            for line in lines:
                message = msgspec.json.decode(line, type=Start | Kill)
                if isinstance(message, Kill):
                    for pid, each in running.items():
                        if each.order.id == message.id:
                            _kill(pid)
                else:
                    pid = _fork(workplace, message, (answers, wake), die_with_parent)
                    running[pid] = _Running(message, time.monotonic())
    finally:
        for pid in running:
            _kill(pid)


def _fork(workplace: Workplace, order: Start, ours: tuple[int, ...], die_with_parent: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = _EXIT_BROKEN
    try:
        os.setsid()
        die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in ours:
            os.close(descriptor)
        code = child.main(workplace, Path(order.folder))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Exit hooks belong to the worker; threads that a step left behind must not hold its process.
        os._exit(code)


def _answer(answers: int, running: dict[int, _Running]) -> None:
    """Tell of every child that has ended."""
    for pid in list(running):
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if not ended:
            continue
        each = running.pop(pid)
        # Whatever the step started and left behind ends with it. (The process itself is gone: only its group.)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        message = Ended(
            id=each.order.id,
            code=os.waitstatus_to_exitcode(status),
            timed_out=each.timed_out,
            wall_s=time.monotonic() - each.started,
            cpu_s=used.ru_utime + used.ru_stime,
            memory_peak_mb=_mebibytes(used),
        )
        os.write(answers, msgspec.json.encode(message) + b"\n")


def _end_late(running: dict[int, _Running]) -> None:
    now = time.monotonic()
    for pid, each in running.items():
        limit = each.order.timeout_s
        if limit is not None and now - each.started >= limit and not each.timed_out:
            each.timed_out = True
            _kill(pid)


def _next_limit(running: dict[int, _Running]) -> float:
    """Seconds until a time limit is reached."""
    now = time.monotonic()
    limits = [
        each.started + each.order.timeout_s - now
        for each in running.values()
        if each.order.timeout_s is not None and not each.timed_out
    ]
    return max(0.0, min([*limits, _IDLE_S]))


def _kill(pid: int) -> None:
    # The group, or the process itself in the moment before it has made its group.
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)
            return


def _preload(workplace: Workplace) -> None:
    for name in workplace.preload:
        # A step that needs what cannot be imported says so itself, with its own traceback.
        with contextlib.suppress(BaseException):
            importlib.import_module(name)


def _mebibytes(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _die_with_parent() -> Callable[[], None]:
    """For a child to ask the kernel to kill it when this process ends, where that can be asked (Linux)."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in between
            os.kill(os.getpid(), signal.SIGKILL)

    return ask


if __name__ == "__main__":
    main()
