"""Which statements make what one keeps, and which only looked around.

In: a program, what was hoisted, and what was observed while the original ran. Out: the statements to keep, each with
its full effect, and why each of the others is left behind. Called by `conversion.py`.
"""

import ast
import re
from collections.abc import Mapping

import msgspec

from roadworthy.notebooks.convert import names
from roadworthy.notebooks.convert.calls import Calls
from roadworthy.notebooks.convert.hoisting import Hoisted
from roadworthy.notebooks.convert.program import Program, Statement
from roadworthy.notebooks.convert.seen import Seen, key_of
from roadworthy.pipelines.scopes import is_builtin

# The state of the global random generators, treated as one more name.
RANDOM = "<random>"
REPORT_TAG = "rw:report"
# Methods that are called on a line of their own to look at something.
_LOOKS = re.compile(
    r"(get_|to_|plot|show|print|display|render|save|summary|head$|tail$|describe|info$|predict|score|sample$|view)"
)
_PLAIN = frozenset({"pandas", "numpy", "collections", "matplotlib", "seaborn", "plotly"})
_SEEDS = ("numpy.random.seed", "random.seed")


class Effect(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A statement with all that it needs and touches, functions it calls included."""

    statement: Statement
    reads: frozenset[str]
    binds: frozenset[str]
    weak: frozenset[str]
    changes: frozenset[str]

    @property
    def touches(self) -> frozenset[str]:
        return self.binds | self.changes


class Slice(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The statements kept, in order; the settings that stay; what is left behind, by cell, with the reason."""

    kept: tuple[Effect, ...]
    settings: tuple[Statement, ...]
    left: tuple[tuple[int, str], ...]


def cut(program: Program, hoisted: Hoisted, seen: Seen | None) -> Slice:
    """Keep what results need."""
    effects = [_effect(s, program, hoisted, seen) for s in _working(program, hoisted)]
    wanted = [e for e in effects if _is_root(e.statement, program)]
    if not any(e.statement.results or program.has_tag(e.statement.cell, REPORT_TAG) for e in wanted):
        wanted = [e for e in effects if e.statement.kind == "prepare" or _is_root(e.statement, program)]
    roots = {e.statement.key for e in wanted}
    live: set[str] = set()
    kept: list[Effect] = []
    for effect in reversed(effects):
        if effect.statement.key not in roots and not effect.touches & live:
            continue
        kept.append(effect)
        live -= effect.binds - effect.weak
        live |= effect.reads | effect.changes | effect.weak
    kept.reverse()
    settings = [s for s in program.statements if s.kind == "setting"]
    reading = Calls(program.modules, {})
    staying = tuple(s for s in settings if reading.kept_setting(s.node))
    gone = [s for s in settings if s not in staying]
    return Slice(
        kept=tuple(kept),
        settings=staying,
        left=_left(program, effects, {e.statement.key for e in kept}, gone),
    )


def _working(program: Program, hoisted: Hoisted) -> list[Statement]:
    aside = {s.key for s in (*hoisted.constants.values(), *hoisted.param_statements.values())}
    aside |= {s.key for s in program.statements if s.kind == "define" and s.binds & hoisted.definitions.keys()}
    return [s for s in program.statements if s.kind not in {"import", "setting"} and s.key not in aside]


def _effect(statement: Statement, program: Program, hoisted: Hoisted, seen: Seen | None) -> Effect:
    reads = set(hoisted.expanded(statement.reads))
    changes = set(statement.changes) | program.shared(statement)
    binds, weak = set(statement.binds), set(statement.weak)
    called = [hoisted.definitions[n] for n in reads if n in hoisted.definitions]
    for definition in called:
        written = {
            n for part in ast.walk(definition.statement.node) if isinstance(part, ast.Global) for n in part.names
        }
        changes |= written | _changed_by(definition.statement)
    changes |= _perhaps_changed(statement, program, seen)
    if seen is None:
        _guess_random(statement, program, reads, binds, changes)
    else:
        changes |= (seen.also_changed(statement.cell) & reads) - _touched_below(statement, program)
        changes -= {n for n in changes if seen.unchanged(statement.key, n)}
        if _is_seed(statement, program):
            binds.add(RANDOM)
        elif statement.key in seen.draws:
            changes.add(RANDOM)
    there = {n for n in reads if n not in program.imports and not is_builtin(n) and n not in hoisted.constants}
    changes = {n for n in changes if n == RANDOM or (n not in program.imports and n not in hoisted.definitions)}
    return Effect(
        statement=statement,
        reads=frozenset((there | changes | weak) - hoisted.constants.keys()),
        binds=frozenset(binds),
        weak=frozenset(weak),
        changes=frozenset(changes - binds),
    )


def _changed_by(statement: Statement) -> set[str]:
    """Values of the top level that calling a function changes."""
    deferred = {o.node.id for o in names.occurrences(statement.node) if o.deferred}
    return names.changes(statement.node, {}) & deferred


def _touched_below(statement: Statement, program: Program) -> set[str]:
    """Names that later statements of a cell touch: what was seen when it ended is of those that come after them."""
    below = [s for s in program.statements if s.cell == statement.cell and s.place > statement.place]
    return {name for s in below for name in s.touches}


def _perhaps_changed(statement: Statement, program: Program, seen: Seen | None) -> set[str]:
    """The object of a library whose method is called for its effect, where nobody could see whether that changed it."""
    call = statement.node.value if isinstance(statement.node, ast.Expr) else None
    method = call.func if isinstance(call, ast.Call) else None
    if not isinstance(method, ast.Attribute) or not isinstance(method.value, ast.Name) or _LOOKS.match(method.attr):
        return set()
    name = method.value.id
    if name in program.imports:
        return set()
    if seen is None:
        return {name} if _made_by_a_library(name, program) else set()
    known = [seen.values.get(key_of(s.key, name)) for s in program.statements if s.key < statement.key]
    taken = [value for value in known if value is not None]
    return {name} if taken and not taken[-1].file else set()


def _made_by_a_library(name: str, program: Program) -> bool:
    """Whether a name is bound to an object of a class that is imported, and of no plain kind: `Sampler(...)`."""
    reading = Calls(program.modules, {})
    for statement in program.statements:
        value = getattr(statement.node, "value", None)
        if name in statement.binds and isinstance(value, ast.Call):
            full = reading.absolute(names.dotted(value.func))
            head, last = full.partition(".")[0], full.rpartition(".")[2]
            if "." in full and last[:1].isupper() and head not in _PLAIN:
                return True
    return False


def _guess_random(statement: Statement, program: Program, reads: set[str], binds: set[str], changes: set[str]) -> None:
    """Without having seen it run: a call of a module's generator draws."""
    if _is_seed(statement, program):
        binds.add(RANDOM)
        return
    reading = Calls(program.modules, {})
    for node in ast.walk(statement.node):
        if isinstance(node, ast.Call):
            full = reading.absolute(names.dotted(node.func))
            own = full.startswith(("numpy.random.", "random.")) and full.count(".") <= 2
            if own and not full.endswith(("default_rng", "RandomState", "Generator", "SeedSequence", "Random")):
                changes.add(RANDOM)
    del reads


def _is_seed(statement: Statement, program: Program) -> bool:
    node = statement.node
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    return Calls(program.modules, {}).absolute(names.dotted(node.value.func)) in _SEEDS


def _is_root(statement: Statement, program: Program) -> bool:
    if statement.kind == "display":
        return program.has_tag(statement.cell, REPORT_TAG)
    if program.step_tag(statement.cell) or program.has_tag(statement.cell, REPORT_TAG):
        return True
    return bool(statement.results) and (bool(statement.touches) or any(r.bare for r in statement.results))


def _left(
    program: Program, effects: list[Effect], kept: set[tuple[int, int]], settings: list[Statement]
) -> tuple[tuple[int, str], ...]:
    reasons: dict[int, list[str]] = {}
    for effect in effects:
        statement = effect.statement
        if statement.key in kept:
            continue
        what = _looks(statement)
        if what not in reasons.setdefault(statement.cell, []):
            reasons[statement.cell].append(what)
    for statement in settings:
        reasons.setdefault(statement.cell, []).append(f"sets up how things are shown: {_short(statement.node)}")
    found = [(cell, reason) for cell, said in reasons.items() for reason in said]
    return tuple(sorted([*program.left, *found]))


def _looks(statement: Statement) -> str:
    bound = ", ".join(f"`{name}`" for name in sorted(statement.binds)[:3])
    if statement.kind == "display":
        return f"looks at it: {_short(statement.node)}"
    return (
        f"makes {bound}, which nothing that is kept needs"
        if bound
        else f"leads to nothing kept: {_short(statement.node)}"
    )


def _short(node: ast.AST) -> str:
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 50 else f"{text[:47]}..."


def mapping(effects: tuple[Effect, ...]) -> Mapping[tuple[int, int], Effect]:
    """Effects by their statement."""
    return {e.statement.key: e for e in effects}
