"""Check notebooks: read, follow the dataflow, ask every rule, leave out what the notebook declines.

In: paths. Out: findings by notebook. Called by `rw notebook check`, by the Jupyter extension for the cell just run,
and by convert. One notebook that cannot be read does not keep the others from being checked.
"""

import fnmatch
import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from roadworthy.notebooks import ignores, locks
from roadworthy.notebooks.dataflow.flow import Flow, analyse
from roadworthy.notebooks.notebook import Notebook
from roadworthy.notebooks.read import is_notebook, read
from roadworthy.notebooks.rules.catalogue import chosen
from roadworthy.notebooks.rules.finding import Finding
from roadworthy.notebooks.rules.rule import NotebookRule
from roadworthy.notebooks.rules.subject import Subject, Surroundings
from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.project import Place
from roadworthy.store import project_file
from roadworthy.store.diagnosis import Problem
from roadworthy.store.garbage import uncollected

_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "build", "dist"})
FILES_MAX = 100_000


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One notebook, checked: its findings, or why it could not be read."""

    path: Path
    findings: tuple[Finding, ...] = ()
    problem: Fault | None = None
    notebook: Notebook | None = None

    @property
    def failed(self) -> bool:
        """Whether something is worse than a note."""
        return any(finding.severity != "note" for finding in self.findings)


def check(
    notebook: Notebook, rules: Sequence[NotebookRule], around: Surroundings, flow: Flow | None = None
) -> tuple[Finding, ...]:
    """The findings of one notebook, in its order.

    Args:
        notebook: from `read`.
        rules: from `chosen`.
        around: from `surroundings`.
        flow: when it is known already.
    """
    subject = Subject(notebook, flow if flow is not None else analyse(notebook), around)
    found = [finding for rule in rules for finding in rule.find(subject)]
    found = ignores.kept(notebook, found)
    found.sort(key=lambda f: (f.cell, f.part == "output", f.line, f.column, f.code))
    return tuple(found)


def check_all(paths: Iterable[Path], rules: Sequence[NotebookRule], around: Surroundings) -> Iterator[Checked]:
    """Check many, one after another."""
    # Syntax trees are made and dropped by the thousand, and hold no circles: collecting in between finds nothing.
    with uncollected():
        for place, path in enumerate(paths, 1):
            try:
                notebook = read(path)
            except Fault as problem:
                yield Checked(path=path, problem=problem)
                continue
            yield Checked(path=path, findings=check(notebook, rules, around), notebook=notebook)
            if place % 500 == 0:
                gc.collect()


def found_in(paths: Sequence[Path], exclude: Sequence[str] = (), root: Path | None = None) -> list[Path]:
    """The notebooks that paths name: files as they are, folders with all below them.

    Args:
        paths: files and folders.
        exclude: globs, from `root`; files that are named are checked all the same.
        root: the project's folder; where the command runs when there is none.

    Raises:
        Fault: not found when a path does not exist or no notebook is there.
    """
    found: dict[Path, None] = {}
    base = (root or Path.cwd()).resolve()
    for path in paths:
        if path.is_dir():
            for each in _below(path):
                if not any(_matches(each, base, pattern) for pattern in exclude) and is_notebook(each):
                    found.setdefault(each)
                if len(found) > FILES_MAX:
                    raise invalid(
                        f"there are more than {FILES_MAX:,} notebooks", where=str(path), fix="name a folder below"
                    )
        elif path.exists():
            found.setdefault(path)
        else:
            raise not_found("there is no such file or folder", where=str(path))
    if not found:
        where = ", ".join(str(p) for p in paths)
        raise not_found("there are no notebooks", where=where, fix="name a notebook, or a folder with some")
    return list(found)


def surroundings(start: Path, place: Place | None) -> Surroundings:
    """What lies around notebooks: the project's data sets and settings, and the nearest lock.

    Args:
        start: where the notebooks are.
        place: the project around, if there is one.
    """
    folders = [place.root] if place is not None else _up_to_repository(start)
    names, lock = next((found for folder in folders if (found := locks.locked(folder))[0] is not None), (None, ""))
    if place is None:
        return Surroundings(locked=names, lock=lock)
    return Surroundings(
        root=place.root,
        data=tuple(data.path for data in place.project.data.values() if data.path),
        locked=names,
        lock=lock,
        output_max_kb=place.project.notebook.output_max_kb,
    )


def rules_of(place: Place | None, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[NotebookRule, ...]:
    """The rules that are on: as the command says, else as the project does.

    Raises:
        Fault: invalid when a word names no rule, with its place in the project file.
    """
    if place is not None:
        wrong: list[Problem] = []
        settings = place.project.notebook
        for key, words in (("select", settings.select), ("ignore", settings.ignore)):
            for number, word in enumerate(words):
                try:
                    chosen((word,))
                except Fault as problem:
                    wrong.append(Problem(path=("notebook", key, number), what=problem.what, fix=problem.fix))
        if wrong:
            raise project_file.fault(place.root / project_file.FILE, wrong)
        select, ignore = select or settings.select, (*ignore, *settings.ignore)
    return chosen(select, ignore)


def _below(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in _LEFT_OUT)
        for name in sorted(files):
            if name[0] != ".":
                yield Path(at, name)


def _matches(path: Path, base: Path, pattern: str) -> bool:
    try:
        shown = path.resolve().relative_to(base).as_posix()
    except ValueError:
        return False
    return fnmatch.fnmatchcase(shown, pattern) or shown.startswith(pattern.rstrip("/") + "/")


def _up_to_repository(start: Path) -> list[Path]:
    """The folder, and those above it up to the repository's; outside of one, the folder alone."""
    start = start.resolve()
    above = [start, *start.parents]
    for place, folder in enumerate(above):
        if (folder / ".git").exists():
            return above[: place + 1]
    return [start]
