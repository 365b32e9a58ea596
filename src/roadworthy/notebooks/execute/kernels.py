"""Which kernel runs a notebook: this Python's own, or one that is installed under a name.

In: a notebook, and a name if one was asked for. Out: the command that starts the kernel; nothing for our own. Called by
`cells.py` and `tracked.py`. Jupyter's list of kernels is looked at only for another kernel than Python's own, for that
takes a while.
"""

from roadworthy.notebooks.notebook import Notebook
from roadworthy.nouns.errors import invalid, not_found

# What Jupyter calls the kernel of the Python it runs in.
_OWN = frozenset({"", "python3", "python"})


def command(notebook: Notebook, name: str = "") -> tuple[str, ...]:
    """The command of the kernel, with `{connection_file}` in it; empty for this Python's own.

    A Python notebook that names a kernel which is not here (`conda-env-…`) runs in our own: names are of one machine.

    Raises:
        Fault: not found for a kernel that was asked for and is not here; invalid for a language that has none here.
    """
    wanted = name or notebook.kernel
    if wanted in _OWN and notebook.language == "python":
        _require_ipykernel(notebook)
        return ()
    from jupyter_client.kernelspec import KernelSpecManager

    manager = KernelSpecManager()
    there = manager.find_kernel_specs()
    if wanted in there:
        return tuple(manager.get_kernel_spec(wanted).argv)
    known = ", ".join(sorted(there)) or "none"
    if name:
        raise not_found("no kernel of this name is installed", where=name, fix=f"there are: {known}")
    if notebook.language == "python":
        _require_ipykernel(notebook)
        return ()
    for found in sorted(there):
        if manager.get_kernel_spec(found).language.lower() == notebook.language:
            return tuple(manager.get_kernel_spec(found).argv)
    raise invalid(
        f"it is written in {notebook.language}, and no kernel for that is installed",
        where=f"{notebook.path}: cell {_first_code(notebook)}",
        fix=f"install one; there are: {known}",
    )


def _require_ipykernel(notebook: Notebook) -> None:
    from importlib.machinery import PathFinder

    if PathFinder.find_spec("ipykernel") is None:
        raise invalid(
            "running a notebook needs ipykernel", where=str(notebook.path), fix="pip install 'roadworthy[notebooks]'"
        )


def _first_code(notebook: Notebook) -> int:
    return next((cell.index + 1 for cell in notebook.cells if cell.kind == "code"), 1)
