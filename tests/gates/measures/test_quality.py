"""Quality: each rule of a contract finds what breaks it, counts it, shows it, and hides what is sensitive."""

import datetime as dt
import pathlib
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.data import snapshots
from roadworthy.gates.measures import quality
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.evidence import Finding
from roadworthy.nouns.project import Contract
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store

FRAME = pd.DataFrame(
    {
        "id": [1, 2, 2, 4],
        "price": [1.5, np.nan, -3.0, 8.0],
        "code": ["AA", "BB", "zz", None],
        "flag": [True, False, True, True],
        "at": pd.to_datetime(["2023-11-01", "2023-11-02", "2023-11-03", "2023-11-14 20:00"], format="mixed"),
    }
)


def check(store: Store, table: pd.DataFrame, **contract: Any) -> dict[str, Finding]:
    snapshot = snapshots.take_table(store, "d", table)
    findings = quality.check(store, snapshot, msgspec.convert(contract, Contract))
    assert len({f.rule for f in findings}) == len(findings)
    return {f.rule: f for f in findings}


def column(store: Store, name: str, table: pd.DataFrame = FRAME, **rule: Any) -> dict[str, Finding]:
    return check(store, table, columns={name: {"max_null": 1.0, **rule}})


@pytest.mark.parametrize(
    ("name", "rule", "label", "failed", "shown"),
    [
        ("price", {"min": 0}, "price: range", 1, [-3.0]),
        ("price", {"max": 5.5}, "price: range", 1, [8.0]),
        ("price", {"min": 0, "max": 5}, "price: range", 2, [-3.0, 8.0]),
        ("price", {"min": -3, "max": 8}, "price: range", 0, []),
        ("price", {"max_null": 0.0}, "price: missing values", 1, [None]),
        ("code", {"max_null": 0.2}, "code: missing values", 1, [None]),
        ("code", {"max_null": 0.25}, "code: missing values", 1, []),
        ("code", {"values": ["AA", "BB"]}, "code: allowed values", 1, ["zz"]),
        ("id", {"values": [1, 4]}, "id: allowed values", 2, [2, 2]),
        ("flag", {"values": [True]}, "flag: allowed values", 1, [False]),
        ("code", {"pattern": "[A-Z]{2}"}, "code: pattern", 1, ["zz"]),
        ("code", {"min": "AB"}, "code: range", 1, ["AA"]),
        ("id", {"unique": True}, "id: unique", 2, [2]),
        ("code", {"unique": True}, "code: unique", 0, []),
        ("at", {"min": "2023-11-02"}, "at: range", 1, ["2023-11-01T00:00:00"]),
        ("at", {"max": "2023-11-14 19:00:00"}, "at: range", 1, ["2023-11-14T20:00:00"]),
    ],
)
def test_a_rule_counts_and_shows_what_breaks_it(
    store: Store,
    name: str,
    rule: dict[str, Any],
    *,
    label: str,
    failed: int,
    shown: list[Any],
) -> None:
    finding = column(store, name, **rule)[label]
    assert (finding.failed, finding.total, finding.passed) == (failed, 4, not shown)
    assert [row[name] for row in finding.examples] == shown
    assert finding.allowed
    assert finding.column == name


@pytest.mark.parametrize(
    ("values", "type_", "holds"),
    [
        ([1, 2], "integer", True),
        ([1.0, None, 3.0], "integer", True),
        ([1.0, 1.5], "integer", False),
        (["1"], "integer", False),
        ([1, 2], "number", True),
        ([1.5], "number", True),
        (["1.5"], "number", False),
        (["a", None], "string", True),
        ([1], "string", False),
        ([True], "boolean", True),
        ([0, 1], "boolean", True),
        ([0, 2], "boolean", False),
        (["true"], "boolean", False),
        ([dt.date(2024, 1, 1)], "date", True),
        ([dt.datetime(2024, 1, 1)], "date", True),
        ([dt.datetime(2024, 1, 1, 1)], "date", False),
        ([dt.datetime(2024, 1, 1, 1)], "datetime", True),
        ([dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)], "datetime", True),
        (["2024-01-01"], "datetime", False),
        ([None, None], "number", True),
    ],
)
def test_types(store: Store, values: list[Any], type_: str, holds: bool) -> None:
    finding = column(store, "x", pd.DataFrame({"x": values}), type=type_).get("x: type")
    assert (finding is None or finding.passed) is holds


def test_a_csvs_text_is_asked_value_by_value(store: Store, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("n,d,b\n1,2024-01-01,true\nx,2024-13-01,maybe\n3,2024-01-03,false\n")
    snapshot = snapshots.take(store, "t", path)
    contract = {"columns": {"n": {"type": "integer", "min": 2}, "d": {"type": "date"}, "b": {"type": "boolean"}}}
    found = {f.rule: f for f in quality.check(store, snapshot, msgspec.convert(contract, Contract))}
    assert [found[f"{c}: type"].failed for c in "ndb"] == [1, 1, 1]
    assert found["n: type"].examples[0] == {"row": 2, "n": "x", "d": "2024-13-01", "b": "maybe"}
    assert (found["n: range"].failed, found["n: range"].examples[0]["n"]) == (1, "1")


def test_columns_that_are_missing_forbidden_or_extra(store: Store) -> None:
    found = check(
        store,
        FRAME,
        columns={"nope": {}, "maybe": {"required": False}, "id": {}},
        forbidden=["price", "other"],
        extra_columns=False,
        unique=[["id", "nope"]],
    )
    assert not found["nope: present"].passed
    assert not any(rule.startswith("maybe") for rule in found)
    assert (found["forbidden columns"].measured, found["forbidden columns"].failed) == ("price", 1)
    assert found["extra columns"].measured == "code, flag, at"
    assert not found["unique: id, nope"].passed


def test_composite_uniqueness_passes_over_missing_values(store: Store) -> None:
    table = pd.DataFrame({"a": [1, 1, 1, 2, 2], "b": ["x", "x", None, None, None]})
    found = check(store, table, unique=[["a", "b"], "a"])
    assert (found["unique: a, b"].failed, found["unique: a, b"].examples) == (2, ({"a": 1, "b": "x", "rows": 2},))
    assert found["a: unique"].failed == 5
    assert found["a: unique"].examples[0] == {"a": 1, "rows": 3}


def test_row_counts(store: Store) -> None:
    assert check(store, FRAME)["row count"].passed
    assert not check(store, FRAME.iloc[:0])["row count"].passed
    assert check(store, FRAME.iloc[:0], rows={"min": 0})["row count"].passed
    assert not check(store, FRAME, rows={"min": 5})["row count"].passed
    found = check(store, FRAME, rows={"max": 3, "level": "warn"})["row count"]
    assert (found.passed, found.level, found.measured) == (False, "warn", "4 rows")
    assert quality.failures([found]) == []


def test_freshness_is_by_the_stores_clock(store: Store, clock: SimulatedClock) -> None:
    # The clock stands at 2023-11-14 22:13:20 UTC, two hours and thirteen minutes after the newest row.
    assert check(store, FRAME, fresh={"column": "at", "max_age": "3h"})["at: fresh"].passed
    assert not check(store, FRAME, fresh={"column": "at", "max_age": "2h"})["at: fresh"].passed
    clock.sleep(3600)
    stale = check(store, FRAME, fresh={"column": "at", "max_age": "3h"})["at: fresh"]
    assert (stale.passed, stale.measured) == (False, "newest is 2023-11-14 20:00:00+00:00, 3.2 h old")
    assert not check(store, FRAME, fresh={"column": "nope", "max_age": "3h"})["nope: fresh"].passed
    assert not check(store, FRAME, fresh={"column": "code", "max_age": "3h"})["code: fresh"].passed


def test_sensitive_values_are_never_shown(store: Store) -> None:
    table = pd.DataFrame({"name": ["Ann", "Bob", "Ann"], "age": [999, -5, 30], "x": [1, 2, 3]})
    found = check(
        store,
        table,
        columns={
            "name": {"sensitive": True, "values": ["Cid"], "unique": True, "pattern": "[0-9]+"},
            "age": {"sensitive": True, "min": 0, "max": 100},
            "x": {"max": 1},
        },
        sql=[{"name": "renamed", "sql": "SELECT name AS n, age + 0 AS a, x FROM data"}],
    )
    shown = msgspec.json.encode(list(found.values())).decode()
    assert not any(secret in shown for secret in ("Ann", "Bob", "999", "-5"))
    assert found["name: allowed values"].examples[0]["name"].startswith("masked:")
    assert found["sql: renamed"].examples[0]["x"] == 1
    assert found["sql: renamed"].examples[0]["n"].startswith("masked:")
    # The same value has the same mask, so that examples can be compared.
    assert found["name: allowed values"].examples[0]["name"] == found["name: allowed values"].examples[2]["name"]


def test_columns_named_by_the_project_are_masked_too(store: Store) -> None:
    snapshot = snapshots.take_table(store, "d", pd.DataFrame({"name": ["Ann"], "x": [1]}))
    contract = msgspec.convert({"columns": {"x": {"max": 0}}}, Contract)
    [finding] = quality.failures(quality.check(store, snapshot, contract, sensitive={"name"}))
    assert finding.examples[0]["name"].startswith("masked:")


def sql(store: Store, query: str) -> Finding:
    return check(store, FRAME, sql=[{"name": "q", "sql": query, "level": "warn"}])["sql: q"]


def test_a_query_returns_what_breaks_the_rule(store: Store) -> None:
    found = sql(store, "SELECT * FROM data WHERE price < 0; -- negative")
    assert (found.failed, found.total, found.level, found.examples[0]["id"]) == (1, 4, "warn", 2)
    assert sql(store, "WITH t AS (SELECT * FROM data) SELECT id FROM t WHERE id > 9").passed


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("", "one SELECT"),
        ("DROP VIEW data", "one SELECT"),
        ("COPY data TO '{tmp}/out.csv'", "one SELECT"),
        ("ATTACH '{tmp}/x.db'", "one SELECT"),
        ("SET lock_configuration = false", "one SELECT"),
        ("INSTALL httpfs", "one SELECT"),
        ("SELECT * FROM read_text('/etc/passwd')", "out of bounds"),
        ("SELECT * FROM read_csv('/etc/passwd')", "out of bounds"),
        ("SELECT * FROM '/etc/passwd.csv'", "out of bounds|fails"),
        ("SELECT * FROM glob('/*')", "out of bounds"),
        ("SELECT * FROM read_parquet('https://example.com/x.parquet')", "out of bounds|fails"),
        ("SELECT * FROM FRAME", "fails"),
        ("SELECT getenv('HOME')", "fails"),
        ("SELECT nothing FROM data", "fails"),
        ("SELECT 1) t; DROP VIEW data; --", "fails|one SELECT"),
        ("SELEC", "fails"),
    ],
)
def test_a_query_reaches_nothing_but_the_table(store: Store, tmp_path: pathlib.Path, query: str, message: str) -> None:
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(Fault, match=message) as caught:
        sql(store, query.replace("{tmp}", str(tmp_path)))
    assert caught.value.where == "sql: q"
    assert sorted({p.name for p in tmp_path.iterdir()} - set(before)) in ([], [".roadworthy"])


def test_a_query_that_does_not_end_is_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "SQL_S_MAX", 0.3)
    with pytest.raises(Fault, match="took longer"):
        sql(store, "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = -1")


@pytest.mark.parametrize(
    ("name", "rule", "message"),
    [
        ("price", {"min": "low"}, "bounds column 'price'"),
        ("code", {"max": 5}, "bounds column 'code'"),
        ("at", {"min": 5}, "bounds column 'at'"),
        ("at", {"min": "soon"}, "cannot be compared"),
        ("code", {"pattern": "[A-"}, "pattern of the contract is wrong"),
    ],
)
def test_a_contract_that_makes_no_sense_is_one_message(
    store: Store, name: str, rule: dict[str, Any], message: str
) -> None:
    with pytest.raises(Fault, match=message):
        column(store, name, **rule)


@pytest.mark.parametrize("name", ["select", 'a"b', "a'b", "'; DROP VIEW data; --", "ä ö", "{x}", "$p0min", "row"])
def test_any_column_name_will_do(store: Store, name: str) -> None:
    table = pd.DataFrame({name: [1, 1, 7], "other": ["x", "y", "z"]})
    found = check(
        store, table, columns={name: {"type": "integer", "min": 0, "max": 5, "values": [1, 7], "unique": True}},
        fresh={"column": name, "max_age": "1d"},
    )  # fmt: skip
    assert found[f"{name}: range"].failed == 1
    assert found[f"{name}: unique"].failed == 2
    assert found[f"{name}: allowed values"].passed


def test_long_and_strange_values_are_shown_short(store: Store) -> None:
    table = pd.DataFrame({"x": ["a" * 10_000], "y": [b"\x00\xff"], "z": [float("inf")]})
    row = column(store, "x", table, values=["b"])["x: allowed values"].examples[0]
    assert len(row["x"]) == quality.EXAMPLE_TEXT_MAX
    assert (row["y"], row["z"]) == ("00ff", "inf")
    msgspec.json.encode(row)


def test_a_folder_of_files_has_no_contract(store: Store, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    snapshot = snapshots.take(store, "d", tmp_path / "a.bin")
    with pytest.raises(Fault, match="no table"):
        quality.check(store, snapshot, Contract())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=60),
    low=st.floats(-1e6, 1e6),
    high=st.floats(-1e6, 1e6),
)
def test_counts_agree_with_pandas(store: Store, values: list[float | None], low: float, high: float) -> None:
    series = pd.Series(values, dtype="float64")
    found = column(store, "x", pd.DataFrame({"x": series}), min=low, max=high, max_null=0.0, unique=True)
    assert found["x: range"].failed == int(((series < low) | (series > high)).sum())
    assert found["x: missing values"].failed == int(series.isna().sum())
    assert found["x: unique"].failed == int(series.dropna().duplicated(keep=False).sum())
