"""Runs a recorded run once more, in this interpreter: the part of `rw reproduce` that happens in the rebuilt one.

In: a file that says which run, and where its code has been laid out. Out: the new run's id on standard output, what
happens on standard error. Started by `reproduce.py` as a process.
"""

import sys
from pathlib import Path

import msgspec

from roadworthy.nouns.errors import Fault
from roadworthy.pipelines import orders, runner
from roadworthy.pipelines.graph import Graph
from roadworthy.pipelines.orders import Failure
from roadworthy.pipelines.planner import Planner
from roadworthy.registry import runs
from roadworthy.store import project_file
from roadworthy.store.clock import SystemClock
from roadworthy.store.store import open_store


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """Which run to repeat: the store it is in, its id, and the folder with its code."""

    home: str
    url: str
    root: str
    run: str
    now: float
    actor: str = ""


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """The new run's id, or why there is none."""

    run: str = ""
    failure: Failure | None = None


def main() -> None:
    """Repeat the run that the file named on the command line asks for."""
    repeat = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Repeat)
    answer = Path(sys.argv[2])
    try:
        repeated = Repeated(run=_again(repeat))
    except Fault as fault:
        failure = Failure(message=fault.what, code=fault.code.value, where=fault.where, fix=fault.fix)
        repeated = Repeated(failure=failure)
    answer.write_bytes(msgspec.json.encode(repeated))


def _again(repeat: Repeat) -> str:
    place = project_file.read(Path(repeat.root) / project_file.FILE)
    with open_store(Path(repeat.home), url=repeat.url, clock=_Clock(repeat.now), actor=repeat.actor) as store:
        recorded = runs.get(store, repeat.run)
        options = runner.RunOptions(
            pinned=recorded.snapshots, seed=recorded.seed, force=True, keep=False, reproduces=recorded.id,
            name=recorded.name, group=recorded.group, command=f"rw reproduce {recorded.id[:12]}",
        )  # fmt: skip
        planner = Planner(store, place, options)
        changed = _set(recorded.params, place.project.params, planner.graph)
        options = msgspec.structs.replace(options, params=changed)
        return runner.run(store, place, options=options, progress=_say).id


def _set(recorded: dict[str, object], written: dict[str, object], graph: Graph) -> dict[str, object]:
    """The parameters that were set for the run: those that are not as the project file has them.

    What steps logged as parameters is in the record too, and is left out.
    """
    defaults = {a.name for node in graph.nodes.values() for a in node.arguments if a.kind == "default"}
    plain = msgspec.json.decode(msgspec.json.encode(written, enc_hook=str))
    return {
        name: orders.unwrap(value)
        for name, value in recorded.items()
        if (name in written and plain[name] != value) or name in defaults - written.keys()
    }


class _Clock(SystemClock):
    """The store's time as it was when this began, moving on from there."""

    def __init__(self, now: float) -> None:
        self._ahead = now - super().now()

    def now(self) -> float:
        return super().now() + self._ahead


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
