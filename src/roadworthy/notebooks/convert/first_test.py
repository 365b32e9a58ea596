"""Writes a project's first test: steps called as the plain functions they are, on the project's data.

In: a plan. Out: the text of `test_pipeline.py`, empty when no step can be called by itself. What is asserted was seen
while the original ran. Called by `project_files.py`.
"""

from roadworthy.notebooks.convert import module
from roadworthy.notebooks.convert.plan import Step
from roadworthy.notebooks.convert.planning import Plan

STEPS_MAX = 3
COLUMNS_MAX = 4
ASSERTS_MAX = 4


def text(plan: Plan) -> str:
    """The first test."""
    chosen = _chosen(plan)
    if not chosen:
        return ""
    taken = {name for step in chosen for name in step.takes}
    data = {d.name: d for d in plan.data if d.name in taken}
    imports = ["import pipeline"]
    if any(d.function for d in data.values()):
        imports.append(f"import {module.sources_name(plan)}")
    from_file = any(d.path for d in data.values()) or bool(taken & plan.params.keys())
    if from_file:
        imports += ["import tomllib", "from pathlib import Path"]
    lines = ['"""Steps are plain functions: they are tested by calling them."""', "", *imports, ""]
    if from_file:
        lines += ["ROOT = Path(__file__).parent", 'PROJECT = tomllib.loads((ROOT / "roadworthy.toml").read_text())', ""]
    for step in chosen:
        calls = [_call(plan, each) for each in _before(step, chosen)]
        lines += ["", "", f"def test_{step.name}():", *(f"    {line}" for line in (*calls, *_asserts(plan, step)))]
    return module.formatted("\n".join(lines) + "\n")


def _chosen(plan: Plan) -> list[Step]:
    """The first steps that need only data, parameters and each other, and log nothing."""
    chosen: list[Step] = []
    made = {d.name for d in plan.data} | plan.params.keys()
    for step in plan.steps:
        plain = step.group is not None and step.group.kind not in {"report", "fit"} and "rw.log_" not in step.text
        if plain and set(step.takes) <= made and _asserts(plan, step) and len(chosen) < STEPS_MAX:
            chosen.append(step)
            made = made | {step.name}
    return chosen


def _before(step: Step, chosen: list[Step]) -> list[Step]:
    """A step and those it needs, in order."""
    needed = {step.name}
    for each in reversed(chosen):
        if each.name in needed:
            needed |= set(each.takes)
    return [each for each in chosen if each.name in needed and chosen.index(each) <= chosen.index(step)]


def _call(plan: Plan, step: Step) -> str:
    data = {d.name: d for d in plan.data}
    given = []
    for name in step.takes:
        if name in data:
            value = (
                f'ROOT / PROJECT["data"]["{name}"]["path"]'
                if data[name].path
                else f"{module.sources_name(plan)}.{name}()"
            )
        elif name in plan.params:
            value = f'PROJECT["params"]["{name}"]'
        else:
            value = name
        given.append(value if value == name else f"{name}={value}")
    return f"{step.name} = pipeline.{step.name}({', '.join(given)})"


def _asserts(plan: Plan, step: Step) -> list[str]:
    found: list[str] = []
    for output in step.outputs:
        value = plan.context.value(output.seen)
        if value is None:
            continue
        made = f'{step.name}["{output.key}"]' if output.key else step.name
        if value.columns:
            found += [f"assert not {made}.empty", f"assert {_set(value.columns)} <= set({made}.columns)"]
        elif value.shape and value.shape[0]:
            found.append(f"assert len({made}) > 0")
        elif value.number is not None:
            found.append(f"assert abs({made} - {value.number!r}) < 1e-6")
    return found[:ASSERTS_MAX]


def _set(columns: tuple[str, ...]) -> str:
    return "{" + ", ".join(repr(c) for c in dict.fromkeys((*columns[: COLUMNS_MAX - 1], columns[-1]))) + "}"
