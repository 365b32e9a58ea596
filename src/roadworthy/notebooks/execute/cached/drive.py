"""Carry a plan out: run the cells that must, bring back the values they need, reuse the rest.

In: a kernel, a notebook, its plan. Out: the same `Execution` as when all cells run. Called by `tracked.py` for
`rw notebook run --cached`. When a cell fails beside reused ones, or changes a value that was brought back without the
name it shared it with, the whole notebook runs instead: reuse must never change what happens.
"""

import time
from pathlib import Path

import msgspec

from roadworthy.notebooks.dataflow.flow import analyse
from roadworthy.notebooks.execute.cached import keys, plan, records
from roadworthy.notebooks.execute.cached.inside import Deeds, Order
from roadworthy.notebooks.execute.cached.keys import Code
from roadworthy.notebooks.execute.cached.plan import Plan, Walk
from roadworthy.notebooks.execute.cached.records import Record, Said
from roadworthy.notebooks.execute.cells import CellDone, CellEvent, Execution, TimeLeft, code_cells, run_cell
from roadworthy.notebooks.execute.ran import Ran
from roadworthy.notebooks.execute.tracked import Scene
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.step import Value
from roadworthy.pipelines import cache
from roadworthy.pipelines.cache import Kept
from roadworthy.pipelines.libraries import Libraries
from roadworthy.registry import tracked
from roadworthy.registry.tracked import Line
from roadworthy.store.store import Store

_CALL = "__import__('roadworthy.notebooks.execute.cached.inside', fromlist=['call']).call({order!r}, {names})"
_NAMES = "get_ipython().user_ns"


class Anew(Exception):
    """Why the whole notebook must run."""


def make(store: Store, root: Path, project: str, notebook: Notebook, name: str) -> tuple[list[Code], Plan]:
    """The codes of a notebook's cells, and what would be done about each; nothing runs.

    Args:
        root: the folder it runs in.
        name: the notebook's.

    Raises:
        Fault: invalid for a notebook that is not in Python.
    """
    if notebook.language != "python":
        raise invalid("only cells in Python are reused", where=str(notebook.path), fix="run it without --cached")
    libraries = Libraries(store.home / "cache" / "libraries-of-notebooks", path=[str(root), *_path()])
    codes = keys.of(notebook, analyse(notebook), libraries, name=name)
    return codes, plan.plan(store, root, project, codes)


def in_kernel(scene: Scene) -> Execution:
    """Run a notebook's cells, as few as will do."""
    codes, made = make(scene.store, scene.root, scene.project, scene.notebook, scene.name)
    order = _Ordered(scene, codes)
    try:
        return order.follow(made)
    except Anew as why:
        scene.kernel.execute("get_ipython().run_line_magic('reset', '-f')", silent=True)
        everything = {code.index: plan.Decision(index=code.index, action="run", why=str(why)) for code in codes}
        return _Ordered(scene, codes).follow(Plan(decisions=everything, records={}))


class _Ordered:
    """One way down the notebook."""

    def __init__(self, scene: Scene, codes: list[Code]) -> None:
        self._scene = scene
        self._codes = {code.index: code for code in codes}
        self._walk = Walk(scene.store, scene.root, scene.project)
        self._there: dict[str, int] = {}  # which cell's value a name stands for in the kernel
        self._brought: set[str] = set()
        self._reused = 0
        self._answers = 0
        self._begun = False
        self._since_ns = 0

    def follow(self, made: Plan) -> Execution:
        cells = code_cells(self._scene.notebook)
        clock = TimeLeft(self._scene.limits)
        done: list[CellDone] = []
        try:
            for place, cell in enumerate(cells, start=1):
                self._tell(cell, place, len(cells), None)
                one = self._one(cell, made, clock)
                done.append(one)
                if one.status == "failed" and self._reused:
                    raise Anew(f"cell {cell.index + 1} failed beside reused ones")
                self._tell(cell, place, len(cells), one)
                if one.status == "failed":
                    break
        except KeyboardInterrupt:
            self._scene.kernel.interrupt()
            return Execution(done=tuple(done), stopped=True)
        numbered = tuple(_numbered(one, place) for place, one in enumerate(done, start=1))
        return Execution(done=numbered)

    def _tell(self, cell: Cell, place: int, total: int, done: CellDone | None) -> None:
        self._scene.watch(CellEvent(cell=cell, place=place, total=total, done=done))

    def _one(self, cell: Cell, made: Plan, clock: TimeLeft) -> CellDone:
        code = self._codes.get(cell.index)
        if code is None:  # in another language
            return run_cell(self._scene.kernel, cell, clock)
        decision = made.decisions[code.index]
        record = made.records.get(code.index)
        if decision.action == "perhaps":
            record, why = self._walk.look(code)
            below = [c for i, c in self._codes.items() if i > code.index and made.decisions[i].action != "reuse"]
            asked = self._asked_for(code, below)
            if record is not None and not any(plan.usable(code, record, n, (), below) for n in asked):
                return self._reuse(code, record, "what it reads came out the same")
            decision = plan.Decision(index=code.index, action="run", why=why or decision.why)
        elif record is not None:
            # A cell that ran since the plan was made may have written a file that this one read.
            held, why = self._walk.look(code) if self._begun else (record, "")
            if held is not None:
                return self._reuse(code, held, decision.why)
            decision = plan.Decision(index=code.index, action="run", why=why)
        return self._run(cell, code, clock, decision.why)

    def _asked_for(self, code: Code, below: list[Code]) -> set[str]:
        """What a cell makes that cells below will read."""
        return {name for name in code.makes if any(name in other.needs for other in below)}

    def _reuse(self, code: Code, record: Record, why: str) -> CellDone:
        self._reused += 1
        self._walk.settle(code, record)
        kept = record.kept
        if kept.tracked:
            blobs = self._scene.store.blobs
            tracked.write(self._scene.store, self._scene.run_id, kept.tracked, lambda line: blobs.file(line.file))
        ran = Ran(end="ok", outputs=record.said.outputs, wall_s=0.0)
        return CellDone(index=code.index, status="reused", ran=ran, why=why)

    def _run(self, cell: Cell, code: Code, clock: TimeLeft, why: str) -> CellDone:
        if not self._begun:
            self._order(Order(do="begin", home=str(self._scene.store.home), answer=""))
            self._begun = True
        parts = self._walk.parts(code)
        states = {name: self._walk.state(name) for name in ("(random)", "(numpy.random)")}
        self._bring(code)
        self._since_ns = time.time_ns()
        lines = len(tracked.read(self._scene.logged))
        one = run_cell(self._scene.kernel, cell, clock)
        if one.ran.end != "ok":
            return msgspec.structs.replace(one, why=why)
        touched = None if code.touches is None else tuple(code.touches)
        wanted = self._wanted(code)
        deeds = self._order(
            Order(do="after", home=str(self._scene.store.home), answer="", touched=touched, wanted=wanted)
        )
        for name in deeds.in_place:
            if name in self._brought and self._walk.shares.get(name):
                raise Anew(f"cell {cell.index + 1} changes `{name}`, which shares an object with another name")
        self._there.update(dict.fromkeys(deeds.made, code.index))
        self._brought -= deeds.made.keys()
        used = {} if code.seeds else {name: states[name] for name in deeds.hidden}
        said = Said(outputs=one.ran.outputs, deeds=deeds, states=used)
        fresh = tracked.read(self._scene.logged)[lines:]
        record = self._keep(code, parts, said, one.ran, fresh)
        self._walk.settle(code, record)
        return msgspec.structs.replace(one, why=why)

    def _wanted(self, code: Code) -> tuple[str, ...] | None:
        below = [other for i, other in self._codes.items() if i > code.index]
        if any(other.touches is None for other in below):
            return None
        return tuple({name for other in below for name in other.needs})

    def _bring(self, code: Code) -> None:
        """Bring back what the cell reads and the kernel does not have, or has of another cell."""
        wanted = set(self._walk.makers) if code.touches is None else set(code.needs)
        values: dict[str, Value] = {}
        statements: dict[str, str] = {}
        for name in {*wanted, "(random)", "(numpy.random)"}:
            maker = self._walk.makers.get(name)
            if maker is None or self._there.get(name) == maker or maker not in self._walk.records:
                continue
            made = self._walk.records[maker].made.get(name)
            if made is None:
                continue
            if made.value is None and name in self._codes[maker].statements:
                statements[name] = self._codes[maker].statements[name]
                self._there[name] = maker
                continue
            if made.value is None:
                if name.startswith("(") or code.touches is None:
                    continue
                raise Anew(f"`{name}` of cell {maker + 1} is not there: {made.why}")
            values[name] = made.value
            self._there[name] = maker
        text = "\n".join(dict.fromkeys(statements.values()))
        if text and self._scene.kernel.execute(text, silent=True).end != "ok":
            raise Anew("what cells above import or define cannot be made again")
        if values or statements:
            home = str(self._scene.store.home)
            self._order(Order(do="load", home=home, answer="", load=values, known=tuple(statements)))
            self._brought |= values.keys()

    def _order(self, order: Order) -> Deeds:
        self._answers += 1
        answer = self._scene.logged / f"answer-{self._answers}.json"
        text = msgspec.json.encode(msgspec.structs.replace(order, answer=str(answer))).decode()
        ran = self._scene.kernel.execute(_CALL.format(order=text, names=_NAMES), silent=True)
        if ran.end == "ok":
            deeds = msgspec.json.decode(answer.read_bytes(), type=Deeds)
            answer.unlink()
            return deeds
        said = f"{ran.error.name}: {ran.error.value}" if ran.error else ran.end
        if order.do == "load":
            raise Anew(f"a value could not be brought back ({said[:200]})")
        raise invalid(
            f"the kernel cannot look after its cells ({said[:200]})",
            where=str(self._scene.notebook.path),
            fix="--cached needs a kernel whose Python has roadworthy; run it without --cached",
        )

    def _keep(self, code: Code, parts: dict[str, str], said: Said, ran: Ran, lines: list[Line]) -> Record:
        store, root = self._scene.store, self._scene.root
        deeds = said.deeds
        files = {*deeds.read, *cache.named(root, code.texts, deeds.written)}
        kept_lines = tuple(
            msgspec.structs.replace(line, file=store.blobs.put_file(tracked.contained(self._scene.logged, line.file)))
            if line.kind == "artifact"
            else line
            for line in lines
        )
        kept = Kept(
            key=keys.key(parts),
            step=code.step,
            parts=parts,
            run=self._scene.run_id,
            at=store.clock.now(),
            output=records.blob(store, said),
            files=cache.marks(root, files, since_ns=self._since_ns, now_ns=time.time_ns()),
            written=deeds.written,
            tracked=kept_lines,
            wall_s=ran.wall_s,
            cpu_s=ran.cpu_s,
            memory_peak_mb=ran.memory_peak_mb,
        )
        if not code.always:
            cache.put(store, self._scene.project, [kept])
        return Record(kept=kept, said=said)


def _numbered(done: CellDone, place: int) -> CellDone:
    """With the count it would have had if all had run."""
    outputs = tuple({**o, "execution_count": place} if "execution_count" in o else o for o in done.ran.outputs)
    return msgspec.structs.replace(done, ran=msgspec.structs.replace(done.ran, outputs=outputs, count=place))


def _path() -> list[str]:
    import sys

    return sys.path
