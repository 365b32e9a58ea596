"""A finished run's model becomes a version: with its signature, its hold-out rows, and the profile of what it saw.

In: a finished run of a project with `[model]`. Out: the registered `Model`; the run carries its metrics. Called by
`rw run` and by operate/road.py.
"""

from typing import Any

import msgspec

from roadworthy.data.formats import registry as formats
from roadworthy.data.sensitive import sensitive_columns
from roadworthy.gates.measures import drift, performance
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.model import Model, Signature
from roadworthy.nouns.project import ModelSpec, Place
from roadworthy.nouns.run import MetricPoint, Run
from roadworthy.nouns.step import Value
from roadworthy.pipelines.graph import nearest
from roadworthy.registry import metrics, models
from roadworthy.serving import model as served
from roadworthy.serving import signature
from roadworthy.store.store import Store


def register(store: Store, place: Place, run: Run) -> Model:
    """Register the model that a run made; the same model again is the same version.

    Args:
        run: finished, with the outputs of the model's step and of the hold-out's.

    Raises:
        Fault: invalid when the project names no model, the run did not make it, or the hold-out lacks its columns.
    """
    spec = place.project.model
    if spec is None:
        raise invalid("the project has no [model]", where="roadworthy.toml", fix="add [model] to register one")
    value, holdout = _output(run, spec.step, "step"), _output(run, spec.holdout, "holdout")
    known = _known(store, place, run, (value, holdout))
    if known is not None:
        _carry_metrics(store, known.run, run.id)
        return known
    rows = signature.as_frame(formats.load(store.blobs, holdout, keys=store.keys))
    model = _describe(place, spec, run, rows, (value, holdout))
    model = msgspec.structs.replace(model, signature=_widened(store, run, model))
    if spec.task == "multiclass":
        model = with_classes(model, formats.load(store.blobs, value, trusted=spec.trusted, keys=store.keys), rows)
    predictor = served.predictor(store.blobs, model, keys=store.keys)
    scores, said = predictor.predict(rows), predictor.said(rows)
    labels = rows[spec.label].to_numpy()
    measured = performance.measure(
        labels, said, task=spec.task, threshold=spec.threshold, classes=model.classes
    )  # fmt: skip
    metrics.log(store, run.id, [MetricPoint(key=name, value=float(found)) for name, found in measured.items()])
    same = _same(store, model)
    if same is not None:
        return same
    # A profile holds values as they are; those of sensitive columns stay where they were.
    hidden = sensitive_columns(place.project)
    columns = tuple(field.name for field in model.signature.inputs if field.name not in hidden)
    profile = store.blobs.put(drift.encode(drift.profile(rows, columns, scores)))
    return models.register(store, msgspec.structs.replace(model, profile=profile))


def with_classes(model: Model, estimator: Any, rows: Any) -> Model:
    """A multi-class model that says which classes it tells apart; those of the rows when it does not know its own."""
    classes = served.classes_of(estimator) or tuple(sorted(set(rows[model.label].tolist())))
    if len(classes) < 2 or not all(isinstance(value, str | int | float | bool) for value in classes):
        raise invalid(
            f"the classes {classes!r:.80} are no texts and no numbers", where="roadworthy.toml [model]",
            fix="train on a label of texts or numbers, with two values or more",
        )  # fmt: skip
    value = msgspec.structs.replace(model.value, meta={**model.value.meta, "classes": list(classes)})
    return msgspec.structs.replace(model, value=value)


def _known(store: Store, place: Place, run: Run, values: tuple[Value, Value]) -> Model | None:
    """The version that these values are already, found without loading a row; None where only the rows can tell."""
    spec = place.project.model
    assert spec is not None
    # Without named features it is the hold-out's columns that say what goes in, except for this very run's version.
    candidates = models.versions(store, spec.name) if spec.features else models.of_run(store, run.id)
    wanted = [_says(value) for value in values]
    for known in candidates:
        same = known.name == spec.name and known.project == place.project.name
        if same and [_says(known.value), _says(known.holdout)] == wanted and _as_asked(known, place, spec):
            return known
    return None


def _carry_metrics(store: Store, source: str, run: str) -> None:
    """Give a run the metrics that were measured when another run registered the same model on the same rows."""
    there = metrics.latest(store, run)
    measured = metrics.latest(store, source) if source != run else {}
    missing = [MetricPoint(key=key, value=value) for key, value in measured.items() if key not in there]
    if missing:
        metrics.log(store, run, missing)


def _describe(place: Place, spec: ModelSpec, run: Run, rows: Any, values: tuple[Value, Value]) -> Model:
    there = [str(column) for column in rows.columns]
    for column in (spec.label, *spec.features):
        if column not in there:
            raise invalid(
                f"the hold-out (step `{spec.holdout}`) has no column `{column}`", where="roadworthy.toml [model]",
                fix=nearest(column, there),
            )  # fmt: skip
    serving = place.project.serving
    apart = {spec.label, serving.entity, serving.key, serving.time}
    features = spec.features or tuple(column for column in there if column not in apart)
    return Model(
        name=spec.name,
        version=0,
        run=run.id,
        value=values[0],
        holdout=values[1],
        signature=signature.infer(rows, features),
        label=spec.label,
        task=spec.task,
        threshold=spec.threshold,
        slices=place.project.gate.slices,
        project=place.project.name,
    )


def _widened(store: Store, run: Run, model: Model) -> Signature:
    """The hold-out's signature, with nulls allowed wherever a table of the run had some.

    A value can be missing in training and be there in every row of the hold-out; a request may well miss it again. So
    each table that a step of the run returned, and that has all the model's columns, is looked at.
    """
    names = [field.name for field in model.signature.inputs]
    missing: set[str] = set()
    for step in run.steps:
        if step.output is None or step.output.format != "parquet" or step.output == model.holdout:
            continue
        table = signature.as_frame(formats.load(store.blobs, step.output, keys=store.keys))
        if set(names) <= set(table.columns):
            missing.update(name for name in names if table[name].isna().any())
    inputs = (msgspec.structs.replace(f, nullable=f.nullable or f.name in missing) for f in model.signature.inputs)
    return msgspec.structs.replace(model.signature, inputs=tuple(inputs))


def _output(run: Run, step: str, key: str) -> Value:
    done = run.step(step)
    if done is None:
        raise invalid(
            f"[model] {key} = {step!r}: the run has no such step", where="roadworthy.toml",
            fix=nearest(step, [s.step for s in run.steps]),
        )  # fmt: skip
    if done.output is None:
        raise invalid(f"the step `{step}` {done.status}: there is no model to register", where=run.id)
    return done.output


def _same(store: Store, model: Model) -> Model | None:
    """The version that is this very model already, judged on the same rows in the same way, the newest if several."""
    return next((known for known in models.versions(store, model.name) if _is(known, model)), None)


def _is(known: Model, model: Model) -> bool:
    again = msgspec.structs.replace(
        model, version=known.version, run=known.run, profile=known.profile, created_at=known.created_at,
        tags=known.tags, value=known.value, holdout=known.holdout,
    )  # fmt: skip
    equal = _says(known.value) == _says(model.value) and _says(known.holdout) == _says(model.holdout)
    return equal and again == known


def _as_asked(known: Model, place: Place, spec: ModelSpec) -> bool:
    """Whether a version was registered under the settings that the project file has now."""
    inputs = tuple(field.name for field in known.signature.inputs)
    return (known.label, known.task, known.threshold, known.slices) == (
        spec.label, spec.task, spec.threshold, place.project.gate.slices,
    ) and (not spec.features or inputs == spec.features)  # fmt: skip


def _says(value: Value | None) -> str:
    return "" if value is None else value.content or value.digest
