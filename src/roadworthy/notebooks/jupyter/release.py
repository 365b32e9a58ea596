"""`rw.release(model)`: from a notebook, register a model, judge it, certify it and release it, or say why not.

In: a fitted model and the rows it is judged on. Out: a `Released`, which shows itself; or the gate's refusal. Called by
users; each line of it is a room's. The project's file says what the model is called, its rules and its targets: a gate
that a notebook could set for itself would be none.
"""

import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.data.formats import registry as formats
from roadworthy.gates import certificate as certificates
from roadworthy.gates import gate
from roadworthy.notebooks.execute.kernel import TRIAL
from roadworthy.notebooks.jupyter import shown
from roadworthy.nouns.certificate import Certificate
from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import ModelSpec, Place
from roadworthy.nouns.run import Run
from roadworthy.nouns.step import StepRun, Value
from roadworthy.pipelines import registration
from roadworthy.registry import runs, surroundings
from roadworthy.releases import grounds
from roadworthy.releases import plan as plans
from roadworthy.releases.apply import apply
from roadworthy.serving.signature import as_frame
from roadworthy.store import project_file
from roadworthy.store.store import Store, open_store

# How notebooks call the rows a model was not trained on: features and label, side by side.
PAIRS = (("X_test", "y_test"), ("X_holdout", "y_holdout"), ("X_valid", "y_valid"), ("X_val", "y_val"))
ROWS = ("holdout", "test", "df_test", "test_df")
Rows = tuple[tuple[str, str, str, str], ...]


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; Jupyter shows it as a table.

    Args:
        model: such as `late-flights@3`.
        certificate: its id.
        status: `live`, or `canary` when it begins with a share of the traffic.
        target, url: where it answers.
        outcomes: of each rule: mark, rule, what was measured, what would pass.
    """

    model: str
    certificate: str
    status: str
    target: str
    url: str
    outcomes: Rows

    def __repr__(self) -> str:
        return shown.released_text(self.outcomes, self._head, self._tail)

    def _repr_html_(self) -> str:
        return shown.released_html(self.outcomes, self._head, self._tail, passed=True)

    @property
    def _head(self) -> str:
        share = "is live" if self.status == "live" else f"began as a {self.status}"
        return f"{self.model} {share} on {self.target}{': ' if self.url else ''}{self.url}"

    @property
    def _tail(self) -> str:
        return f"certificate {self.certificate[:16]}"


def release(model: Any, holdout: Any = None, *, to: str = "", name: str = "") -> Released | None:
    """Register, gate, certify and release a model.

    Args:
        model: fitted, of a kind the store keeps (scikit-learn, ONNX).
        holdout: a table of rows it was not trained on, features and label; a pair of features and label; or None for
            those that the notebook has: the name in `[model] holdout`, or X_test and y_test.
        to: the target; that of [operate], or the only one, by default.
        name: what to call the run.

    Returns:
        What came of it; None in a trial, such as the proof of a conversion, where nothing is done.

    Raises:
        Fault: refused when a rule of the gate says no, and nothing is released; invalid outside a project, or without
            rows to judge on.

    Example:
        >>> rw.release(model)  # doctest: +SKIP
    """
    if os.environ.get(TRIAL):
        sys.stdout.write("not released: this is a trial of the notebook\n")
        return None
    place = _place()
    spec = place.project.model
    if spec is None:
        raise invalid("the project has no [model]", where=str(place.root / project_file.FILE), fix="add [model]")
    rows = _rows(holdout, spec)
    target = grounds.default(place, to)
    progress = shown.Progress()
    try:
        with open_store(place.home, url=place.project.project.store) as store:
            progress("registering")
            run = _run(store, place, _stored(store, place, model, rows), name)
            registered = registration.register(store, place, run)
            return _through(store, place, registered, target, progress)
    finally:
        progress.end()


def _through(store: Store, place: Place, model: Model, target: str, progress: shown.Progress) -> Released:
    """Through the gate, and out."""
    judged = gate.pass_through(store, place, model, progress=progress)
    outcomes = _outcomes(judged.certificate)
    if not judged.certificate.passed:
        progress.end()
        _show(outcomes, f"{model.id} was refused; nothing was released", f"certificate {judged.certificate.id[:16]}")
        gate.refuse_unless_passed(judged.certificate)
    plan = plans.make(store, model, certificates.require(store, model), place, target)
    done = apply(store, plan, place, progress=progress)
    url = grounds.open_target(store, place, target).observe().url
    return Released(
        model=model.id,
        certificate=judged.certificate.id,
        status=done.status,
        target=target,
        url=url or "",
        outcomes=outcomes,
    )


def _place() -> Place:
    path = project_file.find(Path.cwd())
    if path is None:
        raise not_found(
            "no roadworthy.toml here or above: it says by which rules a model may go out",
            where=str(Path.cwd()),
            fix="make a project of this notebook: rw new my-model --from-notebook NOTEBOOK",
        )
    return project_file.read(path)


def _rows(holdout: Any, spec: ModelSpec) -> Any:
    """The rows to judge on, as one table with the label."""
    if holdout is None:
        holdout = _found(_names(), spec)
    if isinstance(holdout, tuple) and len(holdout) == 2:
        features, labels = holdout
        table = _table(features, spec)
        if spec.label not in table.columns:
            table = table.assign(**{spec.label: getattr(labels, "to_numpy", lambda: labels)()})
        holdout = table
    table = as_frame(holdout)
    if spec.label not in [str(column) for column in table.columns]:
        raise invalid(
            f"the rows to judge on have no column `{spec.label}`, the label of [model]",
            fix=f"rw.release(model, (X_test, y_test)), or a table with a column `{spec.label}`",
        )
    return table


def _table(features: Any, spec: ModelSpec) -> Any:
    """Features as a table; an array has the names that [model] gives its columns, if they are as many."""
    if hasattr(features, "dtype") and getattr(features, "ndim", 0) == 2:
        if features.shape[1] != len(spec.features):
            raise invalid(
                f"the rows are an array of {features.shape[1]} columns without names, and [model] features has"
                f" {len(spec.features)}",
                fix="give a table, or name the columns under [model] features",
            )
        import pandas as pd

        return pd.DataFrame(features, columns=list(spec.features))
    return as_frame(features)


def _found(names: dict[str, Any], spec: ModelSpec) -> Any:
    for features, labels in PAIRS:
        if features in names and labels in names:
            return names[features], names[labels]
    for each in (spec.holdout, *ROWS):
        if hasattr(names.get(each), "columns"):
            return names[each]
    raise invalid(
        "which rows the model is to be judged on is not said, and the notebook has none under a name known for it",
        fix=f"rw.release(model, (X_test, y_test)), or name the table `{spec.holdout}`",
    )


def _names() -> dict[str, Any]:
    """The notebook's names; those of the script outside of one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return dict(shell.user_ns) if shell is not None else vars(sys.modules["__main__"])


def _stored(store: Store, place: Place, model: Any, rows: Any) -> tuple[Value, Value]:
    spec = place.project.model
    assert spec is not None
    try:
        value = formats.save(store.blobs, model, trusted=spec.trusted, keys=store.keys)
    except Fault as fault:
        raise Fault(fault.code, f"the model cannot be kept: {fault.what}", where=fault.where, fix=fault.fix) from None
    return value, formats.save(store.blobs, rows, keys=store.keys)


def _run(store: Store, place: Place, values: tuple[Value, Value], name: str) -> Run:
    """A run of the notebook as it is now, with the model and the rows as what its steps made."""
    spec = place.project.model
    assert spec is not None
    begun = runs.start(
        store,
        Run(
            id="",
            project=place.project.name,
            name=name or "released from a notebook",
            params=dict(place.project.params),
            command="rw.release",
            code=surroundings.code(store.blobs, place.root, surroundings.script()),
            environment=surroundings.environment(),
        ),
    )
    steps = [
        StepRun(step=spec.step, status="ran", why="made in the notebook", output=values[0]),
        StepRun(step=spec.holdout, status="ran", why="made in the notebook", output=values[1]),
    ]
    runs.settle_steps(store, begun.id, list(enumerate(steps)))
    return runs.finish(store, begun.id, "finished")


def _outcomes(made: Certificate) -> Rows:
    found = []
    for one in made.outcomes:
        mark = "pass" if one.passed else "FAIL" if one.level == "error" else "warn"
        measured = ", ".join(f"{name} = {_short(value)}" for name, value in one.measured.items()) or one.problem or "-"
        found.append((mark, one.name, measured, "" if one.passed else one.would_pass or one.rule))
    return tuple(found)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:60]


def _show(outcomes: Rows, head: str, tail: str) -> None:
    if "IPython" not in sys.modules:
        return
    text, markup = shown.released_text(outcomes, head, tail), shown.released_html(outcomes, head, tail, passed=False)
    shown.display(None, text, markup)
