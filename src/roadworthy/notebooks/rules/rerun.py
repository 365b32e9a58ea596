"""Rule: a cell that gives another result when it is run twice."""

import ast
from collections.abc import Iterator

from roadworthy.notebooks.dataflow.cell_flow import CellFlow, Mutation
from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject, argument, has_keyword, literal

# Run again on what they made, these fail or change it again.
_CHANGES_AGAIN = frozenset(
    {
        "drop", "set_index", "shift", "diff", "cumsum", "cumprod", "pct_change", "melt", "pivot", "pivot_table",
        "transpose", "merge", "join", "map", "assign_lag", "explode", "stack", "unstack", "append", "add_prefix",
        "add_suffix", "T", "swapaxes", "swaplevel", "log", "log1p", "exp", "expm1", "sqrt", "square", "concat",
        "get_dummies", "hstack", "vstack", "concatenate", "insert", "delete", "one_hot", "to_categorical", "unsqueeze",
    }
)  # fmt: skip
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Pow, ast.MatMult)
_STAYS_THE_SAME = frozenset({"|=", "&="})


class NotRepeatable:
    """A cell gives another result when it is run twice.

    It changes, or makes anew from itself, what a cell above made: `df = df.drop(columns="id")` fails the second time,
    `rows.append(x)` adds a second one, `price *= 1.2` raises it again. People run cells again all the time; a pipeline
    step that is retried does so too.

    Fix: give the result a name of its own, or make and change the object in one cell.
    """

    code, name = "RWN109", "not-repeatable"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.flow.cells:
            told: set[str] = set()
            for name, statement in cell.rebinds.items():
                again = _again(name, statement)
                if again and self._from_above(subject, cell, name):
                    told.add(name)
                    yield subject.finding(
                        self,
                        cell.index,
                        statement,
                        f"run twice, this cell {again} `{name}` twice: it makes it from itself",
                        fix=f"give the result a name of its own, or make `{name}` in this cell",
                    )
            for name, change in cell.mutates.items():
                again = _changes_again(change)
                if again and name not in told and self._from_above(subject, cell, name):
                    yield subject.finding(
                        self,
                        cell.index,
                        change.node,
                        f"run twice, this cell {again} `{name}`, which cell {_maker(subject, cell, name) + 1} makes",
                        fix=f"make `{name}` in this cell, or give the result a name of its own",
                    )

    @staticmethod
    def _from_above(subject: Subject, cell: CellFlow, name: str) -> bool:
        return name not in subject.flow.imports and _maker(subject, cell, name) >= 0


def _maker(subject: Subject, cell: CellFlow, name: str) -> int:
    """The cell that makes a name for another one; -1 when none does."""
    return max((e.source for e in subject.edges_to(cell.index) if e.name == name and e.kind == "defines"), default=-1)


def _changes_again(change: Mutation) -> str:
    """What a second run does to an object, in words; empty when it does nothing more."""
    if change.how == "grow":
        return f"adds again (`{change.what}`) to" if change.what not in {"write", "writelines", "put"} else ""
    if change.how == "shrink" and change.what in {"pop", "popleft", "popitem", "remove"}:
        return f"takes away again (`{change.what}`) from"
    if change.how == "augmented" and change.what not in _STAYS_THE_SAME:
        return f"applies `{change.what}` again to"
    if change.how == "reorder" and change.what not in {"sort", "heapq.heapify"}:
        return f"reorders again (`{change.what}`)"
    if change.how == "inplace" and change.what in {"drop", "set_index", "reset_index"}:
        forgiving = isinstance(change.node, ast.Call) and has_keyword(change.node, "errors", "drop")
        return "" if forgiving else f"applies `{change.what}` in place again to"
    return ""


def _again(name: str, statement: ast.stmt) -> str:
    """What a second run of `name = f(name)` does, in words; empty when the second result is the first."""
    value = getattr(statement, "value", None)
    if isinstance(value, ast.BinOp) and isinstance(value.op, _ARITHMETIC) and _takes(value, name):
        return "computes"
    while isinstance(value, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(value, ast.Attribute) and value.attr == "T":
            return "transposes"
        if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice) and _is_name(value.value, name):
            return "cuts" if value.slice.lower is not None or value.slice.step is not None else ""
        if isinstance(value, ast.Call):
            told = _call_again(value, name)
            if told:
                return told
            value = value.func
        else:
            value = value.value
    return ""


def _call_again(call: ast.Call, name: str) -> str:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return ""
    method = function.attr
    of_itself = _is_name(function.value, name) or _chain_of(function.value, name)
    given = any(_is_name(a, name) or _holds(a, name) for a in call.args[:1])
    if method == "reset_index" and of_itself:
        return "" if has_keyword(call, "drop") else "adds an index column to"
    if method not in _CHANGES_AGAIN or not (of_itself or given):
        return ""
    if method == "drop" and has_keyword(call, "errors"):
        return ""
    if method == "set_index" and not _names_columns(call):
        return ""  # from what the index is, as often as one likes
    if method == "join" and (not call.args or not isinstance(call.args[0], ast.Name | ast.Subscript | ast.Call)):
        return ""  # of a text, most likely
    return f"applies `{method}` to"


def _names_columns(call: ast.Call) -> bool:
    """Whether `set_index` takes columns by name, which are gone afterwards."""
    given = argument(call, 0, "keys")
    parts = given.elts if isinstance(given, ast.List) else [given]
    return not has_keyword(call, "drop", "append") and all(literal(part) is not None for part in parts)


def _chain_of(node: ast.expr, name: str) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return _is_name(node, name)


def _holds(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.List | ast.Tuple) and any(_is_name(e, name) for e in node.elts)


def _takes(operation: ast.expr, name: str) -> bool:
    """Whether the name itself is an operand: `x * 2`, but not `x[0] * 2` or `f(x) * 2`."""
    if isinstance(operation, ast.BinOp):
        return _takes(operation.left, name) or _takes(operation.right, name)
    return _is_name(operation, name)


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


RULES = (NotRepeatable(),)
