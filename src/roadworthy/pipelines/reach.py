"""What a step can reach: the project's functions, classes, constants and modules, and the libraries they import.

In: a project's sources and a function of it. Out: `Reached`, whose parts are names with digests; two equal ones mean
that the same code would run. Nothing is imported: names are followed through the modules as Python would look them
up, and where that cannot be known for certain (code found by a name made at run time) everything counts.
Called by `keys.py`.
"""

from collections.abc import Iterable, Iterator

import msgspec
from blake3 import blake3

from roadworthy.pipelines import quiet
from roadworthy.pipelines.analysis import Facts, Import, Statement
from roadworthy.pipelines.sources import Sources

STEP = frozenset({"roadworthy.step", "roadworthy.pipelines.steps.step"})
# Standard library that finds code by name, or code in data.
_DYNAMIC_MODULES = frozenset({"importlib", "runpy", "inspect", "pkgutil", "pickle", "dill", "cloudpickle", "zipimport"})
_DYNAMIC_CALLS = frozenset(
    {
        "joblib.load", "operator.attrgetter", "operator.methodcaller", "sys.modules", "sys._getframe",
        "pandas.read_pickle", "shelve.open", "gc.get_objects", "builtins.exec", "builtins.eval", "builtins.getattr",
        "builtins.globals", "builtins.__import__",
    }
)  # fmt: skip
_HARMLESS = ("importlib.resources", "importlib.metadata", "inspect.cleandoc")
# What of a step's decorator is part of what it computes; retries and time limits are not.
_STEP_ARGUMENTS = ("format", "trusted")


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a function can reach.

    Args:
        parts: such as `function features.clean`, `constant features.RATE`, `module features`, each with a digest.
        modules: the project's modules that are imported with it.
        libraries: top-level names of what is imported from outside the project.
        named: texts that may name a library, where code reads the files of libraries.
        dynamic: why static reading is unsure; empty when it is sure.
        paths: texts in reached code that may name files.
        variables: environment variables read.
    """

    parts: dict[str, str]
    modules: tuple[str, ...]
    libraries: tuple[str, ...]
    named: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


class Reach:
    """Follows names through a project's modules, from the module that a worker imports.

    Args:
        sources: the project's files.
        entry: the module imported first; whatever importing it does counts for every function.
    """

    def __init__(self, sources: Sources, entry: str) -> None:
        self.sources = sources
        self.entry = entry
        self.modules = self._closure([entry])
        self.quiet = quiet.Quiet(self)
        self._index: dict[str, dict[str, list[int]]] = {}

    def of(self, roots: Iterable[tuple[str, str]]) -> Reached:
        """What the named functions reach.

        Args:
            roots: (module, dotted name in it).
        """
        walk = _Walk(self)
        for module in self.modules:
            for place, statement in enumerate(self.facts(module).statements):
                if statement.kind != "import" and not self.quiet.statement(module, statement):
                    walk.include(module, place)
        for module, name in roots:
            walk.follow(module, name)
        walk.finish()
        return walk.reached()

    def facts(self, module: str) -> Facts:
        return self.sources.facts(module)

    def binding(self, module: str, name: str) -> list[int]:
        """Places of the statements of a module that bind a name."""
        if module not in self._index:
            index: dict[str, list[int]] = {}
            for place, statement in enumerate(self.facts(module).statements):
                for bound in statement.binds:
                    index.setdefault(bound, []).append(place)
            self._index[module] = index
        return self._index[module].get(name, [])

    def absolute(self, module: str, written: Import) -> str:
        """The module that an import names, dots resolved."""
        if not written.level:
            return written.module
        package = module.split(".")
        path = self.sources.path(module) or ""
        drop = written.level - (1 if path.endswith(("__init__.py", "/")) else 0)
        base = package[: len(package) - drop] if drop else package
        return ".".join([*base, written.module] if written.module else base)

    def stars(self, module: str) -> Iterator[str]:
        """The modules that a module imports everything from."""
        for written in self.facts(module).imports:
            if written.name == "*":
                yield self.absolute(module, written)

    def dotted(self, module: str, chain: str, seen: frozenset[str] = frozenset()) -> list[str]:
        """What a dotted name in a module means from outside, such as `pandas.DataFrame`; project names stay local."""
        root, _, rest = chain.partition(".")
        found: list[str] = []
        for place in self.binding(module, root):
            for written in self.facts(module).statements[place].imports:
                if written.bound != root:
                    continue
                base = self.absolute(module, written)
                if written.name == ".":
                    base = base.partition(".")[0]
                elif written.name:
                    base = f"{base}.{written.name}"
                found.append(f"{base}.{rest}" if rest else base)
        # A name may be passed on by another module of the project.
        out: list[str] = []
        for name in found:
            owner, last = self.owner(name)
            if owner and last and f"{owner}.{last}" not in seen and self.binding(owner, last.partition(".")[0]):
                out += self.dotted(owner, last, seen | {f"{owner}.{last}"}) or [name]
            else:
                out.append(name)
        return out

    def owner(self, dotted: str) -> tuple[str, str]:
        """The longest part of a dotted name that is a module of the project, and the rest."""
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            module = ".".join(parts[:length])
            if self.sources.path(module) is not None:
                return module, ".".join(parts[length:])
        return "", dotted

    def is_step(self, module: str, name: str, line: int) -> bool:
        for function in self.facts(module).functions:
            if function.name == name and (not line or function.line == line):
                return any(STEP.intersection(self.dotted(module, d.name)) for d in function.decorators)
        return False

    def _closure(self, entries: list[str]) -> list[str]:
        """The project's modules that importing the entry may import, in no order of importance."""
        found: list[str] = []
        waiting = list(entries)
        while waiting:
            module = waiting.pop()
            if module in found or self.sources.path(module) is None:
                continue
            found.append(module)
            # A package's own file runs before its modules do.
            waiting += [module.rpartition(".")[0]] if "." in module else []
            for written in self.facts(module).imports:
                base = self.absolute(module, written)
                waiting += [base]
                if written.name not in {"", ".", "*"}:
                    waiting.append(f"{base}.{written.name}")
        return sorted(found)


class _Walk:
    """One traversal: what has been included so far."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._included: set[tuple[str, int]] = set()
        self._waiting: list[tuple[str, int]] = []
        self._whole: set[str] = set()
        self._aliases: dict[str, set[str]] = {}
        self._dynamic: set[str] = set()
        self._named = False

    def include(self, module: str, place: int) -> None:
        if (module, place) not in self._included:
            self._included.add((module, place))
            self._waiting.append((module, place))

    def finish(self) -> None:
        """Follow what included statements use, until nothing new is found."""
        while self._waiting:
            module, place = self._waiting.pop()
            uses = self._reach.facts(module).statements[place].uses
            for chain in uses.chains:
                self.follow(module, chain)
            for base, level, rest in uses.absolute:
                target = self._reach.absolute(module, Import(base, "", "", level, 0))
                self._follow_dotted(f"{target}.{rest}" if rest else target, module)
            for word in uses.words:
                if self._reach.binding(module, word) and not self._reach.is_step(module, word, 0):
                    self.follow(module, word)
            self._dynamic.update(f"{why} in {module}" for why in uses.dynamic)

    def follow(self, module: str, chain: str) -> None:
        """Include what a dotted name of a module means."""
        root, _, rest = chain.partition(".")
        places = self._reach.binding(module, root)
        for place in places:
            statement = self._reach.facts(module).statements[place]
            if statement.kind != "import":
                self.include(module, place)
            for written in statement.imports:
                if written.bound == root:
                    self._follow_import(module, written, rest)
        if not places:
            self._follow_star(module, chain)

    def _follow_import(self, module: str, written: Import, rest: str) -> None:
        base = self._reach.absolute(module, written)
        if written.name == ".":
            base = base.partition(".")[0]
        elif written.name:
            base = f"{base}.{written.name}"
        self._aliases.setdefault(f"import {module}.{written.bound}", set()).add(base)
        self._follow_dotted(f"{base}.{rest}" if rest else base, module)

    def _follow_dotted(self, dotted: str, module: str) -> None:
        """Include what a name known from outside means: a part of the project, or of a library."""
        owner, rest = self._reach.owner(dotted)
        if not owner:
            self._library(dotted, module)
        elif not rest:
            self._everything(owner)
        elif self._reach.binding(owner, rest.partition(".")[0]):
            self.follow(owner, rest)
        elif not self._follow_star(owner, rest) and not rest.startswith("__"):
            # Not found where it should be: a module's __getattr__, or set from elsewhere.
            self._everything(owner)

    def _follow_star(self, module: str, chain: str) -> bool:
        root = chain.partition(".")[0]
        found = False
        for base in self._reach.stars(module):
            if self._reach.sources.path(base) is None:
                continue
            self._aliases.setdefault(f"import {module}.*", set()).add(base)
            if self._reach.binding(base, root):
                self.follow(base, chain)
                found = True
            elif base != module and self._follow_star(base, chain):
                found = True
        return found

    def _everything(self, module: str) -> None:
        """A module handed on as a value: anything of it may be used."""
        if module in self._whole:
            return
        self._whole.add(module)
        for place, statement in enumerate(self._reach.facts(module).statements):
            if statement.kind == "import":
                for written in statement.imports:
                    if written.name != "*":
                        self._follow_import(module, written, "")
            else:
                self.include(module, place)

    def _library(self, dotted: str, module: str) -> None:
        if dotted.startswith(_HARMLESS):
            self._named = True
        elif dotted.partition(".")[0] in _DYNAMIC_MODULES or dotted in _DYNAMIC_CALLS:
            self._dynamic.add(f"{dotted} in {module}")

    def reached(self) -> Reached:
        by_part: dict[str, list[str]] = {}
        order: dict[str, list[str]] = {}
        statements: list[Statement] = []
        for module, place in sorted(self._included):
            statement = self._reach.facts(module).statements[place]
            statements.append(statement)
            digest = self._digest(module, statement)
            if statement.kind in {"function", "class"}:
                by_part.setdefault(f"{statement.kind} {module}.{statement.binds[0]}", []).append(digest)
            elif statement.kind == "constant" and statement.binds:
                name = f"constant {module}.{','.join(statement.binds)}"
                by_part.setdefault(name, []).append(digest)
                order.setdefault(module, []).append(name)
            else:
                order.setdefault(module, []).append(digest)
        parts = {name: " ".join(digests) for name, digests in by_part.items()}
        parts |= {f"module {module}": _hash("\n".join(lines)) for module, lines in order.items()}
        parts |= {name: ",".join(sorted(targets)) for name, targets in self._aliases.items()}
        return Reached(
            parts=parts,
            modules=tuple(self._reach.modules),
            libraries=tuple(sorted(set(self._libraries()))),
            named=tuple(sorted({name for s in statements for name in s.uses.names})) if self._named else (),
            dynamic=tuple(sorted(self._dynamic)),
            paths=tuple(sorted({path for s in statements for path in s.uses.paths})),
            variables=tuple(sorted({name for s in statements for name in s.uses.variables})),
        )

    def _digest(self, module: str, statement: Statement) -> str:
        """A statement's digest with those of its decorators, of which a step's own is only what it computes with."""
        if statement.kind != "function":
            return statement.digest
        said = [statement.digest]
        for function in self._reach.facts(module).functions:
            if function.name != statement.binds[0] or function.line != statement.line:
                continue
            for decorator in function.decorators:
                if STEP.intersection(self._reach.dotted(module, decorator.name)):
                    said += [f"{a}={decorator.arguments[a]}" for a in _STEP_ARGUMENTS if a in decorator.arguments]
                else:
                    said.append(decorator.digest)
        return said[0] if len(said) == 1 else _hash("\n".join(said))

    def _libraries(self) -> Iterator[str]:
        """Whatever the modules import from outside."""
        for module in self._reach.modules:
            for written in self._reach.facts(module).imports:
                base = self._reach.absolute(module, written)
                if base and not self._reach.owner(base)[0]:
                    yield base.partition(".")[0]


def _hash(text: str) -> str:
    return blake3(text.encode()).hexdigest()[:32]
