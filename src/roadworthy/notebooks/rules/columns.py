"""Which columns of a table a name holds, as far as assignments say: for the target among the features.

In: statements in order. Out: whether features hold the target's column. Called by `training.py`. What is not written
out (`df.iloc[:, :-1]`, a list made by a loop) is unknown, and nothing is said of it.
"""

import ast
from typing import NamedTuple

from roadworthy.notebooks.rules.subject import argument, literal

_SAME_ROWS = frozenset(
    {"copy", "fillna", "dropna", "astype", "reset_index", "to_numpy", "values", "head", "sample", "ravel"}
)


class Table(NamedTuple):
    """A table: where it comes from, the columns chosen (None: all), and those taken away."""

    root: str
    chosen: frozenset[str] | None
    without: frozenset[str]

    def holds(self, column: str) -> bool:
        return column in self.chosen if self.chosen is not None else column not in self.without


class Columns:
    """Tables and columns by the names that hold them."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}
        self._series: dict[str, tuple[str, str]] = {}  # name -> (root, column)
        self._lists: dict[str, frozenset[str]] = {}
        self._texts: dict[str, str] = {}
        self._versions = 0

    def target_among(self, data: ast.expr, target: ast.expr) -> str:
        """The target's column when the features hold it too; empty otherwise."""
        table, column = self._table(data), self._column(target)
        if table is None or column is None or table.root != column[0]:
            return ""
        return column[1] if table.holds(column[1]) else ""

    def split(self, targets: list[ast.expr], call: ast.Call) -> None:
        """`a, b, c, d = train_test_split(X, y)`: parts have the columns of the whole."""
        for place, target in enumerate(targets):
            if isinstance(target, ast.Name) and place // 2 < len(call.args):
                given = call.args[place // 2]
                table, column = self._table(given), self._column(given)
                self._forget(target.id)
                if table is not None:
                    self._tables[target.id] = table
                if column is not None:
                    self._series[target.id] = column

    def statement(self, statement: ast.stmt) -> None:
        """Follow one statement."""
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            self._assign(statement.targets[0], statement.value)
        elif isinstance(statement, ast.Delete):
            for target in statement.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    self._take_away(target.value.id, self._named(target.slice))
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            function = call.func
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                in_place = any(
                    k.arg == "inplace" and isinstance(k.value, ast.Constant) and k.value.value for k in call.keywords
                )
                if function.attr == "pop" or (function.attr == "drop" and in_place):
                    self._take_away(function.value.id, self._dropped(call))

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            return  # a column is added: what is known stays true
        if not isinstance(target, ast.Name):
            for part in ast.walk(target):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    self._forget(part.id)
            return
        table, column = self._table(value), self._column(value)
        names, text = self._list(value), literal(value)
        function = value.func if isinstance(value, ast.Call) else None
        if isinstance(function, ast.Attribute) and function.attr == "pop" and isinstance(function.value, ast.Name):
            assert isinstance(value, ast.Call)
            self._take_away(function.value.id, self._dropped(value))
        self._forget(target.id)
        if table is not None:
            self._tables[target.id] = table
        elif column is not None:
            self._series[target.id] = column
        elif names is not None:
            self._lists[target.id] = names
        elif text is not None:
            self._texts[target.id] = text
        elif isinstance(value, ast.Call):  # a new table, perhaps: nothing is taken away from it yet
            self._versions += 1
            self._tables[target.id] = Table(f"{target.id}#{self._versions}", None, frozenset())

    def _forget(self, name: str) -> None:
        self._tables.pop(name, None)
        self._series.pop(name, None)
        self._lists.pop(name, None)
        self._texts.pop(name, None)

    def _take_away(self, name: str, columns: frozenset[str] | None) -> None:
        table = self._tables.get(name)
        if table is None:
            return
        if columns is None:
            del self._tables[name]
        else:
            self._tables[name] = Table(table.root, table.chosen, table.without | columns)

    def _table(self, node: ast.expr) -> Table | None:
        if isinstance(node, ast.Name):
            return self._tables.get(node.id)
        if isinstance(node, ast.Attribute) and node.attr == "values":
            return self._table(node.value)
        if isinstance(node, ast.Subscript):
            names = self._list(node.slice)
            table = self._table(node.value)
            if names is None or table is None:
                return None
            return Table(table.root, names, frozenset())
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            table = self._table(node.func.value)
            if table is None:
                return None
            if node.func.attr == "drop":
                columns = self._dropped(node)
                if columns is None:
                    return None
                chosen = table.chosen - columns if table.chosen is not None else None
                return Table(table.root, chosen, table.without | columns)
            if node.func.attr in _SAME_ROWS:
                return table
        return None

    def _column(self, node: ast.expr) -> tuple[str, str] | None:
        if isinstance(node, ast.Name):
            return self._series.get(node.id)
        if isinstance(node, ast.Subscript):
            table = self._table(node.value)
            name = literal(node.slice) or (self._texts.get(node.slice.id) if isinstance(node.slice, ast.Name) else None)
            if name is None:
                names = self._list(node.slice)
                name = next(iter(names)) if names is not None and len(names) == 1 else None
            return (table.root, name) if table is not None and name is not None else None
        if isinstance(node, ast.Attribute):
            if node.attr == "values":
                return self._column(node.value)
            table = self._table(node.value)
            return (table.root, node.attr) if table is not None and isinstance(node.value, ast.Name) else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SAME_ROWS:
            return self._column(node.func.value)
        return None

    def _list(self, node: ast.expr) -> frozenset[str] | None:
        """Names of columns that are written out."""
        if isinstance(node, ast.Name):
            return self._lists.get(node.id)
        if isinstance(node, ast.List | ast.Tuple):
            names = [literal(e) or (self._texts.get(e.id) if isinstance(e, ast.Name) else None) for e in node.elts]
            known = [n for n in names if n is not None]
            return frozenset(known) if known and len(known) == len(names) else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self._list(node.left), self._list(node.right)
            return left | right if left is not None and right is not None else None
        return None

    def _named(self, node: ast.expr) -> frozenset[str] | None:
        text = literal(node) or (self._texts.get(node.id) if isinstance(node, ast.Name) else None)
        return frozenset({text}) if text is not None else self._list(node)

    def _dropped(self, call: ast.Call) -> frozenset[str] | None:
        """The columns that `drop` or `pop` takes away; None when they are not written out."""
        given = argument(call, -1, "columns") or argument(call, 0, "labels")
        return self._named(given) if given is not None else None
