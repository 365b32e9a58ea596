"""A model that an MLflow client logged and registered joins the road: from then on it is gated, certified and released.

In: a registered version whose files are artifacts here, and hold-out rows with their label: a file, or what the client
logged with the run (artifact `roadworthy/holdout.parquet`, tag `roadworthy.label`). Out: the version with its stored
value, signature, hold-out and reference profile, as if `rw run` had registered it. Called by `rw models adopt`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.data.formats import registry as formats
from roadworthy.gates.measures import drift
from roadworthy.nouns.errors import Fault, conflict, invalid, not_found
from roadworthy.nouns.model import Model, Signature, Task
from roadworthy.nouns.step import Value
from roadworthy.pipelines.graph import nearest
from roadworthy.pipelines.registration import with_classes
from roadworthy.registry import artifacts, mlmodel, model_versions, models, runs
from roadworthy.registry.mlmodel import Described, Home
from roadworthy.registry.model_versions import Version
from roadworthy.serving import signature
from roadworthy.serving.model import classes_of, score
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

HOLDOUT = "roadworthy/holdout.parquet"
LABEL_TAG = "roadworthy.label"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How a version is to be adopted.

    Args:
        holdout: a Parquet or CSV file; None takes the run's artifact.
        label: the truth's column; empty takes the run's tag.
        task: None finds out from the model.
        trusted: types that the model may contain beyond those trusted by default.
        hidden: columns whose values stay out of the profile.
    """

    project: str = ""
    holdout: Path | None = None
    label: str = ""
    task: Task | None = None
    threshold: float = 0.5
    slices: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def adopt(store: Store, ref: str, asked: Asked) -> Model:
    """Say what a registered version is made of, so that it can be judged and served.

    Raises:
        Fault: refused for a model that only unpickling could load, or that holds types nobody trusted; invalid when
            the hold-out lacks columns or the model cannot score it; conflict when it was adopted before.
    """
    known = models.get(store, ref)
    if known.value.format != models.UNADOPTED:
        raise conflict("it is adopted already", where=known.id, fix=f"judge it: rw gate {known.id}")
    if not models.NAME.fullmatch(known.name):
        raise invalid(
            "a model that is released has a name of letters, digits, `.`, `_` and `-`", where=known.name[:80],
            fix="rename it: MlflowClient().rename_registered_model(...)",
        )  # fmt: skip
    version = model_versions.get(store, known.name, known.version)
    with store.read() as reader:
        where = mlmodel.home(reader, version)
    described = mlmodel.describe(store, version, where)
    value, loaded = _value(store, version, where, described, asked.trusted)
    label = asked.label or _label(store, version)
    rows = _rows(store, version, asked)
    held = _held(described, rows, label)
    task = asked.task or _task(loaded, rows[label])
    model = Model(
        name=version.name,
        version=version.version,
        run=version.run,
        value=value,
        holdout=formats.save(store.blobs, rows),
        signature=held,
        label=label,
        task=task,
        threshold=asked.threshold,
        slices=asked.slices,
        project=asked.project or version.project,
        created_at=known.created_at,
        tags=version.tags,
    )
    if task == "multiclass":
        model = with_classes(model, loaded, rows)
    scores = score(store.blobs, model, rows, keys=store.keys)
    columns = tuple(field.name for field in held.inputs if field.name not in asked.hidden)
    profile = store.blobs.put(drift.encode(drift.profile(rows, columns, scores)))
    return models.adopt(store, msgspec.structs.replace(model, profile=profile))


def _value(
    store: Store, version: Version, where: Home, described: Described, trusted: tuple[str, ...]
) -> tuple[Value, Any]:
    """The model as we store models, through its own format and the rule about types, and the estimator itself."""
    file = mlmodel.fetch(store, version, where, described.file)
    logged = Value(format=described.format, digest=file.digest, size=file.size, type=described.format)
    try:
        loaded = formats.load(store.blobs, logged, trusted=trusted)
    except Fault as fault:
        fix = fault.fix
        if strange := fault.detail.get("untrusted"):
            fix = f"look at their code, then name them: --trust {' --trust '.join(strange)}"
        raise Fault(fault.code, fault.what, where=version.id, fix=fix, detail=fault.detail) from None
    except Exception as problem:
        raise invalid(
            f"its model cannot be loaded: {type(problem).__name__}: {problem}", where=version.id,
            fix="log it again with the versions of scikit-learn and skops that are installed here",
        ) from None  # fmt: skip
    return formats.save(store.blobs, loaded, format=described.format, trusted=trusted), loaded


def _label(store: Store, version: Version) -> str:
    try:
        label = runs.get(store, version.run).tags.get(LABEL_TAG, "") if version.run else ""
    except Fault:
        label = ""
    label = version.tags.get(LABEL_TAG, "") or label
    if not label:
        raise invalid(
            "which column of the hold-out is the label is not known", where=version.id,
            fix=f"name it: --label COLUMN; or log it: mlflow.set_tag({LABEL_TAG!r}, COLUMN)",
        )  # fmt: skip
    return label


def _rows(store: Store, version: Version, asked: Asked) -> "pd.DataFrame":
    path, where = asked.holdout, str(asked.holdout or HOLDOUT)
    if path is None:
        artifact = artifacts.find(store, version.run, HOLDOUT) if version.run else None
        if artifact is None:
            raise not_found(
                "it has no hold-out rows to be judged on", where=version.id,
                fix=f"give a file: --holdout FILE; or log one with the run, as the artifact {HOLDOUT}",
            )  # fmt: skip
        path = store.blobs.file(artifact.digest)
    return _table(path, where)


def _table(path: Path, where: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        rows = pd.read_csv(path) if where.endswith((".csv", ".csv.gz")) else pd.read_parquet(path)
    except FileNotFoundError:
        raise not_found("there is no such file", where=where) from None
    except Exception as problem:  # pandas' and Arrow's have no common type
        raise invalid(
            f"the hold-out cannot be read: {type(problem).__name__}: {problem}", where=where,
            fix="give a Parquet file, or a CSV file with a header",
        ) from None  # fmt: skip
    rows.columns = [str(column) for column in rows.columns]
    if not len(rows):
        raise invalid("the hold-out has no rows", where=where)
    return rows.reset_index(drop=True)


def _held(described: Described, rows: "pd.DataFrame", label: str) -> Signature:
    there = [str(column) for column in rows.columns]
    wanted = described.inputs
    names = [field.name for field in wanted] if wanted is not None else [c for c in there if c != label]
    for column in (label, *names):
        if column not in there:
            raise invalid(f"the hold-out has no column `{column}`", where="--holdout", fix=nearest(column, there))
    if wanted is None:
        return signature.infer(rows, names)
    # A column that misses values in the hold-out will miss some in production.
    missing = {name for name in names if rows[name].isna().any()}
    fields = (msgspec.structs.replace(f, nullable=f.nullable or f.name in missing) for f in wanted)
    return Signature(inputs=tuple(fields))


def _task(estimator: Any, label: "pd.Series[Any]") -> Task:
    if len(classes_of(estimator)) > 2:
        return "multiclass"
    if hasattr(estimator, "predict"):
        return "classification" if hasattr(estimator, "predict_proba") else "regression"
    # An ONNX graph does not say; one of a classifier answers with the class and then with probabilities.
    if label.nunique(dropna=True) <= 2:
        return "classification"
    several = len(estimator.graph.output) > 1 or label.dtype.kind not in "iuf"
    return "multiclass" if several else "regression"
