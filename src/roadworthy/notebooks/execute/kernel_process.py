"""What a kernel's process uses, read from /proc: nothing to import, and the peak is of one cell rather than of all.

In: a process id. Out: seconds and MiB; 0 where the system does not tell. Called by `kernel.py` around each cell.
"""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Seconds of CPU so far: its own, and those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def peak_mb(pid: int) -> float:
    """Highest resident memory since `reset_peak`, MiB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def reset_peak(pid: int) -> None:
    """Let the peak begin anew (proc(5), clear_refs 5); where that is not allowed it stays that of the whole process."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return
