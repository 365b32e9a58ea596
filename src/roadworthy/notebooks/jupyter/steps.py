"""`%%rw step NAME`: a cell as a step; it runs only if its code, its libraries or what it reads changed.

In: the text of a cell, and the notebook's names. Out: the names the cell makes, in the notebook, and a line that says
what was done; the active run has the step. Called by `magics.py`. The same keys and the same caution as
`rw notebook run --cached`: what cannot be stored as it is makes the cell run again.
"""

import ast
import os
import re
import time
import types
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from roadworthy.data.formats import registry as formats
from roadworthy.notebooks.dataflow.flow import analyse
from roadworthy.notebooks.execute.cached import keys, objects, records
from roadworthy.notebooks.execute.cached.inside import RANDOM, Inside
from roadworthy.notebooks.execute.cached.keys import Code
from roadworthy.notebooks.execute.cached.records import Record, Said
from roadworthy.notebooks.jupyter import shown
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.step import StepRun
from roadworthy.pipelines import cache
from roadworthy.pipelines.cache import Kept
from roadworthy.pipelines.libraries import Libraries
from roadworthy.registry import runs, tracking
from roadworthy.store.store import Store

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_insides: dict[int, Inside] = {}
_places: dict[str, int] = {}


def run(shell: Any, name: str, body: str, *, force: bool = False) -> None:
    """Run a cell as a step, or bring back what it made before.

    Args:
        name: of the step: a lower-case name, as of a function.
        force: run it even if nothing changed.

    Raises:
        Fault: invalid for a name that none can be, or a cell that is no Python.
    """
    if not NAME.fullmatch(name):
        raise invalid("a step's name is a lower-case name, as of a function", where=f"%%rw step {name}")
    store, home = _store()
    code = _code(name, body, home)
    inside = _insides.setdefault(id(shell), Inside(shell.user_ns, home, first=frozenset()))
    inside.after((), ())  # what there is now is not the cell's doing
    parts, problem = _parts(store, code, shell.user_ns)
    record, why = (None, "it was to run again") if force else _find(store, code, parts, inside)
    begun = time.time_ns()
    if record is not None:
        _again(shell, inside, record, body)
        _tell(
            shell, f"step {name}: reused, nothing it rests on changed ({record.kept.wall_s:.1f} s saved)", reused=True
        )
        _settle(store, _step(name, "reused", record.kept, why="nothing it rests on changed"))
        return
    started, cpu = time.perf_counter(), time.process_time()
    _execute(shell, body)
    kept = Kept(
        key=keys.key(parts),
        step=code.step,
        parts=parts,
        at=store.clock.now(),
        wall_s=time.perf_counter() - started,
        cpu_s=time.process_time() - cpu,
    )
    kept, unkept = _keep(store, inside, code, kept, begun)
    said = f"step {name}: ran in {kept.wall_s:.1f} s"
    if problem or unkept:
        said += f"; it will run every time: {problem or unkept}"
    elif why and why != records.NEVER:
        said += f" ({why})"
    _tell(shell, said, reused=False)
    _settle(store, _step(name, "ran", kept, why=why))


def _store() -> tuple[Store, Path]:
    """The store of the active run; in a headless run, which is somebody else's, that of the folder around."""
    if os.environ.get(tracking.STEP_OUT):
        store, _, _ = tracking.open_around()
    else:
        store = tracking.active_run().store
    return store, store.home


def _code(name: str, body: str, home: Path) -> Code:
    cell = Cell(index=0, kind="code", source=body, id=name)
    notebook = Notebook(path=Path("this notebook"), form="ipynb", cells=(cell,))
    flow = analyse(notebook)
    if flow.cells[0].error is not None:
        raise invalid(f"the cell is no Python: {flow.cells[0].error.message}", where=f"%%rw step {name}")
    libraries = Libraries(home / "cache" / "libraries-of-notebooks")
    return keys.of(notebook, flow, libraries, name="steps")[0]


def _parts(store: Store, code: Code, names: dict[str, Any]) -> tuple[dict[str, str], str]:
    """The parts of the key, and what keeps it from being one."""
    parts, problem = dict(code.parts), code.always
    libraries = Libraries(store.home / "cache" / "libraries-of-notebooks")
    for name in sorted(code.needs):
        if name not in names:
            continue
        value = names[name]
        top = (value.__name__ if isinstance(value, types.ModuleType) else str(type(value).__module__)).partition(".")[0]
        parts |= {f"library {n}": v for n, v in libraries.versions([top] if top not in {"__main__", "builtins"} else [])
                  .items()}  # fmt: skip
        try:
            parts[f"input {name}"] = _content(store, value, names, set())
        except Fault as fault:
            problem = problem or f"it reads `{name}`: {fault.what}"
    return parts, problem


def _content(store: Store, value: Any, names: dict[str, Any], seen: set[int]) -> str:
    if isinstance(value, types.FunctionType) and value.__module__ == "__main__":
        return _of_function(store, value, names, seen)
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if objects.is_code(value):
        if getattr(value, "__module__", "") == "__main__":
            raise invalid("it is a class or a method that the notebook defines")
        return f"code {getattr(value, '__module__', '')}.{getattr(value, '__qualname__', repr(value))}"
    stored = formats.save(store.blobs, value)
    return f"{stored.content or stored.digest} {stored.format} {stored.type}"


def _of_function(store: Store, function: types.FunctionType, names: dict[str, Any], seen: set[int]) -> str:
    """What a function of the notebook says, and what it reads of the notebook."""
    if id(function) in seen:
        return "itself"
    seen.add(id(function))
    code, said = function.__code__, []
    waiting = [code]
    while waiting:
        one = waiting.pop()
        said.append(f"{one.co_code.hex()} {one.co_names!r} {one.co_varnames!r}")
        for constant in one.co_consts:
            if isinstance(constant, types.CodeType):
                waiting.append(constant)
            else:
                said.append(repr(constant))
        read = [name for name in one.co_names if name in names and name in function.__globals__]
        said += [f"{name} {_content(store, names[name], names, seen)}" for name in read]
    given = (function.__defaults__, function.__kwdefaults__, [c.cell_contents for c in function.__closure__ or ()])
    said.append(formats.save(store.blobs, given).content)
    return f"function {blake3(chr(10).join(said).encode('utf-8', 'surrogatepass')).hexdigest()}"


def _find(store: Store, code: Code, parts: dict[str, str], inside: Inside) -> tuple[Record | None, str]:
    if code.always:
        return None, code.always
    record, why = records.find(store, keys.key(parts), Path.cwd(), code.texts)
    if record is None:
        return None, why or records.why_new(store, "", code, parts)
    for name, state in record.said.states.items():
        if state != inside.state_content(name):
            return None, f"the state of {name.strip('()')}'s generator is another"
    return record, ""


def _again(shell: Any, inside: Inside, record: Record, body: str) -> None:
    """Bring back what the cell made; its imports and functions are made again, which costs nothing."""
    kinds = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    tree = ast.parse(body)
    defined = ast.Module(body=[node for node in tree.body if isinstance(node, kinds)], type_ignores=[])
    exec(compile(defined, "<step>", "exec"), shell.user_ns)  # noqa: S102 - the user's own cell
    inside.load({name: made.value for name, made in record.made.items() if made.value is not None})


def _execute(shell: Any, body: str) -> None:
    """Run the cell as Jupyter would; an error goes on with the traceback of the cell alone."""
    caught: list[Any] = []
    before = shell._showtraceback  # noqa: SLF001 - what every front end overrides
    shell._showtraceback = lambda _kind, _value, lines: caught.append(lines)  # noqa: SLF001
    try:
        result = shell.run_cell(body, store_history=False)
    finally:
        shell._showtraceback = before  # noqa: SLF001
    problem = result.error_before_exec or result.error_in_exec
    if problem is not None:
        if caught:
            problem._render_traceback_ = lambda: caught[-1]
        raise problem


def _keep(store: Store, inside: Inside, code: Code, kept: Kept, since_ns: int) -> tuple[Kept, str]:
    """Keep what the cell did, and why that cannot stand in for running it, if it cannot."""
    states = {name: inside.state_content(name) for name in inside.generators()}
    touched = None if code.touches is None else tuple(code.touches)
    deeds = inside.after(touched, None)
    used = {} if code.seeds else {name: states[name] for name in deeds.hidden if name in states}
    root = Path.cwd()
    files = {*deeds.read, *cache.named(root, code.texts, deeds.written)}
    said = Said(outputs=(), deeds=deeds, states=used)
    kept = msgspec.structs.replace(
        kept,
        output=records.blob(store, said),
        files=cache.marks(root, files, since_ns=since_ns, now_ns=time.time_ns()),
        written=deeds.written,
    )
    unkept = [
        f"`{name}`: {made.why}"
        for name, made in deeds.made.items()
        if made.value is None and name not in code.stands and not name.startswith(RANDOM[0])
    ]
    unkept += [f"`{name}` shares an object with `{made.shares[0]}`" for name, made in deeds.made.items() if made.shares]
    if not unkept and not code.always:
        cache.put(store, "", [kept])
    return kept, unkept[0] if unkept else ""


def _step(name: str, status: Any, kept: Kept, *, why: str) -> StepRun:
    return StepRun(
        step=name, status=status, key=kept.key, why=why, wall_s=kept.wall_s, cpu_s=kept.cpu_s, output=kept.output
    )


def _settle(store: Store, step: StepRun) -> None:
    if os.environ.get(tracking.STEP_OUT):
        store.close()
        return
    active = tracking.active_run()
    place = _places.setdefault(f"{active.id}/{step.step}", len(_places))
    runs.settle_step(store, active.id, place, step)


def _tell(shell: Any, text: str, *, reused: bool) -> None:
    shown.display(shell, text, shown.step_html(text, reused=reused))
