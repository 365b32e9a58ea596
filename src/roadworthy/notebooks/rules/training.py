"""Follow data through a notebook as far as training asks for: what was learned from which rows, what was split how.

In: a `Subject`. Out: a `Training`: fits before splits, fits on test rows, targets among features, shuffled time.
Called by `leakage.py`. It follows assignments at the notebook's level in order and knows scikit-learn's way of working;
what it does not know it lets go, so that what it says is so.
"""

import ast
import re
from typing import NamedTuple

from roadworthy.notebooks.dataflow.expressions import dotted
from roadworthy.notebooks.rules.columns import Columns
from roadworthy.notebooks.rules.subject import Subject, argument, has_keyword, literal

# What these learn from rows, a test set must not have told them.
TRANSFORMERS = frozenset(
    {
        "StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "PowerTransformer", "QuantileTransformer",
        "SimpleImputer", "KNNImputer", "IterativeImputer", "PCA", "KernelPCA", "TruncatedSVD", "FastICA", "NMF",
        "SelectKBest", "SelectPercentile", "SelectFromModel", "RFE", "RFECV", "VarianceThreshold", "TfidfVectorizer",
        "CountVectorizer", "TfidfTransformer", "KBinsDiscretizer", "TargetEncoder", "CatBoostEncoder",
        "LeaveOneOutEncoder", "WOEEncoder", "JamesSteinEncoder", "LinearDiscriminantAnalysis",
    }
)  # fmt: skip
RESAMPLERS = frozenset(
    {
        "SMOTE", "ADASYN", "BorderlineSMOTE", "SVMSMOTE", "SMOTENC", "RandomOverSampler", "SMOTEENN", "SMOTETomek",
        "KMeansSMOTE",
    }
)  # fmt: skip
_LEARNING = ("sklearn", "imblearn", "category_encoders", "feature_engine", "xgboost", "lightgbm", "catboost", "sksurv")
_SPLITS = frozenset({"train_test_split"})
_VALIDATES = frozenset({"cross_val_score", "cross_validate", "cross_val_predict"})
_FITS = frozenset({"fit", "fit_transform", "fit_resample", "fit_predict"})
_TIME_WORD = re.compile(
    r"(?:^|_|\b)(?:date|datetime|timestamp|time|day|month|year_month)(?:$|_|\b)|_(?:dt|ts|at)$", re.IGNORECASE
)
_TIME_METHODS = frozenset({"shift", "rolling", "resample", "asfreq", "tz_localize", "tz_convert", "ewm"})
_TEST_NAME = re.compile(
    r"^(?:[xX]_?)?(?:test|holdout|hold_out)(?:_(?:scaled|x|X|df|data|set|features|std))?$|^[xX]_(?:test|holdout)"
)


class Fit(NamedTuple):
    """A fit: of which kind of learner, where, and on what."""

    kind: str
    cell: int
    node: ast.Call
    data: str


class Leak(NamedTuple):
    """A fit on all rows, and the split or validation that comes after it."""

    fit: Fit
    cell: int
    by: str


class Target(NamedTuple):
    """A fit whose features hold its target."""

    cell: int
    node: ast.Call
    column: str
    features: str


class Shuffled(NamedTuple):
    """A random split of rows in the order of time; how that is known."""

    cell: int
    node: ast.Call
    data: str
    known_by: str


class Training:
    """What a notebook trains on, as far as it can be followed."""

    def __init__(self, subject: Subject) -> None:
        self.leaks: list[Leak] = []
        self.on_test: list[Fit] = []
        self.targets: list[Target] = []
        self.shuffled: list[Shuffled] = []
        self._canonical = subject.flow.canonical
        self._kind: dict[str, str] = {}  # name -> class of the learner it holds
        self._fitted: dict[str, Fit] = {}  # learner -> its fit on rows that are not split
        self._taint: dict[str, tuple[Fit, ...]] = {}  # name -> fits that its rows have been through
        self._part: dict[str, str] = {}  # name -> train or test
        self._time: dict[str, str] = {}  # name -> how it is known to be in the order of time
        self._told: set[int] = set()
        self._columns = Columns()
        for cell in subject.flow.cells:
            if cell.tree is not None:
                self._cell = cell.index
                self._body(cell.tree.body)

    def _body(self, body: list[ast.stmt]) -> None:
        for statement in body:
            for part in ("body", "orelse", "handlers", "finalbody"):
                inner = getattr(statement, part, None)
                if isinstance(inner, list) and not isinstance(
                    statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
                ):
                    self._body([s for s in inner if isinstance(s, ast.stmt)])
            if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr | ast.Delete):
                self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        value = getattr(statement, "value", None)
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
            targets = [statement.target]
        calls = [part for part in ast.walk(value) if isinstance(part, ast.Call)] if value is not None else []
        made: list[Fit] = []
        for call in reversed(calls):  # inner ones first
            made += self._call(call)
        if value is None or not targets or not self._assign(targets, value, made, calls):
            self._columns.statement(statement)

    def _call(self, call: ast.Call) -> list[Fit]:
        """See a call; the fits that its result has been through."""
        method = call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)
        if method in _SPLITS:
            self._split(call)
        elif method in _VALIDATES:
            self._validated(call, method)
        elif method in _FITS and isinstance(call.func, ast.Attribute):
            return self._fit(call, call.func, method)
        elif method == "transform" and isinstance(call.func, ast.Attribute):
            fitted = self._fitted.get(dotted(call.func.value))
            data = argument(call, 0, "X")
            if fitted is not None and data is not None and not self._parts(data):
                return [fitted]
        return []

    def _fit(self, call: ast.Call, function: ast.Attribute, method: str) -> list[Fit]:
        data = argument(call, 0, "X")
        if data is None:
            return []
        name = dotted(function.value)
        kind = self._kind.get(name, "")
        if isinstance(function.value, ast.Call):
            kind = self._canonical(dotted(function.value.func)).rpartition(".")[2]
        fit = Fit(kind, self._cell, call, ast.unparse(data)[:40])
        target = argument(call, 1, "y")
        if target is not None:
            found = self._columns.target_among(data, target)
            if found:
                self.targets.append(Target(self._cell, call, found, fit.data))
        parts = self._parts(data)
        if parts == {"test"} or (not parts and isinstance(data, ast.Name) and _TEST_NAME.search(data.id)):
            if method in {"fit_transform", "fit_resample"} or kind in TRANSFORMERS | RESAMPLERS:
                self.on_test.append(fit)
            return []
        if parts or kind not in TRANSFORMERS | RESAMPLERS:
            return []
        if method == "fit":
            self._fitted[name] = fit
            return []
        self._fitted[name] = fit
        return [fit]

    def _split(self, call: ast.Call) -> None:
        for given in call.args:
            for fit in self._taints(given):
                self._leak(fit, "the split")
        shuffle = argument(call, -1, "shuffle")
        if isinstance(shuffle, ast.Constant) and shuffle.value is False:
            return
        for given in call.args[:1]:
            for name in _names(given):
                if name in self._time:
                    self.shuffled.append(Shuffled(self._cell, call, name, self._time[name]))
                    return

    def _validated(self, call: ast.Call, method: str) -> None:
        data, target = argument(call, 1, "X"), argument(call, 2, "y")
        if data is None:
            return
        for fit in self._taints(data):
            self._leak(fit, f"`{method}`")
        found = self._columns.target_among(data, target) if target is not None else ""
        if found:
            self.targets.append(Target(self._cell, call, found, ast.unparse(data)[:40]))

    def _leak(self, fit: Fit, by: str) -> None:
        if id(fit.node) not in self._told:
            self._told.add(id(fit.node))
            self.leaks.append(Leak(fit, self._cell, by))

    def _assign(self, targets: list[ast.expr], value: ast.expr, made: list[Fit], calls: list[ast.Call]) -> bool:
        """Follow an assignment; whether it was of a split, whose columns are known then."""
        splits = [c for c in calls if dotted(c.func).rpartition(".")[2] in _SPLITS]
        if splits and isinstance(targets[0], ast.Tuple | ast.List):
            for place, target in enumerate(targets[0].elts):
                if isinstance(target, ast.Name):
                    self._forget(target.id)
                    self._part[target.id] = "test" if place % 2 else "train"
            self._columns.split(targets[0].elts, splits[0])
            return True
        taints = dict.fromkeys([*self._taints(value), *made])
        parts = self._parts(value)
        known_time = self._known_time(value, calls)
        for target in targets:
            for one in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                root = one
                while isinstance(root, ast.Subscript | ast.Attribute):
                    root = root.value
                if not isinstance(root, ast.Name):
                    continue
                if root is one:
                    self._forget(root.id)
                    kind = self._canonical(dotted(value.func)).rpartition(".")[2] if isinstance(value, ast.Call) else ""
                    if kind[:1].isupper():
                        self._kind[root.id] = kind
                if taints:
                    self._taint[root.id] = tuple(dict.fromkeys([*self._taint.get(root.id, ()), *taints]))
                if parts:
                    self._part[root.id] = "test" if parts == {"test"} else "train"
                if known_time:
                    self._time[root.id] = known_time
        return False

    def _known_time(self, value: ast.expr, calls: list[ast.Call]) -> str:
        """How rows are known to be in the order of time; empty when they are not."""
        for call in calls:
            if not isinstance(call.func, ast.Attribute):
                continue
            method = call.func.attr
            if method in _TIME_METHODS and (method != "shift" or call.args or call.keywords):
                return f"`{method}`"
            if method in {"sort_values", "set_index"}:
                column = literal(argument(call, 0, "by" if method == "sort_values" else "keys"))
                if column and _TIME_WORD.search(column):
                    return f"`{method}({column!r})`"
            if method == "read_csv" and has_keyword(call, "parse_dates") and has_keyword(call, "index_col"):
                return "its index of dates"
        for name in _names(value):
            if name in self._time:
                return self._time[name]
        return ""

    def _forget(self, name: str) -> None:
        for known in (self._kind, self._fitted, self._taint, self._part, self._time):
            known.pop(name, None)

    def _taints(self, node: ast.expr) -> list[Fit]:
        return [fit for name in _names(node) for fit in self._taint.get(name, ())]

    def _parts(self, node: ast.expr) -> set[str]:
        return {self._part[name] for name in _names(node) if name in self._part}


def training(subject: Subject) -> Training:
    """What the notebook trains on; worked out once."""
    made = subject.memo.get("training")
    if not isinstance(made, Training):
        made = subject.memo["training"] = Training(subject)
    return made


def trains(subject: Subject) -> bool:
    """Whether anything is fitted at all: most notebooks fit nothing, and need not be followed."""
    if not any(made.module.startswith(_LEARNING) for made in subject.flow.imports.values()):
        return False
    return any(call.method in _FITS or call.method in _VALIDATES for call in subject.calls)


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
