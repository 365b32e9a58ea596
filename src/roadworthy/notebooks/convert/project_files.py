"""Writes what stands around the pipeline: `roadworthy.toml` with data sets, parameters, model and rules; a first test.

In: a plan. Out: relative path to content of every file. Called by `conversion.py`.
"""

import json
import math
import os
import re
from pathlib import Path

from roadworthy.notebooks.convert import data_sets, first_test, module
from roadworthy.notebooks.convert.plan import ModelPlan
from roadworthy.notebooks.convert.planning import Plan
from roadworthy.notebooks.convert.seen import Value

IGNORED = ".roadworthy/\n__pycache__/\n.ipynb_checkpoints/\n.pytest_cache/\n"
# How far below what the notebook found a measure may fall before the gate refuses.
SLACK = 0.03
_LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})
_GATED = {
    "classification": ("auc", "accuracy", "precision", "recall", "f1", "average_precision", "brier", "log_loss"),
    "multiclass": ("accuracy", "f1_macro", "precision_macro", "recall_macro", "auc_ovr", "log_loss"),
    "regression": ("r2", "rmse", "mae"),
}
_SCORES = {"classification": "accuracy", "multiclass": "accuracy", "regression": "r2"}
# The measure that every project of a task is gated by.
_MAIN = {"classification": "auc", "multiclass": "accuracy", "regression": "r2"}


def files(plan: Plan, name: str, target: Path) -> dict[str, bytes]:
    """The project's files.

    Args:
        plan: what to write.
        name: of the project.
        target: the folder they will lie in; data is named relative to it.
    """
    texts = {
        "pipeline.py": module.pipeline(plan),
        "roadworthy.toml": _toml(plan, name, target),
        ".gitignore": IGNORED,
        "README.md": _readme(plan, name),
    }
    sources = module.sources(plan)
    if sources:
        texts[f"{module.sources_name(plan)}.py"] = sources
    test = first_test.text(plan)
    if test:
        texts["test_pipeline.py"] = test
    found = {path: text.encode() for path, text in texts.items()}
    for path in data_sets.local_modules(plan.program):
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            found.setdefault(file.relative_to(path.parent).as_posix(), file.read_bytes())
    return found


def _toml(plan: Plan, name: str, target: Path) -> str:
    title = _title(plan)
    lines = ["# `rw schema` prints what may stand here; every mistake is named with its line.", "[project]"]
    lines += [f"name = {_text(name)}", f"description = {_text(title)}", ""]
    if plan.data:
        lines.append(_rule("what it learns from"))
    for each in plan.data:
        lines.append(f"[data.{each.name}]")
        if each.path:
            lines.append(f"path = {_text(_relative(each.path, plan.program.notebook.path.parent, target))}")
        else:
            lines.append(f'python = "{module.sources_name(plan)}:{each.name}"')
        value = plan.context.value(each.seen)
        lines += _contract(each.name, value) if value is not None else [""]
    lines += [_rule("how it is made"), "[pipeline]", f'module = "{module.ENTRY}"', ""]
    if plan.params:
        lines.append("[params]")
        lines += [f"{_key(key)} = {_value(value)}" for key, value in plan.params.items()]
        lines.append("")
    lines += _model(plan.model, name) if plan.model is not None else [_NO_MODEL, ""]
    return "\n".join(lines).rstrip() + "\n"


_NO_MODEL = """\
# The notebook judges no model of classes or a number on rows held out, so nothing can be gated yet: let steps
# return the model and the rows it is judged on, and name them.
# [model]
# name = "my-model"
# step = "model"
# holdout = "holdout"
# label = "target"
#
# [gate]
# rules = ["metrics.auc >= 0.7"]"""


def _contract(name: str, value: Value) -> list[str]:
    rows = value.shape[0] if value.shape else 0
    return [
        "",
        f"[data.{name}.contract]",
        "# half of what the notebook had: a table cut short must not train a model",
        f"rows = {{ min = {max(1, rows // 2)} }}",
        "",
    ]


def _model(model: ModelPlan, name: str) -> list[str]:
    lines = ["[model]", f"name = {_text(name)}", f'step = "{model.step}"', f'holdout = "{model.holdout}"']
    lines.append(f"label = {_text(model.label)}")
    if model.features:
        lines.append(f"features = {_listed(model.features)}")
    if model.task != "classification":
        lines.append(f'task = "{model.task}"')
    if model.trusted:
        lines.append(f"trusted = {_listed(model.trusted)}")
    lines += ["", _rule("what it must be to go into production"), "[gate]", "rules = ["]
    lines += [f"    {line}," for line in _rules(model)]
    lines += ["]", "", _rule("where it runs"), "[release.local]", "port = 8600", ""]
    lines += [
        _rule("what is watched"), "[monitor.drift]", 'window = "1d"', "min_rows = 100",
        'rules = [{ rule = "drift.large.count == 0", name = "the world looks as it did in training" }]', "",
    ]  # fmt: skip
    return lines


def _rules(model: ModelPlan) -> list[str]:
    found: list[str] = []
    said = {_SCORES[model.task] if key == "score" else key: value for key, value in model.measured.items()}
    main = _MAIN[model.task]
    for metric in _GATED[model.task]:
        if metric not in said and metric != main:
            continue
        # What the gate will measure on these rows, where that is known: the notebook may have used others.
        value = model.gated.get(metric, said.get(metric))
        if value is not None and math.isfinite(value):
            sign, limit = _limit(metric, value)
            name = f"as good as in the notebook: {metric}"
            found.append(f'{{ rule = "metrics.{metric} {sign} {limit:g}", name = "{name}" }}')
    if not found:
        least = {"auc": 0.5, "accuracy": 1 / model.classes}.get(main, 0.0)
        found.append(f'{{ rule = "metrics.{main} >= {least:g}", name = "better than guessing" }}')
    found.append(
        f'{{ rule = "metrics.{main} >= champion.metrics.{main} - 0.01", name = "no worse than the champion" }}'
    )
    found.append('{ rule = "data.contract.failed == 0", name = "the data kept its contract" }')
    found.append('{ rule = "cost.p99_ms <= 100", name = "answers at once", level = "warn" }')
    return found


def _limit(metric: str, value: float) -> tuple[str, float]:
    """What the gate asks for, a little less than what the notebook found."""
    if metric in _LOWER_IS_BETTER:
        return "<=", float(f"{value * (1 + 2 * SLACK):.3g}")
    return ">=", math.floor((value - SLACK) * 100) / 100


def _readme(plan: Plan, name: str) -> str:
    gated = (
        "rw gate             judge the model by the rules of roadworthy.toml, and certify it\n"
        "rw release          serve the certified model on this machine\n"
    )
    rows = [
        "| `roadworthy.toml` | data, parameters, rules, releases, monitors |",
        "| `pipeline.py` | the steps from data to model |",
    ]
    if plan.found.tables:
        rows.append(f"| `{module.sources_name(plan)}.py` | where the data comes from |")
    beside = ", ".join(f"`{path.name}`" for path in data_sets.local_modules(plan.program))
    if beside:
        rows.append(f"| {beside} | what the notebook imports from its folder, as it lay there |")
    if first_test.text(plan):
        rows.append("| `test_pipeline.py` | a first test of the steps |")
    if plan.seen is not None:
        rows.append("| `proof.html` | that the pipeline does what the notebook does: what was compared |")
    return (
        f"# {name}\n\n{_title(plan)}\n\n```\nrw run              train; only what changed runs again\n"
        f"{gated if plan.model else ''}```\n\n| file | is |\n|---|---|\n" + "\n".join(rows) + "\n"
    )


def _title(plan: Plan) -> str:
    for cell in plan.program.notebook.cells:
        if cell.kind == "markdown":
            found = re.search(r"^\s{0,3}#\s+(.+?)\s*#*\s*$", cell.source, re.MULTILINE)
            if found:
                return re.sub(r"[`*_$]|<[^>]+>", "", found[1]).strip()
    return plan.program.notebook.path.stem.replace("_", " ")


def _relative(path: str, folder: Path, target: Path) -> str:
    whole = Path(os.path.normpath(folder.absolute() / path))
    if Path(path).is_absolute():
        return str(whole)
    return os.path.relpath(whole, target.absolute()).replace(os.sep, "/")


def _rule(text: str) -> str:
    return f"# --- {text} {'-' * (113 - len(text))}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _listed(values: tuple[str, ...]) -> str:
    line = ", ".join(_text(v) for v in values)
    if len(line) <= 90:
        return f"[{line}]"
    rows, row = [], ""
    for value in values:
        part = f"{_text(value)}, "
        if len(row) + len(part) > 110:
            rows.append(row.rstrip())
            row = ""
        row += part
    rows.append(row.rstrip())
    return "[\n" + "\n".join(f"    {r}" for r in rows) + "\n]"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(part) for part in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    return str(value)
