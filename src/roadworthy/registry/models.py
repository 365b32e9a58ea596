"""Models: versions by name, and the aliases that point at them. This file owns the table `aliases` and what `models`
says of what a version is made of; what else a registry shows of it is in registry/model_versions.py.

A reference is `name` (the newest version), `name@3`, or `name@champion`. A version that an MLflow client registered is
listed like any other; until it is adopted (registry/adopting.py) there is nothing of it that could be judged or served.
"""

import difflib
import re

import msgspec

from roadworthy.nouns.errors import Fault, conflict, invalid, not_found, refused
from roadworthy.nouns.event import Event
from roadworthy.nouns.model import Model, Signature
from roadworthy.nouns.step import Value
from roadworthy.registry import model_names, model_versions
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

CHAMPION = "champion"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")

# What `Value.format` says of a version that is still as a client registered it.
UNADOPTED = "mlflow"

_COLUMNS = "record, name, version, run, project, created_at"
_SAME = f"SELECT {_COLUMNS} FROM models WHERE name = :name AND run = :run AND digest = :digest AND record <> ''"
_INSERT = """
INSERT INTO models (name, version, run, digest, project, created_at, updated_ms, record)
VALUES (:name, :version, :run, :digest, :project, :created_at, :updated_ms, :record)
"""
_ADOPT = (
    "UPDATE models SET record = :record, digest = :digest, project = :project, updated_ms = :at "
    "WHERE name = :name AND version = :version"
)
# What is deleted is no longer listed, but evidence and releases may still name it.
_VERSION = f"""
SELECT {_COLUMNS} FROM models
WHERE name = :name AND version = :version AND (stage <> 'Deleted_Internal' OR record <> '')
"""
_STAGE = "SELECT stage FROM models WHERE name = :name AND version = :version"
_VERSIONS = f"""
SELECT {_COLUMNS} FROM models WHERE name = :name AND stage <> 'Deleted_Internal' ORDER BY version DESC
"""
_NEWEST = f"{_VERSIONS} LIMIT 1"
_OF_RUN = f"""
SELECT {_COLUMNS} FROM models WHERE run = :run AND stage <> 'Deleted_Internal' ORDER BY name, version
"""
_NAMES = """
SELECT DISTINCT name FROM models
WHERE stage <> 'Deleted_Internal' AND (CAST(:project AS TEXT) = '' OR project = :project) ORDER BY name
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
        tx.row(model_versions.HOLD_NAME[tx.dialect], name=model.name)
        known = tx.row(_SAME, **same)
        at, number = model.created_at or store.clock.now(), model_versions.next_number(tx, model.name)
        made = _model(known) if known else msgspec.structs.replace(model, version=number, created_at=at)
        tx.about(made.id)
        tx.note(run=model.run, digest=model.value.digest, again=known is not None)
        if known is None:
            tx.execute(
                _INSERT, version=made.version, project=made.project, created_at=at, updated_ms=round(at * 1000),
                record=msgspec.json.encode(made).decode(), **same,
            )  # fmt: skip
            model_names.ensure(tx, made.name, made.project, round(at * 1000))
            tx.execute_many(model_versions.SET_TAG, model_versions.tag_rows(made.name, made.version, made.tags))
    return made


def adopt(store: Store, model: Model) -> Model:
    """Say what a version that a client registered is made of, so that it can be judged and served.

    Raises:
        Fault: conflict when it has been said before: certificates may rest on it.
    """
    event = Event(kind="model.adopted", subject=model.id, project=model.project)
    with store.change(event) as tx:
        row = tx.row(_VERSION, name=model.name, version=model.version)
        if row is None:
            raise _missing(tx, model.id, model.name, str(model.version))
        if row[0]:
            raise conflict("it is adopted already", where=model.id, fix=f"judge it: rw gate {model.id}")
        tx.note(digest=model.value.digest, holdout=model.holdout.digest if model.holdout else None)
        record = msgspec.json.encode(model).decode()
        at = model_names.now_ms(store)
        tx.execute(
            _ADOPT, name=model.name, version=model.version, record=record, digest=model.value.digest,
            project=model.project, at=at,
        )  # fmt: skip
        model_names.claim(tx, model.name, model.project)
    return model


def require_adopted(model: Model) -> Model:
    """The model, if it is made of something that we keep.

    Raises:
        Fault: refused, saying how to adopt it.
    """
    if model.value.format == UNADOPTED:
        raise refused(
            "an MLflow client registered this version, and it was not adopted yet", where=model.id,
            fix=f"take its model and hold-out over: rw models adopt {model.id}",
        )  # fmt: skip
    return model


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
    point(store, name, alias, version)


def point(store: Store, name: str, alias: str, version: int) -> None:
    """As `set_alias`, for an alias that its caller has found good."""
    event = Event(kind="model.alias_set", subject=f"{name}@{version}", detail={"alias": alias})
    with store.change(event) as tx:
        row = tx.row(_VERSION, name=name, version=version)
        stage = tx.row(_STAGE, name=name, version=version)
        if row is None or stage is None or stage[0] == model_versions.DELETED:
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
    record, name, version, run, project, created_at = row
    if record:
        model: Model = msgspec.json.decode(str(record), type=Model)
        return model
    return Model(
        name=str(name),
        version=int(str(version)),
        run=str(run),
        value=Value(format=UNADOPTED, digest="", size=0),
        signature=Signature(inputs=()),
        label="",
        project=str(project),
        created_at=float(str(created_at)),
    )


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
