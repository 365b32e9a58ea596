"""The pipeline's graph, read from the source text: an argument's name says where its value comes from.

In: the project's sources and its file. Out: `Graph`, its nodes in an order in which each comes after what it needs.
Whatever is ambiguous, unknown or circular is refused with the function, its line, and the nearest right name.
Called by the planner.
"""

import ast
import difflib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.project import Project, seconds
from roadworthy.nouns.step import Step
from roadworthy.pipelines.analysis import Function
from roadworthy.pipelines.reach import STEP, Reach
from roadworthy.pipelines.sources import Sources
from roadworthy.pipelines.steps import RETRIES_MAX

Kind = Literal["step", "data", "param", "default"]
Arrives = Literal["pandas", "arrow", "duckdb", "path"]

_ARRIVES: dict[str, Arrives] = {
    "pandas.DataFrame": "pandas",
    "pandas.core.frame.DataFrame": "pandas",
    "pyarrow.Table": "arrow",
    "pyarrow.lib.Table": "arrow",
    "duckdb.DuckDBPyRelation": "duckdb",
    "duckdb.duckdb.DuckDBPyRelation": "duckdb",
    "pathlib.Path": "path",
}
_OPTIONS = ("retries", "timeout", "cache", "format", "trusted")


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """Where an argument's value comes from; `arrives` says in which form a data set is handed over."""

    name: str
    kind: Kind
    arrives: Arrives = "pandas"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A step with its arguments resolved; `where` is its file and line."""

    step: Step
    arguments: tuple[Argument, ...]
    where: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The steps whose outputs it takes."""
        return tuple(a.name for a in self.arguments if a.kind == "step")


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """Steps by name, each after those it needs."""

    entry: str
    nodes: dict[str, Node]

    def before(self, name: str) -> set[str]:
        """A step and everything it needs."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            step = waiting.pop()
            if step not in found:
                found.add(step)
                waiting += self.nodes[step].needs
        return found

    def after(self, name: str) -> set[str]:
        """A step and everything that needs it, near or far."""
        found = {name}
        for step, node in self.nodes.items():
            if found.intersection(node.needs):
                found.add(step)
        return found

    def data(self, steps: Iterable[str]) -> list[str]:
        """The data sets that these steps read, in order of first use."""
        return list(dict.fromkeys(a.name for s in steps for a in self.nodes[s].arguments if a.kind == "data"))


def build(sources: Sources, reach: Reach, project: Project) -> Graph:
    """Read the pipeline.

    Raises:
        Fault: invalid, when a step cannot be read or an argument's meaning is not certain.
    """
    declared: dict[str, tuple[Step, Function]] = {}
    for module, function in _steps(reach, reach.entry, frozenset()):
        where = _where(sources, module, function.line)
        if function.name in declared:
            other = declared[function.name][0]
            if (other.module, other.line) == (module, function.line):
                continue
            raise invalid(
                f"there are two steps called `{function.name}`; the other is at "
                f"{_where(sources, other.module, other.line)}",
                where=where,
                fix="rename one: a step's name is the name of what it returns",
            )
        declared[function.name] = _declare(module, function, reach, where), function
    if not declared:
        raise invalid(
            f"the module `{reach.entry}` has no steps", where=sources.path(reach.entry) or reach.entry,
            fix="mark functions with @rw.step (import roadworthy as rw)",
        )  # fmt: skip
    names = _Names(project, {name: _where(sources, s.module, s.line) for name, (s, _) in declared.items()})
    names.check()
    nodes = {
        name: Node(step=_settled(step, project), arguments=_arguments(step, function, names, reach), where=where)
        for name, (step, function) in declared.items()
        if (where := names.steps[name])
    }
    return Graph(entry=reach.entry, nodes=_ordered(nodes))


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?`, or a list of what there is."""
    there = sorted(known)
    near = difflib.get_close_matches(name, there, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"there are: {', '.join(there)}" if there else "there are none"


class _Names:
    """What an argument's name can mean."""

    def __init__(self, project: Project, steps: dict[str, str]) -> None:
        self.project = project
        self.steps = steps

    def check(self) -> None:
        for name, where in self.steps.items():
            if name in self.project.data:
                raise invalid(
                    f"`{name}` is a step and also a data set of roadworthy.toml", where=where, fix="rename one of them"
                )
        for name in self.project.pipeline.steps:
            if name not in self.steps:
                raise invalid(
                    f"[pipeline.steps.{name}] is about no step of the pipeline", where="roadworthy.toml",
                    fix=nearest(name, self.steps),
                )  # fmt: skip

    def kind(self, name: str, *, has_default: bool, of: str, where: str) -> Kind:
        means: list[Kind] = []
        if name in self.steps:
            means.append("step")
        if name in self.project.data:
            means.append("data")
        if name in self.project.params:
            means.append("param")
        if len(means) > 1:
            said = {"step": "a step", "data": "a data set", "param": "a parameter"}
            raise invalid(
                f"the argument `{name}` of `{of}` is {' and '.join(said[m] for m in means)}", where=where,
                fix="rename one of them, so that the name says where the value comes from",
            )  # fmt: skip
        if means:
            return means[0]
        if has_default:
            return "default"
        known = {*self.steps, *self.project.data, *self.project.params} - {of}
        raise invalid(
            f"the argument `{name}` of `{of}` is no step, data set or parameter", where=where, fix=nearest(name, known)
        )


def _steps(reach: Reach, module: str, seen: frozenset[str]) -> Iterator[tuple[str, Function]]:
    """The steps of a module, and those it imports by name from other modules of the project."""
    if module in seen or reach.sources.path(module) is None:
        return
    facts = reach.facts(module)
    for function in facts.functions:
        if reach.is_step(module, function.name, function.line):
            yield module, function
    for statement in facts.statements:
        for written in statement.imports:
            base = reach.absolute(module, written)
            if written.name in {"", "."} or reach.sources.path(base) is None:
                continue
            for owner, function in _steps(reach, base, seen | {module}):
                if written.name in {"*", function.name}:
                    if written.bound not in {"*", function.name}:
                        raise invalid(
                            f"the step `{function.name}` is imported as `{written.bound}`",
                            where=f"{reach.sources.path(module)}:{written.line}",
                            fix="import it by its own name: that is the name of what it returns",
                        )
                    yield owner, function


def _declare(module: str, function: Function, reach: Reach, where: str) -> Step:
    if function.variadic:
        raise invalid(
            f"the step `{function.name}` takes `{function.variadic}`", where=where,
            fix="name each argument: its name says where its value comes from",
        )  # fmt: skip
    options: dict[str, Any] = {}
    for decorator in function.decorators:
        if not STEP.intersection(reach.dotted(module, decorator.name)):
            continue
        for name, text in decorator.arguments.items():
            options[name] = _literal(name, text, f"{where} @{decorator.name}")
            if name not in _OPTIONS:
                raise invalid(
                    f"@{decorator.name} takes no `{name}`", where=where, fix=nearest(name, _OPTIONS)
                )  # fmt: skip
    try:
        return Step(
            name=function.name,
            inputs=function.arguments,
            defaults=function.defaults,
            retries=_retries(options.get("retries", 0), where),
            timeout_s=_timeout(options.get("timeout"), where),
            cache=bool(options.get("cache", True)),
            format=options.get("format"),
            trusted=tuple(options.get("trusted", ())),
            module=module,
            line=function.line,
        )
    except TypeError as problem:
        raise invalid(f"an option of the step `{function.name}` is of the wrong type: {problem}", where=where) from None


def _literal(name: str, text: str, where: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise invalid(
            f"`{name}={text}` must be written out: steps are read from the text, without running it", where=where,
            fix="write the value itself, or set it in roadworthy.toml under [pipeline.steps.NAME]",
        ) from None  # fmt: skip


def _retries(value: Any, where: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= RETRIES_MAX:
        raise invalid(f"a step is tried again 0 to {RETRIES_MAX} times, not {value!r}", where=where)
    return value


def _timeout(value: Any, where: str) -> float | None:
    if value is None:
        return None
    try:
        limit = seconds(value) if isinstance(value, str) else float(value)
    except (KeyError, ValueError, TypeError):
        limit = 0.0
    if limit <= 0:
        raise invalid(f"a time limit is seconds, or such as `15m`, not {value!r}", where=where)
    return limit


def _settled(step: Step, project: Project) -> Step:
    """The step with what the project file says over what the code says."""
    said = project.pipeline.steps.get(step.name)
    if said is None:
        return step
    return msgspec.structs.replace(
        step,
        retries=step.retries if said.retries is None else said.retries,
        timeout_s=step.timeout_s if said.timeout is None else seconds(said.timeout),
        cache=step.cache if said.cache is None else said.cache,
    )


def _arguments(step: Step, function: Function, names: _Names, reach: Reach) -> tuple[Argument, ...]:
    where = names.steps[step.name]
    return tuple(
        Argument(
            name=name,
            kind=names.kind(name, has_default=name in function.defaults, of=step.name, where=where),
            arrives=_arrives(function.annotations.get(name, ""), step.module, reach),
        )
        for name in function.arguments
    )


def _arrives(annotation: str, module: str, reach: Reach) -> Arrives:
    """What an annotation asks for; a table of pandas where it says nothing we know."""
    waiting = [annotation]
    while waiting:
        try:
            tree = ast.parse(waiting.pop().strip() or "None", mode="eval")
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                waiting.append(node.value)
            elif isinstance(node, ast.Name | ast.Attribute):
                for dotted in reach.dotted(module, ast.unparse(node)):
                    if dotted in _ARRIVES:
                        return _ARRIVES[dotted]
    return "pandas"


def _ordered(nodes: dict[str, Node]) -> dict[str, Node]:
    """Nodes, each after those it needs, otherwise as they stand in the source."""
    done: dict[str, Node] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            raise _circle(nodes, [*path[path.index(name) :], name])
        path.append(name)
        for needed in nodes[name].needs:
            visit(needed)
        path.pop()
        done[name] = nodes[name]

    for name in nodes:
        visit(name)
    return done


def _circle(nodes: dict[str, Node], circle: list[str]) -> Fault:
    chain = " needs ".join(f"`{name}` ({nodes[name].where})" for name in circle[:-1])
    return invalid(
        f"steps need each other in a circle: {chain} needs `{circle[-1]}`", where=nodes[circle[0]].where,
        fix="split one of them, so that each comes after what it takes",
    )  # fmt: skip


def _where(sources: Sources, module: str, line: int) -> str:
    return f"{sources.path(module)}:{line}"
