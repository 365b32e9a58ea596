"""`%load_ext roadworthy`: the magics `%rw` and `%%rw step`, and findings on each cell as it is run.

In: IPython's shell. Out: what is registered with it. Called by IPython, through the package's own name. Works in
JupyterLab, the classic notebook, VS Code and plain IPython: all it uses is IPython's.
"""

from typing import Any

from roadworthy.notebooks.jupyter import magics
from roadworthy.notebooks.jupyter.live import Live

_loaded: list[Live] = []


def load_ipython_extension(shell: Any) -> None:
    """Register with a shell; loading twice changes nothing."""
    if _loaded:
        return
    live = Live(shell)
    _loaded.append(live)
    magics.register(shell, live)
    shell.events.register("post_run_cell", live.look)


def unload_ipython_extension(shell: Any) -> None:
    """Take all of it away."""
    for live in _loaded:
        shell.events.unregister("post_run_cell", live.look)
    _loaded.clear()
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("rw", None)
