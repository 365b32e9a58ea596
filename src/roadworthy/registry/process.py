"""Which process does a run, so that a run whose process is gone is seen to be gone.

The mark is `host:pid:birth`; the birth tells a process from a later one that got the same number.
"""

import os
import socket
from pathlib import Path


def mark(pid: int | None = None) -> str:
    """The mark of a process of this machine; this one's unless named."""
    pid = os.getpid() if pid is None else pid
    return f"{socket.gethostname()}:{pid}:{_birth(pid)}"


def is_gone(marked: str) -> bool:
    """Whether the marked process has certainly ended; of another machine's processes nobody here can tell."""
    host, _, rest = marked.partition(":")
    pid, _, birth = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    now = _birth(int(pid))
    return bool(birth and now) and now != birth


def _birth(pid: int) -> str:
    """When a process began, in clock ticks since the machine did, with the machine's own start; empty if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended; only its parent has not asked yet.
    return "ended" if fields[0] in "ZX" else f"{boot[:8]}-{fields[19]}"
