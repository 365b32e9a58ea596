"""MLflow's filter and order grammar: read as MLflow reads it, and any text is read or refused in words."""

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import experiment_filters, filters, run_filters
from roadworthy.registry.run_query import Condition, Order
from tests.mlflow_client import needs_mlflow, run

THEIR_KINDS = {"param": "parameter"}
THEIR_KEYS = {
    "id": "run_id", "name": "run_name", "actor": "user_id", "location": "artifact_uri", "start_ms": "start_time",
    "end_ms": "end_time",
}  # fmt: skip

# What MLflow's own parser and checks make of each filter, as the server runs them.
ASK = """
import json, sys
from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchUtils as S
def one(text):
    try:
        found = []
        for c in S.parse_search_filter(text):
            key, kind, sign, value = c["key"], c["type"], c["comparator"].upper(), c["value"]
            key = S.translate_key_alias(key) if kind == "attribute" else key
            ok = (S.is_string_attribute(kind, key, sign) or S.is_numeric_attribute(kind, key, sign)
                  or S.is_metric(kind, sign) or S.is_param(kind, sign) or S.is_tag(kind, sign) or S.is_dataset(kind, sign))
            if isinstance(value, tuple) and "IN" not in sign.split():
                return None  # parsed, but no SQL can be made of it
            found.append([kind, key, sign, float(value) if kind == "metric" else value])
        return found
    except Exception:
        return None
def order(text):
    try:
        kind, key, up = S.parse_order_by_for_search_runs(text)
        return [kind, S.translate_key_alias(key), up]
    except Exception:
        return None
asked = json.load(open(sys.argv[1]))
print(json.dumps({"filters": [one(t) for t in asked["filters"]], "orders": [order(t) for t in asked["orders"]]}))
"""


def clauses(seed: int, count: int) -> list[str]:
    """Filters as people write them, right and wrong."""
    chance = random.Random(seed)
    pick = chance.choice
    entities = ["metrics", "metric", "params", "param", "parameters", "tags", "tag", "attributes", "attribute", "attr",
                "run", "dataset", "datasets", "Metrics", "model", ""]  # fmt: skip
    keys = ["a", "acc", "mlflow.runName", "a_b", "`a b`", '"a b"', "`a.b`", "m1", "run_id", "run_name", "status",
            "start_time", "end_time", "user_id", "artifact_uri", "created", "name", "digest", "context", "`run name`"]  # fmt: skip
    signs = [
        "=",
        "!=",
        ">",
        ">=",
        "<",
        "<=",
        "LIKE",
        "like",
        "ILIKE",
        "IN",
        "NOT IN",
        "not in",
        "IS NULL",
        "is not null",
        "==",
    ]
    values = ["1", "0.5", "-2", "1e-3", ".5", "'x'", '"x"', "'%a_'", "''", "'it''s'", "'a b'", "'é'", "('x')", "('x', 'y')",
              "('x',)", '("x", "y")', "x", "`x`", "NULL"]  # fmt: skip

    def clause() -> str:
        entity, sign = pick(entities), pick(signs)
        name = f"{entity}.{pick(keys)}" if entity else pick(keys)
        gap = pick([" ", " ", "  "])
        value = "" if "NULL" in sign.upper() else f"{gap}{pick(values)}"
        return f"{name}{gap}{sign}{value}"

    return [
        f" {pick(['AND', 'and', 'And'])} ".join(clause() for _ in range(chance.choice([1, 1, 1, 2])))
        for _ in range(count)
    ]


def orders(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    pick = chance.choice
    names = ["metrics.acc", "metric.`a b`", 'metrics."a b"', "params.lr", "tags.team", "attributes.start_time", "start_time",
             "end_time", "run_id", "run_name", "status", "Created", "acc", "model.x", "datasets.name"]  # fmt: skip
    return [f"{pick(names)}{pick(['', ' ASC', ' DESC', ' asc', ' desc', '  DESC', ' up'])}" for _ in range(count)]


def ours(text: str) -> list[list[Any]] | None:
    try:
        return [told(condition) for condition in run_filters.conditions(text)]
    except WireError:
        return None


def told(condition: Condition) -> list[Any]:
    """A condition in MLflow's words."""
    kind, key, comparator, value = condition
    if kind == "attribute":
        value = value.swapcase() if key == "status" and isinstance(value, str) else value
        key = THEIR_KEYS.get(key, key)
    return [THEIR_KINDS.get(kind, kind), key, comparator, list(value) if isinstance(value, tuple) else value]


def our_order(text: str) -> list[Any] | None:
    try:
        ((kind, key, up),) = run_filters.order([text])
    except WireError:
        return None
    return [THEIR_KINDS.get(kind, kind), THEIR_KEYS.get(key, key) if kind == "attribute" else key, up]


@pytest.mark.slow
@needs_mlflow
def test_filters_mean_what_they_mean_to_mlflow(tmp_path: Path) -> None:
    asked = {"filters": clauses(11, 6_000), "orders": orders(12, 300)}
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    theirs = json.loads(run(ASK, "asked.json", folder=tmp_path).splitlines()[-1])
    differ = [
        (text, mine, their)
        for text, their in zip(asked["filters"], theirs["filters"], strict=True)
        if (mine := ours(text)) != their
    ]
    assert differ == []
    assert sum(their is not None for their in theirs["filters"]) > 500
    differ = [
        (text, mine, their)
        for text, their in zip(asked["orders"], theirs["orders"], strict=True)
        if (mine := our_order(text)) != their and "datasets" not in text
    ]
    assert differ == []


ALPHABET = st.text(
    st.sampled_from("abmetricsparamstagsattribute.`'\"()<>=!~,-+0123456789eE %_\\\n\0éANDORLIKEINNOTISNULL"),
    max_size=50,
)


@settings(deadline=None, max_examples=400)
@given(ALPHABET)
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (run_filters.conditions, experiment_filters.conditions):
        with contextlib.suppress(WireError):
            read(text)
    for order in (run_filters.order, experiment_filters.order):
        with contextlib.suppress(WireError):
            order([text])


def test_what_would_never_end_is_refused() -> None:
    for text in (
        "a" * (filters.LENGTH_MAX + 1),
        " AND ".join(["metrics.a > 1"] * 101),
        "run_id IN (" + "'a'," * 10_001 + ")",
    ):
        with pytest.raises(WireError):
            run_filters.conditions(text)
    with pytest.raises(WireError):
        run_filters.order(["metrics.a"] * 21)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("metrics.acc > 0.5", Condition("metric", "acc", ">", 0.5)),
        ("metrics.`a.b c` <= -1e3", Condition("metric", "a.b c", "<=", -1000.0)),
        ('params."lr" != "it\'s"', Condition("param", "lr", "!=", "it's")),
        ("tags.mlflow.user LIKE '%a_'", Condition("tag", "mlflow.user", "LIKE", "%a_")),
        ("status = 'FINISHED'", Condition("attribute", "status", "=", "finished")),
        ("attributes.run_id in ('a', \"b\")", Condition("attribute", "id", "IN", ("a", "b"))),
        ("created >= 5", Condition("attribute", "start_ms", ">=", 5)),
        ("datasets.context IS NULL", None),
        ("params.x IS NOT NULL", Condition("param", "x", "IS NOT NULL", None)),
    ],
)
def test_a_clause_becomes_a_condition(text: str, condition: Condition | None) -> None:
    if condition is None:
        with pytest.raises(WireError):
            run_filters.conditions(text)
    else:
        assert run_filters.conditions(text) == (condition,)
        assert run_filters.conditions(f"{text} AND {text} and") == (condition, condition)


def test_an_order_names_what_is_sorted_by() -> None:
    assert run_filters.order(["metrics.`a b` DESC", "start_time"]) == (
        Order("metric", "a b", ascending=False),
        Order("attribute", "start_ms", ascending=True),
    )
