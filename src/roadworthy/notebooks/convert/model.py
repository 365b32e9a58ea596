"""The model of a project: which value it is, and on which rows and which label the notebook judged it.

In: the program and what was seen. Out: a `Judged`, or None where the notebook does not make it evident; then the
project has no `[model]`, and says so. Calls inside the notebook's own functions are read with the arguments put in.
"""

import ast
import copy
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from roadworthy.notebooks.convert import names
from roadworthy.notebooks.convert.calls import SHORT, Calls
from roadworthy.notebooks.convert.hoisting import Hoisted
from roadworthy.notebooks.convert.program import Program
from roadworthy.notebooks.convert.seen import Seen, Value, key_of, key_of_result
from roadworthy.notebooks.convert.slicing import Effect

DEPTH_MAX = 4
Key = tuple[int, int]
_ASKS = ("predict", "predict_proba", "decision_function")
# A scikit-learn score as the gate calls it.
_GATED = {"auc", "accuracy", "precision", "recall", "f1", "brier", "log_loss", "average_precision", "mae", "rmse", "r2"}
_SEVERAL = {"f1": "f1_macro", "precision": "precision_macro", "recall": "recall_macro", "auc": "auc_ovr"}


class Judged(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A model and what it is judged on.

    Args:
        name: of the model in the notebook; `maker`: the statement after which it is fitted.
        rows: the table with the hold-out's features, and maybe its label.
        label: column of that table, or the name of a series or array beside it.
        apart: whether the label stands beside the table rather than in it.
        features: columns; empty for all.
        task: classification, multiclass or regression; `classes`: how many of them.
        measured: measure to the number the notebook found.
        through: transformers that the rows go through before the model, with the statements that fitted them.
    """

    name: str
    maker: Key
    rows: str
    rows_maker: Key
    label: str
    label_maker: Key | None
    apart: bool
    features: tuple[str, ...]
    task: str
    measured: dict[str, float]
    trusted: tuple[str, ...]
    table: bool
    through: tuple[tuple[str, Key], ...] = ()
    classes: int = 2


def find(program: Program, hoisted: Hoisted, kept: tuple[Effect, ...], seen: Seen | None) -> Judged | None:
    """The model that the notebook judges on rows it was not fitted on; the last such one."""
    if seen is None:
        return None
    reading = _Reading(program, hoisted, kept, seen)
    models = [m for m in reading.models() if m[2].storable == "plain"]
    for name, maker, value in reversed(models):
        judged = reading.judged(name, maker, value)
        if judged is not None:
            return judged
    return None


class _Reading:
    def __init__(self, program: Program, hoisted: Hoisted, kept: tuple[Effect, ...], seen: Seen) -> None:
        self.program = program
        self.hoisted = hoisted
        self.kept = kept
        self.seen = seen
        own = {n: d.statement.node for n, d in hoisted.definitions.items()}
        functions = {n: node for n, node in own.items() if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        self.calls = Calls(program.modules, functions)

    def models(self) -> Iterator[tuple[str, Key, Value]]:
        """Fitted estimators that answer with one of some classes, or with a number."""
        for effect in self.kept:
            for name in sorted(effect.touches):
                value = self.seen.values.get(key_of(effect.statement.key, name))
                facts = {} if value is None else value.facts
                answers = facts.get("estimator") in {"classifier", "regressor"} and facts.get("fitted") == "yes"
                if value is not None and answers and int(facts.get("classes", "2") or "0") >= 2:
                    yield name, effect.statement.key, value

    def judged(self, name: str, maker: Key, value: Value) -> Judged | None:
        asked = [(e, call) for e in self.kept for call in self._calls(e) if self._asks(call, name)]
        labels = [(e, call) for e in self.kept for call in self._calls(e) if self._judges(call)]
        fitted = {ast.unparse(call.args[0]) for _, call in self._fits(name) if call.args}
        for effect, call in reversed(asked):
            rows = call.args[0]
            if ast.unparse(rows) in fitted:
                continue
            label = call.args[1] if self._method(call) == "score" and len(call.args) > 1 else None
            if label is None:
                label = self._label(effect, labels)
            made = None if label is None else self._made(name, maker, value, (rows, label, effect))
            if made is not None:
                return made
        return None

    def _made(self, name: str, maker: Key, value: Value, found: tuple[ast.expr, ast.expr, Effect]) -> Judged | None:
        rows, label, effect = found
        rows, through = self._before(rows, effect)
        table, features = _table_of(rows)
        column, apart = _column_of(label, table)
        if not table or not column:
            return None
        rows_maker = self._maker(table, effect)
        label_maker = self._maker(column, effect) if apart else None
        if rows_maker is None or (apart and label_maker is None):
            return None
        there = self.seen.values.get(key_of(rows_maker, table))
        if there is None or len(there.shape) != 2 or (not apart and column not in there.columns):
            return None
        if apart:
            beside = self.seen.values.get(key_of(label_maker or rows_maker, column))
            if beside is None or len(beside.shape) != 1 or beside.shape[0] != there.shape[0]:
                return None
        first = self.seen.values.get(key_of(through[0][1], through[0][0])) if through else value
        columns = (first or value).facts.get("features", "")
        wanted = tuple(columns.split("\n")) if columns else there.columns
        if apart is False and not columns and not features:
            return None
        count = int(value.facts.get("classes", "2"))
        task = "regression" if value.facts["estimator"] == "regressor" else "classification"
        task = "multiclass" if count > 2 else task
        return Judged(
            name=name, maker=maker, rows=table, rows_maker=rows_maker, label=column, label_maker=label_maker,
            apart=apart,
            features=wanted, task=task, classes=count,
            measured=self._measured(task), trusted=value.trusted, table=bool(there.columns), through=through,
        )  # fmt: skip

    def _before(self, rows: ast.expr, effect: Effect) -> tuple[ast.expr, tuple[tuple[str, Key], ...]]:
        """Of `scaler.transform(test)`, or a name for that, the rows before and the transformers in order."""
        through: list[tuple[str, Key]] = []
        for _ in range(DEPTH_MAX):
            if isinstance(rows, ast.Name):
                made = self._made_by(rows.id, effect)
                if made is None:
                    break
                rows, effect = made
            call: ast.AST = rows
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and len(call.args) == 1):
                break
            by = call.func.value
            if not isinstance(by, ast.Name) or call.func.attr != "transform":
                break
            fitted = self._maker(by.id, effect)
            value = None if fitted is None else self.seen.values.get(key_of(fitted, by.id))
            if fitted is None or value is None or value.storable != "plain" or not value.type.startswith("sklearn."):
                break
            through.insert(0, (by.id, fitted))
            rows = call.args[0]
        return rows, tuple(through)

    def _made_by(self, name: str, reader: Effect) -> tuple[ast.expr, Effect] | None:
        """The transformation that a name stands for; None where it is bound in another way."""
        maker = self._maker(name, reader)
        for effect in self.kept:
            node = effect.statement.node
            if effect.statement.key == maker and isinstance(node, ast.Assign) and len(node.targets) == 1:
                call = node.value
                method = call.func if isinstance(call, ast.Call) else None
                named = isinstance(node.targets[0], ast.Name)
                if named and isinstance(method, ast.Attribute) and method.attr == "transform":
                    return call, effect
        return None

    def _measured(self, task: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for effect in self.kept:
            for result in effect.statement.results:
                bound = sorted(effect.binds)
                keys = [key_of_result(effect.statement.key, result.at)]
                keys += [key_of(effect.statement.key, bound[0])] if len(bound) == 1 else []
                for key in keys:
                    value = self.seen.values.get(key)
                    if value is not None and value.number is not None and result.name in _GATED:
                        found[_SEVERAL.get(result.name, result.name) if task == "multiclass" else result.name] = (
                            value.number
                        )
        return found

    def _maker(self, name: str, reader: Effect) -> Key | None:
        makers = [
            e.statement.key for e in self.kept if name in e.touches and e.statement.key <= reader.statement.key
        ]  # fmt: skip
        return max(makers) if makers else None

    def _fits(self, name: str) -> Iterator[tuple[Effect, ast.Call]]:
        for effect in self.kept:
            for call in self._calls(effect):
                if isinstance(call.func, ast.Attribute) and call.func.attr == "fit":
                    root = names.root_of(call.func.value)
                    made = isinstance(call.func.value, ast.Call) and name in effect.binds
                    if (root is not None and root.id == name) or made:
                        yield effect, call

    def _label(self, effect: Effect, labels: list[tuple[Effect, ast.Call]]) -> ast.expr | None:
        """The true values that answers are held against: in the same statement or in the first that follows."""
        after = [call for e, call in labels if e.statement.key >= effect.statement.key and call.args]
        return after[0].args[0] if after else None

    def _asks(self, call: ast.Call, name: str) -> bool:
        if not isinstance(call.func, ast.Attribute) or not call.args:
            return False
        root = names.root_of(call.func.value)
        wanted = call.func.attr in _ASKS or (call.func.attr == "score" and len(call.args) > 1)
        return wanted and root is not None and root.id == name

    def _judges(self, call: ast.Call) -> bool:
        full = self.calls.absolute(names.dotted(call.func))
        return full.startswith("sklearn.metrics.") and len(call.args) > 1 and full.rpartition(".")[2] in {
            *SHORT, "log_loss", "roc_curve", "confusion_matrix", "classification_report", "precision_recall_curve",
        }  # fmt: skip

    def _method(self, call: ast.Call) -> str:
        return call.func.attr if isinstance(call.func, ast.Attribute) else ""

    def _calls(self, effect: Effect) -> list[ast.Call]:
        return list(self._inlined(effect.statement.node, 0))

    def _inlined(self, node: ast.AST, depth: int) -> Iterator[ast.Call]:
        """The calls of a statement, with those in functions of the notebook that it calls."""
        for call in ast.walk(node):
            if not isinstance(call, ast.Call):
                continue
            yield call
            definition = self.hoisted.definitions.get(names.dotted(call.func))
            if definition is None or depth >= DEPTH_MAX or not isinstance(definition.statement.node, ast.FunctionDef):
                continue
            given = _given(definition.statement.node, call)
            for statement in definition.statement.node.body:
                yield from self._inlined(_Put(given).visit(copy.deepcopy(statement)), depth + 1)


def _given(function: ast.FunctionDef, call: ast.Call) -> Mapping[str, ast.expr]:
    named = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    found = dict(zip(named, call.args, strict=False))
    return found | {k.arg: k.value for k in call.keywords if k.arg is not None}


class _Put(ast.NodeTransformer):
    """Puts arguments in for a function's parameters."""

    def __init__(self, given: Mapping[str, ast.expr]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> Any:
        return copy.deepcopy(self.given[node.id]) if node.id in self.given else node


def _table_of(node: ast.expr) -> tuple[str, bool]:
    """(table, whether columns of it are named): of `test`, `test[features]`, `test.drop(columns=…)`."""
    if isinstance(node, ast.Name):
        return node.id, False
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return node.value.id, True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "drop":
        return (node.func.value.id, True) if isinstance(node.func.value, ast.Name) else ("", False)
    return "", False


def _column_of(node: ast.expr, table: str) -> tuple[str, bool]:
    """(label, whether it stands beside the table): of `y_test`, `test["late"]`, `test.late`."""
    if isinstance(node, ast.Name):
        return node.id, True
    own = (
        isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == table
    )
    if own and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value), False
    if own and isinstance(node, ast.Attribute):
        return node.attr, False
    return "", False
