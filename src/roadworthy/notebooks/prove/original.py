"""Runs the original from top to bottom in a clean kernel, in a copy of its folder, and takes down what it makes.

In: a program, and which values to take down. Out: `Seen`, with the values as pickles in a folder; or a Fault that
names the cell which failed, took too long or ended the kernel. The original and its folder are only read. Called by
`conversion.py` before the pipeline is written, and by `causes.py` once more when something differs.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from roadworthy.notebooks.convert.program import Program
from roadworthy.notebooks.convert.seen import Seen
from roadworthy.notebooks.execute.kernel import TRIAL, Kernel
from roadworthy.notebooks.execute.ran import Ran
from roadworthy.notebooks.prove.watching import Place, Watch
from roadworthy.nouns.errors import Fault, invalid, unavailable

CELL_S_MAX = 1800.0
COPY_FILE_BYTES_MAX = 64 << 20
COPY_FILES_MAX = 20_000
SKIPPED = frozenset(
    {".git", ".roadworthy", "__pycache__", ".ipynb_checkpoints", "node_modules", ".venv", "venv", ".tox"}
)
RAISES_TAG = "raises-exception"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_OURS = "__import__('roadworthy.notebooks.prove.watching', fromlist=['_'])"
# More lines of a cell's traceback than anyone reads help nobody.
TRACE_LINES_MAX = 40


def watch(
    program: Program,
    folder: Path,
    *,
    cell_s_max: float = CELL_S_MAX,
    seed: int | None = None,
    environment: dict[str, str] | None = None,
    trial: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Seen:
    """Run the notebook and take down its values.

    Args:
        program: the notebook, read.
        folder: an empty one, for the copy of the notebook's folder and the values.
        cell_s_max: no cell may take longer, seconds.
        seed: set before the first cell; only to find out whether chance makes a difference.
        environment: variables for the kernel.
        trial: try how each value can be stored.
        tell: told of each cell.

    Raises:
        Fault: invalid when a cell fails; unavailable when it takes too long, or the kernel dies or does not start.
    """
    work, values = folder / "work", folder / "values"
    values.mkdir(parents=True)
    copy_folder(program.notebook.path.absolute().parent, work)
    places, read = _places(program)
    order = folder / "watch.json"
    order.write_bytes(
        msgspec.json.encode(Watch(folder=str(values), places=places, read=read, seed=seed, trial=trial))
    )  # fmt: skip
    variables = {"OMP_WAIT_POLICY": "PASSIVE", TRIAL: "1", **(environment or {})}
    with Kernel(cwd=work, environment=variables) as kernel:
        kernel.connect()
        _ours(kernel, f"install({str(order)!r})")
        cells = list(program.sources)
        for number, cell in enumerate(cells, start=1):
            tell(f"original: {program.name(cell)} ({number} of {len(cells)})")
            _ours(kernel, f"begin({cell})")
            ran = kernel.execute(program.sources[cell], limit_s=cell_s_max)
            if ran.end != "ok" and not (ran.end == "error" and program.has_tag(cell, RAISES_TAG)):
                raise _failed(program, cell, ran)
            _ours(kernel, f"end({cell})")
        _ours(kernel, "finish()")
    return msgspec.json.decode((values / "seen.json").read_bytes(), type=Seen)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a notebook's folder; large files are linked, and what tools keep is left out."""
    target.mkdir(parents=True)
    count = 0
    for folder, folders, names in os.walk(source):
        here = Path(folder)
        folders[:] = [
            n
            for n in folders
            if n not in SKIPPED and not n.startswith(".rw-") and not (here / n / "pyvenv.cfg").exists()
        ]
        there = target / here.relative_to(source)
        there.mkdir(exist_ok=True)
        for name in names:
            count += 1
            if count > COPY_FILES_MAX:
                raise invalid(
                    f"the notebook's folder holds more than {COPY_FILES_MAX:,} files, and a copy of it is run",
                    where=str(source), fix="move the notebook, with the data it reads, into a folder of its own",
                )  # fmt: skip
            _copy(here / name, there / name)


def _copy(source: Path, target: Path) -> None:
    try:
        if source.is_symlink() or source.stat().st_size > COPY_FILE_BYTES_MAX:
            target.symlink_to(source.resolve())
        elif source.is_file():
            shutil.copy2(source, target)
    except OSError:
        return  # what cannot be read the notebook cannot read either


def _places(program: Program) -> tuple[tuple[Place, ...], dict[int, dict[str, int]]]:
    """Where values are taken down: after the last statement of each kind in a cell that binds or changes a name."""
    last: dict[tuple[int, str, str], tuple[int, int]] = {}
    shown: dict[tuple[int, int], tuple[int, ...]] = {}
    read: dict[int, dict[str, int]] = {}
    changed: dict[tuple[int, int], set[str]] = {}
    for statement in program.statements:
        # Read without seeming to change them, and not touched by a line further down.
        there = read.setdefault(statement.cell, {})
        there.update(dict.fromkeys(statement.reads - program.imports.keys(), statement.place))
        for name in statement.touches & there.keys():
            del there[name]
        found = tuple(sorted({r.at for r in statement.results if r.bare}))
        if found:
            shown[statement.key] = found
        if statement.kind in {"import", "define", "setting", "display"} and not program.has_tag(
            statement.cell, "rw:report"
        ):
            continue
        for name in (statement.touches | program.shared(statement)) - program.imports.keys():
            last[(statement.cell, statement.kind, name)] = statement.key
        changed[statement.key] = set(statement.changes)
    names: dict[tuple[int, int], set[str]] = {}
    for (_, _, name), key in last.items():
        names.setdefault(key, set()).add(name)
    places = tuple(
        Place(
            cell=key[0], place=key[1], names=tuple(sorted(names.get(key, ()))), shown=shown.get(key, ()),
            changed=tuple(sorted(changed.get(key, ()))),
        )
        for key in sorted({*names, *shown})
    )  # fmt: skip
    return places, read


def _ours(kernel: Kernel, call: str) -> None:
    ran = kernel.execute(f"{_OURS}.{call}", silent=True)
    if ran.end != "ok":
        said = ran.error.value if ran.error else ran.end
        raise unavailable(
            f"the kernel cannot be watched: {_COLOURS.sub('', said)}", where=call.partition("(")[0],
            fix="the notebook's kernel needs Roadworthy: install it in the environment that the notebook uses",
            detail={"traceback": _COLOURS.sub("", ran.error.traceback) if ran.error else ""},
        )  # fmt: skip


def _failed(program: Program, cell: int, ran: Ran) -> Fault:
    where = f"{program.notebook.path} {program.name(cell)}"
    error = ran.error
    said = f"{error.name}: {error.value}" if error else ran.end
    trace = "\n".join(_COLOURS.sub("", error.traceback if error else "").splitlines()[-TRACE_LINES_MAX:])
    if ran.end == "timeout":
        return unavailable(
            f"the cell does not end: {error.value if error else said}", where=where,
            fix="give it more time with --cell-timeout, or leave it behind (tag it rw:skip)",
            detail={"traceback": trace},
        )  # fmt: skip
    if ran.end == "died":
        return unavailable(
            error.value if error else said, where=where, fix="see whether it runs by itself: rw notebook run",
            detail={"traceback": trace},
        )  # fmt: skip
    if error and error.name == "StdinNotImplementedError":
        return invalid("it asks a person for input, and nobody is there when a pipeline runs", where=where)
    return invalid(
        f"the notebook does not run from top to bottom: {said}", where=where,
        fix="mend the cell, or leave it behind (tag it rw:skip); a pipeline is made of a notebook that runs",
        detail={"traceback": trace},
    )  # fmt: skip
