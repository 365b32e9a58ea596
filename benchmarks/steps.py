"""Ten trivial steps, one after another: whole processes, started fresh, the median of several.

`first` runs all ten in an empty folder, `unchanged` runs them again; `per step` is what one more trivial step costs
(the difference between ten steps and one, over nine). make runs a shell's `echo` per step; Kedro and Metaflow have no
cache, so that `unchanged` runs everything again.
"""

import os
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

from benchmarks.frame import Peers, our, timed

TITLE = "Ten trivial steps"
PEERS = ("dvc", "kedro", "metaflow")
RUNS = 5
RUNS_SLOW = 3


def measure(work: Path, peers: Peers) -> list[dict]:
    rows = [
        row("Roadworthy", work, write_ours, [our(), "run"], RUNS),
        row("make", work, write_make, ["make", "--silent"], RUNS),
        row("kedro", work, write_kedro, [str(peers.python("kedro")), "steps.py"], RUNS_SLOW),
        row("dvc", work, write_dvc(peers), [peers.program("dvc"), "repro", "--quiet"], RUNS_SLOW),
        row("metaflow", work, write_metaflow, [str(peers.python("metaflow")), "steps.py", "--quiet", "run"], RUNS_SLOW),
    ]
    ours = rows[0]
    for each in rows:
        each["first, of ours"] = round(each["first"] / ours["first"], 2)
        each["unchanged, of ours"] = round(each["unchanged"] / ours["unchanged"], 2)
    return rows


def row(name: str, work: Path, write: Callable[[Path, int], None], command: list[str], runs: int) -> dict:
    environment = {
        "USERNAME": "bench",
        "METAFLOW_USER": "bench",
        "DVC_NO_ANALYTICS": "1",
        "KEDRO_DISABLE_TELEMETRY": "1",
    }

    def fresh(count: int) -> Path:
        folder = work / f"{name}-{count}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write(folder, count)
        return folder

    timed(command, cwd=fresh(1), environment=environment)  # what is compiled once is compiled here
    firsts = [timed(command, cwd=fresh(10), environment=environment) for _ in range(runs)]
    folder = work / f"{name}-10"
    unchanged = [timed(command, cwd=folder, environment=environment) for _ in range(runs)]
    single = [timed(command, cwd=fresh(1), environment=environment) for _ in range(runs)]
    first = statistics.median(firsts)
    return {
        "tool": name,
        "first": first,
        "unchanged": statistics.median(unchanged),
        "per step": (first - statistics.median(single)) / 9,
    }


def write_ours(folder: Path, count: int) -> None:
    (folder / "roadworthy.toml").write_text('[project]\nname = "steps"\n')
    lines = ["import roadworthy as rw", "@rw.step", "def s0() -> int:", "    return 0"]
    for n in range(1, count):
        lines += ["@rw.step", f"def s{n}(s{n - 1}: int) -> int:", f"    return s{n - 1} + 1"]
    (folder / "pipeline.py").write_text("\n".join(lines) + "\n")


def write_make(folder: Path, count: int) -> None:
    lines = [f"all: s{count - 1}", "s0:", "\techo 0 > s0"]
    for n in range(1, count):
        lines += [f"s{n}: s{n - 1}", f"\techo {n} > s{n}"]
    (folder / "Makefile").write_text("\n".join(lines) + "\n")


def write_kedro(folder: Path, count: int) -> None:
    lines = [
        "from kedro.io import DataCatalog, MemoryDataset",
        "from kedro.pipeline import node, pipeline",
        "from kedro.runner import SequentialRunner",
        "def add(x): return x + 1",
        f'nodes = [node(add, f"s{{n}}", f"s{{n + 1}}", name=f"n{{n}}") for n in range({count})]',
        'SequentialRunner().run(pipeline(nodes), DataCatalog({"s0": MemoryDataset(0)}))',
    ]
    (folder / "steps.py").write_text("\n".join(lines) + "\n")


def write_dvc(peers: Peers) -> Callable[[Path, int], None]:
    def write(folder: Path, count: int) -> None:
        lines = ["stages:", "  s0:", "    cmd: echo 0 > s0", "    outs: [s0]"]
        for n in range(1, count):
            lines += [f"  s{n}:", f"    cmd: echo {n} > s{n}", f"    deps: [s{n - 1}]", f"    outs: [s{n}]"]
        (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
        timed([peers.program("dvc"), "init", "--no-scm", "--quiet"], cwd=folder, environment=dict(os.environ))

    return write


def write_metaflow(folder: Path, count: int) -> None:
    lines = ["from metaflow import FlowSpec, step", "class Steps(FlowSpec):", "    @step", "    def start(self):",
             "        self.x = 0", "        self.next(self.s1)"]  # fmt: skip
    for n in range(1, count + 1):
        after = f"s{n + 1}" if n < count else "end"
        lines += ["    @step", f"    def s{n}(self):", "        self.x += 1", f"        self.next(self.{after})"]
    lines += ["    @step", "    def end(self):", "        pass", "if __name__ == '__main__':", "    Steps()"]
    (folder / "steps.py").write_text("\n".join(lines) + "\n")
