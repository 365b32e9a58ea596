"""Traces of a store from before tokens and costs had columns keep them: charts of them are as they are of new ones."""

import json
from pathlib import Path

import pytest

from roadworthy.store import migrating
from roadworthy.store.sql import Database

SPAN = """
INSERT INTO spans (trace, id, parent, name, type, status, start_ns, end_ns, data)
VALUES (:trace, :id, '', 'call', 'LLM', 'OK', 1, 2, :data)
"""
TOLD = "INSERT INTO trace_metadata (trace, key, value) VALUES (:trace, 'mlflow.trace.tokenUsage', :value)"
COST = {"input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75}
SPANS = 1_203  # more than are read at once


def data(**attributes: str) -> str:
    pairs = [{"key": key, "value": {"string_value": value}} for key, value in attributes.items()]
    return json.dumps({"name": "call", "attributes": pairs})


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_what_traces_used_is_read_out_of_their_json(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(tmp_path / "s.db") if engine == "sqlite" else request.getfixturevalue("postgres").new_database()
    all_of_them = migrating.migrations()
    database = Database(url)
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda: [each for each in all_of_them if each.version < 6])
        migrating.migrate(database)
    used = {"mlflow.llm.cost": json.dumps(COST), "mlflow.llm.model": '"small"', "mlflow.llm.provider": "ours"}
    tokens = {"mlflow.chat.tokenUsage": '{"input_tokens": 3, "output_tokens": true, "other": 1}'}
    with database.write() as tx:
        for n in range(SPANS):
            tx.execute(SPAN, trace=n // 2, id=f"{n:016x}", data=data(**used, **tokens) if n % 3 else data(k="v"))
        tx.execute(SPAN, trace=SPANS, id="odd", data="[]")
        tx.execute(TOLD, trace=1, value='{"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "what": "x"}')
        tx.execute(TOLD, trace=2, value="no JSON")
        tx.execute(TOLD, trace=3, value='{"input_tokens": 1e999, "total_tokens": "many"}')
    migrating.migrate(database)
    with database.read() as reader:
        row = reader.row("SELECT COUNT(*), SUM(total_cost), MIN(model), MIN(provider), MIN(tokens) FROM spans")
        assert row is not None
        filled = SPANS - SPANS // 3 - (SPANS % 3 > 0)
        assert int(row[0]) == SPANS + 1
        assert float(row[1]) == pytest.approx(0.75 * filled)
        assert tuple(row[2:]) == ("small", "ours", '{"input_tokens": 3}')
        assert [tuple(each) for each in reader.rows("SELECT trace, name, number FROM trace_numbers ORDER BY name")] == [
            (1, "input_tokens", 1.0), (1, "output_tokens", 2.0), (1, "total_tokens", 3.0),
        ]  # fmt: skip
    database.close()
