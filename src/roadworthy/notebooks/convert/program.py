"""The notebook as one program: its top-level statements in order, each with what it reads, binds, changes and is for.

In: a notebook. Out: a `Program`, or a Fault that names the cell which cannot be converted. Nothing is run.
Called by `conversion.py`.
"""

import ast
import functools
import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from roadworthy.notebooks.convert import calls, names
from roadworthy.notebooks.dataflow import python
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.nouns.errors import Fault, invalid
from roadworthy.pipelines.scopes import is_builtin

Kind = Literal["import", "define", "setting", "display", "prepare", "fit", "measure"]
NOT_TRANSLATED = frozenset({"python", "python3"})
_INSTALLERS = frozenset(
    {"pip", "pip3", "python", "python3", "conda", "mamba", "uv", "apt", "apt-get", "brew", "npm", "sudo"}
)
_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.+?)\s*#*\s*$", re.MULTILINE)
_UNDERLINED = re.compile(r"^(?P<title>\S.*)\n(?:={3,}|-{3,})\s*$", re.MULTILINE)
_STEP_TAG = "rw:step="
_STEP_MAGIC = re.compile(r"\A\s*%%rw[ \t]+step[ \t]+([a-z]\w*)")
# Languages of cells that compute nothing.
_SHOWN = frozenset({"markdown", "html", "svg", "latex", "css", "javascript"})
_PROVIDED = frozenset({"display", "get_ipython", "__name__", "__doc__", "__file__", "In", "Out", "_", "__", "exit"})


class Statement(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One top-level statement.

    Args:
        cell: index of its cell among all cells; `place`: of the statement in the cell.
        node: its tree; positions are those of the cell's source.
        kind: what it is for.
        reads, binds, weak, changes: names of the top level; `weak` ones may keep their value.
        results: calls in it that make what one keeps (fitted models, scores, answers, files).
    """

    cell: int
    place: int
    node: Any
    kind: Kind
    reads: frozenset[str]
    binds: frozenset[str]
    weak: frozenset[str]
    changes: frozenset[str]
    results: tuple[calls.Result, ...] = ()

    @property
    def key(self) -> tuple[int, int]:
        return self.cell, self.place

    @property
    def touches(self) -> frozenset[str]:
        """Names whose value is another after it."""
        return self.binds | self.changes

    @property
    def grown(self) -> frozenset[str]:
        """Names that `+=` is used on: it changes a list, and makes a new number."""
        found = (n.target for n in ast.walk(self.node) if isinstance(n, ast.AugAssign))
        return frozenset(target.id for target in found if isinstance(target, ast.Name))


class Section(msgspec.Struct, frozen=True):
    """What stands under one heading: its title (empty before the first), and prose by the cell it stands before."""

    number: int
    title: str


class Program(msgspec.Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """A notebook's statements, and what is known of its cells.

    Args:
        sources: of each code cell by index, as Python.
        sections: of each code cell by index.
        prose: markdown text directly before a code cell, by its index.
        tags: of each code cell.
        imports: name to the statement that binds it.
    """

    notebook: Notebook
    statements: tuple[Statement, ...]
    sources: dict[int, str]
    sections: dict[int, Section]
    prose: dict[int, str]
    tags: dict[int, tuple[str, ...]]
    imports: dict[str, Any]
    modules: dict[str, str]
    left: tuple[tuple[int, str], ...] = ()

    @functools.cached_property
    def mates(self) -> dict[str, set[str]]:
        """Names that stand for one object (`b = a`) which is changed by one of them, each with all of its kind."""
        classes: dict[str, set[str]] = {}
        for statement in self.statements:
            node = statement.node
            if not isinstance(node, ast.Assign):
                continue
            names_of = [t.id for t in node.targets if isinstance(t, ast.Name)]
            if isinstance(node.value, ast.Name) and node.value.id not in self.imports:
                names_of.append(node.value.id)
            if len(names_of) > 1:
                joined = set().union(names_of, *(classes.get(name, set()) for name in names_of))
                classes.update(dict.fromkeys(joined, joined))
        changed = {name for s in self.statements for name in s.grown | s.changes}
        return {name: joined for name, joined in classes.items() if joined & changed}

    def shared(self, statement: "Statement") -> set[str]:
        """Other names whose objects a statement changes by changing one that is the same."""
        return set().union(*(self.mates.get(name, set()) for name in statement.grown | statement.changes))

    @property
    def entangled(self) -> set[str]:
        """Names that stand for an object which has another name too, and is changed."""
        return set(self.mates)

    def step_tag(self, cell: int) -> str:
        """The step that a cell's tag asks for, or its `%%rw step NAME`; empty for none."""
        found = [tag.removeprefix(_STEP_TAG) for tag in self.tags.get(cell, ()) if tag.startswith(_STEP_TAG)]
        found += _STEP_MAGIC.findall(self.notebook.cells[cell].source)
        return found[0] if found else ""

    def has_tag(self, cell: int, *wanted: str) -> bool:
        return any(tag in wanted for tag in self.tags.get(cell, ()))

    def name(self, cell: int) -> str:
        return self.notebook.cells[cell].name


def of(notebook: Notebook) -> Program:
    """Read a notebook as a program.

    Raises:
        Fault: invalid, naming the cell: another language, not Python, asks for input, or needs what only a later cell
            makes.
    """
    if notebook.language != "python":
        raise invalid(
            f"the notebook is in {notebook.language}; only Python is converted", where=str(notebook.path),
            fix="convert a notebook with a Python kernel",
        )  # fmt: skip
    sources: dict[int, str] = {}
    trees: dict[int, ast.Module] = {}
    left: list[tuple[int, str]] = []
    for cell in notebook.cells:
        if cell.kind != "code":
            continue
        if "rw:skip" in cell.tags:
            left.append((cell.index, "tagged rw:skip"))
            continue
        if cell.language not in NOT_TRANSLATED:
            if cell.language in _SHOWN:
                left.append((cell.index, f"{cell.language}, only shown"))
                continue
            raise invalid(
                f"it is in {cell.language}, which a Python pipeline cannot run", where=_where(notebook, cell),
                fix='rewrite it in Python, or tag it "rw:skip" and leave it behind',
            )  # fmt: skip
        translated = python.translate(cell.source)
        left += [(cell.index, f"`{_magic(m)}`: a magic of the notebook") for m in translated.magics if m.kind != "help"]
        sources[cell.index] = _without_installs(translated)
        trees[cell.index] = _parsed(notebook, cell, sources[cell.index])
    return _program(notebook, sources, trees, left)


def _program(
    notebook: Notebook, sources: dict[int, str], trees: dict[int, ast.Module], left: list[tuple[int, str]]
) -> Program:
    imports: dict[str, Any] = {}
    modules: dict[str, str] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for bound, module in _imported(node):
                    imports[bound] = node
                    modules[bound] = module
    functions = _functions(trees)
    kinds = calls.Calls(modules, functions)
    kinds.known = {name for tree in trees.values() for node in tree.body for name in names.binds(node)} | modules.keys()
    statements = tuple(
        _statement(index, place, node, kinds)
        for index, tree in trees.items()
        for place, node in enumerate(tree.body)
        if not _says_nothing(node)
    )
    sections, prose = _sections(notebook)
    program = Program(
        notebook=notebook,
        statements=statements,
        sources=sources,
        sections=sections,
        prose=prose,
        tags={cell.index: cell.tags for cell in notebook.cells},
        imports=imports,
        modules=modules,
        left=tuple(left),
    )
    _refuse(program)
    return program


def _statement(cell: int, place: int, node: ast.stmt, kinds: "calls.Calls") -> Statement:
    reads, binds = names.reads(node), names.binds(node)
    reads |= names.mentioned(node) & kinds.known
    changes = names.changes(node, kinds.changing) - binds - kinds.modules.keys()
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        changes.discard(node.target.id)
    kind = kinds.kind(node)
    return Statement(
        cell=cell,
        place=place,
        node=node,
        kind=kind,
        reads=frozenset(reads | changes),
        binds=frozenset(binds),
        weak=frozenset(names.weakly_bound(node)),
        changes=frozenset(changes) if kind not in {"import", "define"} else frozenset(),
        results=tuple(kinds.results(node)) if kind not in {"import", "define"} else (),
    )


def _parsed(notebook: Notebook, cell: Cell, text: str) -> ast.Module:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as problem:
        line = getattr(problem, "lineno", None) or 1
        raise invalid(
            f"it is not Python: {getattr(problem, 'msg', problem)}: {_line(text, line)}",
            where=f"{_where(notebook, cell)} line {line}",
            fix='mend it, or tag the cell "rw:skip" and leave it behind',
        ) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and names.dotted(node.func) in {"input", "raw_input", "getpass.getpass"}:
            raise invalid(
                "it asks a person for input, and nobody is there when a pipeline runs",
                where=f"{_where(notebook, cell)} line {node.lineno}",
                fix="assign the value instead; a cell tagged `parameters` makes it a parameter of the project",
            )
        if isinstance(node, ast.Await) and not _in_function(tree, node):
            raise invalid(
                "it awaits at the top level, which only a notebook can",
                where=f"{_where(notebook, cell)} line {node.lineno}",
                fix="put it into a function, or wrap it: asyncio.run(…)",
            )  # fmt: skip
    return tree


def _refuse(program: Program) -> None:
    """Refuse what cannot run from top to bottom: a name that only a later cell makes, cells that need each other."""
    made: dict[str, int] = {}
    for statement in program.statements:
        for name in statement.binds:
            made.setdefault(name, statement.cell)
    stars = any(s.kind == "import" and any(a.name == "*" for a in s.node.names) for s in program.statements)
    there: set[str] = set()
    for statement in program.statements:
        immediate = {o.node.id for o in names.occurrences(statement.node) if o.reads and not o.deferred}
        for name in sorted(immediate - there - statement.binds):
            if is_builtin(name) or name in _PROVIDED:
                continue
            if name in made:
                raise _later(program, statement, name, made[name])
            if not stars and statement.kind != "define":
                raise invalid(
                    f"it uses `{name}`, which no cell makes", where=_at(program, statement),
                    fix="a deleted cell may have made it: write that cell again, or leave this one behind (rw:skip)",
                )  # fmt: skip
        there |= statement.binds


def _later(program: Program, statement: Statement, name: str, maker: int) -> Fault:
    needs = {n for s in program.statements if s.cell == maker for n in s.reads}
    circle = sorted(needs & {n for s in program.statements if s.cell == statement.cell for n in s.binds})
    if circle and maker != statement.cell:
        return invalid(
            f"{program.name(statement.cell)} and {program.name(maker)} need each other: `{name}` is of the second, "
            f"which needs `{circle[0]}` of the first",
            where=_at(program, statement), fix="divide one of them, so that each comes after what it needs",
        )  # fmt: skip
    return invalid(
        f"it uses `{name}`, which only {program.name(maker)} makes, further down", where=_at(program, statement),
        fix="move that cell up; a pipeline runs from top to bottom, as a fresh kernel would",
    )  # fmt: skip


def _functions(trees: dict[int, ast.Module]) -> dict[str, Any]:
    """The notebook's own functions by name."""
    return {
        node.name: node
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """(name bound, what it stands for with dots)."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif alias.name != "*":
            yield alias.asname or alias.name, f"{node.module or ''}.{alias.name}"


def _sections(notebook: Notebook) -> tuple[dict[int, Section], dict[int, str]]:
    sections: dict[int, Section] = {}
    prose: dict[int, str] = {}
    current, said = Section(0, ""), ""
    for cell in notebook.cells:
        if cell.kind == "markdown":
            titles = [(m.start(), m[2]) for m in _HEADING.finditer(cell.source)]
            titles += [(m.start(), m["title"]) for m in _UNDERLINED.finditer(cell.source)]
            if titles:
                current = Section(current.number + 1, max(titles)[1])
            said = f"{said}\n\n{cell.source}" if said else cell.source
        elif cell.kind == "code":
            sections[cell.index] = current
            if said:
                prose[cell.index] = said
            said = ""
    return sections, prose


def _without_installs(translated: python.Translated) -> str:
    """The cell without lines that install: running a notebook to look at it must not change its environment."""
    lines = translated.python.split("\n")
    for magic in translated.magics:
        if magic.kind == "shell" and magic.name in _INSTALLERS:
            line = lines[magic.line - 1]
            lines[magic.line - 1] = line[: len(line) - len(line.lstrip())] + "pass"
    return "\n".join(lines)


def _says_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _in_function(tree: ast.Module, wanted: ast.AST) -> bool:
    return any(
        wanted is part
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for part in ast.walk(node)
    )


def _magic(magic: Any) -> str:
    mark = {"cell": "%%", "shell": "!"}.get(magic.kind, "%")
    return f"{mark}{magic.name} {magic.text}".strip()[:60] if magic.kind != "shell" else f"!{magic.text}"[:60]


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number - 1].strip()[:60] if 0 < number <= len(lines) else ""


def _where(notebook: Notebook, cell: Cell) -> str:
    return f"{notebook.path} {cell.name}"


def _at(program: Program, statement: Statement) -> str:
    return f"{program.notebook.path} {program.name(statement.cell)} line {statement.node.lineno}"
