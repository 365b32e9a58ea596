"""What one execution of some code did, as a record. Made by `kernel.py`; read by all that runs notebooks."""

from typing import Any, Literal

import msgspec

End = Literal["ok", "error", "timeout", "died"]


class CellError(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell raised: its name, what it says, and the traceback as Jupyter shows it (with colours)."""

    name: str
    value: str
    traceback: str = ""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What one execution of some code did.

    Args:
        end: how it ended; after `died` the kernel is gone.
        outputs: as nbformat 4 has them.
        count: the kernel's count.
        error: for every end but `ok`.
        wall_s, cpu_s: seconds; CPU includes child processes that have ended.
        memory_peak_mb: highest resident memory of the kernel while it ran, MiB.
    """

    end: End
    outputs: tuple[dict[str, Any], ...] = ()
    count: int | None = None
    error: CellError | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_peak_mb: float = 0.0

    @property
    def text(self) -> str:
        """What it printed to standard output."""
        return "".join(o["text"] for o in self.outputs if o["output_type"] == "stream" and o["name"] == "stdout")
