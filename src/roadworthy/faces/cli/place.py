"""Where a command is: the project around the current folder, and its store."""

from pathlib import Path

import msgspec

from roadworthy.nouns.errors import Fault, not_found
from roadworthy.nouns.project import Place
from roadworthy.nouns.version import __version__
from roadworthy.store import project_file
from roadworthy.store.blobs import digest_of
from roadworthy.store.diagnosis import Problem
from roadworthy.store.store import HOME, Store, open_store

# The digest of the rules that were last found good.
CHECKED = "rules-checked"


def here() -> Place:
    """The project whose folder holds the current one.

    Raises:
        Fault: not found when there is none, invalid when its file has mistakes.
    """
    path = project_file.find(Path.cwd())
    if path is None:
        raise not_found("no roadworthy.toml here or above", where=str(Path.cwd()), fix="start a project: rw new NAME")
    return project_file.read(path)


def open_here() -> tuple[Place, Store]:
    """The project around, and its store."""
    place = here()
    return place, open_store(place.home, url=place.project.project.store)


def open_anywhere() -> Store:
    """The store of the project around, or of the current folder when there is none (as tracking makes one)."""
    return open_around()[0]


def open_or_make() -> Store:
    """The store of the project around, or `.roadworthy` in the current folder, made if need be."""
    path = project_file.find(Path.cwd())
    return open_anywhere() if path is not None else open_store(Path.cwd() / HOME)


def open_around() -> tuple[Store, str]:
    """The same with the project's name, which is empty outside a project.

    Raises:
        Fault: not found where neither a project nor a store is: a command that only reads makes none.
    """
    path = project_file.find(Path.cwd())
    if path is not None:
        place = project_file.read(path)
        return open_store(place.home, url=place.project.project.store), place.project.name
    if not (Path.cwd() / HOME).is_dir():
        raise not_found(
            "no roadworthy.toml here or above, and no .roadworthy here",
            where=str(Path.cwd()),
            fix="go to a project's folder, or start one: rw new NAME",
        )
    return open_store(Path.cwd() / HOME), ""


def check_rules(place: Place) -> None:
    """Judge the grammar of every rule of the project file, before hours of work for a rule that cannot be judged.

    Rules that were found good are remembered by their digest, so that a run in which nothing changed need not load CEL.

    Raises:
        Fault: invalid, with the line and column of each rule that is not CEL or asks for what is not measured.
    """
    written = list(project_file.rules(place.project))
    digest = digest_of(msgspec.json.encode([__version__, written]))
    remembered = place.home / CHECKED
    if not written or (remembered.is_file() and remembered.read_text() == digest):
        return
    from roadworthy.gates import rules
    from roadworthy.operate import window_facts
    from roadworthy.releases import plan

    known = {"gate": rules.GATE_FACTS, "release": plan.FACTS, "monitor": window_facts.KNOWN}
    found: list[Problem] = []
    for path, rule in written:
        try:
            rules.check(rule, known=known[str(path[0])])
        except Fault as problem:
            found.append(Problem(path=path, what=problem.what, fix=problem.fix))
    if found:
        raise project_file.fault(place.root / project_file.FILE, found)
    if place.home.is_dir():
        remembered.write_text(digest)
