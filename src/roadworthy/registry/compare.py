"""Two runs held against each other: what went in, what came out, and what it took.

In: two runs. Out: a `Difference`. Called by `rw runs compare`, reproduction and the server's pages.
"""

import math
from typing import Any

import msgspec

from roadworthy.data import snapshots
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.run import CodeVersion, Run
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.registry import metrics, sources
from roadworthy.store.store import Store


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in both runs; None where a run does not have it."""

    name: str
    a: Any = None
    b: Any = None


class MetricPair(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's newest value in both runs, and b minus a."""

    name: str
    a: float | None
    b: float | None
    difference: float | None


class DataPair(msgspec.Struct, frozen=True, kw_only=True):
    """A data set of which the runs saw different snapshots; rows are None where they are not counted or not known."""

    name: str
    a: str | None
    b: str | None
    rows_a: int | None = None
    rows_b: int | None = None
    size_a: int | None = None
    size_b: int | None = None


class StepPair(msgspec.Struct, frozen=True, kw_only=True):
    """A step in both runs.

    Args:
        status_a, status_b: `ran`, `reused`, `failed`, `skipped`.
        wall_s_a, wall_s_b: seconds; of a reused step, what it took when it ran.
        same_output: whether both made the same; None where one made nothing.
    """

    name: str
    status_a: str | None
    status_b: str | None
    wall_s_a: float | None
    wall_s_b: float | None
    same_output: bool | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How run `b` differs from run `a`.

    Args:
        about: status, group, seed, actor, where they differ.
        params: parameters that differ.
        metrics: all metrics of both.
        same_code: whether the source files are the same.
        commits: their git commits where those differ.
        files: source files that differ; None when an archive is not kept.
        data: data sets of which the snapshots differ.
        environment: Python, platform and number of cores, where they differ.
        packages: distributions that were added (a is None), removed (b is None) or changed.
        steps: all steps of both.
    """

    a: str
    b: str
    about: tuple[Pair, ...]
    params: tuple[Pair, ...]
    metrics: tuple[MetricPair, ...]
    same_code: bool
    commits: Pair | None
    files: tuple[sources.FileChange, ...] | None
    data: tuple[DataPair, ...]
    environment: tuple[Pair, ...]
    packages: tuple[Pair, ...]
    steps: tuple[StepPair, ...]


def compare(store: Store, a: Run, b: Run) -> Difference:
    """What differs between two runs."""
    same_code = a.code.digest == b.code.digest
    kept: tuple[sources.FileChange, ...] | None = ()
    if not same_code:
        kept = sources.differences(store.blobs, a.code.archive, b.code.archive)
    return Difference(
        a=a.id,
        b=b.id,
        about=_pairs(_about(a), _about(b)),
        params=_pairs(a.params, b.params),
        metrics=_metrics(metrics.latest(store, a.id), metrics.latest(store, b.id)),
        same_code=same_code,
        commits=_commits(a.code, b.code),
        files=kept,
        data=_data(store, a, b),
        environment=_pairs(_environment(a), _environment(b)),
        packages=_pairs(a.environment.packages, b.environment.packages),
        steps=_steps(a, b),
    )


def _pairs(a: dict[str, Any], b: dict[str, Any]) -> tuple[Pair, ...]:
    names = sorted(a.keys() | b.keys())
    return tuple(Pair(name=n, a=a.get(n), b=b.get(n)) for n in names if a.get(n) != b.get(n) or (n in a) != (n in b))


def _about(run: Run) -> dict[str, Any]:
    return {"project": run.project, "group": run.group, "status": run.status, "seed": run.seed, "actor": run.actor}


def _environment(run: Run) -> dict[str, Any]:
    surroundings = run.environment
    return {"python": surroundings.python, "platform": surroundings.platform, "cpus": surroundings.cpus}


def _metrics(a: dict[str, float], b: dict[str, float]) -> tuple[MetricPair, ...]:
    found = []
    for name in sorted(a.keys() | b.keys()):
        old, new = a.get(name), b.get(name)
        difference = None if old is None or new is None else new - old
        if difference is not None and not math.isfinite(difference):
            difference = None
        found.append(MetricPair(name=name, a=old, b=new, difference=difference))
    return tuple(found)


def _commits(a: CodeVersion, b: CodeVersion) -> Pair | None:
    old, new = _commit(a), _commit(b)
    return None if old == new else Pair(name="commit", a=old, b=new)


def _commit(code: CodeVersion) -> str | None:
    return f"{code.commit}{' with changes' if code.dirty else ''}" if code.commit else None


def _data(store: Store, a: Run, b: Run) -> tuple[DataPair, ...]:
    found = []
    for pair in _pairs(a.snapshots, b.snapshots):
        old, new = _snapshot(store, pair.a, a.project), _snapshot(store, pair.b, b.project)
        found.append(
            DataPair(
                name=pair.name,
                a=pair.a,
                b=pair.b,
                rows_a=old.rows if old else None,
                rows_b=new.rows if new else None,
                size_a=old.size if old else None,
                size_b=new.size if new else None,
            )
        )
    return tuple(found)


def _snapshot(store: Store, ref: str | None, project: str) -> Snapshot | None:
    """The snapshot, unless it was removed since."""
    try:
        return snapshots.get(store, ref, project) if ref else None
    except Fault:
        return None


def _steps(a: Run, b: Run) -> tuple[StepPair, ...]:
    names = [s.step for s in a.steps] + [s.step for s in b.steps if a.step(s.step) is None]
    found = []
    for name in names:
        old, new = a.step(name), b.step(name)
        outputs = [step.output for step in (old, new) if step is not None and step.output is not None]
        contents = [output.content or output.digest for output in outputs]
        same = contents[0] == contents[1] if len(contents) == 2 else None
        found.append(
            StepPair(
                name=name,
                status_a=old.status if old else None,
                status_b=new.status if new else None,
                wall_s_a=old.wall_s if old else None,
                wall_s_b=new.wall_s if new else None,
                same_output=same,
            )
        )
    return tuple(found)
