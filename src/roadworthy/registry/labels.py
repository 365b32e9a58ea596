"""Labels: a run's parameters and tags as text, as they are shown, searched and sent over a wire.

In: keys and values of one run. Out: them again, of one run or of a page of runs in one statement. This file owns the
tables `run_params` and `run_tags`. The typed parameters of a run of ours are in its record as well.
"""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal

from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Asked, Dialect, Reader, Transaction

KEY_LENGTH_MAX = 250

_READ = {
    "params": "SELECT key, value FROM run_params WHERE run = :run",
    "tags": "SELECT key, value FROM run_tags WHERE run = :run",
}
_ONE_PARAM = "SELECT value FROM run_params WHERE run = :run AND key = :key"
_ONE_TAG = "SELECT value FROM run_tags WHERE run = :run AND key = :key"
_OF_MANY: dict[str, dict[Dialect, str]] = {
    table: {
        "sqlite": f"SELECT run, key, value FROM run_{table} WHERE run IN (SELECT value FROM json_each(:runs))",
        "postgresql": f"SELECT run, key, value FROM run_{table} WHERE run = ANY(:runs) ORDER BY run, key",
    }
    for table in ("params", "tags")
}
# The database makes the JSON of a page of runs faster than rows could be carried out of it.
_AS_JSON: dict[str, dict[Dialect, str]] = {
    table: {
        "sqlite": f"""
SELECT run, json_group_array(json_object('key', key, 'value', value)) FROM run_{table}
WHERE run IN (SELECT value FROM json_each(:runs)) GROUP BY run
""",
        "postgresql": f"""
SELECT run, CAST(json_agg(json_build_object('key', key, 'value', value) ORDER BY key) AS TEXT) FROM run_{table}
WHERE run = ANY(:runs) GROUP BY run
""",
    }
    for table in ("params", "tags")
}
_PARAMS_AHEAD = """
SELECT r.seq, p.key, p.value FROM runs r LEFT JOIN run_params p ON p.run = r.seq WHERE r.id = ANY(:ids)
"""
_PUT = {
    table: f"""
INSERT INTO run_{table} (run, key, value, group_id) VALUES (:run, :key, :value, :group_id)
ON CONFLICT (run, key) DO UPDATE SET value = excluded.value
"""
    for table in ("params", "tags")
}
_DELETE_TAG = "DELETE FROM run_tags WHERE run = :run AND key = :key"
_CLEAR = {
    "params": "DELETE FROM run_params WHERE run = :run",
    "tags": "DELETE FROM run_tags WHERE run = :run",
}

Kind = Literal["params", "tags"]
Pairs = list[tuple[str, str]]


def of_run(reader: Reader, kind: Kind, run: int) -> dict[str, str]:
    """All of one run, by key."""
    ahead: dict[str, str] | None = reader.ahead.get((kind, run))
    if ahead is not None:
        return dict(sorted(ahead.items()))
    return dict(sorted(reader.rows(_READ[kind], run=run)))


def params_ahead(ids: Iterable[str]) -> Asked | None:
    """What reads the parameters of several runs of PostgreSQL's for the pieces of a group."""

    def take(rows: list[tuple[Any, ...]], found: dict[Hashable, Any]) -> None:
        for run, key, value in rows:
            params = found.setdefault(("params", run), {})
            if key is not None:
                params[key] = value

    once = sorted(set(ids))
    return Asked(_PARAMS_AHEAD, {"ids": once}, take) if once else None


def begun(tx: Transaction, run: Row) -> None:
    """A run was just made, and has no parameters yet."""
    tx.know(("params", run.seq), {})


def of_runs(reader: Reader, kind: Kind, runs: Sequence[int]) -> dict[int, Pairs]:
    """All of several runs, each by key, in one statement."""
    found: dict[int, Pairs] = {run: [] for run in runs}
    for run, key, value in reader.rows(_OF_MANY[kind][reader.dialect], runs=listed(reader, runs)):
        found[run].append((key, value))
    return found


def as_json(reader: Reader, kind: Kind, runs: Sequence[int]) -> dict[int, str]:
    """Of several runs, those that have any: as JSON, `[{"key": …, "value": …}, …]`."""
    return dict(reader.rows(_AS_JSON[kind][reader.dialect], runs=listed(reader, runs)))


def param(reader: Reader, run: int, key: str) -> str | None:
    """One parameter."""
    row = reader.row(_ONE_PARAM, run=run, key=key)
    return None if row is None else str(row[0])


def tag(reader: Reader, run: int, key: str) -> str | None:
    """One tag."""
    row = reader.row(_ONE_TAG, run=run, key=key)
    return None if row is None else str(row[0])


def put(tx: Transaction, kind: Kind, run: Row, pairs: Iterable[tuple[str, str]], *, new: bool = False) -> None:
    """Add to what the run has; equal keys are replaced, of which there are none if all are `new`."""
    seq, group_id = run.seq, run.group_id
    once = dict(pairs)  # of equal keys the last
    ahead: dict[str, str] | None = tx.ahead.get((kind, seq))
    if ahead is not None:
        ahead.update(once)
    rows = [{"run": seq, "key": key, "value": value, "group_id": group_id} for key, value in once.items()]
    tx.insert_many(_PUT[kind], rows, new=new)


def replace(tx: Transaction, kind: Kind, run: Row, pairs: Iterable[tuple[str, str]]) -> None:
    """Let the run have these and no others."""
    tx.execute(_CLEAR[kind], run=run.seq)
    put(tx, kind, run, pairs)


def delete_tag(tx: Transaction, run: Row, key: str) -> bool:
    """Take a tag away; whether it was there."""
    return tx.changed(_DELETE_TAG, run=run.seq, key=key) > 0


def written(values: Mapping[str, Any]) -> Pairs:
    """Values of any type as text, those whose keys can be searched for; the rest is in the run's record alone."""
    return [(key, text(value)) for key, value in values.items() if 0 < len(key) <= KEY_LENGTH_MAX and "\x00" not in key]


def text(value: Any) -> str:
    """A value as it is searched for; PostgreSQL keeps no null characters in text."""
    if isinstance(value, dict | list | tuple):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return str(value).replace("\x00", "\ufffd")


def listed(reader: Reader, numbers: Sequence[int]) -> Any:
    """Numbers as the parameter of a statement that looks for any of them."""
    return json.dumps(list(numbers)) if reader.dialect == "sqlite" else list(numbers)


def written_list(dialect: Dialect, values: Sequence[Any]) -> Any:
    """As `listed`, of words."""
    return json.dumps(list(values)) if dialect == "sqlite" else list(values)


def glob(pattern: str) -> str:
    """A pattern of LIKE for SQLite, whose own knows no case; GLOB does, with other signs."""
    signs = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(signs.get(sign, sign) for sign in pattern)
