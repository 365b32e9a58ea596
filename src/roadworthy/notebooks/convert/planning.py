"""From a program to the steps of a pipeline, written.

In: a program, and what was seen while the original ran (nothing, if it was not run). Out: a `Plan`: data sets, steps,
parameters, the model. Nothing is written to the disk. Called by `conversion.py`.
"""

import ast
import re

import msgspec

from roadworthy.notebooks.convert import data_sets, grouping, hoisting, model, names, naming, slicing, steps
from roadworthy.notebooks.convert.grouping import Crossing, Group
from roadworthy.notebooks.convert.hoisting import Hoisted
from roadworthy.notebooks.convert.model import Judged
from roadworthy.notebooks.convert.plan import DataSet, ModelPlan, Output, Step, Typed
from roadworthy.notebooks.convert.program import Program
from roadworthy.notebooks.convert.seen import Seen, key_of
from roadworthy.notebooks.convert.slicing import Slice
from roadworthy.notebooks.convert.steps import Context
from roadworthy.notebooks.convert.wording import Source
from roadworthy.nouns.errors import invalid

DOC_CHARS_MAX = 400
FEATURES_MAX = 200


class Plan(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All that a conversion is to write.

    Args:
        steps: in order.
        params: name to value.
        constants: name in the notebook to name in the module.
        used: names of the notebook's functions and constants that are needed.
    """

    program: Program
    hoisted: Hoisted
    slice: Slice
    seen: Seen | None
    steps: tuple[Step, ...]
    data: tuple[DataSet, ...]
    found: data_sets.Found
    params: dict[str, object]
    model: ModelPlan | None
    context: Context
    used: frozenset[str]


def make(program: Program, seen: Seen | None) -> Plan:
    """Plan a conversion.

    Raises:
        Fault: invalid when nothing is left to make a pipeline of.
    """
    hoisted = hoisting.hoist(program)
    cut = slicing.cut(program, hoisted, seen)
    if not cut.kept:
        raise invalid(
            "no cell makes anything that a pipeline could keep: they only look, or are left behind",
            where=str(program.notebook.path), fix='tag a cell "rw:step=NAME" to keep what it makes',
        )  # fmt: skip
    _refuse_shell(program, cut)
    found = data_sets.find(program, hoisted, cut.kept, seen)
    groups = grouping.group(program, hoisted, cut.kept, seen, tables=found.tables)
    groups = _without_tables(groups, found)
    judged = model.find(program, hoisted, cut.kept, seen)
    groups = _with_judged(groups, judged, found)
    used = _used(hoisted, cut)
    context = _context(program, hoisted, seen, found, used)
    taken = {*program.imports, *hoisted.definitions, *context.constants.values(), *context.params.values(), *found.all}
    taken.add("rw")
    written: list[Step] = []
    metrics: set[str] = set()
    for group in groups:
        name = naming.of_group(group, program, seen, _reserved(taken, judged, group))
        taken.add(name)
        step = steps.write(context, group, name, _doc(group, program, seen), metrics)
        written.append(step)
        for output in step.outputs:
            for effect in group.effects:
                if output.name in effect.touches:
                    context.steps[Crossing(output.name, effect.statement.key)] = (step, output)
    planned = None if judged is None else _model(judged, written, found, context, taken)
    params = {context.params[old]: hoisted.params[old] for old in context.params}
    return Plan(
        program=program, hoisted=hoisted, slice=cut, seen=seen, steps=tuple(written), data=tuple(found.all.values()),
        found=found, params=params, model=planned, context=context, used=used,
    )  # fmt: skip


def _refuse_shell(program: Program, cut: Slice) -> None:
    for statement in (effect.statement for effect in cut.kept):
        if "get_ipython" in statement.reads:
            raise invalid(
                "what is kept comes from a shell line or a magic, which a pipeline has not",
                where=f"{program.notebook.path} {program.name(statement.cell)} line {statement.node.lineno}",
                fix="write it in Python (subprocess.run, pathlib), or leave the cell behind (tag it rw:skip)",
            )


def _without_tables(groups: list[Group], found: data_sets.Found) -> list[Group]:
    """The groups but those that became data sets; a table that could not stand alone is made in a step after all."""
    kept: list[Group] = []
    for group in groups:
        keys = [e.statement.key for e in group.effects]
        if len(keys) == 1 and keys[0] in found.tables:
            continue
        for key in keys:
            if key in found.tables:
                del found.all[found.tables.pop(key).name]
        kept.append(group)
    return kept


def _with_judged(groups: list[Group], judged: Judged | None, found: data_sets.Found) -> list[Group]:
    """Let the groups give what the model is judged on, even if no step needs it."""
    if judged is None:
        return groups
    wanted = [(judged.name, judged.maker), (judged.rows, judged.rows_maker), *judged.through]
    if judged.apart and judged.label_maker is not None:
        wanted.append((judged.label, judged.label_maker))
    for name, maker in wanted:
        for place, group in enumerate(groups):
            keys = [e.statement.key for e in group.effects]
            if maker not in keys or any(c.name == name for c in group.gives):
                continue
            last = max(e.statement.key for e in group.effects if name in e.touches)
            gives = tuple(sorted({*group.gives, Crossing(name, last)}, key=lambda c: (c.maker, c.name)))
            groups[place] = msgspec.structs.replace(group, gives=gives)
    del found
    return groups


def _used(hoisted: Hoisted, cut: Slice) -> frozenset[str]:
    """The functions and constants that kept statements need, near or far."""
    reads: dict[str, frozenset[str]] = {n: d.uses for n, d in hoisted.definitions.items()}
    for name, statement in hoisted.constants.items():
        reads[name] = statement.reads
    waiting = [n for e in cut.kept for n in e.statement.reads] + [n for s in cut.settings for n in s.reads]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in reads and name not in found:
            found.add(name)
            waiting += reads[name]
    return frozenset(found)


def _context(
    program: Program, hoisted: Hoisted, seen: Seen | None, found: data_sets.Found, used: frozenset[str]
) -> Context:
    words = {n.id for s in program.statements for n in ast.walk(s.node) if isinstance(n, ast.Name)}
    # What a text mentions must keep its name.
    mentioned = {n for s in program.statements for n in names.mentioned(s.node)}
    constants: dict[str, str] = {}
    for name in hoisted.constants:
        wanted = name if name in mentioned else hoisting.upper(name)
        free = wanted == name or (wanted not in words and wanted not in constants.values())
        if name in used:
            constants[name] = wanted if free and wanted.isidentifier() else name
    params: dict[str, str] = {}
    # Only what a kept step reads; a parameter that nothing takes would be a riddle.
    read = {n for s in program.statements for n in hoisted.expanded(s.reads)}
    for name in hoisted.params:
        wanted = name if name in mentioned else hoisting.lower(name)
        free = (wanted == name or wanted not in words) and naming.usable(wanted, found.all)
        if name in read:
            params[name] = wanted if free else name
    return Context(
        program=program, hoisted=hoisted, seen=seen,
        sources={cell: Source(text) for cell, text in program.sources.items()},
        constants=constants, params=params, tables=found.tables, paths=found.paths, steps={},
    )  # fmt: skip


def _model(
    judged: Judged, written: list[Step], found: data_sets.Found, context: Context, taken: set[str]
) -> ModelPlan | None:
    """Steps that hand over the model alone and the hold-out as one table, where no step does so already."""
    made = _output(judged.name, judged.maker, written)
    rows = _output(judged.rows, judged.rows_maker, written)
    table = found.tables.get(judged.rows_maker)
    if made is None or (rows is None and table is None):
        return None
    step, output = made
    named = step.name
    if judged.through:
        parts = [_output(name, maker, written) for name, maker in judged.through]
        if any(part is None for part in parts):
            return None
        named = _free("model", taken)
        written.append(_composed(named, [*(part for part in parts if part is not None), made]))
    elif output.key:
        named = _free("model", taken)
        written.append(
            _picked(
                named, step, output, f'return {step.name}["{output.key}"]', "The model alone, as the gate takes it."
            )
        )
    label, holdout = judged.label, rows[0].name if rows is not None else (table.name if table else "")
    if judged.apart or rows is None or rows[1].key or not judged.table:
        label_from = None if judged.label_maker is None else _output(judged.label, judged.label_maker, written)
        if judged.apart and label_from is None:
            return None
        holdout = _free("holdout", taken)
        label = _label_name(judged, context)
        written.append(_holdout(holdout, judged, (rows, table, label_from), label, context))
    features = judged.features if 0 < len(judged.features) <= FEATURES_MAX else ()
    if not judged.table:
        features = ()
    slug = re.sub(r"[^a-z0-9]+", "-", context.program.notebook.path.stem.lower()).strip("-") or "model"
    return ModelPlan(
        name=slug if slug[0].isalpha() else f"model-{slug}", step=named, holdout=holdout, label=label,
        features=tuple(f for f in features if f != label), task=judged.task, measured=judged.measured,
        trusted=judged.trusted, classes=judged.classes,
    )  # fmt: skip


def _output(name: str, maker: tuple[int, int], written: list[Step]) -> tuple[Step, Output] | None:
    for step in written:
        if step.group is None or maker not in {e.statement.key for e in step.group.effects}:
            continue
        for output in step.outputs:
            if output.name == name:
                return step, output
    return None


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 2
    while not naming.usable(name, taken):
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return name


def _picked(name: str, step: Step, output: Output, line: str, doc: str) -> Step:
    returns = f" -> {output.typed.text}" if output.typed.text else ""
    typed = f": {step.typed.text}" if step.typed.text else ""
    text = f'@rw.step\ndef {name}({step.name}{typed}){returns}:\n    """{doc}"""\n    {line}'
    return Step(
        name=name, group=None, text=text, takes=(step.name,), metrics={}, cells=(output.cell,), typed=output.typed,
        outputs=(msgspec.structs.replace(output, key=""),), imports=(*step.typed.imports, *output.typed.imports),
    )  # fmt: skip


def _reserved(taken: set[str], judged: Judged | None, group: Group) -> set[str]:
    """Names that a group's step may not have: `model` is kept for the model that is judged, `holdout` for its rows."""
    if judged is None:
        return taken
    gives = [c.name for c in group.gives]
    own = {"model"} if gives == [judged.name] and not judged.through else set()
    if gives == [judged.rows] and judged.table and not judged.apart:
        own.add("holdout")
    return taken | ({"model", "holdout"} - own)


def _composed(name: str, parts: list[tuple[Step, Output]]) -> Step:
    """A step that puts fitted transformers and the model into one pipeline, which takes rows as they come."""
    arguments: dict[str, Typed] = {}
    values: list[str] = []
    for step, output in parts:
        arguments[step.name] = step.typed
        values.append(f'{step.name}["{output.key}"]' if output.key else step.name)
    typed = Typed("Pipeline", ("from sklearn.pipeline import Pipeline, make_pipeline",))
    signature = ", ".join(f"{a}: {t.text}" if t.text else a for a, t in arguments.items())
    doc = "What rows go through and the model, in one, so that it takes them as they come."
    body = f'"""{doc}"""\n    return make_pipeline({", ".join(values)})'
    text = f"@rw.step\ndef {name}({signature}) -> Pipeline:\n    {body}"
    return Step(
        name=name, group=None, text=text, takes=tuple(arguments), outputs=(), metrics={}, cells=(), typed=typed,
        imports=(*(line for t in arguments.values() for line in t.imports), *typed.imports),
    )  # fmt: skip


def _label_name(judged: Judged, context: Context) -> str:
    """What to call the label's column."""
    if not judged.apart:
        return judged.label
    value = context.value(key_of(judged.label_maker or judged.maker, judged.label))
    named = "" if value is None else value.facts.get("name", "")
    wanted = named if named.isidentifier() else "target"
    return wanted if wanted not in judged.features else "label"


def _holdout(
    name: str,
    judged: Judged,
    found: tuple[tuple[Step, Output] | None, DataSet | None, tuple[Step, Output] | None],
    label: str,
    context: Context,
) -> Step:
    rows, table, label_from = found
    arguments: dict[str, Typed] = {}
    frame = Typed("pd.DataFrame", ("import pandas as pd",))

    def value(made: tuple[Step, Output] | None) -> str:
        if made is None:
            assert table is not None
            arguments[table.name] = frame
            return table.name
        step, output = made
        arguments[step.name] = step.typed
        return f'{step.name}["{output.key}"]' if output.key else step.name

    text = value(rows)
    if not judged.table:
        text = f"pd.DataFrame({text}, columns=[f'x{{n}}' for n in range({text}.shape[1])])"
    if judged.apart:
        beside = value(label_from)
        found_value = context.value(key_of(judged.label_maker or judged.maker, judged.label))
        if found_value is not None and found_value.type == "pandas.Series":
            beside = f"{beside}.to_numpy()"
        text = f"{text}.assign({label}={beside})"
    signature = ", ".join(f"{a}: {t.text}" if t.text else a for a, t in arguments.items())
    doc = "The rows the model is judged on, which it was not fitted on, with what was true."
    body = f'@rw.step\ndef {name}({signature}) -> pd.DataFrame:\n    """{doc}"""\n    return {text}'
    imports = [line for t in (*arguments.values(), frame) for line in t.imports]
    return Step(
        name=name, group=None, text=body, takes=tuple(arguments), outputs=(), metrics={}, cells=(), typed=frame,
        imports=tuple(imports),
    )  # fmt: skip


def _doc(group: Group, program: Program, seen: Seen | None) -> str:
    """What a step does: by the words above its first cell, or by what it makes."""
    del seen
    for cell in group.cells:
        said = _plain(program.prose.get(cell, ""))
        if said:
            return said
    given = ", ".join(f"`{c.name}`" for c in group.gives if c.name != slicing.RANDOM)
    shown = f": {given}" if given else ""
    titles = [program.sections[c].title for c in group.cells if program.sections[c].title]
    if titles and group.kind == "prepare":
        return f"{_plain('# ' + titles[0])}"
    return {
        "prepare": f"Make {given} ready." if given else "Prepare.",
        "fit": f"Fit{' ' + given if given else ''}.",
        "measure": f"Measure how good it is{shown}." if given else "Measure how good it is.",
        "report": "What to look at.",
    }[group.kind]


def _plain(markdown: str) -> str:
    """Markdown as a docstring: the heading or first sentence, then the first paragraph."""
    text = re.sub(r"<!--.*?-->|!\[[^\]]*\]\([^)]*\)|<[^>]+>|```.*?```|\$\$.*?\$\$", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\n[=-]{3,}\s*(\n|$)", "\n\n", text)
    title = ""
    paragraphs: list[str] = []
    for block in re.split(r"\n\s*\n|(?=^#{1,6} )|(?<=\S)\n(?=#)", text, flags=re.MULTILINE):
        lines = block.strip().splitlines()
        if lines and lines[0].lstrip().startswith("#"):
            title, paragraphs = lines[0].lstrip("# ").strip(), []
            lines = lines[1:]
        joined = " ".join(line.strip() for line in lines).strip()
        if joined and not joined.startswith(("|", "-", "*", ">", "1.", "$", "..", "\\")):
            paragraphs.append(joined)
    clean = [
        re.sub(r"(\*\*|__|`{2}|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w))", "", p) for p in (title, *paragraphs[:1]) if p
    ]
    clean = [_sentences(p) for p in clean]
    return "\n\n".join(p for p in clean if p)


def _sentences(text: str) -> str:
    """The first sentences that fit."""
    kept = ""
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        if kept and len(kept) + len(sentence) > DOC_CHARS_MAX:
            break
        kept = f"{kept} {sentence}".strip()
    kept = kept[:DOC_CHARS_MAX].rstrip(" :;,")
    return kept if not kept or kept[-1] in ".!?" else f"{kept}."
