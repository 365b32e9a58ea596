"""Whether importing a statement only gives a meaning to its own names.

A statement that may do more (fill a registry, patch another module, set an option of a library) counts for every
step, whether a step names it or not; one that is *quiet* counts for those that use its names. In doubt it is not
quiet: the price is a step run once more, never a stale result. Called by `reach.py`.
"""

from collections.abc import Iterator
from typing import Protocol

from roadworthy.pipelines import scopes
from roadworthy.pipelines.analysis import Facts, Statement
from roadworthy.pipelines.sources import Sources

_QUIET_BUILTINS = frozenset(
    {
        "abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "chr", "complex", "dict", "divmod",
        "enumerate", "filter", "float", "format", "frozenset", "hasattr", "hash", "hex", "int", "isinstance",
        "issubclass", "len", "list", "map", "max", "min", "object", "oct", "ord", "pow", "print", "property", "range",
        "repr", "reversed", "round", "set", "slice", "sorted", "staticmethod", "classmethod", "str", "sum", "super",
        "tuple", "type", "zip",
    }
)  # fmt: skip
_QUIET_MODULES = frozenset(
    {
        "functools", "typing", "typing_extensions", "itertools", "operator", "collections", "math", "cmath", "re",
        "datetime", "dataclasses", "enum", "abc", "pathlib", "decimal", "fractions", "statistics", "string", "json",
        "copy", "contextlib", "hashlib", "types", "textwrap", "calendar", "zoneinfo", "uuid", "time", "bisect",
    }
)  # fmt: skip
_QUIET_CALLS = frozenset(
    {
        "roadworthy.step", "roadworthy.pipelines.steps.step", "logging.getLogger", "os.getenv", "os.environ.get",
        "os.cpu_count", "os.getcwd", "numpy.array", "numpy.asarray", "numpy.arange", "numpy.linspace",
        "numpy.logspace", "numpy.geomspace", "numpy.zeros", "numpy.ones", "numpy.full", "numpy.eye", "numpy.dtype",
        "numpy.random.default_rng", "numpy.float32", "numpy.float64", "numpy.int32", "numpy.int64", "numpy.log",
        "numpy.exp", "numpy.sqrt", "pandas.date_range", "pandas.to_datetime", "pandas.to_timedelta",
        "pyarrow.schema", "pyarrow.field", "pyarrow.int64", "pyarrow.float64", "pyarrow.string",
        "sklearn.pipeline.make_pipeline", "sklearn.compose.make_column_transformer",
        "sklearn.compose.make_column_selector", "numba.jit", "numba.njit",
    }
)  # fmt: skip
# Classes whose making does more than make an object.
_LOUD_MODULES = frozenset({"threading", "multiprocessing", "subprocess", "socket", "ctypes", "concurrent", "atexit"})
# Objects whose methods change nothing but themselves, called on the spot.
_CONTAINED = ("pathlib.", "datetime.", "re.", "decimal.", "fractions.", "str", "int", "float", "bytes")


class Names(Protocol):
    """Who knows what a name in a module means (reach.py)."""

    sources: Sources

    def facts(self, module: str) -> Facts: ...

    def binding(self, module: str, name: str) -> list[int]: ...

    def stars(self, module: str) -> Iterator[str]: ...

    def dotted(self, module: str, chain: str) -> list[str]: ...

    def owner(self, dotted: str) -> tuple[str, str]: ...


class Quiet:
    """Answers for the modules of one project; asked again, it remembers."""

    def __init__(self, reach: Names) -> None:
        self._reach = reach
        self._functions: dict[tuple[str, int], bool] = {}

    def statement(self, module: str, statement: Statement) -> bool:
        """Whether a statement, run at import, only binds its names."""
        return not statement.effect and all(self._call(module, call) for call in statement.calls)

    def _call(self, module: str, call: str) -> bool:
        if call == "!":
            return True  # a class with hooks is quiet itself; those derived from it are not
        if call.startswith("<"):
            return self._base(module, call[1:])
        name = call.removeprefix("@")
        root = name.partition(".")[0].removesuffix("()")
        if name.startswith("?"):
            return False
        if "()" in name:
            return self._on_the_spot(module, name)
        places = self._reach.binding(module, root)
        if not places:
            if any(self._reach.sources.path(star) is not None for star in self._reach.stars(module)):
                return False
            return scopes.is_builtin(root) and (root in _QUIET_BUILTINS or root[:1].isupper())
        if all(name in _QUIET_CALLS or self._outside(name) for name in self._reach.dotted(module, name)) and (
            self._reach.dotted(module, name)
        ):
            return True
        return self._own(module, name)

    def _on_the_spot(self, module: str, name: str) -> bool:
        """`Path(…).resolve`: a method of what was just made."""
        inner = name.partition("()")[0]
        means = self._reach.dotted(module, inner) or ([inner] if scopes.is_builtin(inner) else [])
        return bool(means) and all(m.startswith(_CONTAINED) for m in means)

    def _outside(self, dotted: str) -> bool:
        """Whether a call into a library is quiet: known to be, or the making of an object of a class."""
        if self._reach.owner(dotted)[0]:
            return False
        top, _, rest = dotted.partition(".")
        if top in _QUIET_MODULES:
            return True
        return bool(rest) and rest.rpartition(".")[2][:1].isupper() and top not in _LOUD_MODULES

    def _own(self, module: str, name: str) -> bool:
        """Whether calling a function of the project changes nothing that outlives the call."""
        root, _, rest = name.partition(".")
        for place in self._reach.binding(module, root):
            statement = self._reach.facts(module).statements[place]
            if statement.kind == "function" and not rest:
                if not self._function(module, place):
                    return False
            elif statement.kind == "constant" and statement.frozen and rest:
                continue  # a method of a number or a text
            elif statement.imports and statement.kind == "import":
                if not all(self._passed_on(dotted) for dotted in self._reach.dotted(module, name)):
                    return False
            else:
                return False
        return True

    def _passed_on(self, dotted: str) -> bool:
        owner, rest = self._reach.owner(dotted)
        if not owner:
            return dotted in _QUIET_CALLS or self._outside(dotted)
        return bool(rest) and bool(self._reach.binding(owner, rest.partition(".")[0])) and self._own(owner, rest)

    def _function(self, module: str, place: int) -> bool:
        known = self._functions.get((module, place))
        if known is not None:
            return known
        self._functions[module, place] = True  # one that calls itself is as quiet as the rest of it
        statement = self._reach.facts(module).statements[place]
        uses = statement.uses
        answer = not (uses.writes_global or uses.dynamic or uses.absolute) and all(
            self._name(module, chain) for chain in uses.chains
        )
        self._functions[module, place] = answer
        return answer

    def _name(self, module: str, chain: str) -> bool:
        """Whether a global name used inside a function can be used without changing anything that lasts."""
        root = chain.partition(".")[0]
        places = self._reach.binding(module, root)
        if not places:
            return self._call(module, chain)
        statements = [self._reach.facts(module).statements[place] for place in places]
        if all(s.frozen for s in statements):
            return True
        return self._call(module, chain)

    def _base(self, module: str, name: str) -> bool:
        """Whether deriving a class runs nothing of the base's that could reach further."""
        if name.startswith("?") or "()" in name:
            return False
        root, _, rest = name.partition(".")
        places = self._reach.binding(module, root)
        if not places:
            return scopes.is_builtin(root)
        for place in places:
            statement = self._reach.facts(module).statements[place]
            if statement.kind == "import":
                for dotted in self._reach.dotted(module, name):
                    owner, inner = self._reach.owner(dotted)
                    if owner and not (inner and self._base(owner, inner)):
                        return False
            elif rest or statement.kind != "class" or "!" in statement.calls or not self.statement(module, statement):
                return False
        return True
