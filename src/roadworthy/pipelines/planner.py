"""What each step would do and why: the pipeline's code, its inputs and what is kept, held against each other.

In: a project, its parameters and snapshots. Out: `Decision` per step, as far as its inputs are known. It imports
nothing of the user's and nothing heavy: a run in which nothing has changed ends here. Called by the runner.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from roadworthy.data.formats import registry as formats
from roadworthy.nouns.errors import invalid, not_found
from roadworthy.nouns.project import Place
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.nouns.step import Step, Value
from roadworthy.pipelines import cache, graph, keys, parameters, sources
from roadworthy.pipelines.cache import Kept
from roadworthy.pipelines.graph import Graph
from roadworthy.pipelines.keys import Material
from roadworthy.pipelines.libraries import Libraries
from roadworthy.pipelines.reach import Reach
from roadworthy.registry import runs
from roadworthy.store.store import Store

REASONS_SHOWN = 4
# A step that none of these runs settled is compared with its newest result.
RUNS_LOOKED_AT = 5
_LIBRARIES = {"pandas": ("pandas",), "arrow": ("pyarrow",), "duckdb": ("duckdb",), "path": ()}


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to do.

    Args:
        settings: parameters set for this run, such as `lr=0.05`.
        params: parameters as values, over all else.
        only: run this step and what it needs.
        start_from: run this step and all that needs it, again.
        force: run even what could be reused (with `only`: that step).
        pinned: data set name to snapshot id, in place of what the sources give now.
        seed: of the random generators; `params.seed`, or 0, when None.
        keep: whether later runs may reuse what this one makes.
        reproduces: the run that this one repeats.
        command: how it was started.
        name, group: of the run.
    """

    settings: tuple[str, ...] = ()
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    only: str = ""
    start_from: str = ""
    force: bool = False
    pinned: dict[str, str] = msgspec.field(default_factory=dict)
    seed: int | None = None
    keep: bool = True
    reproduces: str | None = None
    command: str = "rw run"
    name: str = ""
    group: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about a step: `run`, `reuse`, or `wait` when an input is not known yet.

    Args:
        why: one sentence.
        kept: what is reused.
        unsure: why the whole project's code counts.
    """

    step: str
    action: Literal["run", "reuse", "wait"]
    why: str
    key: str = ""
    kept: Kept | None = None
    material: Material | None = None
    unsure: tuple[str, ...] = ()


class Planner:
    """Decides for one run; what it reads of the project, it reads once.

    Args:
        store, place: whose.
        options: what to do.
    """

    def __init__(self, store: Store, place: Place, options: RunOptions) -> None:
        self.store = store
        self.place = place
        self.options = options
        self.sources = sources.of(place, store.home)
        entry = place.project.pipeline.module
        if self.sources.path(entry) is None:
            raise not_found(
                f"the project has no module `{entry}`", where=str(place.root),
                fix="write it, or name another as `module` under [pipeline] in roadworthy.toml",
            )  # fmt: skip
        self.reach = Reach(self.sources, entry)
        self.graph: Graph = graph.build(self.sources, self.reach, place.project)
        self.params = parameters.effective(place.project.params, options.settings, self.graph) | options.params
        self.seed = _seed(self.params) if options.seed is None else options.seed
        self.libraries = Libraries(store.home / "cache" / "libraries")
        self.steps, self.forced = _chosen(self.graph, place, options)
        self._keys: dict[str, str] | None = None
        self._code: dict[tuple[str, tuple[tuple[str, str], ...]], Material] = {}

    def order(self) -> list[str]:
        """The steps to settle, each after those it needs."""
        return [name for name in self.graph.nodes if name in self.steps]

    def data(self) -> list[str]:
        """The data sets they read."""
        return self.graph.data(self.order())

    def decide(self, name: str, inputs: Mapping[str, Value | Snapshot]) -> Decision:
        """What to do about a step whose inputs are known."""
        node = self.graph.nodes[name]
        values = [value for value in inputs.values() if isinstance(value, Value)]
        code = self._material(node.step, values, [a.arrives for a in node.arguments if a.kind == "data"])
        material = keys.with_inputs(code, self._bound(name), inputs, self.params, self.seed)
        key = material.key
        made = Decision(step=name, action="run", why="", key=key, material=material, unsure=material.unsure)
        if name in self.forced:
            return msgspec.structs.replace(made, why=f"asked for: {self._asked()}")
        if not node.step.cache:
            return msgspec.structs.replace(made, why="it runs every time (cache = false)")
        kept = cache.get(self.store, key)
        if kept is None:
            return msgspec.structs.replace(made, why=self._changed(node.step, material))
        obstacle = cache.obstacle(self.store, kept, self.place.root, material.paths)
        if obstacle:
            return msgspec.structs.replace(made, why=obstacle)
        when = dt.datetime.fromtimestamp(kept.at, dt.UTC).strftime("%Y-%m-%d %H:%M")
        why = f"unchanged since run {kept.run[:12]} ({when})"
        return msgspec.structs.replace(made, action="reuse", kept=kept, why=why)

    def plan(self, snapshots: Mapping[str, Snapshot]) -> dict[str, Decision]:
        """Decisions for all steps, as far as they can be told without running any."""
        decided: dict[str, Decision] = {}
        for name in self.order():
            inputs = self.inputs(name, {n: d.kept.output for n, d in decided.items() if d.kept}, snapshots)
            if inputs is not None:
                decided[name] = self.decide(name, inputs)
                continue
            missing = [n for n in self.graph.nodes[name].needs if not (d := decided.get(n)) or d.action != "reuse"]
            unknown = [a.name for a in self.graph.nodes[name].arguments if a.kind == "data" and a.name not in snapshots]
            if name in self.forced:
                decided[name] = Decision(step=name, action="run", why=f"asked for: {self._asked()}")
                continue
            why = f"runs if {' or '.join([*missing, *unknown])} comes out differently"
            decided[name] = Decision(step=name, action="wait", why=why)
        return decided

    def inputs(
        self, name: str, outputs: Mapping[str, Value | None], snapshots: Mapping[str, Snapshot]
    ) -> dict[str, Value | Snapshot] | None:
        """A step's inputs by argument; None when one is not known yet."""
        found: dict[str, Value | Snapshot] = {}
        for argument in self.graph.nodes[name].arguments:
            if argument.kind == "step":
                value = outputs.get(argument.name)
                if value is None:
                    return None
                found[argument.name] = value
            elif argument.kind == "data":
                if argument.name not in snapshots:
                    return None
                found[argument.name] = snapshots[argument.name]
        return found

    def trusted(self, step: Step) -> tuple[str, ...]:
        """Type names that a step's output may contain: those the step names, and for the model those under [model]."""
        spec = self.place.project.model
        return (*step.trusted, *(spec.trusted if spec is not None and spec.step == step.name else ()))

    def bound(self, name: str) -> graph.Node:
        """A node in which defaults that were set on the command line count as parameters."""
        return self._bound(name)

    def _bound(self, name: str) -> graph.Node:
        node = self.graph.nodes[name]
        arguments = tuple(
            msgspec.structs.replace(a, kind="param") if a.kind == "default" and a.name in self.params else a
            for a in node.arguments
        )
        return msgspec.structs.replace(node, arguments=arguments)

    def _material(self, step: Step, values: list[Value], arrives: Iterable[graph.Arrives]) -> Material:
        """What the step's code reaches, and the code of the project's types among its inputs."""
        roots = {(step.module, step.name)}
        tops: set[str] = {top for kind in arrives for top in _LIBRARIES[kind]}
        pickled = False
        for value in (part for v in values for part in (v, *formats.parts(v))):
            pickled = pickled or value.format == "pickle"
            for name in (value.type, *value.meta.get("trusted", ())):
                owner, rest = self.reach.owner(str(name))
                if owner and rest:
                    roots.add((owner, rest))
                elif not owner and "." in str(name) and not str(name).startswith("builtins."):
                    tops.add(str(name).partition(".")[0])
        which = (step.name, (*sorted(roots), ("", " ".join(sorted(tops))), ("", str(pickled))))
        if which not in self._code:
            reached = self.reach.of(sorted(roots))
            if pickled:
                reached = msgspec.structs.replace(reached, dynamic=(*reached.dynamic, "an input is a pickle"))
            versions = self.libraries.versions({*reached.libraries, *tops}, reached.named)
            said = msgspec.structs.replace(step, trusted=self.trusted(step))
            self._code[which] = keys.of_code(self.reach, reached, versions, step=said)
        return self._code[which]

    def _changed(self, step: Step, material: Material) -> str:
        """What changed since the step last ran."""
        last = self._last().get(step.name, "")
        before = cache.get(self.store, last) or cache.newest(self.store, self.place.project.name, step.name)
        if before is None:
            return "it has not run before"
        changes = keys.differences(before.parts, material.parts, step)
        if not changes:
            return "its result is no longer kept"
        more = f" and {len(changes) - REASONS_SHOWN} more" if len(changes) > REASONS_SHOWN else ""
        why = ", ".join(changes[:REASONS_SHOWN]) + more
        if "whole project" in material.parts and changes == ["code of the project changed"]:
            why += f" (all of it counts, because of {material.unsure[0]})"
        return why

    def _last(self) -> dict[str, str]:
        """The key that each step had when it was last run or reused."""
        if self._keys is None:
            self._keys = {}
            project = self.place.project.name
            for run in runs.listing(self.store, project=project, limit=RUNS_LOOKED_AT, steps=True):
                for done in run.steps if run.reproduces is None else ():
                    if done.key and done.status in {"ran", "reused"}:
                        self._keys.setdefault(done.step, done.key)
        return self._keys

    def _asked(self) -> str:
        if self.options.start_from:
            return f"--from {self.options.start_from}"
        return "--force"


def _seed(params: Mapping[str, Any]) -> int:
    seed = params.get("seed", 0)
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else 0


def _chosen(pipeline: Graph, place: Place, options: RunOptions) -> tuple[set[str], set[str]]:
    """The steps to settle, and those to run whatever is kept."""
    for name in filter(None, (options.only, options.start_from)):
        if name not in pipeline.nodes:
            raise not_found(
                f"the pipeline has no step called `{name}`", where=place.project.pipeline.module,
                fix=graph.nearest(name, pipeline.nodes),
            )  # fmt: skip
    steps = pipeline.before(options.only) if options.only else set(pipeline.nodes)
    forced: set[str] = set()
    if options.start_from:
        forced = pipeline.after(options.start_from) & steps
        if not forced:
            raise invalid(
                f"`{options.only}` does not need `{options.start_from}`", where="--only, --from",
                fix="leave one of them out",
            )  # fmt: skip
    elif options.force:
        forced = {options.only} if options.only else set(steps)
    return steps, forced
