"""Writes `pipeline.py` and the module of data sources: imports gathered, constants, functions, steps; formatted.

In: a plan. Out: the texts of the modules. Formatting and the order of imports are ruff's. Called by `project_files.py`.
"""

import ast
import re
import subprocess
import sys

from roadworthy.notebooks.convert import names, wording
from roadworthy.notebooks.convert.naming import usable
from roadworthy.notebooks.convert.plan import Step
from roadworthy.notebooks.convert.planning import Plan
from roadworthy.notebooks.convert.program import Statement
from roadworthy.notebooks.convert.wording import Changes
from roadworthy.nouns.errors import unavailable

LINE_LENGTH = 100
RUFF_S_MAX = 60
ENTRY = "pipeline"
_TITLE = re.compile(r"^\s{0,3}#\s+(.+?)\s*#*\s*$", re.MULTILINE)


def pipeline(plan: Plan) -> str:
    """The text of `pipeline.py`."""
    parts = [*_settings(plan), *_constants(plan, plan.steps), *_definitions(plan)]
    steps = [step.text for step in plan.steps]
    body = "\n\n\n".join(["\n".join(parts), *steps]) if parts else "\n\n\n".join(steps)
    extra = {line for step in plan.steps for line in step.imports} | {"import roadworthy as rw"}
    return _module(_about(plan), plan, body, extra)


def sources(plan: Plan) -> str:
    """The text of the module with the functions that fetch data sets; empty when there are none."""
    functions: list[str] = []
    extra: set[str] = set()
    for key, table in plan.found.tables.items():
        statement = next(e.statement for e in plan.slice.kept if e.statement.key == key)
        source = plan.context.sources[statement.cell]
        text = wording.written(source, statement.node.value, _changes(plan))
        value = plan.context.value(table.seen)
        frame = next((b for b, m in plan.program.modules.items() if m == "pandas"), "")
        if not frame:
            extra.add("import pandas as pd")
        above, _ = source.comments(statement.node)
        says = " ".join(line.lstrip("# ") for line in above.splitlines()) or f"{value.shape[0] if value else 0:,} rows."
        says = says if says.endswith(".") else f"{says}."
        functions.append(
            f'def {table.name}() -> {frame or "pd"}.DataFrame:\n    """{says}"""\n' + wording.indented(f"return {text}")
        )
    if not functions:
        return ""
    body = "\n\n\n".join(["\n".join(_constants(plan, (), functions)), *functions])
    return _module("Where the data comes from; roadworthy.toml names the functions.", plan, body, extra)


def sources_name(plan: Plan) -> str:
    """A module's name for the sources that nothing of the notebook has."""
    modules = {m.partition(".")[0] for m in plan.program.modules.values()}
    beside = {p.stem for p in plan.program.notebook.path.parent.glob("*.py")}
    return next(n for n in ("source", "sources", "data_sources", "tables_of_data") if n not in modules | beside)


def formatted(text: str) -> str:
    """Python as ruff formats it, with imports in order and unused ones taken out.

    Raises:
        Fault: unavailable when ruff is not there.
    """
    options = ["--isolated", f"--line-length={LINE_LENGTH}", "--quiet", "--stdin-filename=pipeline.py", "-"]
    chosen = ["--select=I,F401,F541,W291,W293", "--fix-only", "--config=lint.isort.force-sort-within-sections=false"]
    text = _ruff(["check", *chosen, *options], text)
    return _ruff(["format", *options], text)


def _ruff(arguments: list[str], text: str) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments], input=text, capture_output=True, text=True, check=False,
            timeout=RUFF_S_MAX,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise unavailable(f"ruff cannot format what was written: {problem}") from None
    if "No module named ruff" in done.stderr:
        raise unavailable("what is written is formatted by ruff", fix="pip install 'roadworthy[notebooks]'")
    return done.stdout if done.returncode == 0 and done.stdout else text


def _module(about: str, plan: Plan, body: str, extra: set[str]) -> str:
    lines = sorted(extra) + _imports(plan, body, extra)
    first = [line for line in lines if line.startswith("from __future__")]
    rest = [line for line in lines if not line.startswith("from __future__")]
    text = "\n".join([f'"""{about}\n"""' if "\n" in about else f'"""{about}"""', "", *first, *rest, "", "", body, ""])
    return formatted(text)


def _imports(plan: Plan, body: str, extra: set[str]) -> list[str]:
    """The notebook's imports that the text uses."""
    tree = ast.parse(body)
    wanted = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    told = names.mentioned(tree) - wanted
    wanted |= told
    there = {line.rpartition(" ")[2] for line in extra}
    found: list[str] = []
    for statement in plan.program.statements:
        if statement.kind == "import":
            found += [line for name, line in _lines(statement.node) if name in wanted - there or name == "*"]
    for name, node in plan.program.imports.items():
        if name in wanted - there and not any(line.rpartition(" ")[2] == name or f" {name}" in line for line in found):
            found += [line for bound, line in _lines(node) if bound == name]
    found = [f"{line}  # noqa: F401 - formulas use it" if line.split()[-1] in told else line for line in found]
    if any(line.endswith("import *") for line in found) and not _needs_stars(plan, tree):
        found = [line for line in found if not line.endswith("import *")]
    return list(dict.fromkeys(found))


def _lines(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    """(name bound, the import of just that)."""
    found = []
    for alias in node.names:
        renamed = f" as {alias.asname}" if alias.asname and alias.asname != alias.name else ""
        if isinstance(node, ast.Import):
            found.append((alias.asname or alias.name.partition(".")[0], f"import {alias.name}{renamed}"))
        elif node.module == "__future__":
            found.append(("*", f"from __future__ import {alias.name}"))
        else:
            found.append(
                (alias.asname or alias.name, f"from {'.' * node.level}{node.module or ''} import {alias.name}{renamed}")
            )
    return found


def _needs_stars(plan: Plan, tree: ast.AST) -> bool:
    """Whether the text uses a name that only a star import can give."""
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    bound |= (
        {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)} | plan.program.imports.keys() | {"rw", "Path", "Any"}
    )
    loaded = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return any(usable(name, bound) for name in loaded - bound)


def _settings(plan: Plan) -> list[str]:
    return [
        wording.whole(plan.context.sources[s.cell], s.node, _changes(plan)) for s in plan.slice.settings
    ]  # fmt: skip


def _constants(plan: Plan, steps: tuple[Step, ...], texts: list[str] | None = None) -> list[str]:
    """The constants that steps (or `texts`) use, in the notebook's order."""
    given = texts if texts is not None else [s.text for s in steps] + _definitions(plan) + _settings(plan)
    words = set(re.findall(r"[A-Za-z_]\w*", "\n".join(given)))
    named = plan.context.constants
    wanted = {old for old, new in named.items() if new in words}
    for _ in named:
        wanted |= {n for old in wanted for n in plan.hoisted.constants[old].reads if n in named}
    done: set[tuple[int, int]] = set()
    lines: list[str] = []
    for old, statement in plan.hoisted.constants.items():
        if old not in wanted or statement.key in done:
            continue
        done.add(statement.key)
        lines.append(_constant(plan, statement, wanted))
    return lines


def _constant(plan: Plan, statement: Statement, wanted: set[str]) -> str:
    source = plan.context.sources[statement.cell]
    target = statement.node.targets[0]
    if isinstance(target, ast.Tuple) and not {t.id for t in target.elts if isinstance(t, ast.Name)} <= wanted:
        parts = zip(target.elts, statement.node.value.elts, strict=True)
        return "\n".join(
            f"{plan.context.constants[t.id]} = {wording.written(source, v, _changes(plan))}"
            for t, v in parts
            if isinstance(t, ast.Name) and t.id in wanted
        )
    return wording.whole(source, statement.node, _changes(plan))


def _definitions(plan: Plan) -> list[str]:
    """The notebook's functions and classes, at module level."""
    found: list[str] = []
    changes = _changes(plan, params=False)
    for definition in plan.hoisted.definitions.values():
        if definition.inside or definition.name not in plan.used:
            continue
        node, source = definition.statement.node, plan.context.sources[definition.statement.cell]
        if definition.extras:
            edit = wording.signature(source, node, definition.extras)
            text = wording.written(source, node, changes, more=(edit,))
        else:
            text = wording.written(source, node, changes)
        above, _ = source.comments(node)
        found.append("\n\n" + (f"{above}\n{text}" if above else text) + "\n")
    return found


def _changes(plan: Plan, *, params: bool = True) -> Changes:
    table = dict(plan.context.constants)
    if params:
        table |= plan.context.params
    extras = {
        d.name: tuple(f"{e}={e}" for e in d.extras)
        for d in plan.hoisted.definitions.values()
        if d.extras and not d.inside
    }
    return Changes(reads=table, writes=table, extras=extras, nodes={})


def _about(plan: Plan) -> str:
    titles = [
        m[1] for cell in plan.program.notebook.cells if cell.kind == "markdown" for m in _TITLE.finditer(cell.source)
    ]
    title = (
        re.sub(r"[`*_$]|<[^>]+>", "", titles[0]).strip()
        if titles
        else plan.program.notebook.path.stem.replace("_", " ")
    )
    title = title.replace("\\", "").replace('"""', "'''")
    title = title if title[-1:] in ".?!" else f"{title}."
    how = "An argument's name says where its value comes from: a data set, another step, or a parameter."
    return f"{title[:1].upper()}{title[1:]}\n\n{how}"
