"""A notebook and its pipeline side by side in this process: what the proof does with kernels, in milliseconds.

The original runs statement by statement, with copies taken of what each binds or changes; the steps are called as plain
functions, with copies of their inputs, as if each ran in a process of its own.
"""

import ast
import copy
import types
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.notebooks.convert import module, planning, program
from roadworthy.notebooks.convert.planning import Plan
from roadworthy.notebooks.convert.seen import key_of
from roadworthy.notebooks.read import read
from roadworthy.registry.tracking import STEP_OUT
from tests.notebooks import written


def planned(folder: Path, *cells: str, tags: dict[int, list[str]] | None = None) -> Plan:
    """The plan of a notebook with these cells, made without running it."""
    path = folder / "made.ipynb"
    path.write_bytes(msgspec.json.encode(written.document(*cells, tags=tags)))
    return planning.make(program.of(read(path)), None)


def pipeline(folder: Path, *cells: str, tags: dict[int, list[str]] | None = None) -> str:
    """The text of the pipeline."""
    return module.pipeline(planned(folder, *cells, tags=tags))


def both(
    folder: Path, monkeypatch: Any, *cells: str, tags: dict[int, list[str]] | None = None
) -> list[tuple[str, Any, Any]]:
    """(what, the notebook's value, the pipeline's) of everything that steps give."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv(STEP_OUT, str(folder))
    plan = planned(folder, *cells, tags=tags)
    original = _original(plan)
    made = types.ModuleType("pipeline")
    exec(compile(module.pipeline(plan), "pipeline.py", "exec"), made.__dict__)
    values: dict[str, Any] = {**plan.params, **{d.name: folder / d.path for d in plan.data}}
    pairs: list[tuple[str, Any, Any]] = []
    for step in plan.steps:
        given = {name: copy.deepcopy(values[name]) for name in step.takes}
        values[step.name] = getattr(made, step.name)(**given)
        for output in step.outputs:
            if output.seen in original:
                value = values[step.name][output.key] if output.key else values[step.name]
                pairs.append((f"{step.name}.{output.name}", original[output.seen], value))
    return pairs


def _original(plan: Plan) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    taken: dict[str, Any] = {}
    statements = {s.key: s for s in plan.program.statements}
    for cell, source in plan.program.sources.items():
        for place, node in enumerate(ast.parse(source).body):
            exec(compile(ast.Module([node], []), f"cell {cell}", "exec"), namespace)
            statement = statements.get((cell, place))
            touched = statement.touches | plan.program.shared(statement) if statement else ()
            for name in touched if statement and statement.kind != "import" else ():
                try:
                    taken[key_of((cell, place), name)] = copy.deepcopy(namespace[name])
                except (KeyError, TypeError):
                    continue
    return taken
