"""What `--cached` does in the kernel: bring values back before a cell, and see what the cell made and changed after it.

In: orders from `drive.py`, as JSON. Out: answers, as JSON in a file. Values go to and come from the store's blobs by
the store's own formats; what those do not take as it is is not kept, and the answer says why.
"""

import io
import os
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.data.formats import registry as formats
from roadworthy.notebooks.execute.cached import objects
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.step import Value
from roadworthy.pipelines.seen import Seen
from roadworthy.store.blobs import Blobs

# Generators of random numbers that a cell may use without naming them.
RANDOM, NUMPY_RANDOM = "(random)", "(numpy.random)"
UNUSED = "no cell below used it"
_OF_IPYTHON = re.compile(r"_+|_\d+|_i+\d*|_i|_[oid]h|In|Out|exit|quit|get_ipython|open|__\w+__")


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A value that a cell made or changed: kept, or why it is not; and the names that share an object with it."""

    value: Value | None = None
    why: str = ""
    shares: tuple[str, ...] = ()


class Deeds(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell was seen to do.

    Args:
        made: by name, what it made or changed.
        in_place: those of them whose object is the one from before.
        deleted: names that are gone.
        hidden: generators of random numbers whose state it changed.
        read, written: files.
        seconds: what keeping took.
    """

    made: dict[str, Made] = {}
    in_place: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    seconds: float = 0.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked.

    Args:
        do: `begin` once, `load` before a cell, `after` it.
        home: the store's folder.
        answer: the file for the answer.
        load: values by name.
        known: names that are there now, and are no cell's doing.
        touched: names whose values the cell may have changed; None for all.
        wanted: names that cells below use; None for all.
    """

    do: str
    home: str
    answer: str
    load: dict[str, Value] = {}
    known: tuple[str, ...] = ()
    touched: tuple[str, ...] | None = ()
    wanted: tuple[str, ...] | None = ()


class _CellSeen(Seen):
    """Listens cell by cell; that libraries look for packages in the current folder is not the cell's reading."""

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in {"open", "os.listdir", "os.scandir"}:
            return
        caller = sys._getframe(1).f_code.co_filename  # noqa: SLF001 - the only way to know for whom
        if not caller.startswith("<frozen importlib") and "/importlib/" not in caller:
            super()._hear(event, arguments)

    def forget(self) -> None:
        self._read.clear()
        self._written.clear()


class Inside:
    """The notebook's names, and what was known of them when last looked at.

    Args:
        names: of the kernel.
        home: the store's folder.
        first: names that are not the notebook's; those that are there now unless given.
    """

    def __init__(self, names: dict[str, Any], home: Path, *, first: frozenset[str] | None = None) -> None:
        self._names = names
        self._first = frozenset(names) if first is None else first
        self._blobs = Blobs(home / "blobs")
        self._known: dict[str, tuple[int, str | None]] = {}
        self._hidden = self._states()
        self._files = _CellSeen(Path.cwd(), (str(home),))
        self._files.begin()

    def load(self, values: dict[str, Value], known: tuple[str, ...] = ()) -> None:
        """Bring values back under their names; those known are there already."""
        for name in known:
            self._known[name] = (id(self._names[name]), objects.fingerprint(self._names[name]))
        for name, value in values.items():
            loaded = formats.load(self._blobs, value)
            if name == RANDOM:
                random.setstate(loaded)
            elif name == NUMPY_RANDOM:
                import numpy as np

                np.random.set_state(loaded)  # noqa: NPY002 - the notebook's own generator
            else:
                self._names[name] = loaded
                self._known[name] = (id(loaded), objects.fingerprint(loaded))
        self._hidden = self._states()
        self._files.forget()

    def after(self, touched: tuple[str, ...] | None, wanted: tuple[str, ...] | None) -> Deeds:
        """See what the cell did, and keep what cells below want of it."""
        read, written = self._files.read(), self._files.written()
        begun = time.perf_counter()
        now = {n: v for n, v in self._names.items() if n not in self._first and not _OF_IPYTHON.fullmatch(n)}
        deleted = tuple(sorted(self._known.keys() - now.keys()))
        graphs = {name: _graph(value, id(self._names)) for name, value in now.items() if not objects.is_atom(value)}
        reach = None if touched is None else _union(graphs, touched)
        changed: list[str] = []
        in_place: list[str] = []
        for name, value in now.items():
            before = self._known.get(name)
            if before is None or before[0] != id(value):
                changed.append(name)
            elif objects.is_atom(value) or objects.is_code(value):
                continue
            elif _meet(graphs[name], reach):
                said = objects.fingerprint(value)
                if said is None or said != before[1]:
                    changed.append(name)
                    in_place.append(name)
        for name in deleted:
            del self._known[name]
        for name in changed:
            self._known[name] = (id(now[name]), objects.fingerprint(now[name]))
        made = {name: self._kept(name, now[name], graphs, wanted) for name in changed}
        states = self._states()
        hidden = tuple(name for name, state in states.items() if state != self._hidden.get(name))
        fresh = states.keys() - self._hidden.keys()  # the cell imported it: what it was before is nobody's doing
        self._hidden = states
        made |= {name: self._save(self._state(name)) for name in hidden}
        hidden = tuple(name for name in hidden if name not in fresh)
        self._files.forget()
        seconds = time.perf_counter() - begun
        return Deeds(
            made=made,
            in_place=tuple(in_place),
            deleted=deleted,
            hidden=hidden,
            read=read,
            written=written,
            seconds=seconds,
        )

    def _kept(self, name: str, value: Any, graphs: dict[str, set[int] | None], wanted: tuple[str, ...] | None) -> Made:
        if objects.is_code(value):
            return Made(why="code: its cell makes it again")
        if objects.is_atom(value):
            return self._save(value) if _is_in(name, wanted) else Made(why=UNUSED)
        own = graphs[name]
        shares = tuple(
            other
            for other, graph in graphs.items()
            if other != name and not objects.is_code(self._names[other]) and _meet(graph, own)
        )
        if not _is_in(name, wanted):
            return Made(why=UNUSED, shares=shares)
        if own is None:
            return Made(why="it is made of too many objects to follow", shares=shares)
        if self._has_own_class(value):
            return Made(why="it holds an object of a class that the notebook defines", shares=shares)
        return msgspec.structs.replace(self._save(value), shares=shares)

    def _save(self, value: Any) -> Made:
        try:
            return Made(value=formats.save(self._blobs, value))
        except Fault as fault:
            return Made(why=fault.what)
        except Exception as problem:  # of any library; it is not kept, and its cell runs again
            return Made(why=f"it cannot be stored: {type(problem).__name__}")

    def _has_own_class(self, value: Any) -> bool:
        import gc

        seen: set[int] = set()
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if id(one) in seen or objects.is_atom(one) or objects.is_code(one):
                continue
            seen.add(id(one))
            if objects.is_of_notebook(one):
                return True
            if len(seen) > objects.OBJECTS_MAX:
                return True
            waiting += gc.get_referents(one)
        return False

    def _states(self) -> dict[str, str]:
        return {name: repr(self._state(name)) for name in self.generators()}

    def state_content(self, name: str) -> str:
        """What stands for the state of a generator now, as a record of what made it would say."""
        made = self._save(self._state(name))
        assert made.value is not None
        return f"{made.value.content or made.value.digest} {made.value.format} {made.value.type}"

    def generators(self) -> list[str]:
        """Those whose modules are loaded."""
        return [RANDOM, *([NUMPY_RANDOM] if "numpy.random" in sys.modules else [])]

    def _state(self, name: str) -> Any:
        if name == RANDOM:
            return random.getstate()
        import numpy as np

        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the notebook's own generator
        return (kind, [int(key) for key in keys], *rest)


def _graph(value: Any, apart: int) -> set[int] | None:
    try:
        return objects.reached(value, apart)
    except objects.TooMany:
        return None


def _meet(a: set[int] | None, b: set[int] | None) -> bool:
    """Whether two values may share an object; one too large to follow may share any."""
    return a is None or b is None or not a.isdisjoint(b)


def _is_in(name: str, wanted: tuple[str, ...] | None) -> bool:
    return wanted is None or name in wanted


def _union(graphs: dict[str, set[int] | None], touched: tuple[str, ...]) -> set[int] | None:
    found: set[int] = set()
    for name in touched:
        graph = graphs.get(name, set())
        if graph is None:
            return None
        found |= graph
    return found


_inside: list[Inside] = []


def call(text: str, names: dict[str, Any]) -> None:
    """Do what an order says, and write the answer."""
    order = msgspec.json.decode(text, type=Order)
    out, sys.stdout = sys.stdout, io.StringIO()  # what libraries print here is nobody's output
    try:
        if order.do == "begin":
            _inside[:] = [Inside(names, Path(order.home))]
            answer = Deeds()
        elif order.do == "load":
            _inside[0].load(order.load, order.known)
            answer = Deeds()
        else:
            answer = _inside[0].after(order.touched, order.wanted)
    finally:
        sys.stdout = out
    temporary = f"{order.answer}.{os.getpid()}"
    Path(temporary).write_bytes(msgspec.json.encode(answer))
    Path(temporary).replace(order.answer)
