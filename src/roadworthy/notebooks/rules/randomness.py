"""Rule: randomness without a seed."""

import ast
from collections.abc import Iterator

from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Named, Subject, argument, cells_named, has_keyword

# Estimators and functions of scikit-learn and its neighbours that draw unless told `random_state`.
_DRAWING = frozenset(
    {
        "train_test_split", "ShuffleSplit", "StratifiedShuffleSplit", "GroupShuffleSplit", "RandomForestClassifier",
        "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor", "GradientBoostingClassifier",
        "GradientBoostingRegressor", "DecisionTreeClassifier", "DecisionTreeRegressor", "KMeans", "MiniBatchKMeans",
        "MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor", "GaussianMixture", "BayesianGaussianMixture",
        "TSNE", "UMAP", "IsolationForest", "RandomizedSearchCV", "BaggingClassifier", "BaggingRegressor",
        "AdaBoostClassifier", "AdaBoostRegressor", "make_classification", "make_regression", "make_blobs",
        "make_friedman1", "make_friedman2", "make_low_rank_matrix", "make_spd_matrix", "resample",
        "permutation_importance", "LatentDirichletAllocation", "Nystroem", "RBFSampler", "FastICA", "SMOTE", "ADASYN",
        "RandomOverSampler", "RandomUnderSampler", "BorderlineSMOTE", "SVMSMOTE", "RandomSurvivalForest",
        "RepeatedKFold", "RepeatedStratifiedKFold", "RandomTreesEmbedding", "SparsePCA", "MiniBatchNMF",
    }
)  # fmt: skip
_ONLY_SHUFFLED = frozenset({"KFold", "StratifiedKFold", "StratifiedGroupKFold", "make_moons", "make_circles"})
_LIBRARIES = ("sklearn.", "imblearn.", "sksurv.", "umap.", "openTSNE.")
_NUMPY = frozenset(
    {
        "rand", "randn", "randint", "random", "random_sample", "ranf", "sample", "choice", "shuffle", "permutation",
        "normal", "uniform", "binomial", "poisson", "exponential", "beta", "gamma", "standard_normal", "lognormal",
        "multivariate_normal", "laplace", "logistic", "geometric", "weibull", "chisquare", "dirichlet", "multinomial",
        "standard_t", "triangular", "random_integers", "negative_binomial", "gumbel", "pareto", "rayleigh", "vonmises",
        "standard_exponential", "standard_gamma", "hypergeometric", "power", "wald", "zipf", "f", "bytes",
        "standard_cauchy", "noncentral_chisquare", "logseries",
    }
)  # fmt: skip
_PYTHON = frozenset(
    {
        "random", "randint", "uniform", "choice", "choices", "sample", "shuffle", "gauss", "normalvariate",
        "randrange", "betavariate", "expovariate", "triangular", "lognormvariate", "getrandbits",
    }
)  # fmt: skip
_TORCH = frozenset(
    {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "rand_like", "randn_like"}
)
_TENSORFLOW = frozenset({"normal", "uniform", "truncated_normal", "shuffle", "categorical", "gamma", "poisson"})
_SEEDS = {
    "numpy": ("numpy.random.seed", "numpy.random.set_state"),
    "random": ("random.seed", "random.setstate"),
    "torch": ("torch.manual_seed", "torch.random.manual_seed"),
    "tensorflow": ("tensorflow.random.set_seed", "tensorflow.set_random_seed", "tensorflow.compat.v1.set_random_seed"),
}
_SEEDS_ALL = ("seed_everything", "set_random_seed", "set_seed", "fix_seed", "seed_all", "fix_all_seeds", "set_seeds")
_WITH = {
    "numpy": "use rng = np.random.default_rng(SEED), or np.random.seed(SEED) at the top",
    "random": "random.seed(SEED) at the top",
    "torch": "torch.manual_seed(SEED) at the top",
    "tensorflow": "tf.random.set_seed(SEED) at the top",
}


class Unseeded:
    """Something random has no seed.

    Every run gives another split, another model and other numbers; nobody can tell an improvement from luck, and no
    run can be reproduced.

    Fix: pass `random_state=SEED` (or `seed`), and make generators with one: `np.random.default_rng(SEED)`.
    """

    code, name = "RWN501", "unseeded"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        calls = subject.calls
        names = {call.name for call in calls}
        seeded = {kind for kind, ways in _SEEDS.items() if names.intersection(ways)}
        if any(
            call.method in _SEEDS_ALL and call.name not in {w for ways in _SEEDS.values() for w in ways}
            for call in calls
        ):
            return
        drawn: dict[str, list[Named]] = {}
        for call in calls:
            kind = _generator(call)
            if kind:
                drawn.setdefault(kind, []).append(call)
            elif _unseeded_generator(call):
                yield subject.finding(
                    self,
                    call.cell.index,
                    call.node,
                    f"`{call.method}()` makes a generator without a seed",
                    fix=f"give it one: {call.method}(SEED)",
                )
            elif "numpy" not in seeded and _draws(call):
                keyword = "random_state"
                yield subject.finding(
                    self,
                    call.cell.index,
                    call.node,
                    f"`{call.method}` draws without a seed",
                    fix=f"pass {keyword}=SEED",
                )
        for kind, places in drawn.items():
            if kind not in seeded:
                yield self._of_module(subject, kind, places)

    def _of_module(self, subject: Subject, kind: str, places: list[Named]) -> Finding:
        first = places[0]
        where = sorted({call.cell.index for call in places})
        others = f", and so do others in {cells_named(where)}" if len(places) > 1 else ""
        return subject.finding(
            self,
            first.cell.index,
            first.node,
            f"`{first.name}` draws from the generator of {kind}, which is seeded nowhere{others}",
            fix=_WITH[kind],
        )


def _generator(call: Named) -> str:
    """The library whose global generator a call draws from; empty when it draws from none."""
    name, method = call.name, call.method
    if method in _NUMPY and name == f"numpy.random.{method}":
        return "numpy"
    if method in _PYTHON and name == f"random.{method}":
        return "random"
    if method in _TORCH and name == f"torch.{method}" and not has_keyword(call.node, "generator"):
        return "torch"
    if method in _TENSORFLOW and name == f"tensorflow.random.{method}" and not has_keyword(call.node, "seed"):
        return "tensorflow"
    return ""


def _unseeded_generator(call: Named) -> bool:
    if call.name not in {"numpy.random.default_rng", "numpy.random.RandomState", "random.Random"}:
        return False
    return (not call.node.args and not call.node.keywords) or _is_none(argument(call.node, 0, "seed"))


def _draws(call: Named) -> bool:
    """Whether an estimator, a splitter or a sample of a table draws unless it is told `random_state`."""
    method, node = call.method, call.node
    if method == "sample" and not call.name.startswith(("random.", "numpy.", "?")):
        size = has_keyword(node, "n", "frac") or (len(node.args) == 1 and isinstance(node.args[0], ast.Constant))
        whole = not any(k.arg not in {"n", "frac", "replace", "weights", "axis", "ignore_index"} for k in node.keywords)
        return size and whole and not has_keyword(node, "random_state", "seed", "random_seed") and _like_a_table(call)
    if method not in _DRAWING and method not in _ONLY_SHUFFLED:
        return False
    if not call.name.startswith(_LIBRARIES):
        return False
    if has_keyword(node, "random_state", "seed"):
        return any(k.arg == "random_state" and _is_none(k.value) for k in node.keywords)
    shuffle = argument(node, -1, "shuffle")
    if method in _ONLY_SHUFFLED:
        if method.startswith("make_"):
            return has_keyword(node, "noise")
        return isinstance(shuffle, ast.Constant) and shuffle.value is True
    if method in {"SMOTE", "train_test_split"} and isinstance(shuffle, ast.Constant) and shuffle.value is False:
        return False
    return not any(isinstance(a, ast.Starred) for a in node.args)


def _like_a_table(call: Named) -> bool:
    """Whether what is sampled is a table: other objects have a `sample` of another meaning."""
    return any(word in call.name.lower() for word in ("df", "data", "frame", "table", "train"))


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


RULES = (Unseeded(),)
