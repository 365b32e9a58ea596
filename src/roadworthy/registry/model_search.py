"""Search over names and versions of models, a page at a time.

In: conditions and an order, parsed by whoever has the grammar (the MLflow wire); out: records. A statement is put
together from the constant fragments below and those of conditions.py, since conditions come in any number; what a user
wrote goes in as bound parameters alone, and the names of columns come out of the tables of fragments.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from roadworthy.registry import model_versions
from roadworthy.registry.conditions import Bound, Comparator
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_versions import Version
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

T = TypeVar("T")
NAMES_AT_ONCE = 400
# The tag that makes a prompt of a model; prompts are found only by who asks for them.
PROMPT_TAG = "mlflow.prompt.is_prompt"

NAME_COLUMNS = {"name": "m.name"}
NAME_ORDERS = {"name": "m.name", "timestamp": "m.updated_ms", "last_updated_timestamp": "m.updated_ms"}
VERSION_COLUMNS = {"name": "m.name", "version_number": "m.version", "run_id": "m.run", "source_path": "m.source"}
VERSION_ORDERS = {
    "name": "m.name",
    "version_number": "m.version",
    "creation_timestamp": "m.created_at",
    "last_updated_timestamp": "m.updated_ms",
}
_NAMES = "SELECT m.name, m.project, m.created_ms, m.updated_ms, m.description FROM model_names m WHERE 1 = 1"
_NAME_TAG = "EXISTS (SELECT 1 FROM model_name_tags t WHERE t.name = m.name AND t.key = :{key} AND {holds})"
_NAME_NO_PROMPT = """NOT EXISTS (SELECT 1 FROM model_name_tags t
    WHERE t.name = m.name AND t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true')"""
_VERSIONS = f"SELECT {model_versions.COLUMNS} FROM models m WHERE stage <> 'Deleted_Internal'"
_VERSION_TAG = """EXISTS (SELECT 1 FROM model_tags t
    WHERE t.name = m.name AND t.version = m.version AND t.key = :{key} AND {holds})"""
_VERSION_NO_PROMPT = """m.name NOT IN (SELECT t.name FROM model_tags t
    WHERE t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true')"""
_NAME_TAGS = "SELECT name, key, value FROM model_name_tags WHERE name IN ({names}) ORDER BY name, key"
_ALIASES = "SELECT name, alias, version FROM aliases WHERE name IN ({names}) ORDER BY name, alias"
_LATEST = f"""
SELECT {model_versions.COLUMNS} FROM (
    SELECT {model_versions.COLUMNS}, ROW_NUMBER() OVER (PARTITION BY name, stage ORDER BY version DESC) AS place
    FROM models WHERE stage <> 'Deleted_Internal' AND name IN ({{names}})
) AS newest WHERE place = 1 ORDER BY name, version
"""
_VERSION_TAGS = """
SELECT name, version, key, value FROM model_tags WHERE name IN ({names}) AND version IN ({versions})
ORDER BY name, version, key
"""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison: of a column by its name in the tables above, or of a tag's value."""

    tag: bool = False
    key: str
    comparator: Comparator
    value: str | int | tuple[str, ...]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for.

    Args:
        order: columns by their names in the tables above, each with whether it ascends.
        limit, skip: which page.
        projects: those that may be seen; None for all.
    """

    conditions: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int = 100
    skip: int = 0
    projects: frozenset[str] | None = None


def names(store: Store, wanted: Wanted) -> list[tuple[Named, list[Version]]]:
    """Names of models with the newest version of each stage, by name unless ordered otherwise."""
    order = wanted.order if any(key == "name" for key, _ in wanted.order) else (*wanted.order, ("name", True))
    with store.read() as reader:
        built = Bound(reader.dialect)
        where = _where(built, wanted, NAME_COLUMNS, _NAME_TAG, _NAME_NO_PROMPT)
        sql = _NAMES + where + _ordered(order, NAME_ORDERS)
        rows = reader.rows(sql, limit=wanted.limit, skip=wanted.skip, **built.values)
        found = [str(row[0]) for row in rows]
        tags, aliases, newest = _of_names(reader, found)
    return [
        (
            Named(
                name=row[0], project=row[1], created_ms=row[2], updated_ms=row[3], description=row[4],
                tags=tags.get(row[0], {}), aliases=aliases.get(row[0], {}),
            ),
            newest.get(row[0], []),
        )
        for row in rows
    ]  # fmt: skip


def versions(store: Store, wanted: Wanted) -> list[Version]:
    """Versions with their tags; by name and from the newest number down, after what the order says."""
    order = list(wanted.order)
    for key, ascending in (("name", True), ("version_number", False)):
        if not any(known == key for known, _ in order):
            order.append((key, ascending))
    with store.read() as reader:
        built = Bound(reader.dialect)
        where = _where(built, wanted, VERSION_COLUMNS, _VERSION_TAG, _VERSION_NO_PROMPT)
        sql = _VERSIONS + where + _ordered(order, VERSION_ORDERS)
        rows = reader.rows(sql, limit=wanted.limit, skip=wanted.skip, **built.values)
        return _with_tags(reader, [model_versions.of_row(row) for row in rows])


def _where(bound: Bound, wanted: Wanted, columns: Mapping[str, str], tag: str, no_prompt: str) -> str:
    clauses = [bound.holds(columns[c.key], c.comparator, c.value) for c in wanted.conditions if not c.tag]
    tags: dict[str, list[Condition]] = {}
    for condition in wanted.conditions:
        if condition.tag:
            tags.setdefault(condition.key, []).append(condition)
    if not _asks_for_prompts(tags.get(PROMPT_TAG, ())):
        tags.pop(PROMPT_TAG, None)
        clauses.append(no_prompt)
    for key, conditions in tags.items():
        holds = " AND ".join(bound.holds("t.value", c.comparator, c.value) for c in conditions)
        clauses.append(tag.format(key=bound.bind(key), holds=holds))
    clauses.append(bound.within("m.project", wanted.projects))
    return "".join(f" AND {clause}" for clause in clauses)


def _asks_for_prompts(conditions: Sequence[Condition]) -> bool:
    if not conditions:
        return False
    first = conditions[0]
    said = str(first.value).lower()
    return (first.comparator == "=" and said == "true") or (first.comparator == "!=" and said == "false")


def _ordered(order: Iterable[tuple[str, bool]], columns: Mapping[str, str]) -> str:
    by = ", ".join(f"{columns[key]} {'ASC' if ascending else 'DESC'}" for key, ascending in order)
    return f" ORDER BY {by} LIMIT :limit OFFSET :skip"


def _of_names(
    reader: Reader, found: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, int]], dict[str, list[Version]]]:
    tags: dict[str, dict[str, str]] = {}
    aliases: dict[str, dict[str, int]] = {}
    newest: dict[str, list[Version]] = {}
    for some in _chunks(found):
        marks, values = _marks("n", some)
        for name, key, value in reader.rows(_NAME_TAGS.format(names=marks), **values):
            tags.setdefault(str(name), {})[str(key)] = str(value)
        for name, alias, version in reader.rows(_ALIASES.format(names=marks), **values):
            aliases.setdefault(str(name), {})[str(alias)] = int(version)
        rows = reader.rows(_LATEST.format(names=marks), **values)
        for version in _with_tags(reader, [model_versions.of_row(row) for row in rows]):
            newest.setdefault(version.name, []).append(version)
    return tags, aliases, newest


def _with_tags(reader: Reader, found: Sequence[Version]) -> list[Version]:
    tags: dict[tuple[str, int], dict[str, str]] = {}
    for some in _chunks(found):
        names_, name_values = _marks("n", sorted({each.name for each in some}))
        numbers, number_values = _marks("v", sorted({each.version for each in some}))
        sql = _VERSION_TAGS.format(names=names_, versions=numbers)
        for name, version, key, value in reader.rows(sql, **name_values, **number_values):
            tags.setdefault((str(name), int(version)), {})[str(key)] = str(value)
    return [msgspec.structs.replace(each, tags=tags.get((each.name, each.version), {})) for each in found]


def _marks(letter: str, values: Sequence[object]) -> tuple[str, dict[str, object]]:
    bound = {f"{letter}{i}": value for i, value in enumerate(values)}
    return ", ".join(f":{name}" for name in bound), bound


def _chunks(values: Sequence[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while some := list(islice(rest, NAMES_AT_ONCE)):
        yield some
