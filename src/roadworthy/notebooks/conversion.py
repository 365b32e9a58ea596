"""`rw notebook convert`: from a notebook to a project whose pipeline is shown to do the same.

In: a notebook's path and options. Out: `Converted`: the project's files in their folder, and the proof. The original
is only read. Everything is made in a folder beside the target and moved into place whole, or not at all. Called by
the command and by `rw new --from-notebook`.
"""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from roadworthy.notebooks import read
from roadworthy.notebooks.convert import planning, program, project_files
from roadworthy.notebooks.convert.planning import Plan
from roadworthy.notebooks.convert.seen import Seen
from roadworthy.notebooks.prove import causes, original, page, proving
from roadworthy.notebooks.prove.proof import Proof
from roadworthy.nouns.errors import conflict, unavailable

PROOF_JSON, PROOF_PAGE = "proof.json", "proof.html"
TOLERANCE = 1e-9


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to convert.

    Args:
        name: of the project; from the notebook's name when empty.
        target: the folder to write; one called like the project in the current folder when None.
        force: write over files that are there.
        proof: run both sides and compare.
        tolerance: of floating-point numbers, relative to the greater of 1 and their size.
        cell_s_max: no cell of the original may take longer, seconds.
        dry_run: write nothing.
    """

    name: str = ""
    target: Path | None = None
    force: bool = False
    proof: bool = True
    tolerance: float = TOLERANCE
    cell_s_max: float = original.CELL_S_MAX
    dry_run: bool = False


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a conversion.

    Args:
        folder: where the project is; empty when nothing was written.
        files: relative path to text of each file (of those that are text).
        steps, data, params: names.
        left: (cell, why) of what was left behind.
    """

    notebook: str
    name: str
    folder: str
    files: dict[str, str]
    steps: tuple[str, ...]
    data: tuple[str, ...]
    params: dict[str, object]
    model: str
    left: tuple[tuple[str, str], ...]
    proof: Proof


def project_name(path: Path) -> str:
    """A project's name from a notebook's: `Titanic EDA (final).ipynb` as `titanic-eda-final`."""
    found = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:60].strip("-")
    return found if found[:1].isalpha() else f"notebook-{found}".strip("-")


def convert(path: Path, options: Options, *, tell: Callable[[str], None] = lambda _: None) -> Converted:
    """Convert a notebook.

    Args:
        path: of the notebook.
        options: how.
        tell: told what happens, a line at a time.

    Returns:
        The project and its proof; whether that holds is the caller's to act on (`converted.proof.holds`).

    Raises:
        Fault: when the notebook cannot be read, run or converted; nothing is written then.
    """
    made = program.of(read.read(path))
    name = options.name or project_name(path)
    target = (options.target or Path(name)).absolute()
    if not options.dry_run:
        _check_target(target, options)
    with _workshop() as folder:
        seen = None
        if options.proof:
            seen = original.watch(made, folder / "first", cell_s_max=options.cell_s_max, tell=tell)
        plan = planning.make(made, seen)
        files = project_files.files(plan, name, target)
        proof = proving.not_run(plan)
        if seen is not None:
            proof, files = _Proving(plan, seen, folder, options, tell).done(name, target)
            files |= {
                PROOF_JSON: msgspec.json.format(msgspec.json.encode(proof), indent=2),
                PROOF_PAGE: page.render(proof),
            }
        if not options.dry_run:
            _put(target, files, force=options.force)
    return Converted(
        notebook=str(path), name=name, folder="" if options.dry_run else str(target),
        files={p: content.decode() for p, content in files.items() if p not in {PROOF_JSON, PROOF_PAGE}},
        steps=tuple(s.name for s in plan.steps), data=tuple(d.name for d in plan.data), params=plan.params,
        model=plan.model.step if plan.model else "",
        left=tuple((made.name(cell), why) for cell, why in plan.slice.left), proof=proof,
    )  # fmt: skip


class _Proving:
    """One proof, with what all of its parts need."""

    def __init__(self, plan: Plan, seen: Seen, folder: Path, options: Options, tell: Callable[[str], None]) -> None:
        self.plan = plan
        self.seen = seen
        self.folder = folder
        self.options = options
        self.tell = tell

    def done(self, name: str, target: Path) -> tuple[Proof, dict[str, bytes]]:
        """Run what was written in a folder of its own; the proof, and the files with rules by what was measured."""
        plan, values = self.plan, self.folder / "first" / "values"
        trial = self.folder / "trial" / "project"
        _write(trial, project_files.files(plan, name, trial))
        proof, measured = proving.prove(
            plan, self.seen, values, trial, tolerance=self.options.tolerance, tell=self.tell
        )  # fmt: skip
        if proof.first is not None:
            key = _key_of(plan, proof)
            proof = causes.explain(proof, plan.program, self.seen, key, self.folder, tell=self.tell)
        if plan.model is not None and measured:
            model = msgspec.structs.replace(plan.model, gated=measured)
            plan = msgspec.structs.replace(plan, model=model)
        return proof, project_files.files(plan, name, target)


def _key_of(plan: Plan, proof: Proof) -> str:
    """The key of the original's value that first differs."""
    assert proof.first is not None
    for table in plan.found.tables.values():
        if table.name == proof.first.what:
            return table.seen
    for step in plan.steps:
        for output in step.outputs:
            if proving.shown(step, output) == proof.first.what:
                return output.seen
        for metric, key in step.metrics.items():
            if proof.first.what == f"metric {metric}":
                return key
    return "0:0:"


def _check_target(target: Path, options: Options) -> None:
    """Refuse a place that cannot be written before an hour of work rather than after it."""
    if target.exists() and not options.force:
        if not target.is_dir():
            raise conflict("there is a file of that name", where=str(target), fix="name another folder: --out FOLDER")
        if any(target.iterdir()):
            raise conflict(
                "the folder is not empty", where=str(target), fix="name another folder: --out FOLDER, or say --force"
            )


@contextlib.contextmanager
def _workshop() -> Iterator[Path]:
    """A folder to work in, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="rw-convert-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _put(target: Path, files: dict[str, bytes], *, force: bool) -> None:
    """Put the project in place: the folder whole where there was none, else file by file."""
    staged: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=".rw-convert-", dir=target.parent))
        made = staged / "project"
        _write(made, files)
        if not target.exists():
            made.rename(target)
            return
        for path in files:
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.is_symlink() or not file.parent.resolve().is_relative_to(target.resolve()):
                raise conflict("a link is in the way", where=str(file), fix="remove it, or name another folder")
            if file.exists() and not force:
                raise conflict("it was written by someone else meanwhile", where=str(file), fix="say --force")
            (made / path).replace(file)
    except OSError as problem:
        raise unavailable(f"the project cannot be written: {problem.strerror}", where=str(target)) from None
    finally:
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)
