"""What a statement is for, by the calls in it: makes a model, measures, shows, sets up, or prepares.

In: trees of statements, what imports stand for, and the notebook's own functions (whose bodies are looked into). Out:
the statement's kind, the calls whose results one keeps, which arguments a function changes. Called by `program.py`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from roadworthy.notebooks.convert import names

What = Literal["fit", "measure", "predict"]

_FIT = frozenset({"fit", "fit_predict", "partial_fit", "fit_resample", "fit_regularized", "fit_constrained"})
_PREDICT = frozenset(
    {"predict", "predict_proba", "predict_log_proba", "decision_function", "forecast", "get_prediction", "get_forecast",
     "score_samples", "kneighbors"}
)  # fmt: skip
_SHAPING = re.compile(
    r"scal|encod|imput|vector|transform|tfidf|normali|binari|discreti|poly|selector|selectk|prep", re.IGNORECASE
)
_PLOTTING = frozenset(
    {"matplotlib", "seaborn", "plotly", "altair", "bokeh", "pylab", "mpl_toolkits", "hvplot", "holoviews", "plotnine",
     "graphviz", "missingno", "folium", "wordcloud", "yellowbrick", "IPython", "ipywidgets", "tqdm", "rich", "pprint"}
)  # fmt: skip
_PLOT_METHODS = frozenset(
    {"plot", "hist", "boxplot", "plot_diagnostics", "plot_predict", "from_estimator", "from_predictions", "qqplot",
     "plot_partial_dependence", "plot_tree", "from_cv_results"}
)  # fmt: skip
_SHOWING = frozenset({"print", "display", "pprint", "help", "type", "dir", "repr"})
_SETTINGS = re.compile(
    r"(warnings\.(filterwarnings|simplefilter|warn)|pandas\.(set_option|reset_option|options\..*)|numpy\.set_printoptions"
    r"|logging\..*|seaborn\.(set\w*|reset_\w+)|(matplotlib|plt).*(rc\w*|use|style\..*|set_cmap)(\..*)?"
    r"|sklearn\.utils\.estimator_html_repr|time\.\w+|gc\.\w+)$"
)
_KEPT_SETTINGS = re.compile(
    r"(sklearn\.set_config|numpy\.seterr|sys\.path\.(append|insert)|os\.environ.*|locale\.setlocale"
    r"|pandas\.options\.mode\..*|torch\.(set_\w+|use_\w+))$"
)
_NO_MEASURE = re.compile(r"(_curve|Display|_report|make_scorer|get_scorer|_names|check_scoring|pairwise.*|_matrix)$")
_MEASURES_ELSEWHERE = re.compile(
    r"sklearn\.model_selection\.(cross_val_score|cross_validate|cross_val_predict)|statsmodels\.tools\.eval_measures\.\w+"
)
# Such as roc_auc_score -> auc: as the gate and operations call it.
SHORT = {
    "roc_auc_score": "auc", "accuracy_score": "accuracy", "f1_score": "f1", "precision_score": "precision",
    "recall_score": "recall", "brier_score_loss": "brier", "average_precision_score": "average_precision",
    "mean_squared_error": "mse", "root_mean_squared_error": "rmse", "mean_absolute_error": "mae", "r2_score": "r2",
    "mean_absolute_percentage_error": "mape", "median_absolute_error": "median_absolute_error",
    "balanced_accuracy_score": "balanced_accuracy", "cross_val_score": "cross_validation", "rmse": "rmse",
    "silhouette_score": "silhouette", "adjusted_rand_score": "adjusted_rand", "explained_variance_score":
    "explained_variance", "max_error": "max_error",
}  # fmt: skip


class Result(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A call, or the whole expression around it, whose result one keeps.

    Args:
        what: it does.
        node: the expression.
        at: the expression's place in `ast.walk` of the statement, by which it is found again.
        name: what to call the result, such as `auc`.
        bare: shown by the notebook rather than given a name.
    """

    what: What
    node: Any
    at: int
    name: str
    bare: bool


class Calls:
    """Reads statements of one notebook.

    Args:
        modules: a name bound by an import to what it stands for.
        functions: the notebook's own functions.
    """

    def __init__(self, modules: Mapping[str, str], functions: Mapping[str, Any]) -> None:
        self.modules = dict(modules)
        self.functions = functions
        # All names that the notebook binds, for those that texts mention.
        self.known: set[str] = set()
        self.changing: dict[str, frozenset[int]] = {}
        self._does: dict[str, set[What]] = {}
        for _ in range(len(functions) + 1):
            before = (dict(self.changing), {k: set(v) for k, v in self._does.items()})
            for name, node in functions.items():
                self.changing[name] = frozenset(names.changed_arguments(node, self.changing))
                self._does[name] = {w for call in _calls(node) if (w := self._what(call)) is not None}
            if before == (self.changing, self._does):
                break
        self._plots: set[str] = set()

    def kind(self, node: ast.stmt) -> Any:
        """What a statement is for."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            return "import"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return "define"
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Lambda)
            and isinstance(node.targets[0], ast.Name)
        ):
            return "define"
        if self.setting(node):
            return "setting"
        bound = names.binds(node)
        if self._is_plot(node):
            self._plots |= bound
            return "display"
        done = {r.what for r in self.results(node)}
        changed = names.changes(node, self.changing) - self._plots - self.modules.keys()
        if isinstance(node, ast.Expr) and not changed and not done:
            return "display"
        if not bound - self._plots and not changed and not done and not isinstance(node, ast.Assert | ast.Delete):
            return "display"
        if "fit" in done:
            return "fit"
        return "measure" if done else "prepare"

    def setting(self, node: ast.stmt) -> bool:
        """Whether it sets up how things are shown or work, for all that follows."""
        target = _settled(node)
        return bool(target) and bool(
            _SETTINGS.match(self.absolute(target)) or _KEPT_SETTINGS.match(self.absolute(target))
        )

    def kept_setting(self, node: ast.stmt) -> bool:
        """Whether what it sets up may change what is computed."""
        target = _settled(node)
        return bool(target) and bool(_KEPT_SETTINGS.match(self.absolute(target)))

    def results(self, node: ast.stmt) -> Iterator[Result]:
        """The calls in a statement whose results one keeps."""
        order = {id(part): place for place, part in enumerate(ast.walk(node))}
        found = [(call, what) for call in _calls(node) if (what := self._what(call)) is not None]
        if not isinstance(node, ast.Expr):
            for call, what in found:
                yield Result(what=what, node=call, at=order[id(call)], name=self.name(call), bare=False)
            return
        found = [(call, what) for call, what in found if self._gives(call)]
        if not found or self._is_plot(node):
            return
        value = node.value
        if isinstance(value, ast.Call) and names.dotted(value.func) in _SHOWING:
            for call, what in found:
                if what != "predict" and _stands_alone(value, call) and not _within(found, call):
                    yield Result(what=what, node=call, at=order[id(call)], name=self.name(call), bare=True)
            return
        if value is found[0][0] and found[0][1] == "fit" and isinstance(value, ast.Call) and self._changes_only(value):
            yield Result(what="fit", node=value, at=order[id(value)], name="", bare=False)
            return
        whats = {what for _, what in found}
        most: What = "fit" if "fit" in whats else "measure" if "measure" in whats else "predict"
        name = self.name(value) if value is found[0][0] else ""
        yield Result(what=most, node=value, at=order[id(value)], name=name, bare=True)

    def name(self, node: ast.AST) -> str:
        """What to call the result of a call."""
        if not isinstance(node, ast.Call):
            return ""
        last = node.func.attr if isinstance(node.func, ast.Attribute) else names.dotted(node.func)
        full = self.absolute(names.dotted(node.func)).rpartition(".")[2] or last
        return SHORT.get(full) or full.removesuffix("_score") or last

    def absolute(self, dotted: str) -> str:
        """A dotted name with its import written out: `pd.read_csv` as `pandas.read_csv`."""
        head, _, rest = dotted.partition(".")
        return ".".join(filter(None, [self.modules.get(head, head), rest]))

    def _what(self, call: ast.Call) -> What | None:
        dotted = names.dotted(call.func)
        full = self.absolute(dotted)
        if full.startswith("sklearn.metrics."):
            return None if _NO_MEASURE.search(full) else "measure"
        if _MEASURES_ELSEWHERE.fullmatch(full):
            return "measure"
        if dotted in self.functions:
            does = self._does.get(dotted, set())
            return "fit" if "fit" in does else "measure" if "measure" in does else "predict" if does else None
        if not isinstance(call.func, ast.Attribute):
            return None
        method = call.func.attr
        if method in _FIT:
            return (
                None if len(call.args) + len(call.keywords) < 2 and _SHAPING.search(ast.unparse(call.func)) else "fit"
            )
        if method == "score" and call.args:
            return "measure"
        return "predict" if method in _PREDICT else None

    def _gives(self, call: ast.Call) -> bool:
        """Whether a call gives a value; a function of the notebook without `return` only draws or prints."""
        own = self.functions.get(names.dotted(call.func))
        if own is None:
            return True
        returns = any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(own))
        return returns or bool(self.changing.get(names.dotted(call.func)))

    def _changes_only(self, call: ast.Call) -> bool:
        """`model.fit(X, y)` on a line of its own: it is its effect that is wanted, not what it gives."""
        return isinstance(call.func, ast.Attribute) and names.root_of(call.func.value) is not None

    def _is_plot(self, node: ast.stmt) -> bool:
        value = getattr(node, "value", None)
        if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign) and value is not None:
            return any(self._plots_by(call) for call in _outer_calls(value))
        if isinstance(node, ast.With):
            return all(self._is_plot(child) for child in node.body)
        if isinstance(node, ast.For | ast.If):
            # `for ax, … in zip(axes, …): ax.bar(…)`
            draws = any(self._plots_by(c) for c in _calls(node)) or bool(_loaded(node) & self._plots)
            results = [c for c in _calls(node) if self._what(c) in {"fit", "measure"}]
            return draws and not results and not (names.changes(node, self.changing) - self._plots - names.binds(node))
        return False

    def _plots_by(self, call: ast.Call) -> bool:
        dotted = names.dotted(call.func)
        head = self.absolute(dotted).partition(".")[0]
        if head in _PLOTTING and dotted:
            return True
        root = names.root_of(call.func)
        if root is not None and root.id in self._plots:
            return True
        parts = {n.attr for n in ast.walk(call.func) if isinstance(n, ast.Attribute)}
        return bool(parts & _PLOT_METHODS) or bool(
            re.search(r"(^|\.)(graphics|Display)(\.|$)|Display\.", self.absolute(dotted))
        )


def _settled(node: ast.stmt) -> str:
    """The dotted name that a statement calls, or assigns to."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return names.dotted(node.value.func)
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.AST = node.targets[0]
        while isinstance(target, ast.Subscript):
            target = target.value
        return names.dotted(target) if isinstance(target, ast.Attribute) else ""
    return ""


def _calls(node: ast.AST) -> list[ast.Call]:
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]


def _outer_calls(value: ast.expr) -> Iterator[ast.Call]:
    """The outermost call of an expression, and those it is chained to: of `a(b(c)).d(e)` a and d, not b."""
    node: ast.AST = value
    while True:
        if isinstance(node, ast.Call):
            yield node
            node = node.func
        elif isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Tuple | ast.List) and node.elts:
            node = node.elts[0]
        else:
            return


def _loaded(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _stands_alone(whole: ast.expr, part: ast.Call) -> bool:
    """Whether a part means the same outside: it uses no name that a comprehension or lambda around it binds."""
    inside = {id(o.node) for o in names.occurrences(whole)}
    own = {id(o.node) for o in names.occurrences(part)}
    return own <= inside


def _within(found: list[tuple[ast.Call, What]], call: ast.Call) -> bool:
    """Whether a call is part of another that is found."""
    return any(other is not call and any(part is call for part in ast.walk(other)) for other, _ in found)
