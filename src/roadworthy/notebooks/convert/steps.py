"""Writes a step: the group's statements as the body of a function, in the notebook's own words.

In: a group, the steps before it, and what goes to the module. Out: a `Step` with its text. Called by `planning.py`.
"""

import ast
import re
import textwrap
from collections.abc import Mapping
from typing import Any

import msgspec

from roadworthy.notebooks.convert import names, types, wording
from roadworthy.notebooks.convert.calls import SHORT, Result
from roadworthy.notebooks.convert.grouping import Crossing, Group
from roadworthy.notebooks.convert.hoisting import Definition, Hoisted, lower
from roadworthy.notebooks.convert.plan import DataSet, Output, Step, Typed
from roadworthy.notebooks.convert.program import Program, Statement
from roadworthy.notebooks.convert.seen import Seen, Value, key_of, key_of_result
from roadworthy.notebooks.convert.slicing import RANDOM, Effect
from roadworthy.notebooks.convert.wording import Changes, Source

Key = tuple[int, int]


class Context(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What all steps of a conversion share.

    Args:
        sources: of cells.
        constants: name in the notebook to name in the module; `params` likewise.
        tables: statement that makes a table which is a data set, to that; `paths`: id of an expression that names a
            file, to its data set.
        steps: written so far, by the statements whose values they give.
    """

    program: Program
    hoisted: Hoisted
    seen: Seen | None
    sources: dict[int, Source]
    constants: dict[str, str]
    params: dict[str, str]
    tables: dict[Key, DataSet]
    paths: dict[int, DataSet]
    steps: dict[Crossing, tuple[Step, Output]]

    def value(self, key: str) -> Value | None:
        return None if self.seen is None else self.seen.values.get(key)


def write(context: Context, group: Group, name: str, doc: str, used: set[str]) -> Step:
    """Write a group as the step `name`."""
    return _Writer(context, group, name, used).step(doc)


class _Writer:
    def __init__(self, context: Context, group: Group, name: str, used: set[str]) -> None:
        self.context = context
        self.group = group
        self.name = name
        self.metric_names = used
        self.arguments: dict[str, Typed] = {}
        self.imports: list[str] = []
        self.local: dict[str, str] = {}
        self.lines: list[str] = []
        self.metrics: list[tuple[str, str, str]] = []  # metric, name in the body, key
        self.results: list[Output] = []
        self.mentioned = {n for e in group.effects for n in names.mentioned(e.statement.node)}
        self.identifiers = {
            n.id for e in group.effects for n in ast.walk(e.statement.node) if isinstance(n, ast.Name)
        } | {a.arg for e in group.effects for a in ast.walk(e.statement.node) if isinstance(a, ast.arg)}

    def step(self, doc: str) -> Step:
        self._inputs()
        self._definitions()
        body = [line for effect in self.group.effects for line in self._statement(effect)]
        outputs = self._outputs()
        ending, typed = self._ending(outputs, body)
        lines = [*self.lines, *body, *ending]
        for each in (*self.arguments.values(), typed):
            self.imports += each.imports
        signature = ", ".join(f"{a}: {t.text}" if t.text else a for a, t in self.arguments.items())
        returns = f" -> {typed.text}" if typed.text else ""
        head = f"{self._decorator(outputs)}\ndef {self.name}({signature}){returns}:"
        text = "\n".join([head, wording.indented(_docstring(doc)), *(wording.indented(line) for line in lines)])
        return Step(
            name=self.name,
            group=self.group,
            text=text,
            takes=tuple(self.arguments),
            outputs=tuple(outputs),
            metrics={metric: key for metric, _, key in self.metrics},
            cells=tuple(self.group.cells),
            imports=tuple(dict.fromkeys(self.imports)),
            typed=typed,
        )

    def _inputs(self) -> None:
        packed: dict[str, list[tuple[str, str]]] = {}
        for crossing in self.group.takes:
            if crossing.name == RANDOM:
                continue
            table = self.context.tables.get(crossing.maker)
            if table is not None:
                self._take(table.name, types.of_value(self.context.value(table.seen), self.context.program.modules))
                self._call(crossing.name, table.name)
                continue
            step, output = self.context.steps[crossing]
            self._take(step.name, step.typed)
            if output.key:
                packed.setdefault(step.name, []).append((crossing.name, output.key))
            else:
                self._call(crossing.name, step.name)
        for step_name, parts in packed.items():
            bound = ", ".join(name for name, _ in parts)
            taken = ", ".join(f'{step_name}["{key}"]' for _, key in parts)
            self.lines.append(f"{bound} = {taken}")
        for effect in self.group.effects:
            for node in ast.walk(effect.statement.node):
                if id(node) in self.context.paths:
                    found = self.context.paths[id(node)]
                    self._take(found.name, Typed("Path", ("from pathlib import Path",)))
        read = {n for e in self.group.effects for n in self._all_reads(e)}
        for old in (name for name in self.context.params if name in read):
            self._take(self.context.params[old], types.of_param(self.context.hoisted.params[old]))

    def _all_reads(self, effect: Effect) -> set[str]:
        return set(effect.reads) | self.context.hoisted.expanded(effect.statement.reads)

    def _take(self, argument: str, typed: Typed) -> None:
        self.arguments.setdefault(argument, typed)

    def _call(self, name: str, argument: str) -> None:
        """Let a value be called by the argument's name in the body, or give it its own where that would clash."""
        if name == argument:
            return
        if argument in self.identifiers or argument in self.local.values() or name in self.mentioned:
            self.lines.append(f"{name} = {argument}")
        else:
            self.local[name] = argument

    def _definitions(self) -> None:
        """Functions that must stand inside the step."""
        needed = {n for e in self.group.effects for n in e.statement.reads}
        inside = [d for d in self.context.hoisted.definitions.values() if d.inside]
        wanted = {d.name for d in inside if d.name in needed}
        for _ in inside:
            wanted |= {d.name for d in inside for w in inside if w.name in wanted and d.name in w.uses}
        for definition in inside:
            if definition.name in wanted:
                source = self.context.sources[definition.statement.cell]
                text = wording.whole(source, definition.statement.node, self._changes(definition.statement.node))
                self.lines.append(re.sub(r"^(\s*)global ", r"\1nonlocal ", text, flags=re.MULTILINE))

    def _changes(self, node: ast.AST, nodes: Mapping[int, str] | None = None) -> Changes:
        context = self.context
        table = {**context.constants, **context.params, **self.local}
        paths = {id(n): context.paths[id(n)].name for n in ast.walk(node) if id(n) in context.paths}
        extras = {
            d.name: tuple(f"{e}={table.get(e, e)}" for e in self._extras(d))
            for d in context.hoisted.definitions.values()
            if d.extras and not d.inside
        }
        return Changes(reads=table, writes=table, extras=extras, nodes={**paths, **(nodes or {})})

    def _extras(self, definition: Definition) -> tuple[str, ...]:
        return definition.extras

    def _statement(self, effect: Effect) -> list[str]:
        statement = effect.statement
        source = self.context.sources[statement.cell]
        report = self.group.kind == "report"
        bare = [r for r in statement.results if r.bare]
        if bare and not report:
            above, _ = source.comments(statement.node)
            made = [f"{self._result(statement, result)}" for result in bare]
            return [f"{above}\n{made[0]}" if above else made[0], *made[1:]]
        node = statement.node
        rebound = effect.binds & self.local.keys()
        changes = self._changes(node)
        if rebound:
            # The value taken is read under the argument's name; what is bound here has the notebook's own.
            if isinstance(node, ast.Assign | ast.AnnAssign) and not effect.weak & rebound:
                changes = msgspec.structs.replace(
                    changes, writes={k: v for k, v in changes.writes.items() if k not in rebound}
                )
                text = wording.whole(source, node, changes)
                for name in rebound:
                    del self.local[name]
                self._measured(statement)
                return [text]
            first = [f"{name} = {self.local.pop(name)}" for name in sorted(rebound)]
            self._measured(statement)
            return [*first, wording.whole(source, node, self._changes(node))]
        self._measured(statement)
        return [wording.whole(source, node, changes)]

    def _result(self, statement: Statement, result: Result) -> str:
        """`auc = roc_auc_score(…)`: what the notebook only showed gets a name."""
        key = key_of_result(statement.key, result.at)
        source = self.context.sources[statement.cell]
        value = self.context.value(key)
        name = self._free(result.name or ("table" if value is None or value.columns else "found"))
        node = result.node
        if _is_hidden(statement.node, node):
            text = ast.unparse(wording.rewritten(node, self._changes(node)))
        else:
            text = wording.written(source, node, self._changes(node))
        self.identifiers.add(name)
        if result.what == "measure" and self._is_number(value, result):
            self._metric(result.name or name, name, key)
        else:
            self.results.append(Output(key=name, name=name, seen=key, cell=statement.cell))
        return f"{name} = ({text})" if "\n" in text else f"{name} = {text}"

    def _measured(self, statement: Statement) -> None:
        """`acc = accuracy_score(…)` is a metric of the run too."""
        node = statement.node
        measures = [r for r in statement.results if r.what == "measure"]
        if not measures or not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            return
        name = node.targets[0].id
        key = key_of(statement.key, name)
        value = self.context.value(key)
        direct = node.value is measures[0].node
        if self._is_number(value, measures[0]) and (direct or value is not None):
            telling = direct and (len(name) < 4 or measures[0].name in name.lower() or lower(name) in {"score", "acc"})
            self._metric(
                measures[0].name if telling and name.lower() == name and len(name) < 4 else lower(name), name, key
            )

    def _is_number(self, value: Value | None, result: Result) -> bool:
        if value is not None:
            return value.number is not None
        return self.context.seen is None and result.name in {*SHORT.values(), "score"} - {"cross_validation"}

    def _metric(self, wanted: str, name: str, key: str) -> None:
        metric = wanted
        number = 2
        while metric in self.metric_names:
            metric, number = f"{wanted}_{number}", number + 1
        self.metric_names.add(metric)
        self.metrics.append((metric, name, key))

    def _free(self, wanted: str) -> str:
        name, number = wanted, 2
        imported = self.context.program.imports
        while name in self.identifiers or name in imported or name in self.arguments:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def _outputs(self) -> list[Output]:
        measured = {name: metric for metric, name, _ in self.metrics}
        found: list[Output] = []
        for crossing in self.group.gives:
            if crossing.name == RANDOM:
                continue
            key = key_of(crossing.maker, crossing.name)
            found.append(
                Output(
                    key=measured.get(crossing.name, crossing.name), name=crossing.name, seen=key,
                    cell=crossing.maker[0],
                    typed=types.of_value(self.context.value(key), self.context.program.modules),
                )
            )  # fmt: skip
        there = {output.name for output in found}
        for metric, name, key in self.metrics:
            if name not in there:
                found.append(
                    Output(key=metric, name=name, seen=key, cell=int(key.partition(":")[0]), typed=Typed("float"))
                )
        for result in self.results:
            typed = types.of_value(self.context.value(result.seen), self.context.program.modules)
            found.append(msgspec.structs.replace(result, typed=typed))
        if len(found) == 1 and not self.metrics:
            return [msgspec.structs.replace(found[0], key="")]
        return found

    def _ending(self, outputs: list[Output], body: list[str]) -> tuple[list[str], Typed]:
        if self.group.kind == "report":
            return self._report(outputs)
        if not outputs:
            return [], Typed("None")
        if len(outputs) == 1 and not outputs[0].key:
            return self._single(outputs[0], body), outputs[0].typed
        typed = types.of_dict(o.typed for o in outputs)
        parts = ", ".join(f'"{o.key}": {self.local.get(o.name, o.name)}' for o in outputs)
        if self.metrics and {o.name for o in outputs} == {name for _, name, _ in self.metrics}:
            metrics = self._free("metrics")
            return [f"{metrics} = {{{parts}}}", f"rw.log_metrics({metrics})", f"return {metrics}"], Typed(
                "dict[str, float]"
            )
        logs = [f'rw.log_metric("{metric}", {name})' for metric, name, _ in self.metrics]
        return [*logs, f"return {{{parts}}}"], typed

    def _report(self, outputs: list[Output]) -> tuple[list[str], Typed]:
        lines = []
        text = "\n".join(ast.unparse(e.statement.node) for e in self.group.effects)
        plt = next((b for b, m in self.context.program.modules.items() if m == "matplotlib.pyplot"), "")
        if plt or re.search(r"\b(sns|seaborn)\.|\.plot\b|\.hist\(", text):
            if not plt:
                self.imports.append("from matplotlib import pyplot as plt")
            lines = [f'rw.log_figure({plt or "plt"}.gcf(), "{self.name}.png")', f'{plt or "plt"}.close("all")']
        if outputs:
            parts = ", ".join(f'"{o.key or o.name}": {self.local.get(o.name, o.name)}' for o in outputs)
            return [*lines, f"return {{{parts}}}"], types.of_dict(o.typed for o in outputs)
        return lines, Typed("None")

    def _single(self, output: Output, body: list[str]) -> list[str]:
        """Return the value: by the expression that makes it, where that is the last line."""
        name = self.local.get(output.name, output.name)
        prefix = f"{name} = "
        if body:
            head, _, last = (
                body[-1].rpartition("\n")
                if body[-1].startswith("#") and body[-1].count("\n") == 1
                else ("", "", body[-1])
            )
            plain = last.startswith(prefix) and "\n#" not in last and not head.startswith("\n")
            if plain and isinstance(_parsed(last), ast.Assign):
                body[-1] = "\n".join(filter(None, [head, f"return {last.removeprefix(prefix)}"]))
                return []
        return [f"return {name}"]

    def _decorator(self, outputs: list[Output]) -> str:
        values = [v for o in outputs if (v := self.context.value(o.seen)) is not None]
        if any(v.storable == "pickle" for v in values):
            return '@rw.step(format="pickle")'
        trusted = sorted({name for v in values for name in v.trusted})
        if trusted:
            listed = ", ".join(f'"{name}"' for name in trusted)
            return f"@rw.step(trusted=[{listed}])"
        return "@rw.step"


def _docstring(doc: str) -> str:
    lines = doc.replace("\\", "\\\\").replace('"""', "'''").strip().split("\n\n")
    if lines[0].endswith('"'):
        lines[0] += " "
    if len(lines) == 1 and len(lines[0]) <= 90 and "\n" not in lines[0]:
        return f'"""{lines[0]}"""'
    wrapped = ["\n".join(textwrap.wrap(part, 90)) for part in lines]
    return '"""' + "\n\n".join(wrapped) + '\n"""'


def _parsed(text: str) -> Any:
    try:
        return ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        return None


def _is_hidden(statement: ast.AST, node: ast.AST) -> bool:
    """Whether an expression stands inside an f-string, where its place in the text is not known."""
    return any(
        part is node for string in ast.walk(statement) if isinstance(string, ast.JoinedStr) for part in ast.walk(string)
    )
