"""Gather everything known about one model: what rules are judged over, and what a certificate states.

In: a registered model, the project, and the champion to hold it against. Out: `Evidence`. The hold-out rows are scored
here with the code that serves, by challenger and champion alike; nothing a run said about itself is taken on trust
where it can be measured.
"""

import contextlib
import difflib
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.data import sensitive, snapshots
from roadworthy.data.formats.registry import load
from roadworthy.gates import approvals, certificate
from roadworthy.gates.compare import paired_bootstrap
from roadworthy.gates.measures import cost, performance, quality, slices
from roadworthy.nouns.errors import Code, Fault, invalid
from roadworthy.nouns.evidence import Comparison, Evidence
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Place
from roadworthy.nouns.run import Run
from roadworthy.nouns.version import __version__
from roadworthy.registry import metrics, runs
from roadworthy.serving import model as served
from roadworthy.serving.signature import as_frame
from roadworthy.store.blobs import digest_of
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str], None]
BOOTSTRAP_SEED = 20_130_101


def evaluate(
    store: Store,
    model: Model,
    place: Place,
    *,
    against: Model | None = None,
    progress: Progress | None = None,
) -> Evidence:
    """Measure a model and gather what else is known of it; takes some 10 seconds.

    Args:
        store: holds the model, its hold-out rows, its run and its approvals.
        model: the challenger.
        place: the project, for `[gate]`, the contracts and the folder the model's own classes come from.
        against: the champion; None for the first model. A champion is not compared with itself.
        progress: told what is being done, a line at a time.

    Returns:
        Facts `metrics`, `champion` (empty without one), `compare`, `cost`, `data`, `slices`, `run`, `model`,
        `approvals`; a comparison per metric; digests of all it rests on. What cannot be measured (a champion that
        cannot score these rows) is not among the facts, and rules over it will not pass.

    Raises:
        Fault: invalid when the model has no hold-out rows, a slice's column is not among them, or scores are missing.
    """
    tell = progress or (lambda _: None)
    against = rival(model, against)
    with _importable(place.root):
        tell("reading the hold-out rows")
        rows = _holdout(store, model)
        label = rows[model.label].to_numpy()
        tell(f"scoring {len(rows):,} hold-out rows")
        score = _score(store, model, rows)
        scored = _Scored(rows, label, score)
        champion, comparisons = _compared(store, place, (model, against), scored, tell)
        facts: dict[str, Any] = {
            "metrics": _metrics(store, model, label, score),
            "champion": champion,
            "compare": {c.metric: _facts_of(c) for c in comparisons},
            "slices": _slices(model, place, scored),
        }
        tell("measuring what it costs to run, in a process of its own")
        facts["cost"] = cost.measure(store, model, rows, root=place.root)
    tell("checking the data contract and the run")
    run = _run(store, model)
    facts["data"] = _data(store, place, run)
    facts["run"] = _run_facts(run)
    facts["model"] = {"name": model.name, "version": model.version, "task": model.task, "rows": len(rows)}
    facts["approvals"] = approval_facts(store, model)
    return Evidence(
        model=model.id, model_digest=model.value.digest, champion=against.id if against else "", facts=facts,
        comparisons=comparisons, digests=_digests(store, model, place, against, run), measured_at=store.clock.now(),
    )  # fmt: skip


def rival(model: Model, against: Model | None) -> Model | None:
    """The champion to compare with: none when there is none, or when it is the model itself."""
    return None if against is None or against.id == model.id else against


def measured_from(store: Store, model: Model, place: Place, *, against: Model | None) -> str:
    """A digest of all that evidence is measured from, approvals aside: equal digests, equal evidence."""
    against = rival(model, against)
    gate = place.project.gate
    run = _run(store, model)
    contracts = {name: data.contract for name, data in sorted(place.project.data.items())}
    parts = [
        __version__,
        certificate.record_digest(model),
        certificate.record_digest(against) if against else "",
        [_slice_columns(model, place), gate.slice_min_rows, gate.resamples, gate.confidence],
        contracts,
        [run.id, run.snapshots, run.code.commit, run.code.dirty, metrics.latest(store, run.id)] if run else [],
        [platform.node(), platform.python_version(), platform.machine()],
    ]
    return digest_of(msgspec.json.encode(parts, order="deterministic"))


def approval_facts(store: Store, model: Model) -> list[dict[str, Any]]:
    """Approvals as rules see them: role, actor and moment; comments stay in the store."""
    return [{"role": a.role, "actor": a.actor, "at": a.at} for a in approvals.listing(store, model.id)]


def _holdout(store: Store, model: Model) -> "pd.DataFrame":
    if model.holdout is None:
        raise invalid(
            "the model has no hold-out rows to be judged on", where=model.id,
            fix='name the step that returns them: [model] holdout = "…"',
        )  # fmt: skip
    rows = as_frame(load(store.blobs, model.holdout, keys=store.keys))
    if model.label not in rows.columns:
        raise _no_column(model.label, rows, "label of the hold-out rows")
    if not len(rows):
        raise invalid("the hold-out has no rows", where=model.id)
    return rows.reset_index(drop=True)


def _score(store: Store, model: Model, rows: "pd.DataFrame") -> Any:
    """The model's answers, from the code that serves and with its one thread.

    More threads would wait for each other wherever the machine has other work: seen, ten times slower.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

    predictor = served.predictor(store.blobs, model, keys=store.keys)
    with threadpool_limits(limits=1):
        return predictor.said(rows)


def _metrics(store: Store, model: Model, label: Any, score: Any) -> dict[str, float]:
    """What the run logged, and what we measured, which wins."""
    logged = {name: value for name, value in metrics.latest(store, model.run).items() if _is_number(value)}
    return {**logged, **_measured(model, label, score)}


def _measured(model: Model, label: Any, score: Any) -> dict[str, float]:
    return performance.measure(
        label, score, task=model.task, threshold=model.threshold, classes=model.classes
    )  # fmt: skip


class _Scored(msgspec.Struct, frozen=True):
    """The hold-out rows, what was true, and what the challenger says."""

    rows: Any
    label: Any
    score: Any


def _compared(
    store: Store, place: Place, contest: tuple[Model, Model | None], scored: _Scored, tell: Progress
) -> tuple[dict[str, Any], tuple[Comparison, ...]]:
    """The champion's facts on the challenger's rows, and the comparisons."""
    model, against = contest
    if against is None:
        tell("there is no champion yet to compare with")
        return {}, ()
    about = {"name": against.name, "version": against.version}
    gate = place.project.gate
    tell(f"comparing with {against.id}: {gate.resamples:,} resamples")
    try:
        if against.task != model.task:
            raise invalid(f"it is for {against.task}")
        theirs = _score(store, against, scored.rows)
        if against.classes != model.classes:
            raise invalid("it tells other classes apart")
        measured = _measured(against, scored.label, theirs)
    except Fault as fault:
        if fault.code is not Code.INVALID:
            raise
        tell(f"{against.id} cannot be compared with: {fault.what}")
        return {**about, "metrics": {}, "problem": fault.what}, ()
    comparisons = paired_bootstrap(
        scored.label, scored.score, theirs, task=model.task, threshold=model.threshold,
        champion_threshold=against.threshold, resamples=gate.resamples, confidence=gate.confidence, seed=BOOTSTRAP_SEED,
        classes=model.classes,
    )  # fmt: skip
    return {**about, "metrics": measured}, comparisons


def _facts_of(comparison: Comparison) -> dict[str, float]:
    names = ("challenger", "champion", "difference", "low", "high", "probability_better", "confidence", "rows")
    return {name: getattr(comparison, name) for name in names}


def _slice_columns(model: Model, place: Place) -> tuple[str, ...]:
    return place.project.gate.slices or model.slices


def _slices(model: Model, place: Place, scored: _Scored) -> dict[str, Any]:
    columns = _slice_columns(model, place)
    for name in columns:
        if name not in scored.rows.columns:
            raise _no_column(name, scored.rows, "[gate] slices")

    def by(label: Any, score: Any) -> dict[str, float]:
        return _measured(model, label, score)

    # which label is the positive one is settled on all rows, not on a slice that may hold one of them only
    label = performance.as_truth(scored.label) if model.task == "classification" else scored.label
    chosen = {name: scored.rows[name] for name in columns}
    return dict(slices.measure(label, scored.score, chosen, by=by, rows_min=place.project.gate.slice_min_rows))


def _data(store: Store, place: Place, run: Run | None) -> dict[str, Any]:
    """What the contracts say about the snapshots that the run read, counted in rules."""
    if run is None:
        return {}
    facts: dict[str, Any] = {"snapshots": dict(run.snapshots)}
    totals = {"failed": 0, "warned": 0, "checked": 0}
    masked = sensitive.sensitive_columns(place.project)
    # how fresh data must be is asked of the moment it was trained on: it ages while a model waits for approval
    then = Store(store.home, store.sql, clock=SimulatedClock(run.started_at), ids=store.ids, actor=store.actor)
    for name, snapshot_id in run.snapshots.items():
        data = place.project.data.get(name)
        if data is None or data.contract is None:
            continue
        try:
            snapshot = snapshots.get(store, snapshot_id, place.project.name)
        except Fault:
            return facts  # what is gone cannot be checked: `data.contract` is then not measured
        findings = quality.check(then, snapshot, data.contract, sensitive=masked)
        of_set: dict[str, int] = {
            "failed": sum(not f.passed and f.level == "error" for f in findings),
            "warned": sum(not f.passed and f.level == "warn" for f in findings),
            "checked": len(findings),
        }
        facts[name] = {**of_set, "broken": [f.rule for f in findings if not f.passed]}
        totals = {key: totals[key] + of_set[key] for key in totals}
    return {**facts, "contract": totals}


def _run(store: Store, model: Model) -> Run | None:
    try:
        return runs.get(store, model.run)
    except Fault:
        return None


def _run_facts(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    code = run.code
    return {
        "id": run.id,
        "status": run.status,
        "commit": code.commit or "",
        "dirty": code.dirty,
        "clean": bool(code.commit) and not code.dirty,
        # code, data and environment are all kept, so that `rw reproduce` has what it needs
        "reproducible": bool(code.archive or code.commit) and bool(run.environment.lock),
        "seed": run.seed,
        "params": {name: value for name, value in run.params.items() if isinstance(value, bool | int | float | str)},
    }


def _digests(store: Store, model: Model, place: Place, against: Model | None, run: Run | None) -> dict[str, str]:
    digests = {
        "model": model.value.digest,
        "record": certificate.record_digest(model),
        "holdout": model.holdout.digest if model.holdout else "",
        "profile": model.profile or "",
        "champion": against.value.digest if against else "",
        "measured_from": measured_from(store, model, place, against=against),
    }
    if run is not None:
        digests |= {"code": run.code.digest, "archive": run.code.archive or "", "lock": run.environment.lock}
        digests |= {f"snapshot:{name}": digest for name, digest in run.snapshots.items()}
    return {name: digest for name, digest in digests.items() if digest}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")  # noqa: PLR0124 - NaN


def _no_column(name: str, rows: "pd.DataFrame", where: str) -> Fault:
    near = difflib.get_close_matches(name, [str(c) for c in rows.columns], n=1)
    fix = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(str(c) for c in rows.columns)}"
    return invalid(f"the hold-out rows have no column `{name}`", where=where, fix=fix)


@contextlib.contextmanager
def _importable(root: Path) -> Iterator[None]:
    """The project's modules can be imported: a model may contain classes of its own."""
    entry = str(root)
    added = entry not in sys.path
    if added:
        sys.path.insert(0, entry)
    try:
        yield
    finally:
        if added and entry in sys.path:
            sys.path.remove(entry)
