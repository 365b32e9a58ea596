"""Run a run again and compare it step by step.

In: a recorded run. Out: `Reproduction`: each step identical, within tolerance or different, the first that diverges,
and the likely cause. Code and data come from the store, the environment is rebuilt with uv (rebuilt.py), and the run
is repeated in a process of that environment (again.py). Called by `rw reproduce`.
"""

import contextlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from roadworthy.data.formats import registry as formats
from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.project import Place
from roadworthy.nouns.run import Run
from roadworthy.nouns.step import StepRun
from roadworthy.pipelines import cache, environment, keys, rebuilt, sources
from roadworthy.pipelines.again import Repeat, Repeated
from roadworthy.pipelines.likeness import Judge, Likeness
from roadworthy.pipelines.reach import Reach
from roadworthy.registry import runs
from roadworthy.serving import signature
from roadworthy.store import project_file
from roadworthy.store.blobs import digest_of_file
from roadworthy.store.store import Store

ARCHIVE_BYTES_MAX = 1 << 30
TAG = "roadworthy.reproduction"
# What in a step's code may make it come out differently each time, whatever the seed.
_RESTLESS = {
    r"default_rng\(\s*\)": "it draws random numbers from a generator without a seed: default_rng(seed)",
    r"RandomState\(\s*\)|Random\(\s*\)|SystemRandom": "it draws random numbers from a generator without a seed",
    r"urandom|secrets\.|uuid[14]\(|token_(hex|bytes)": "it asks the system for random numbers, which have no seed",
    r"\bnow\(|utcnow\(|today\(|time\.(time|time_ns|monotonic|perf_counter)\(": "it asks what time it is",
    r"requests\.|urlopen|httpx\.|boto3|socket\.": "it asks the network",
    r"n_jobs|ThreadPool|Thread\(|num_threads|nthread": "threads add numbers in an order of their own",
    r"listdir|scandir|iterdir|glob\(": "it lists files, in whatever order the disk has them",
}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to reproduce.

    Args:
        tolerance: the largest difference of two numbers that is not one, relative to the greater of 1 and their size.
        same_environment: run in the environment that is here.
    """

    tolerance: float = 1e-9
    same_environment: bool = False


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One step of both runs: `identical`, `within tolerance`, `different`, `failed`, or `missing` in one."""

    step: str
    verdict: str
    found: str = ""


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """What came of repeating a run.

    Args:
        run, again: the ids of both.
        steps: in the order of the first run.
        divergent: the first step that differs, empty when none does.
        cause: why it probably does.
        environment: `rebuilt` or `same`.
        differences: what is otherwise in the environment of the second run.
    """

    run: str
    again: str
    steps: tuple[Compared, ...]
    divergent: str = ""
    cause: str = ""
    environment: str = "same"
    differences: tuple[str, ...] = ()

    @property
    def reproduced(self) -> bool:
        return not self.divergent


def reproduce(
    store: Store,
    place: Place,
    run: Run,
    *,
    options: Options | None = None,
    progress: Callable[[str], None] | None = None,
) -> Reproduction:
    """Repeat a run from what is recorded of it, and compare.

    Args:
        run: finished or failed, of a pipeline.

    Raises:
        Fault: invalid when its code was not kept, not found when its data is gone, unavailable when its environment
            cannot be rebuilt.
    """
    options = options or Options()
    tell = progress or _silent
    if not run.steps:
        raise invalid("the run has no steps to repeat", where=run.id[:12], fix="name a run of a pipeline: rw runs")
    here = environment.here()
    with _laid_out(store, run, place) as root:
        python = Path(sys.executable)
        if not options.same_environment:
            python = rebuilt.interpreter(store.home, run.environment, tell)
        again = runs.get(store, _repeat(store, root, run, python, tell))
        steps = _compare(store, root, run, again, options.tolerance)
        divergent = next((each.step for each in steps if each.verdict not in {"identical", "within tolerance"}), "")
        made = Reproduction(
            run=run.id,
            again=again.id,
            steps=steps,
            divergent=divergent,
            cause=_cause(store, root, (run, again), divergent) if divergent else "",
            environment="same" if options.same_environment else "rebuilt",
            differences=rebuilt.differences(run.environment, here if options.same_environment else again.environment),
        )
    runs.amend(store, again.id, tags={TAG: "different" if divergent else "reproduced"})
    return made


@contextlib.contextmanager
def _laid_out(store: Store, run: Run, place: Place) -> Iterator[Path]:
    """The run's code in a folder of its own, with the files that its steps read beside their inputs."""
    if run.code.archive is None:
        raise invalid("the run's code was not kept", where=run.id[:12])
    root = store.home / "reproductions" / run.id
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o700, parents=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(store.blobs.get(run.code.archive))) as tar:
            if sum(entry.size for entry in tar) > ARCHIVE_BYTES_MAX:
                raise invalid("the run's code is too large to lay out", where=run.id[:12])
            tar.extractall(root, filter="data")
        if not (root / project_file.FILE).is_file():
            raise invalid(
                "the run's code has no roadworthy.toml", where=run.id[:12],
                fix='keep "*.toml" in `sources` under [project]',
            )  # fmt: skip
        _files(store, run, place, root)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _files(store: Store, run: Run, place: Place, root: Path) -> None:
    """Bring back files that steps read beside their inputs: as kept, or from where they lie, if as they were."""
    for step in run.steps:
        kept = cache.get(store, step.key)
        for name, mark in (kept.files if kept else {}).items():
            target, lies = root / name, place.root / name
            if Path(name).is_absolute() or target.exists() or not target.resolve().is_relative_to(root.resolve()):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if re.fullmatch(r"[0-9a-f]{64}", mark.digest) and store.blobs.has(mark.digest):
                target.write_bytes(store.blobs.get(mark.digest))
            elif lies.is_file() and digest_of_file(lies) == mark.digest:
                shutil.copyfile(lies, target)
            elif lies.exists() and cache.unchanged(lies, mark):
                target.symlink_to(lies)
            elif mark.digest != cache.ABSENT:
                raise not_found(
                    f"the step `{step.step}` read {name}, which is no longer as it was", where=run.id[:12],
                    fix="declare it as a data set: then a snapshot of it is kept",
                )  # fmt: skip


def _repeat(store: Store, root: Path, run: Run, python: Path, tell: Callable[[str], None]) -> str:
    """Run the run again with an interpreter; the new run's id."""
    question, answer = root.parent / f"{run.id}.json", root.parent / f"{run.id}.answer.json"
    url = store.sql.url if store.sql.dialect == "postgresql" else "sqlite"
    repeat = Repeat(
        home=str(store.home.resolve()), url=url, root=str(root.resolve()), run=run.id, now=store.clock.now(),
        actor=store.actor,
    )  # fmt: skip
    try:
        question.write_bytes(msgspec.json.encode(repeat))
        answer.unlink(missing_ok=True)
        command = [str(python), "-P", "-m", "roadworthy.pipelines.again", str(question), str(answer)]
        said: list[str] = []
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=root) as process:
            assert process.stderr is not None
            for line in process.stderr:
                said.append(line.rstrip())
                tell(said[-1])
        if not answer.exists():
            raise invalid("the run could not be repeated: " + (said[-1] if said else "its process ended"),
                          where=run.id[:12], detail={"output": "\n".join(said[-60:])})  # fmt: skip
        repeated = msgspec.json.decode(answer.read_bytes(), type=Repeated)
    finally:
        question.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)
    if repeated.failure is not None:
        raise repeated.failure.fault()
    return repeated.run


def _compare(store: Store, root: Path, run: Run, again: Run, tolerance: float) -> tuple[Compared, ...]:
    judge = Judge(store, tolerance=tolerance, rows=_rows(store, root, run))
    found: list[Compared] = []
    for before in run.steps:
        now = again.step(before.step)
        if now is None:
            found.append(Compared(step=before.step, verdict="missing", found="the repeated run has no such step"))
        elif before.output is None or now.output is None:
            found.append(_without_output(before, now))
        else:
            likeness: Likeness = judge.values(before.output, now.output)
            found.append(Compared(step=before.step, verdict=likeness.verdict, found=likeness.found))
    return tuple(_in_order(found, again))


def _in_order(found: list[Compared], again: Run) -> list[Compared]:
    """Steps in the order in which they were settled again, so that the first that differs is the one to look at."""
    place = {step.step: n for n, step in enumerate(again.steps)}
    return sorted(found, key=lambda each: place.get(each.step, len(place)))


def _without_output(before: StepRun, now: StepRun) -> Compared:
    if before.output is None and now.output is None:
        return Compared(step=before.step, verdict="identical", found=f"{before.status} both times")
    error = (now.error or "").partition("\n")[0]
    return Compared(step=before.step, verdict="failed", found=f"{before.status} before, {now.status} now: {error}")


def _rows(store: Store, root: Path, run: Run) -> object:
    """The hold-out's features, on which two models can be asked; None where the project names none."""
    spec = project_file.read(root / project_file.FILE).project.model
    holdout = run.step(spec.holdout) if spec else None
    if spec is None or holdout is None or holdout.output is None:
        return None
    with contextlib.suppress(Fault):
        rows = signature.as_frame(formats.load(store.blobs, holdout.output, keys=store.keys))
        return rows[list(spec.features)] if spec.features else rows.drop(columns=[spec.label], errors="ignore")
    return None


def _cause(store: Store, root: Path, both: tuple[Run, Run], divergent: str) -> str:
    """Why a step probably differs: what its key was made of says so, or else its code does."""
    before, now = both[0].step(divergent), both[1].step(divergent)
    if before is None or now is None:
        return "the pipeline is another"
    one, two = cache.get(store, before.key), cache.get(store, cache.apart(both[1].id, divergent))
    changes = keys.differences(one.parts, two.parts) if one and two else []
    if changes:
        return ", ".join(changes[:5])
    if now.status == "failed":
        return (now.error or "").partition("\n")[0]
    reasons = _restless(store, root, divergent)
    if reasons:
        return "; ".join(reasons)
    differing = rebuilt.differences(both[0].environment, both[1].environment)
    if differing:
        return f"the environment: {', '.join(differing[:5])}"
    return "code, data, parameters, seed and libraries are the same: look for what the step asks of the machine"


def _restless(store: Store, root: Path, step: str) -> list[str]:
    """What in the texts that a step reaches may come out differently each time."""
    place = project_file.read(root / project_file.FILE)
    reach = Reach(sources.of(place, store.home), place.project.pipeline.module)
    found: dict[str, None] = {}
    reached = reach.of([(place.project.pipeline.module, step)])
    names = {part.partition(" ")[2] for part in reached.parts if part.startswith(("function ", "class "))}
    for module in reach.modules:
        path = reach.sources.path(module)
        if path is None or path.endswith("/"):
            continue
        lines = reach.sources.text(path).decode("utf-8", "replace").splitlines()
        statements = [s for s in reach.facts(module).statements if s.binds and f"{module}.{s.binds[0]}" in names]
        starts = sorted(s.line for s in reach.facts(module).statements)
        for statement in statements:
            end = next((line for line in starts if line > statement.line), len(lines) + 1)
            for number, line in enumerate(lines[statement.line - 1 : end - 1], start=statement.line):
                for pattern, reason in _RESTLESS.items():
                    if re.search(pattern, line.partition("#")[0]):
                        found.setdefault(f"{reason} ({path}:{number})")
    return list(found)[:3]


def _silent(_: str) -> None:
    """Whoever did not ask is not told."""
