"""Runs a pipeline: what is unchanged is reused, what is independent runs side by side, what has finished is kept.

In: a store, a project and options. Out: the `Run`. Steps run in processes (executors/); everything that is written is
written here, as each step settles, so that a run killed at any moment leaves what it had done for the next one.
Called by `rw run`, operate/road.py and reproduce.py.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.nouns.errors import Fault, conflict, refused
from roadworthy.nouns.evidence import Finding
from roadworthy.nouns.project import Place
from roadworthy.nouns.run import CodeVersion, Run
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.pipelines import data_sets, environment
from roadworthy.pipelines.desk import Desk
from roadworthy.pipelines.happening import Happening, Watch
from roadworthy.pipelines.planner import Decision, Planner, RunOptions
from roadworthy.pipelines.session import Session
from roadworthy.registry import runs
from roadworthy.store import locks
from roadworthy.store.store import Store

__all__ = ["Happening", "RunOptions", "explain", "run"]

EARLIER_LOOKED_AT = 5
LEASE_S = 60.0


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do: a decision per step, and what is known of the data."""

    steps: dict[str, Decision]
    data: dict[str, str]


def run(
    store: Store,
    place: Place,
    *,
    options: RunOptions | None = None,
    progress: Callable[[str], None] | None = None,
    watch: Watch | None = None,
) -> Run:
    """Run the pipeline.

    Args:
        store: where runs, outputs and snapshots are kept.
        place: the project.
        options: what to do; everything that has changed, if none are given.
        progress: told what happens, a line at a time.
        watch: told what happens, as records.

    Returns:
        The run: `finished`, or `failed` with each step's error. When every step would be reused just as an earlier
        finished run has it, that earlier run: nothing is recorded.

    Raises:
        Fault: invalid for a project that cannot be run, refused when the data breaks its contract, conflict when
            the project is being run already.
    """
    options = options or RunOptions()
    tell = _teller(progress, watch)
    planner = Planner(store, place, options)
    earlier = _nothing_to_do(planner, tell)
    planner.sources.keep()
    if earlier is not None:
        return earlier
    with _lease(store, place) as renew:
        _tidy(store, place, tell)
        with Desk(planner) as desk:
            return _run(planner, desk, tell, renew)


def explain(store: Store, place: Place, *, options: RunOptions | None = None) -> Explanation:
    """What a run would do and why, without running anything or asking any data source.

    A source that a run must ask is taken to give what it gave last, so that what else changed can be told.

    Raises:
        Fault: invalid for a project that cannot be run.
    """
    planner = Planner(store, place, options or RunOptions())
    known = [data_sets.look(planner, name) for name in planner.data()]
    planner.sources.keep()
    found = {k.name: k.snapshot for k in known if k.snapshot is not None}
    said = {k.name: k.why if k.snapshot else "asked when it runs" if k.ask else "read when it runs" for k in known}
    for each in known:
        if each.ask and (last := data_sets.last(planner, each.name)) is not None:
            found[each.name] = last
            said[each.name] = f"asked when it runs; here as it was last ({last.id[:12]})"
    return Explanation(steps=planner.plan(found), data=said)


def _nothing_to_do(planner: Planner, tell: Watch) -> Run | None:
    """The earlier run that has it all, if every step would be reused and nothing about them has changed."""
    if planner.forced or planner.options.reproduces:
        return None
    snapshots: dict[str, Snapshot] = {}
    for name in planner.data():
        known = data_sets.look(planner, name)
        if known.snapshot is None:
            return None
        snapshots[name] = known.snapshot
    return _earlier(planner, snapshots, tell)


def _earlier(planner: Planner, snapshots: dict[str, Snapshot], tell: Watch) -> Run | None:
    """A finished run with these very steps, parameters and data, all of which can be reused."""
    if planner.forced or planner.options.reproduces:
        return None
    plan = planner.plan(snapshots)
    if any(decision.action != "reuse" for decision in plan.values()):
        return None
    wanted = {name: decision.key for name, decision in plan.items()}
    project = planner.place.project.name
    for earlier in runs.listing(planner.store, project=project, status="finished", limit=EARLIER_LOOKED_AT, steps=True):
        had = {step.step: step.key for step in earlier.steps}
        same = all(had.get(name) == key for name, key in wanted.items()) and _took(earlier, planner)
        if same and earlier.reproduces is None:
            if data_sets.broken({n: data_sets.check(planner.store, planner.place, n, s) for n, s in snapshots.items()}):
                return None  # the contract is stricter now: the run says so
            tell(Happening(kind="nothing", text=f"nothing to do: all {len(plan)} steps reused (run {earlier.id[:12]})"))
            return earlier
    return None


def _took(earlier: Run, planner: Planner) -> bool:
    """Whether a run had the same parameters (its steps may have logged more) and seed."""
    params = _plain(planner.params)
    return earlier.seed == planner.seed and all(earlier.params.get(name) == params[name] for name in params)


def _run(planner: Planner, desk: Desk, tell: Watch, renew: Callable[[], None]) -> Run:
    options = planner.options
    snapshots = desk.snapshots(tell)
    if (earlier := _earlier(planner, snapshots, tell)) is not None:
        return earlier
    # A run is reproduced with the data it had, whatever has become of the contract (or of how fresh the data is).
    checked = {} if options.reproduces else snapshots
    findings = {n: data_sets.check(planner.store, planner.place, n, s) for n, s in checked.items()}
    for name, finding in data_sets.broken(findings, level="warn"):
        tell(Happening(kind="warning", text=f"{name}: {finding.rule}: {finding.measured or finding.failed} (warning)"))
    started = runs.start(
        planner.store,
        Run(
            id="",
            project=planner.place.project.name,
            name=options.name,
            group=options.group,
            params=planner.params,
            snapshots={name: snapshot.id for name, snapshot in snapshots.items()},
            seed=planner.seed,
            code=_code(planner),
            environment=environment.here(),
            command=options.command,
            reproduces=options.reproduces,
        ),
    )
    tell(Happening(kind="started", text=f"run {started.id[:12]}"))
    if data_sets.broken(findings):
        raise _refused(planner.store, started, findings)
    session = Session(planner, desk, started, snapshots)
    try:
        failed = session.work(tell, renew)
    except BaseException as problem:
        status = "killed" if isinstance(problem, KeyboardInterrupt) else "failed"
        said = "stopped by hand" if status == "killed" else str(problem) or type(problem).__name__
        with contextlib.suppress(Fault):
            runs.finish(planner.store, started.id, status, error=said)  # type: ignore[arg-type]
        raise
    return runs.finish(planner.store, started.id, "failed" if failed else "finished", error=failed or None)


def _code(planner: Planner) -> CodeVersion:
    return environment.code(planner.store.blobs, planner.sources)


def _refused(store: Store, started: Run, findings: Mapping[str, tuple[Finding, ...]]) -> Fault:
    said = data_sets.refusal(findings)
    runs.finish(store, started.id, "failed", error=said)
    rules = [
        {"data": name, **msgspec.to_builtins(finding)} for name, found in findings.items() for finding in found
    ]  # fmt: skip
    return refused(
        said, where="roadworthy.toml [data.….contract]",
        fix='mend the data, or the contract; level = "warn" on a rule reports without stopping',
        detail={"findings": rules, "run": started.id},
    )  # fmt: skip


@contextlib.contextmanager
def _lease(store: Store, place: Place) -> Iterator[Callable[[], None]]:
    """Only one run of a project at a time: two would make the same things twice, and number models in no order."""
    name = f"run:{place.project.name}"
    # Real time, not the project's clock: a lease is about this machine.
    try:
        token = locks.take(store, name, now=time.time(), lease_s=LEASE_S)
    except Fault as fault:
        raise conflict(
            f"this project is being run already ({fault.what})", where=place.project.name,
            fix="wait until that run has ended, or stop it",
        ) from None  # fmt: skip
    renewed = time.monotonic()

    def renew() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > LEASE_S / 3:
            renewed = time.monotonic()
            if not locks.renew(store, name, token, now=time.time(), lease_s=LEASE_S):
                raise conflict("another process has taken this run's place", where=place.project.name)

    try:
        yield renew
    finally:
        locks.release(store, name, token)


def _tidy(store: Store, place: Place, tell: Watch) -> None:
    """Clear up after a run that was killed: its files, and its record, which still says that it is running."""
    shutil.rmtree(_scratch(store), ignore_errors=True)
    for last in runs.listing(store, project=place.project.name, limit=1, steps=True):
        if last.status not in {"killed", "failed"}:
            continue
        done = sum(step.status in {"ran", "reused"} for step in last.steps)
        if last.status == "killed" and last.ended_at is None:
            runs.finish(store, last.id, "killed", error=last.error)
        if done:
            text = f"run {last.id[:12]} {'was killed' if last.status == 'killed' else 'failed'}; "
            tell(Happening(kind="resumed", text=f"{text}the {done} steps that it finished are kept"))


def _scratch(store: Store) -> Path:
    return store.home / "steps"


def _teller(progress: Callable[[str], None] | None, watch: Watch | None) -> Watch:
    def tell(happening: Happening) -> None:
        if watch is not None:
            watch(happening)
        if progress is not None and happening.text:
            progress(happening.text)

    return tell


def _plain(params: Mapping[str, Any]) -> Any:
    """Parameters as a run's record gives them back."""
    return msgspec.json.decode(msgspec.json.encode(params, enc_hook=str))
