"""Rules about imports: not in the locked environment, unused, late, again, of everything."""

import ast
import re
import sys
from collections.abc import Iterator

from roadworthy.notebooks.dataflow.cell_flow import Import
from roadworthy.notebooks.notebook import Cell
from roadworthy.notebooks.rules.distributions import distribution_of
from roadworthy.notebooks.rules.finding import Edit, Finding, Severity
from roadworthy.notebooks.rules.subject import Subject, cells_named

# Imported for what they do, not for their name.
_ACTS_ON_IMPORT = frozenset(
    {
        "__future__", "readline", "rlcompleter", "antigravity", "this", "mpl_toolkits.mplot3d", "sklearn.experimental",
        "hvplot.pandas", "hvplot.xarray", "hvplot.dask", "hvplot.polars", "hvplot.ibis", "hvplot.networkx", "rioxarray",
        "swifter", "pandarallel", "janitor", "cufflinks", "nest_asyncio", "ee", "geoviews", "seaborn.objects",
        "tensorflow_text", "skimage.viewer", "cmocean", "scienceplots", "xgcm", "pint_xarray", "hvplot.duckdb",
        "tensorflow_addons", "autotime", "datashader.geo", "matplotlib_inline", "pyarrow_hotfix", "pytimetk",
    }
)  # fmt: skip
_TOO_PLAIN_TO_ACT = frozenset({"matplotlib", "scipy", "sklearn", "numpy", "statsmodels", "networkx"})
_EXTENDS_BY_NAME = frozenset({"Axes3D", "enable_iterative_imputer", "enable_halving_search_cv", "proj3d"})
_WORD = re.compile(r"[A-Za-z_]\w*")


class MissingFromLock:
    """An import is not in the locked environment.

    It is installed on the author's machine. Where the lock decides what is installed (CI, a container, a colleague's
    machine), the cell fails.

    Fix: add the distribution to the project's dependencies and lock again.
    """

    code, name = "RWN201", "not-locked"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        locked = subject.around.locked
        if locked is None:
            return
        told: set[str] = set()
        for cell in subject.flow.cells:
            for made in cell.imports:
                top = made.module.partition(".")[0]
                if made.level or not top or top in told or made.guarded or top in sys.stdlib_module_names:
                    continue
                told.add(top)
                if _is_local(subject, top):
                    continue
                wanted = distribution_of(made.module, locked)
                if wanted is not None:
                    yield subject.finding(
                        self,
                        cell.index,
                        made.node,
                        f"`{top}` is not in {subject.around.lock}",
                        fix=f"add {wanted} to the project's dependencies and lock again",
                    )


class UnusedImport:
    """An import is never used.

    It costs time at every start, and a dependency that has to be installed, kept and secured for nothing.

    Fix: remove it. `--fix` does.
    """

    code, name = "RWN202", "unused-import"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        flow = subject.flow
        if any("exec" in cell.opaque or "%run" in cell.opaque for cell in flow.cells):
            return
        if any(cell.error is not None for cell in flow.cells):
            return
        mentioned: set[str] | None = None
        for cell in flow.cells:
            for made in cell.imports:
                if made.owner or made.guarded or made.name == "*" or made.name in subject.names_read:
                    continue
                if _acts(made) or (subject.notebook.form == "marimo" and made.module == "marimo"):
                    continue
                if made.name not in cell.defines or any(m.local for m in cell.magics):
                    continue
                if mentioned is None:
                    mentioned = _mentioned(subject)
                if made.name in mentioned:
                    continue
                shown = made.target if not made.attribute else f"{made.module}.{made.attribute}"
                yield subject.finding(
                    self,
                    cell.index,
                    made.node,
                    f"`{shown}` is imported"
                    + (f" as `{made.name}`" if made.name not in shown.split(".") else "")
                    + " and never used",
                    fix="remove the import",
                    edit=_without(subject.cell(cell.index), cell.tree, made),
                )


class LateImport:
    """An import stands below cells that already work.

    Whoever runs the notebook learns only there, perhaps after an hour, that something is not installed. A module that
    is made of the notebook has its imports at the top.

    Fix: move the import into the first code cell.
    """

    code, name = "RWN203", "late-import"
    severity: Severity = "note"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.notebook.form == "marimo":
            return
        working = -1
        late: list[tuple[int, Import]] = []
        seen: set[str] = set()
        for cell in subject.flow.cells:
            fresh = [m for m in cell.imports if not m.owner and not m.guarded and m.target not in seen]
            seen.update(m.target for m in cell.imports)
            if working >= 0:
                late += [(cell.index, m) for m in fresh[:1]]
            elif cell.tree is not None and any(_works(statement) for statement in cell.tree.body):
                working = cell.index
        if late:
            index, made = late[0]
            places = [place for place, _ in late]
            others = f", as in {cells_named(places[1:])}" if len(places) > 1 else ""
            yield subject.finding(
                self,
                index,
                made.node,
                f"`{made.module}` is imported here, below cell {working + 1} where work begins{others}",
                fix="move imports into the first code cell",
            )


class ImportedAgain:
    """An import that a cell above has made already.

    The second one does nothing, and hides which libraries the notebook needs.

    Fix: remove it. `--fix` does.
    """

    code, name = "RWN206", "imported-again"
    severity: Severity = "note"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.notebook.form == "marimo":
            return
        known: dict[str, tuple[str, int]] = {}
        for cell in subject.flow.cells:
            imported = {m.name for m in cell.imports}
            here: set[str] = set()
            for made in cell.imports:
                if made.owner or made.guarded or made.name == "*" or made.name in here:
                    continue
                here.add(made.name)
                first = known.get(made.name)
                if first is not None and first[0] == made.target and cell.defines.get(made.name) is made.node:
                    yield subject.finding(
                        self,
                        cell.index,
                        made.node,
                        f"`{made.name}` is imported in cell {first[1] + 1} already",
                        fix="remove the second import",
                        edit=_without(subject.cell(cell.index), cell.tree, made),
                    )
                elif made.name in cell.defines:
                    known[made.name] = (made.target, cell.index)
            for name in [n for n in cell.defines if n in known and n not in imported] + list(cell.deletes):
                known.pop(name, None)


class StarImport:
    """Everything is imported from a module.

    Nobody can tell where a name comes from, and a new version of the module may replace one of the notebook's names.
    Names that no cell makes cannot be found either: they may be the module's.

    Fix: import the module, or the names that are used.
    """

    code, name = "RWN205", "star-import"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.flow.cells:
            for made in cell.imports:
                if made.name == "*" and not any(m.name == "pylab" for m in cell.magics):
                    yield subject.finding(
                        self,
                        cell.index,
                        made.node,
                        f"everything is imported from `{'.' * made.level}{made.module}`",
                        fix="import the names that are used",
                    )


def _is_local(subject: Subject, top: str) -> bool:
    """Whether a module lies beside the notebook, or in the project."""
    folders = [subject.notebook.path.parent]
    if subject.around.root is not None:
        folders += [subject.around.root, subject.around.root / "src"]
    return any((folder / f"{top}.py").is_file() or (folder / top).is_dir() for folder in folders)


def _acts(made: Import) -> bool:
    if made.module in _ACTS_ON_IMPORT or made.target in _ACTS_ON_IMPORT or made.attribute in _EXTENDS_BY_NAME:
        return True
    if made.module.partition(".")[0] == "__future__" or made.name == "_":
        return True
    # `import dowhy.api`, `import hvplot.pandas`: a submodule without a name of its own is often there to act.
    top = made.module.partition(".")[0]
    nameless = not made.attribute and "." in made.module and made.name == top
    return nameless and top not in sys.stdlib_module_names and top not in _TOO_PLAIN_TO_ACT


def _mentioned(subject: Subject) -> set[str]:
    """Names inside texts and magics, where code may be: `eval("np.pi")`, `%timeit x`, `df.query("@k")`."""
    names: set[str] = set()
    for cell in subject.flow.cells:
        for text in cell.texts:
            if len(text.value) <= 10_000:
                names.update(_WORD.findall(text.value))
        for magic in cell.magics:
            names.update(_WORD.findall(magic.text))
    return names


def _works(statement: ast.stmt) -> bool:
    """Whether a statement does more than prepare: import, set options, define constants and functions."""
    if isinstance(statement, ast.For | ast.While):
        return True
    value = getattr(statement, "value", None)
    while isinstance(value, ast.Attribute | ast.Subscript):  # `pd.read_csv(...).iloc[:, 0]`
        value = value.value
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or not isinstance(value, ast.Call):
        return False
    return not ast.unparse(value.func).endswith("getLogger")


def _without(cell: Cell, tree: ast.Module | None, made: Import) -> Edit | None:
    """The edit that takes one name out of an import statement; None when that is not plainly safe."""
    if tree is None:
        return None
    statement = next(
        (s for s in tree.body if isinstance(s, ast.Import | ast.ImportFrom) and made.node in s.names), None
    )
    if statement is None or statement.end_lineno is None:
        return None
    lines = cell.source.split("\n")
    first, last = statement.lineno, statement.end_lineno
    whole = "\n".join(lines[first - 1 : last])
    end = len(lines[last - 1].encode("utf-8", "surrogatepass"))
    alone = (
        statement.col_offset == 0
        and not lines[last - 1].encode("utf-8", "surrogatepass")[statement.end_col_offset : end].strip()
    )
    if not alone or "#" in whole:  # something else is on its lines, or a comment that would be lost
        return None
    rest = [alias for alias in statement.names if alias is not made.node]
    if not rest:
        return Edit(first, last)
    written = ", ".join(a.name + (f" as {a.asname}" if a.asname else "") for a in rest)
    if isinstance(statement, ast.Import):
        return Edit(first, last, (f"import {written}",))
    origin = "." * statement.level + (statement.module or "")
    line = f"from {origin} import {written}"
    if len(line) > 100:
        names = [f"    {a.name + (f' as {a.asname}' if a.asname else '')}," for a in rest]
        return Edit(first, last, (f"from {origin} import (", *names, ")"))
    return Edit(first, last, (line,))


RULES = (MissingFromLock(), UnusedImport(), LateImport(), StarImport(), ImportedAgain())
