"""One run under way: which steps are ready, which run, which have settled.

In: a planner, a desk with its worker, a started run. Out: every step settled in the store, as soon as it is known.
Called by the runner alone.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from roadworthy.nouns.errors import Fault
from roadworthy.nouns.run import Run
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.nouns.step import StepRun, Value
from roadworthy.pipelines import cache, keys, orders
from roadworthy.pipelines.cache import Kept
from roadworthy.pipelines.desk import Desk
from roadworthy.pipelines.happening import Happening, Watch
from roadworthy.pipelines.orders import Ended, Failure, Given, Order, Result
from roadworthy.pipelines.planner import Decision, Planner
from roadworthy.registry import runs, tracked
from roadworthy.registry.tracked import Line
from roadworthy.store.store import Store

POLL_S_MAX = 5.0
# Files that steps read beside their inputs are kept up to this size.
FILE_BYTES_MAX = 16 << 20
RETRY_PAUSE_S = 0.5
RETRY_PAUSE_S_MAX = 30.0


class _Attempt(msgspec.Struct):
    """A step that is being run, or that waits to be tried again."""

    decision: Decision
    inputs: dict[str, Value | Snapshot]
    folder: Path
    number: int = 1
    started_at: float = 0.0
    since_ns: int = 0
    log: bytes = b""
    not_before: float = 0.0


class Session:
    """Settles every step of a run.

    Args:
        planner, desk: what to do and where.
        run: as started.
        snapshots: of the data sets that the steps read.
    """

    def __init__(self, planner: Planner, desk: Desk, run: Run, snapshots: dict[str, Snapshot]) -> None:
        self.planner = planner
        self.desk = desk
        self.run = run
        self.snapshots = snapshots
        self.settled: dict[str, StepRun] = {}
        self.running: dict[str, _Attempt] = {}
        self.waiting: list[str] = []
        self.again: list[_Attempt] = []
        self._ready: dict[str, tuple[Decision, dict[str, Value | Snapshot]]] = {}
        self._unwritten: list[StepRun] = []
        self._unkept: list[Kept] = []
        self._replays: list[Kept] = []
        self._news: list[Happening] = []
        self.workers = planner.place.project.pipeline.workers or os.cpu_count() or 1

    @property
    def store(self) -> Store:
        return self.planner.store

    def work(self, tell: Watch, renew: Callable[[], None]) -> str:
        """Settle all steps; which of them failed, in a sentence, empty when none did."""
        self.waiting = self.planner.order()
        try:
            while True:
                self._settle_known()
                self._begin()
                # Written while the next steps are running already: no step waits for the disk of the one before.
                self._flush(tell)
                if not self.running and not self.again and not self._ready:
                    break
                renew()
                ended = self.desk.executor.ended(self._pause()) if self.running else self._rest()
                self._take(ended)
        finally:
            self._flush(tell)
        failed = [s.step for s in self.settled.values() if s.status == "failed"]
        return f"{' and '.join(f'`{name}`' for name in failed)} failed" if failed else ""

    def _settle_known(self) -> None:
        """Settle what needs no process: steps that are reused, and those whose inputs failed."""
        progressed = True
        while progressed:
            progressed = False
            for name in list(self.waiting):
                settled = self._decide(name)
                if settled is not None:
                    self._note(settled)
                if settled is not None or name in self._ready:
                    self.waiting.remove(name)
                    progressed = True

    def _note(self, settled: StepRun) -> None:
        self.settled[settled.step] = settled
        self._unwritten.append(settled)
        self._news.append(Happening(kind="settled", step=settled.step, text=_line(settled), settled=settled))

    def _flush(self, tell: Watch) -> None:
        """Write what has settled, and say so."""
        settled, self._unwritten = self._unwritten, []
        kept, self._unkept = self._unkept, []
        replays, self._replays = self._replays, []
        if kept:
            # First what can be reused, then that it was done: killed in between, the next run reuses it.
            cache.put(self.store, self.planner.place.project.name, kept)
        if settled:
            first = len(self.settled) - len(settled)
            runs.settle_steps(self.store, self.run.id, [(first + n, each) for n, each in enumerate(settled)])
        for reused in replays:
            replay(self.store, self.run.id, reused.tracked)
        news, self._news = self._news, []
        for each in news:
            tell(each)

    def _decide(self, name: str) -> StepRun | None:
        node = self.planner.graph.nodes[name]
        lost = [n for n in node.needs if n in self.settled and self.settled[n].status in {"failed", "skipped"}]
        if lost:
            why = f"its input {lost[0]} {'failed' if self.settled[lost[0]].status == 'failed' else 'was skipped'}"
            return StepRun(step=name, status="skipped", why=why, started_at=self.store.clock.now())
        outputs = {n: self.settled[n].output for n in node.needs if n in self.settled}
        inputs = self.planner.inputs(name, outputs, self.snapshots)
        if inputs is None:
            return None
        decision = self.planner.decide(name, inputs)
        if decision.action == "run" or decision.kept is None:
            self._ready[name] = (decision, inputs)
            return None
        kept = decision.kept
        self._replays.append(kept)
        return StepRun(
            step=name, status="reused", key=decision.key, why=decision.why, started_at=self.store.clock.now(),
            wall_s=kept.wall_s, cpu_s=kept.cpu_s, memory_peak_mb=kept.memory_peak_mb, output=kept.output,
            log=kept.log, reused_from=kept.run,
        )  # fmt: skip

    def _begin(self) -> None:
        """Start what is ready, as far as there are processes for it."""
        now = time.monotonic()
        for attempt in [a for a in self.again if a.not_before <= now]:
            if len(self.running) < self.workers:
                self.again.remove(attempt)
                self._start(attempt)
        for name in list(self._ready):
            if len(self.running) >= self.workers:
                return
            decision, inputs = self._ready.pop(name)
            attempt = _Attempt(decision, inputs, self.desk.folder)
            self._start(attempt)
            self._news.append(Happening(kind="running", step=name, text=f"{name}: running: {decision.why}"))

    def _start(self, attempt: _Attempt) -> None:
        name = attempt.decision.step
        step = self.planner.graph.nodes[name].step
        attempt.folder = self.desk.new_folder()
        attempt.started_at = self.store.clock.now()
        attempt.since_ns = time.time_ns()
        reach = self.planner.reach
        order = Order(
            folder=str(attempt.folder),
            module=step.module,
            function=name,
            arguments=tuple(self._given(name, attempt.inputs)),
            format=step.format,
            trusted=self.planner.trusted(step),
            seed=keys.seed_of(self.planner.seed, name),
            known=tuple(path for module in reach.modules if (path := reach.sources.path(module))),
        )
        self.running[name] = attempt
        self.desk.start(name, order, step.timeout_s)

    def _given(self, name: str, inputs: dict[str, Value | Snapshot]) -> Iterable[Given]:
        for argument in self.planner.bound(name).arguments:
            if argument.kind == "param":
                yield Given(name=argument.name, param=orders.wrap(self.planner.params[argument.name]))
            elif argument.kind != "default":
                value = inputs[argument.name]
                if isinstance(value, Value):
                    yield Given(name=argument.name, value=value)
                else:
                    yield Given(name=argument.name, snapshot=value, arrives=argument.arrives)

    def _take(self, ended: list[Ended]) -> None:
        """Settle, or try again, what has ended."""
        for each in ended:
            attempt = self.running.pop(each.id)
            step = self.planner.graph.nodes[each.id].step
            result = self.desk.result(attempt.folder, each, step.timeout_s)
            attempt.log += _log(attempt)
            if result.failure is not None and attempt.number <= step.retries:
                self._later(attempt, result.failure)
                continue
            settled, keeping = self._settled(attempt, each, result)
            self._note(settled)
            if keeping is not None and not (self.planner.options.keep and step.cache):
                apart = cache.apart(self.run.id, each.id)
                keeping = msgspec.structs.replace(keeping, key=apart, step=f"apart:{each.id}")
            self._unkept += [keeping] if keeping is not None else []

    def _later(self, attempt: _Attempt, failure: Failure) -> None:
        pause = min(RETRY_PAUSE_S * 2 ** (attempt.number - 1), RETRY_PAUSE_S_MAX)
        name = attempt.decision.step
        text = f"{name}: attempt {attempt.number} failed ({failure.message}); again in {pause:g} s"
        attempt.log += f"\n--- {text}\n".encode()
        attempt.number += 1
        attempt.not_before = time.monotonic() + pause
        self.again.append(attempt)
        self._news.append(Happening(kind="retrying", step=name, text=text))

    def _settled(self, attempt: _Attempt, ended: Ended, result: Result) -> tuple[StepRun, Kept | None]:
        decision = attempt.decision
        log = self.store.blobs.put(attempt.log) if attempt.log else None
        made = StepRun(
            step=decision.step, status="ran", key=decision.key, why=decision.why, started_at=attempt.started_at,
            wall_s=ended.wall_s, cpu_s=ended.cpu_s, memory_peak_mb=ended.memory_peak_mb, attempts=attempt.number,
            output=result.output, log=log,
        )  # fmt: skip
        lines = self._tracked(attempt.folder)
        if result.failure is not None:
            return msgspec.structs.replace(made, status="failed", error=_error(result.failure)), None
        assert decision.material is not None
        root = self.planner.place.root
        named = cache.named(root, decision.material.paths, result.written)
        kept = Kept(
            key=decision.key,
            step=decision.step,
            parts=decision.material.parts,
            run=self.run.id,
            at=self.store.clock.now(),
            output=result.output,
            files=self._files({*result.read, *result.loaded, *named}, attempt.since_ns),
            written=result.written,
            tracked=lines,
            log=log,
            wall_s=ended.wall_s,
            cpu_s=ended.cpu_s,
            memory_peak_mb=ended.memory_peak_mb,
        )
        return made, kept

    def _files(self, names: set[str], since_ns: int) -> dict[str, cache.Mark]:
        """How the files are that a step read beside its inputs; small ones are kept, to run it again elsewhere."""
        root = self.planner.place.root
        marks = cache.marks(root, names, since_ns=since_ns, now_ns=time.time_ns())
        for name, mark in marks.items():
            if not os.path.isabs(name) and 0 < mark.size <= FILE_BYTES_MAX and (root / name).is_file():  # noqa: PTH117
                with contextlib.suppress(Fault):  # changed meanwhile: its mark will not fit either
                    self.store.blobs.put_file(root / name)
        return marks

    def _tracked(self, folder: Path) -> tuple[Line, ...]:
        """Write what the step tracked to the run; its lines, with artifacts by digest, for later runs."""
        lines = tracked.apply(self.store, self.run.id, folder)
        return tuple(
            msgspec.structs.replace(line, file=self.store.blobs.put_file(tracked.contained(folder, line.file)))
            if line.kind == "artifact"
            else line
            for line in lines
        )

    def _pause(self) -> float:
        """Seconds to wait for a process to end, before something else is due."""
        now = time.monotonic()
        return max(0.0, min([POLL_S_MAX, *(a.not_before - now for a in self.again)]))

    def _rest(self) -> list[Ended]:
        time.sleep(self._pause())
        return []


def replay(store: Store, run_id: str, lines: Iterable[Line]) -> None:
    """Write to a run what a reused step tracked when it ran."""
    tracked.write(store, run_id, list(lines), lambda line: store.blobs.file(line.file))


def _log(attempt: _Attempt) -> bytes:
    """What the attempt printed, its middle left out when it is long."""
    limit = orders.LOG_MIB_MAX << 20
    try:
        with (attempt.folder / orders.LOG).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= limit:
                return file.read()
            head = file.read(limit // 2)
            file.seek(size - limit // 2)
            return head + f"\n--- {size - limit} bytes left out\n".encode() + file.read()
    except OSError:
        return b""


def _error(failure: Failure) -> str:
    place = f"{failure.where}: " if failure.where else ""
    advice = f"\n  {failure.fix}" if failure.fix else ""
    said = f"{place}{failure.message}{advice}"
    return f"{said}\n\n{failure.trace}".rstrip() if failure.trace else said


def _line(settled: StepRun) -> str:
    if settled.status in {"reused", "skipped"}:
        return f"{settled.step}: {settled.status}: {settled.why}"
    if settled.status == "failed":
        return f"{settled.step}: failed after {settled.wall_s:.2f} s: {(settled.error or '').partition(chr(10))[0]}"
    return f"{settled.step}: ran in {settled.wall_s:.2f} s"
