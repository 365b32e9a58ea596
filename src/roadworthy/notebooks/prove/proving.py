"""Runs the pipeline in clean processes and holds every value it hands over against the original's.

In: a plan, the original's values, and the folder in which the pipeline was written. Out: a `Proof`, and how good the
model is by the gate's measures. Called by `conversion.py`.
"""

import datetime as dt
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from roadworthy.notebooks.convert.module import ENTRY
from roadworthy.notebooks.convert.plan import Output, Step
from roadworthy.notebooks.convert.planning import Plan
from roadworthy.notebooks.convert.seen import Seen
from roadworthy.notebooks.prove import comparing
from roadworthy.notebooks.prove.comparing import Answer, Judge, Order, Pair
from roadworthy.notebooks.prove.proof import Compared, NotCompared, Proof, Verdict
from roadworthy.nouns.errors import Fault, unavailable
from roadworthy.nouns.project import Place
from roadworthy.nouns.run import Run
from roadworthy.nouns.step import StepRun
from roadworthy.pipelines import runner
from roadworthy.registry import metrics
from roadworthy.store import project_file
from roadworthy.store.store import open_store

COMPARING_S_MAX = 1800.0
LEFT_SHOWN = 60


def prove(
    plan: Plan, seen: Seen, values: Path, project: Path, *, tolerance: float, tell: Callable[[str], None]
) -> tuple[Proof, dict[str, float]]:
    """Run the pipeline and compare.

    Args:
        plan: what was written.
        seen: the original, run; its values are in `values`.
        project: a copy of the project that was written, to run in.
        tolerance: of floating-point numbers.
        tell: told what happens.
    """
    place = project_file.read(project / project_file.FILE)
    begun = time.monotonic()
    with open_store(place.home) as store:
        try:
            run = runner.run(store, place, progress=lambda line: tell(f"pipeline: {line}"))
        except Fault as fault:
            return _none(plan, seen, tolerance, f"the pipeline cannot be run: {fault}"), {}
        took = time.monotonic() - begun
        logged = metrics.latest(store, run.id)
    if run.status != "finished":
        return _none(plan, seen, tolerance, _failure(run)), {}
    pairs, missing = _pairs(plan, seen, values, run)
    answer = _compared(place, pairs, _judge(plan, run), tolerance)
    found, uncompared = _told(plan, answer)
    found += _metrics(plan, seen, logged, tolerance)
    missing += uncompared
    first = next((c for c in found if c.verdict == "different"), None)
    verdict: Verdict = "different" if first else "within tolerance" if any(c.largest for c in found) else "identical"
    reason = ""
    unread = [m for m in uncompared if m.what]
    if not found:
        verdict, reason = "not proven", "nothing could be compared"
    elif first is None and unread:
        verdict, reason = "not proven", f"{unread[0].what} could not be compared: {unread[0].why}"
    proof = Proof(
        notebook=plan.program.notebook.path.name, verdict=verdict, compared=tuple(found), reason=reason,
        not_compared=(*missing, *_left(plan)), first=first, tolerance=tolerance, original_s=seen.wall_s,
        pipeline_s=took, python=platform.python_version(), packages=seen.packages,
        at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    return proof, answer.measured


def not_run(plan: Plan) -> Proof:
    """What is said where no proof was asked for."""
    return Proof(
        notebook=plan.program.notebook.path.name, verdict="not proven", not_compared=_left(plan),
        reason="it was not asked for (--no-proof): nobody has seen that the pipeline does what the notebook does",
    )  # fmt: skip


def copied(project: Path, target: Path) -> Path:
    """A copy of a project to run in, so that the one which is handed over stays as it was written."""
    shutil.copytree(project, target)
    return target


def _none(plan: Plan, seen: Seen, tolerance: float, reason: str) -> Proof:
    return Proof(
        notebook=plan.program.notebook.path.name, verdict="failed", reason=reason, not_compared=_left(plan),
        tolerance=tolerance, original_s=seen.wall_s, python=platform.python_version(), packages=seen.packages,
    )  # fmt: skip


def _failure(run: Run) -> str:
    for step in run.steps:
        if step.status == "failed":
            lines = (step.error or "").strip().splitlines()
            return f"the step `{step.step}` fails: {lines[-1] if lines else 'without a word'}"
    return f"the pipeline's run ended as {run.status}: {run.error or ''}".rstrip(": ")


def _pairs(plan: Plan, seen: Seen, values: Path, run: Run) -> tuple[list[Pair], list[NotCompared]]:
    done = {step.step: step for step in run.steps}
    pairs: list[Pair] = []
    missing: list[NotCompared] = []
    for table in plan.found.tables.values():
        value = seen.values[table.seen]
        pairs.append(Pair(what=table.name, file=str(values / value.file), snapshot=run.snapshots[table.name]))
    for step in plan.steps:
        if step.group is None:
            continue
        for output in step.outputs:
            found = seen.values.get(output.seen)
            what = shown(step, output)
            made: StepRun | None = done.get(step.name)
            if found is None or not found.file or made is None or made.output is None:
                missing.append(
                    NotCompared(what, (found.why if found else "") or "the notebook's value was not taken down")
                )
                continue
            pairs.append(Pair(what=what, file=str(values / found.file), value=made.output, key=output.key))
    results = {(s.cell, s.place) for s in plan.program.statements if s.results}
    for key, value in seen.values.items():
        cell, place = (int(part) for part in re.split("[:#]", key)[:2])
        if value.storable == "no" and (cell, place) in results:
            missing.append(NotCompared(f"`{key.rpartition(':')[2]}`, {plan.program.name(cell)}", value.why))
    return pairs, missing


def shown(step: Step, output: Output) -> str:
    """How an output is called in the report."""
    return f'{step.name}["{output.key}"]' if output.key else step.name


def _judge(plan: Plan, run: Run) -> Judge | None:
    model = plan.model
    outputs = {step.step: step.output for step in run.steps}
    if model is None or outputs.get(model.step) is None:
        return None
    value, holdout = outputs[model.step], outputs.get(model.holdout)
    assert value is not None
    return Judge(
        model=value, holdout=holdout, snapshot=run.snapshots.get(model.holdout, ""), label=model.label,
        features=model.features, task=model.task,
    )  # fmt: skip


def _compared(place: Place, pairs: list[Pair], judge: Judge | None, tolerance: float) -> Answer:
    folder = place.root.parent
    order, answer = folder / "compare.json", folder / "compared.json"
    order.write_bytes(
        msgspec.json.encode(
            Order(
                root=str(place.root),
                home=str(place.home),
                entry=ENTRY,
                pairs=tuple(pairs),
                tolerance=tolerance,
                judge=judge,
            )
        )
    )
    try:
        done = subprocess.run(
            [sys.executable, "-m", comparing.__name__, str(order), str(answer)], capture_output=True, text=True,
            timeout=COMPARING_S_MAX, check=False, cwd=place.root,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise unavailable(f"comparing took longer than {COMPARING_S_MAX:.0f} s", where=str(place.root)) from None
    if done.returncode or not answer.exists():
        raise unavailable(
            f"the comparison ended early (exit code {done.returncode})", where=comparing.__name__,
            detail={"stderr": done.stderr[-4000:]}, fix=done.stderr.strip().rpartition("\n")[2][:300],
        )  # fmt: skip
    return msgspec.json.decode(answer.read_bytes(), type=Answer)


def _told(plan: Plan, answer: Answer) -> tuple[list[Compared], list[NotCompared]]:
    places = {shown(s, o): f"`{o.name}`, {plan.program.name(o.cell)}" for s in plan.steps for o in s.outputs}
    places |= {t.name: f"`{t.function}`, {plan.program.name(t.cell)}" for t in plan.found.tables.values()}
    tables = {t.name for t in plan.found.tables.values()}
    found: list[Compared] = []
    missing: list[NotCompared] = []
    for each in answer.found:
        if each.likeness is None:
            missing.append(NotCompared(each.what, each.why))
            continue
        found.append(
            Compared(
                what=each.what, notebook=places.get(each.what, ""), kind="data" if each.what in tables else "value",
                type=each.type, size=each.size, verdict=each.likeness.verdict, where=each.likeness.where,
                found=each.likeness.found or each.answers, largest=each.likeness.largest,
            )
        )  # fmt: skip
    return found, missing


def _metrics(plan: Plan, seen: Seen, logged: dict[str, float], tolerance: float) -> list[Compared]:
    """The run's metrics against the numbers that the notebook found."""
    found: list[Compared] = []
    for step in plan.steps:
        for metric, key in step.metrics.items():
            value = seen.values.get(key)
            if value is None or value.number is None:
                continue
            found.append(_metric(metric, key, plan, (value.number, logged.get(metric)), tolerance))
    return found


def _metric(metric: str, key: str, plan: Plan, numbers: tuple[float, float | None], tolerance: float) -> Compared:
    there, here = numbers
    size = abs(here - there) if here is not None else float("inf")
    near = size <= tolerance * max(1.0, abs(there))
    return Compared(
        what=f"metric {metric}", notebook=plan.program.name(int(key.partition(":")[0])), kind="metric", type="number",
        verdict="identical" if size == 0 else "within tolerance" if near else "different",
        found=f"{there:.6g}" if size == 0 else f"{there!r} in the notebook, {here!r} in the pipeline",
        largest=size if near else 0.0,
    )  # fmt: skip


def _left(plan: Plan) -> tuple[NotCompared, ...]:
    """What the pipeline leaves behind is not compared: the report says so."""
    found = [NotCompared(f"{plan.program.name(cell)}", f"left behind: {why}") for cell, why in plan.slice.left]
    reports = [s for s in plan.steps if s.group is not None and s.group.kind == "report"]
    found += [
        NotCompared(f"step {s.name}", "a report: its figures and what it prints are not compared") for s in reports
    ]
    more = len(found) - LEFT_SHOWN
    return (*found[:LEFT_SHOWN], *([NotCompared("and", f"{more} more")] if more > 0 else []))
