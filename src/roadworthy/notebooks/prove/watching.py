"""Runs inside the notebook's kernel: takes down values at the places where steps will begin and end.

In: an order that names, per statement, the values to take down. Out: pickles and `seen.json` in a folder. The cells run
as they are; after a statement (or around an expression that is only shown) a call of ours is put in, which changes
neither. Nothing is left in the notebook's namespace. Started by `original.py`.
"""

import ast
import builtins
import functools
import pickle
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from roadworthy.data.formats import registry as formats
from roadworthy.notebooks.convert.seen import Seen, Value, key_of, key_of_result
from roadworthy.notebooks.prove import alike
from roadworthy.nouns.errors import Fault
from roadworthy.store.blobs import Blobs

PICKLE_BYTES_MAX = 1 << 30
# Looking for changes that the text does not show stops after so long in all.
SURPRISES_S_MAX = 60.0
ITEMS_MAX = 50
_PLAIN = frozenset({"builtins", "numpy", "pandas", "__main__", "collections"})
AFTER, SHOWN = "__rw_after__", "__rw_shown__"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What to take down at a statement: names after it, expressions in it (by their place in its tree)."""

    cell: int
    place: int
    names: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    shown: tuple[int, ...] = ()


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """The order: where to write, what to take down, and which names each cell reads without seeming to change them.

    Of those it says where in the cell they are read last.
    """

    folder: str
    places: tuple[Place, ...]
    read: dict[int, dict[str, int]]
    seed: int | None = None
    trial: bool = True


def install(order: str) -> None:
    """Begin: called once, before the first cell."""
    watch = msgspec.json.decode(Path(order).read_bytes(), type=Watch)
    watcher = _Watcher(watch, sys.modules["__main__"].__dict__)
    _state["watcher"] = watcher
    shell: Any = builtins.get_ipython()  # type: ignore[attr-defined]
    shell.ast_transformers.append(watcher)
    setattr(builtins, AFTER, watcher.after)
    setattr(builtins, SHOWN, watcher.shown)
    if watch.seed is not None:
        random.seed(watch.seed)
        import numpy as np

        np.random.seed(watch.seed)  # noqa: NPY002 - the very generator that is asked about
    watcher.chance()
    _told_of_asking()


def begin(cell: int) -> None:
    """The next code to run is this cell."""
    _state["watcher"].pending = cell


def end(cell: int) -> None:
    """The cell has run."""
    _state["watcher"].finish_cell(cell)


def finish() -> None:
    """The last cell has run: write down what was seen."""
    _state["watcher"].write()


_state: dict[str, Any] = {}


class _Watcher(ast.NodeTransformer):
    def __init__(self, watch: Watch, namespace: dict[str, Any]) -> None:
        self.watch = watch
        self.namespace = namespace
        self.places = {(p.cell, p.place): p for p in watch.places}
        self.pending: int | None = None
        self.last: tuple[int, int] | None = None
        self.values: dict[str, Value] = {}
        self.digests: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.draws: set[tuple[int, int]] = set()
        self.surprises: dict[int, tuple[str, ...]] = {}
        self.same: set[str] = set()
        self.looking_s = 0.0
        self._chance: dict[str, bytes] = {}
        self._folder = Path(watch.folder)
        self._blobs = Blobs(self._folder / "trial")
        self._begun = time.monotonic()

    def visit(self, node: ast.AST) -> ast.AST:
        """Put our calls into the cell that is about to run; IPython calls this with every piece of code it runs."""
        cell, self.pending = self.pending, None
        if cell is None or not isinstance(node, ast.Module):
            return node
        body: list[ast.stmt] = []
        for place, statement in enumerate(node.body):
            wanted = self.places.get((cell, place))
            made = _wrap(statement, cell, place, wanted.shown) if wanted and wanted.shown else statement
            body.append(made)
            if place + 1 < len(node.body):
                body.append(_call(AFTER, cell, place))
            else:
                self.last = (cell, place)
        node.body = body
        return ast.fix_missing_locations(node)

    def after(self, cell: int, place: int) -> None:
        if self.chance():
            self.draws.add((cell, place))
        wanted = self.places.get((cell, place))
        for name in wanted.names if wanted else ():
            if name in self.namespace:
                self._take(
                    key_of((cell, place), name),
                    self.namespace[name],
                    name,
                    changed=name in (wanted or Place(cell=0, place=0)).changed,
                )
        self._chance = _chance()

    def shown(self, cell: int, place: int, at: int, value: Any) -> Any:
        before = _chance()
        self._take(key_of_result((cell, place), at), value, "", changed=False)
        _restore(before)
        return value

    def finish_cell(self, cell: int) -> None:
        if self.last is not None and self.last[0] == cell:
            self.after(*self.last)
        self.last = None
        begun = time.monotonic()
        found: list[str] = []
        for name, place in self.watch.read.get(cell, {}).items():
            if name not in self.digests or name not in self.namespace or self.looking_s > SURPRISES_S_MAX:
                continue
            value = self.namespace[name]
            content = _pickled(value)
            if not content:
                continue
            digest = blake3(content).hexdigest()
            # What libraries keep in their own objects (results computed on demand) is no change of the value.
            plain = type(value).__module__.partition(".")[0] in _PLAIN
            if digest != self.digests[name] and not self._is_as_before(name, value, later=not plain):
                found.append(name)
                self._take(key_of((cell, place), name), value, name, changed=False)
            self.digests[name] = digest
        self.looking_s += time.monotonic() - begun
        if found:
            self.surprises[cell] = tuple(found)

    def chance(self) -> bool:
        """Whether a global random generator was used since this was last asked."""
        now = _chance()
        # A generator that was only now loaded has not been used by that.
        used = any(now[name] != state for name, state in self._chance.items())
        self._chance = now
        asked = _state.pop("asked", False)
        return used or asked

    def write(self) -> None:
        packages: dict[str, str] = {}
        for name in (
            "numpy",
            "pandas",
            "sklearn",
            "scipy",
            "statsmodels",
            "matplotlib",
            "torch",
            "xgboost",
            "lightgbm",
        ):
            if name in sys.modules:
                packages[name] = str(getattr(sys.modules[name], "__version__", ""))
        seen = Seen(
            values=self.values, draws=frozenset(self.draws), surprises=self.surprises, same=frozenset(self.same),
            wall_s=time.monotonic() - self._begun, packages=packages,
        )  # fmt: skip
        (self._folder / "seen.json").write_bytes(msgspec.json.encode(seen))

    def _take(self, key: str, value: Any, name: str, *, changed: bool) -> None:
        try:
            content = pickle.dumps(value, 5)
        except BaseException as problem:
            self.values[key] = _describe(key, value, Value(key=key, type="", storable="no", why=_words(problem)))
            self.digests.pop(name, None)
            return
        digest = blake3(content).hexdigest()
        if changed and name in self.digests and (self.digests[name] == digest or self._is_as_before(name, value)):
            self.same.add(key)
        if name:
            self.digests[name] = digest
        if len(content) > PICKLE_BYTES_MAX:
            why = f"it takes {len(content) / 1e9:.1f} GB"
            self.values[key] = _describe(key, value, Value(key=key, type="", why=why, digest=digest))
            return
        file = f"{len(self.values):05d}.pkl"
        (self._folder / file).write_bytes(content)
        if name:
            self.files[name] = file
        tried = self._try(value) if self.watch.trial else Value(key=key, type="")
        if tried.storable == "pickle":
            try:
                pickle.loads(content)  # noqa: S301 - our own, made two lines above
            except Exception as problem:
                tried = msgspec.structs.replace(tried, storable="no", why=f"it cannot be read back: {_words(problem)}")
                file = ""
        self.values[key] = _describe(key, value, msgspec.structs.replace(tried, key=key, file=file, digest=digest))

    def _is_as_before(self, name: str, value: Any, *, later: bool = False) -> bool:
        """Whether a value is what it was when last taken down; other bytes may only be another arrangement of it."""
        if name not in self.files:
            return False
        try:
            before = pickle.loads((self._folder / self.files[name]).read_bytes())  # noqa: S301 - our own, a moment ago
            return alike.compare(before, value, later=later).verdict == "identical"
        except Exception:
            return False

    def _try(self, value: Any) -> Value:
        """How a value can be stored and come back as it was."""
        trusted: tuple[str, ...] = ()
        for _ in range(3):
            try:
                kept = formats.save(self._blobs, value, trusted=trusted)
                back = formats.load(self._blobs, kept, trusted=trusted)
            except Fault as fault:
                asked = tuple(str(name) for name in fault.detail.get("untrusted", ()))
                if asked and not set(asked) <= set(trusted):
                    trusted = (*trusted, *asked)
                    continue
                return Value(key="", type="", storable="pickle", why=fault.what)
            except Exception as problem:
                return Value(key="", type="", storable="pickle", why=_words(problem))
            try:
                same = alike.compare(value, back).verdict == "identical"
            except Exception:
                same = False  # what cannot be compared here is kept as it is, and said later
            if same:
                return Value(key="", type="", trusted=trusted)
            return Value(key="", type="", storable="pickle", why="it does not come back as it was")
        return Value(key="", type="", storable="pickle", why="it holds types that nobody trusts")


def _wrap(statement: ast.stmt, cell: int, place: int, shown: tuple[int, ...]) -> ast.stmt:
    wanted = {id(node): at for at, node in enumerate(ast.walk(statement)) if at in shown}
    made = _Wrapping(wanted, cell, place).visit(statement)
    assert isinstance(made, ast.stmt)
    return made


class _Wrapping(ast.NodeTransformer):
    def __init__(self, wanted: dict[int, int], cell: int, place: int) -> None:
        self.wanted = wanted
        self.cell = cell
        self.place = place

    def visit(self, node: ast.AST) -> ast.AST:
        at = self.wanted.get(id(node))
        made: ast.AST = self.generic_visit(node)
        if at is None:
            return made
        assert isinstance(made, ast.expr)
        arguments: list[ast.expr] = [*map(ast.Constant, (self.cell, self.place, at)), made]
        return ast.copy_location(ast.Call(ast.Name(SHOWN, ast.Load()), arguments, []), node)


def _call(name: str, *arguments: int) -> ast.stmt:
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), [ast.Constant(a) for a in arguments], []))


def _describe(key: str, value: Any, known: Value) -> Value:
    shape = getattr(value, "shape", None)
    columns: tuple[str, ...] = ()
    names = getattr(value, "columns", None)
    if names is not None and hasattr(value, "iloc"):
        columns = tuple(str(n) for n in names) if all(isinstance(n, str) for n in names) else ()
    number = None
    if (isinstance(value, int | float) and not isinstance(value, bool)) or (
        hasattr(value, "dtype") and shape == () and value.dtype.kind in "fiu"
    ):
        number = float(value)
    parts = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list | tuple) else []
    return msgspec.structs.replace(
        known,
        key=key,
        type=_public(type(value)),
        items=tuple(sorted({_public(type(part)) for part in parts})) if len(parts) <= ITEMS_MAX else (),
        shape=tuple(int(n) for n in shape)
        if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape)
        else (),
        columns=columns,
        number=number if number is None or number == number else None,  # noqa: PLR0124 - not a number
        facts=_facts(value, known),
    )


def _facts(value: Any, known: Value) -> dict[str, str]:
    found: dict[str, str] = {}
    kind = _public(type(value))
    if kind == "pandas.DataFrame":
        index = value.index
        plain = type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1 and index.name is None
        found["table"] = (
            "yes" if plain and known.storable == "plain" and all(isinstance(c, str) for c in value.columns) else "no"
        )
    if kind == "pandas.Series":
        found["name"] = str(value.name)
    if "sklearn.base" in sys.modules and hasattr(value, "predict") and hasattr(value, "fit"):
        found |= _estimator(value)
    return found


def _estimator(value: Any) -> dict[str, str]:
    from sklearn.base import is_classifier, is_regressor
    from sklearn.utils.validation import check_is_fitted

    found: dict[str, str] = {}
    try:
        check_is_fitted(value)
        found["fitted"] = "yes"
    except Exception:
        found["fitted"] = "no"
    try:
        if is_classifier(value):
            count = len(value.classes_) if found["fitted"] == "yes" else 0
            # Of two classes the gate asks for a probability; of more, what was said is enough.
            if hasattr(value, "predict_proba") or count > 2:
                found["estimator"] = "classifier"
            found["classes"] = str(count)
        elif is_regressor(value):
            found["estimator"] = "regressor"
        names = getattr(value, "feature_names_in_", None)
        if names is not None:
            found["features"] = "\n".join(map(str, names))
    except Exception:
        return found
    return found


def _public(kind: type) -> str:
    """Where a class can be imported from: the shortest module that has it."""
    module, name = kind.__module__, kind.__qualname__
    if module == "builtins":
        return name
    parts = module.split(".")
    for length in range(1, len(parts)):
        if any(part.startswith("_") for part in parts[:length]):
            break
        there = sys.modules.get(".".join(parts[:length]))
        if getattr(there, name, None) is kind:
            return f"{'.'.join(parts[:length])}.{name}"
    return f"{module}.{name}"


def _chance() -> dict[str, bytes]:
    """Digests of the states of the global random generators that are loaded."""
    found = {"random": blake3(repr(random.getstate()).encode()).digest()}
    if "numpy.random" in sys.modules and hasattr(sys.modules["numpy.random"], "get_state"):
        kind, keys, *rest = _state.get("get_state", sys.modules["numpy.random"].get_state)()
        found["numpy"] = blake3(f"{kind}{rest}".encode() + keys.tobytes()).digest()
    if "torch" in sys.modules and hasattr(sys.modules["torch"], "get_rng_state"):
        found["torch"] = blake3(sys.modules["torch"].get_rng_state().numpy().tobytes()).digest()
    return found


def _told_of_asking() -> None:
    """Take note when anything asks for the state of NumPy's generator, to begin with it: that depends on it too."""
    import numpy as np

    get_state = np.random.get_state

    @functools.wraps(get_state)
    def asked(*arguments: Any, **named: Any) -> Any:
        _state["asked"] = True
        return get_state(*arguments, **named)

    _state["get_state"] = get_state
    vars(np.random)["get_state"] = asked


def _restore(before: dict[str, bytes]) -> None:
    """Nothing of ours draws; this says so if it ever does."""
    now = _chance()
    assert all(now[name] == state for name, state in before.items()), "taking down a value used a random generator"


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, 5)
    except BaseException:
        return b""


def _words(problem: BaseException) -> str:
    said = str(problem).splitlines()
    return f"{type(problem).__name__}: {said[0] if said else ''}"[:200]
