"""Rules about what does nothing: dead cells, empty ones, code that is commented out; and functions without a test."""

import ast
import re
import warnings
from collections.abc import Iterator

from roadworthy.notebooks.dataflow.cell_flow import CellFlow, Function
from roadworthy.notebooks.dataflow.expressions import dotted
from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject

_STATEMENTS_MIN = 4
_TESTING = re.compile(r"assert|def test|class Test")
# Calls that make a value and do nothing else.
_PURE = frozenset(
    {
        "list", "dict", "set", "tuple", "range", "len", "str", "int", "float", "bool", "sorted", "zip", "enumerate",
        "sum", "min", "max", "abs", "round", "frozenset", "pathlib.Path", "numpy.array", "numpy.arange", "numpy.zeros",
        "numpy.ones", "numpy.linspace", "numpy.asarray", "pandas.DataFrame", "pandas.Series", "pandas.concat",
        "pandas.merge", "numpy.concatenate", "numpy.mean", "numpy.exp", "numpy.log", "numpy.sqrt",
    }
)  # fmt: skip
_PROSE = re.compile(r"^#\s*(?:[A-Z][a-z]+\b.*[a-z]\s|!|-\*-)")
_LOOKS_LIKE_CODE = re.compile(r"[=(\[]|^(?:import|from|del|return|for|if|while|with|def|class|%|!)\b|\)$")


class DeadCell:
    """What a cell makes is used nowhere, and it shows nothing.

    It costs time at every run and misleads whoever reads it. Often it is what is left of an attempt.

    Fix: delete the cell.
    """

    code, name = "RWN111", "dead-cell"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        flow = subject.flow
        hidden = any("exec" in c.opaque or "globals" in c.opaque or "locals" in c.opaque for c in flow.cells)
        if hidden or flow.opaque or any(c.error is not None for c in flow.cells):
            return
        if any(c.kind == "code" and c.language != "python" for c in subject.notebook.cells):
            return
        used = {(edge.source, edge.name) for edge in flow.edges}
        for cell in flow.cells:
            if not cell.defines or cell.tree is None or cell.magics or cell.mutates or cell.imports:
                continue
            told = subject.cell(cell.index)
            if told.outputs or told.tags or _last(flow.cells, cell):
                continue
            if any((cell.index, name) in used or name.startswith("_") for name in cell.defines):
                continue
            if all(_is_idle(subject, statement) for statement in cell.tree.body):
                if subject.read_elsewhere(cell.index).intersection(cell.defines):
                    continue
                names = ", ".join(f"`{name}`" for name in list(cell.defines)[:3])
                more = " and more" if len(cell.defines) > 3 else ""
                yield subject.finding(
                    self, cell.index, cell.tree.body[0], f"nothing uses {names}{more}, and the cell shows nothing",
                    fix="delete the cell",
                )  # fmt: skip


class NoCode:
    """A code cell is empty, or all its code is commented out.

    Nobody knows whether it still works with the rest; version control keeps what was there.

    Fix: delete the cell.
    """

    code, name = "RWN112", "no-code"
    severity: Severity = "note"

    def find(self, subject: Subject) -> Iterator[Finding]:
        last = len(subject.notebook.cells) - 1
        for cell in subject.notebook.code:
            source = cell.source.strip()
            if not source:
                if cell.index != last and not cell.tags:  # editors leave one at the end
                    yield subject.finding(self, cell.index, None, "the cell is empty", fix="delete the cell")
                continue
            if source[0] == "#" and not cell.tags and _is_commented_out(source):
                yield subject.finding(
                    self, cell.index, None, "all code of the cell is commented out", fix="delete the cell"
                )


class Untested:
    """A function is used, and nothing tests it.

    When the notebook becomes a pipeline, its functions are what will be changed. A function without a test breaks
    silently.

    Fix: call it with a small input and `assert` what comes back, or give it a doctest.
    """

    code, name = "RWN602", "untested"
    severity: Severity = "note"

    def find(self, subject: Subject) -> Iterator[Finding]:
        tested = _tested(subject)
        for cell in subject.flow.cells:
            for function in cell.functions.values():
                node = function.node
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not _is_testable(subject, function):
                    continue
                if function.name in tested or ">>>" in (ast.get_docstring(node, clean=False) or ""):
                    continue
                if function.name.startswith("test"):
                    continue
                yield subject.finding(
                    self,
                    cell.index,
                    node.lineno,
                    f"no test calls `{function.name}`",
                    fix="assert what it returns for a small input",
                )


def _is_testable(subject: Subject, function: Function) -> bool:
    """Whether a function is worth a test: it returns something, has some lines, and is used."""
    node = function.node
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    if function.name not in subject.names_read or (node.end_lineno or 0) - node.lineno < _STATEMENTS_MIN - 1:
        return False
    count = returns = 0
    for part in ast.walk(node):
        count += isinstance(part, ast.stmt)
        returns += isinstance(part, ast.Return) and part.value is not None
    return returns > 0 and count > _STATEMENTS_MIN


def _tested(subject: Subject) -> set[str]:
    """Functions that an assertion or a test calls."""
    found: set[str] = set()
    for cell in subject.flow.cells:
        tree = cell.tree
        if tree is None or not _TESTING.search(cell.python):
            continue
        for part in ast.walk(tree):
            testing = isinstance(part, ast.Assert) or (
                isinstance(part, ast.FunctionDef | ast.ClassDef) and part.name.lower().startswith("test")
            )
            if isinstance(part, ast.Call):
                testing = "assert" in ast.unparse(part.func)
            if testing:
                found.update(n.id for n in ast.walk(part) if isinstance(n, ast.Name))
        if any(isinstance(part, ast.Assert) for part in tree.body):  # `y = f(x)` and `assert y == …` in one cell
            found.update(call.name for call in cell.calls)
    return found


def _last(cells: tuple[CellFlow, ...], cell: CellFlow) -> bool:
    return cells[-1] is cell


def _is_idle(subject: Subject, statement: ast.stmt) -> bool:
    """Whether a statement makes names and does nothing else."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return not statement.decorator_list
    if isinstance(statement, ast.Assign):
        if not all(isinstance(t, ast.Name | ast.Tuple) for t in statement.targets):
            return False
        return _is_pure(subject, statement.value)
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None or _is_pure(subject, statement.value)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass)


def _is_pure(subject: Subject, value: ast.expr) -> bool:
    for part in ast.walk(value):
        if isinstance(part, ast.Call) and subject.flow.canonical(dotted(part.func)) not in _PURE:
            return False
        if isinstance(part, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
            return False
    return True


def _is_commented_out(source: str) -> bool:
    """Whether every line is a comment, and without the marks it is code that does something."""
    lines = [line.strip() for line in source.split("\n") if line.strip()]
    if not all(line.startswith("#") for line in lines) or any(_PROSE.match(line) for line in lines):
        return False
    plain = [re.sub(r"^#+ ?", "", line.rstrip()) for line in source.split("\n")]
    text = "\n".join(plain)
    if not any(_LOOKS_LIKE_CODE.search(line) for line in plain):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not isinstance(s, ast.Expr) or isinstance(s.value, ast.Call) for s in tree.body)


RULES = (DeadCell(), NoCode(), Untested())
