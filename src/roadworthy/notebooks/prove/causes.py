"""Why a value of the pipeline differs from the notebook's: found out by running the original again, not by guessing.

In: a proof that did not hold. Out: the same proof with its cause and the runs that show it. A second run of the
original tells whether it makes the same values twice; runs with generators seeded, and with a fixed order of sets,
tell what it is that moves. If the original is steady, the difference is the conversion's. Called by `conversion.py`.
"""

import ast
import functools
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.notebooks.convert import names
from roadworthy.notebooks.convert.calls import Calls
from roadworthy.notebooks.convert.program import Program
from roadworthy.notebooks.convert.seen import Seen
from roadworthy.notebooks.prove import alike, original
from roadworthy.notebooks.prove.proof import Cause, Proof
from roadworthy.nouns.errors import Fault

SEED = 20_130_401
_CLOCKS = ("time.", "datetime.", "pandas.Timestamp.now", "pandas.Timestamp.today", "pandas.to_datetime")
_SURROUNDINGS = (
    "os.environ",
    "os.getenv",
    "os.getcwd",
    "os.cpu_count",
    "os.listdir",
    "glob.",
    "platform.",
    "socket.",
    "sys.",
)


def explain(
    proof: Proof, program: Program, seen: Seen, key: str, folder: Path, *, tell: Callable[[str], None]
) -> Proof:
    """Say why the first value differs.

    Args:
        proof: that does not hold.
        seen: the original, run once; its values are in `folder / "first" / "values"`.
        key: of the value that differs, as the original has it.
        folder: for the runs.
    """
    runs = _Runs(program, seen, key, folder, tell)
    try:
        cause, evidence = runs.cause()
    except Fault as fault:
        cause, evidence = "", [f"the original could not be run again: {fault.what}"]
    return msgspec.structs.replace(proof, cause=cause, evidence=tuple(evidence))


class _Runs:
    def __init__(self, program: Program, seen: Seen, key: str, folder: Path, tell: Callable[[str], None]) -> None:
        self.program = program
        self.seen = seen
        self.key = key
        self.folder = folder
        self.tell = tell
        self.found = ""  # how two runs of the original first differ

    def cause(self) -> tuple[Cause, list[str]]:
        again = self._run("second")
        moved = self._moved("first", self.seen, "second", again)
        if not moved:
            return self._steady()
        what = f"a second run of the notebook alone makes another value too ({moved[0]})"
        one, two = (self._run(name, seed=SEED) for name in ("seeded", "seeded-again"))
        if not self._moved("seeded", one, "seeded-again", two):
            cell = self._first_draw()
            where = f", first used in {self.program.name(cell)}" if cell is not None else ""
            return "seed", [what, f"with the global generators seeded two runs agree: set a seed{where}"]
        one, two = (self._run(name, environment={"PYTHONHASHSEED": "0"}) for name in ("hashed", "hashed-again"))
        if not self._moved("hashed", one, "hashed-again", two):
            return "order", [what, "with PYTHONHASHSEED=0 two runs agree: it follows the order of a set; sort it"]
        if self.found.startswith(alike.MOMENT):
            return "time", [what, f"it holds the time at which it was made ({self.found})"]
        clocks = self._calls(_CLOCKS)
        if clocks:
            return "time", [what, f"seeds make no difference, and {clocks[0]} asks for the time"]
        return "environment", [
            what,
            "neither seeds nor the order of sets make a difference: threads, addresses, or a generator of its own",
        ]  # fmt: skip

    def _steady(self) -> tuple[Cause, list[str]]:
        steady = "two runs of the notebook alone agree"
        drawn = [cell for cell, _ in sorted(self.seen.draws) if self._reaches(cell)]
        if drawn and not self._seeded():
            return "seed", [steady, f"but {self.program.name(drawn[0])} uses a global generator without a seed"]
        around = self._calls(_SURROUNDINGS)
        if around:
            return "environment", [steady, f"{around[0]} looks at its surroundings, which differ in a step's process"]
        return "conversion", [
            steady,
            "so it is the pipeline that differs: tag the cells concerned rw:step=NAME to keep them together",
        ]  # fmt: skip

    def _run(self, name: str, *, seed: int | None = None, environment: dict[str, str] | None = None) -> Seen:
        self.tell(f"looking for the cause: the notebook again ({name})")
        return original.watch(
            self.program, self.folder / name, seed=seed, environment=environment, trial=False, tell=lambda _: None
        )

    def _moved(self, one: str, seen_one: Seen, two: str, seen_two: Seen) -> list[str]:
        """The values that differ between two runs of the original, up to the one in question, in order."""
        found: list[str] = []
        for key in sorted(seen_one.values, key=_place):
            a, b = seen_one.values[key], seen_two.values.get(key)
            if b is None or not a.file or not b.file or a.digest == b.digest or _place(key) > _place(self.key):
                continue
            if self._differ(self.folder / one / "values" / a.file, self.folder / two / "values" / b.file):
                found.append(self._said(key))
        return found

    def _differ(self, one: Path, two: Path) -> bool:
        try:
            values = [_Unpickler(io.BytesIO(path.read_bytes())).load() for path in (one, two)]
        except Exception:
            return True  # it cannot be read back here: all that is known is that its bytes differ
        likeness = alike.compare(*values)
        self.found = self.found or likeness.found
        return likeness.verdict == "different"

    def _said(self, key: str) -> str:
        cell, _, rest = key.partition(":")
        name = rest.partition(":")[2]
        return f"`{name}`, {self.program.name(int(cell))}" if name else self.program.name(int(cell))

    def _first_draw(self) -> int | None:
        cells = [cell for cell, _ in sorted(self.seen.draws) if self._reaches(cell)]
        return cells[0] if cells else None

    def _reaches(self, cell: int) -> bool:
        """Whether a cell that draws does more than import."""
        kinds = {s.kind for s in self.program.statements if s.key in self.seen.draws and s.cell == cell}
        return bool(kinds - {"import"}) and cell <= _place(self.key)[0]

    def _seeded(self) -> bool:
        return any(
            isinstance(n, ast.Call) and names.dotted(n.func).endswith("seed")
            for s in self.program.statements
            for n in ast.walk(s.node)
        )

    def _calls(self, wanted: tuple[str, ...]) -> list[str]:
        """Cells up to the one in question that use one of these names."""
        reading = Calls(self.program.modules, {})
        found: list[str] = []
        for statement in self.program.statements:
            if statement.cell > _place(self.key)[0] or statement.kind == "import":
                continue
            for node in ast.walk(statement.node):
                full = reading.absolute(names.dotted(node)) if isinstance(node, ast.Attribute) else ""
                if full.startswith(wanted):
                    found.append(f"{self.program.name(statement.cell)} (`{full}`)")
        return list(dict.fromkeys(found))


class _Unpickler(pickle.Unpickler):
    """Reads what our own kernel wrote; what the notebook defined is stood in for by its name."""

    def find_class(self, module_name: str, name: str) -> Any:
        if module_name == "__main__":
            return _stand_in(name)
        return super().find_class(module_name, name)


@functools.cache
def _stand_in(name: str) -> type:
    return type(name, (_Defined,), {"__module__": "__main__"})


class _Defined:
    """A class or function of the notebook: of two runs, the same where name and contents are."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __call__(self) -> None:
        """Nothing runs: libraries refuse to hold as a function what cannot be called."""


def _place(key: str) -> tuple[int, int]:
    cell, _, rest = key.partition(":")
    place = rest.partition(":")[0].partition("#")[0]
    return int(cell), int(place) if place.isdigit() else 0
