"""Models: versions by name, and the aliases that point at them. This file owns the tables `models` and `aliases`.

A reference is `name` (the newest version), `name@3`, or `name@champion`.
"""

import difflib
import re

import msgspec

from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.nouns.model import Model
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

CHAMPION = "champion"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")

# SQLite's writers hold the whole file; two of PostgreSQL's must not give one number to two versions.
_HOLD_NAME = {"sqlite": "SELECT 1", "postgresql": "SELECT pg_advisory_xact_lock(hashtext(:name))"}
_SAME = "SELECT record FROM models WHERE name = :name AND run = :run AND digest = :digest"
_NEXT = "SELECT COALESCE(MAX(version), 0) + 1 FROM models WHERE name = :name"
_INSERT = """
INSERT INTO models (name, version, run, digest, project, created_at, record)
VALUES (:name, :version, :run, :digest, :project, :created_at, :record)
"""
_VERSION = "SELECT record FROM models WHERE name = :name AND version = :version"
_VERSIONS = "SELECT record FROM models WHERE name = :name ORDER BY version DESC"
_NEWEST = "SELECT record FROM models WHERE name = :name ORDER BY version DESC LIMIT 1"
_OF_RUN = "SELECT record FROM models WHERE run = :run ORDER BY name, version"
_NAMES = """
SELECT DISTINCT name FROM models WHERE (CAST(:project AS TEXT) = '' OR project = :project) ORDER BY name
"""
_ALIASES = "SELECT alias, version FROM aliases WHERE name = :name ORDER BY alias"
_SET_ALIAS = """
INSERT INTO aliases (name, alias, version) VALUES (:name, :alias, :version)
ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version
"""
_UNSET_ALIAS = "DELETE FROM aliases WHERE name = :name AND alias = :alias"


def register(store: Store, model: Model) -> Model:
    """Register a version: it gets the next number of its name, whatever `version` says.

    The same bytes of the same run are registered once: the version they have already is returned.
    """
    if not NAME.fullmatch(model.name):
        raise invalid("a model's name has letters, digits, `.`, `_` and `-`", where=model.name[:80])
    same = {"name": model.name, "run": model.run, "digest": model.value.digest}
    with store.read() as reader:
        if (known := reader.row(_SAME, **same)) is not None:
            return _model(known)
    event = Event(kind="model.registered", subject=model.name, project=model.project)
    with store.change(event) as tx:
        tx.row(_HOLD_NAME[tx.dialect], name=model.name)
        known = tx.row(_SAME, **same)
        row = tx.row(_NEXT, name=model.name)
        assert row is not None
        made = (
            _model(known)
            if known
            else msgspec.structs.replace(model, version=int(row[0]), created_at=model.created_at or store.clock.now())
        )
        tx.about(made.id)
        tx.note(run=model.run, digest=model.value.digest, again=known is not None)
        if known is None:
            tx.execute(
                _INSERT, version=made.version, project=made.project, created_at=made.created_at,
                record=msgspec.json.encode(made).decode(), **same,
            )  # fmt: skip
    return made


def get(store: Store, ref: str) -> Model:
    """A model by reference.

    Raises:
        Fault: not found, naming what there is.
    """
    name, at, which = ref.partition("@")
    with store.read() as reader:
        if not at:
            row = reader.row(_NEWEST, name=name)
        elif which.isdecimal() and len(which) < 10:
            row = reader.row(_VERSION, name=name, version=int(which))
        else:
            version = _aliases(reader, name).get(which)
            row = None if version is None else reader.row(_VERSION, name=name, version=version)
        if row is None:
            raise _missing(reader, ref, name, which)
    return _model(row)


def versions(store: Store, name: str) -> list[Model]:
    """All versions of a name, newest first; none if the name is unknown."""
    with store.read() as reader:
        return [_model(row) for row in reader.rows(_VERSIONS, name=name)]


def of_run(store: Store, run_id: str) -> list[Model]:
    """The versions that a run made."""
    with store.read() as reader:
        return [_model(row) for row in reader.rows(_OF_RUN, run=run_id)]


def names(store: Store, project: str = "") -> list[str]:
    """The names that have a version, of one project if named."""
    with store.read() as reader:
        return [str(row[0]) for row in reader.rows(_NAMES, project=project)]


def aliases(store: Store, name: str) -> dict[str, int]:
    """Alias to version number."""
    with store.read() as reader:
        return _aliases(reader, name)


def set_alias(store: Store, name: str, alias: str, version: int) -> None:
    """Point an alias at a version.

    Raises:
        Fault: invalid for a name that could be taken for a version, not found for an unknown version.
    """
    if not ALIAS.fullmatch(alias) or alias == "latest":
        raise invalid(
            "not a name for an alias", where=alias[:80],
            fix="begin with a letter, go on with letters, digits, `.`, `_`, `-`; `latest` is taken",
        )  # fmt: skip
    event = Event(kind="model.alias_set", subject=f"{name}@{version}", detail={"alias": alias})
    with store.change(event) as tx:
        row = tx.row(_VERSION, name=name, version=version)
        if row is None:
            raise _missing(tx, f"{name}@{version}", name, str(version))
        before = _aliases(tx, name).get(alias)
        tx.event = msgspec.structs.replace(tx.event, project=_model(row).project)
        tx.note(before=before)
        tx.execute(_SET_ALIAS, name=name, alias=alias, version=version)


def unset_alias(store: Store, name: str, alias: str) -> int:
    """Take an alias away; the version it pointed at.

    Raises:
        Fault: not found when there is no such alias.
    """
    with store.change(Event(kind="model.alias_unset", subject=name, detail={"alias": alias})) as tx:
        there = _aliases(tx, name)
        if alias not in there:
            raise not_found(
                "the model has no such alias", where=f"{name}@{alias}", fix=f"it has: {', '.join(there) or 'none'}"
            )
        newest = tx.row(_NEWEST, name=name)
        tx.event = msgspec.structs.replace(tx.event, project=_model(newest).project if newest else "")
        tx.note(before=there[alias])
        tx.execute(_UNSET_ALIAS, name=name, alias=alias)
    return there[alias]


def champion(store: Store, name: str) -> Model | None:
    """The version that the alias `champion` points at, if there is one."""
    version = aliases(store, name).get(CHAMPION)
    return None if version is None else get(store, f"{name}@{version}")


def _aliases(reader: Reader, name: str) -> dict[str, int]:
    return {str(alias): int(version) for alias, version in reader.rows(_ALIASES, name=name)}


def _model(row: tuple[object, ...]) -> Model:
    model: Model = msgspec.json.decode(str(row[0]), type=Model)
    return model


def _missing(reader: Reader, ref: str, name: str, which: str) -> Fault:
    newest = reader.row(_NEWEST, name=name)
    if newest is None:
        known = [str(row[0]) for row in reader.rows(_NAMES, project="")]
        near = difflib.get_close_matches(name, known, n=1)
        fix = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known[:10])}" if known else ""
        return not_found("no such model", where=ref[:200], fix=fix or "`rw run` registers one")
    there = _aliases(reader, name)
    if which.isdecimal():
        return not_found("no such version", where=ref[:200], fix=f"the newest is {_model(newest).id}")
    return not_found("the model has no such alias", where=ref[:200], fix=f"it has: {', '.join(there) or 'none'}")
