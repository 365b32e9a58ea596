import json
import os
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadworthy.data.sensitive import mask
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.model import Field, Signature
from roadworthy.nouns.project import Serving
from roadworthy.serving import inference_log, inference_rows
from roadworthy.serving.bundle import Settings
from roadworthy.serving.compaction import compact, current, day_folders, expire
from roadworthy.serving.inference_log import Entry, InferenceLog, folder_of
from roadworthy.store.clock import SimulatedClock
from tests.serving.servers import Maker
from tests.waiting import until

SALT = "ab" * 32
NOW = 1_700_000_000.0  # 2023-11-14


def entry(request: str = "q", count: int = 2, **changes) -> Entry:
    made = {
        "rows": range(count), "columns": [["AA"] * count, [1] * count, [1.5] * count], "scores": [0.5] * count,
        "served_at": NOW, "latency_ms": 2.0,
    }  # fmt: skip
    return Entry(request=request, **(made | changes))


@pytest.fixture
def open_log(tmp_path: Path, maker: Maker):
    opened = []

    def make(clock=None, **settings) -> InferenceLog:
        settings.setdefault("serving", Serving(flush="10ms"))
        log = InferenceLog(
            folder_of(tmp_path, "local"), maker.model(), Settings(**settings), clock or SimulatedClock(NOW)
        )
        opened.append(log)
        return log

    yield make
    for log in opened:
        log.close()


def test_rows_come_back_with_their_newest_label(tmp_path: Path, open_log) -> None:
    log = open_log()
    log.offer(entry("q1", keys=[7, None], entities=["N1", 5.0], at=[100.0, None], route="canary"))
    log.offer(entry("q2", 1, keys=["7"]))
    log.close()
    inference_rows.add_labels(tmp_path, pd.DataFrame({"_key": [7, "other"], "label": [0, 1], "_at": [10.0, 11.0]}))
    inference_rows.add_labels(tmp_path, pa.table({"_key": ["7"], "label": [True], "_at": [20.0]}))
    assert inference_rows.add_labels(tmp_path, pd.DataFrame({"_key": [], "label": []})) == 0
    found = inference_rows.rows(tmp_path, "local").to_pylist()
    first = {
        "_model": "late@1", "_request": "q1", "_row": 0, "_at": 100.0, "_served_at": NOW, "_key": "7", "_entity": "N1",
        "_score": 0.5, "_latency_ms": 2.0, "_route": "canary", "carrier": "AA", "distance": 1, "wind": 1.5,
        "label": 1.0, "_label_at": 20.0,
    }  # fmt: skip
    assert found[0] == first
    assert [(row["_key"], row["_entity"], row["_at"], row["label"]) for row in found[1:]] == [
        (None, "5", NOW, None), ("7", None, NOW, 1.0),
    ]  # fmt: skip
    assert inference_rows.rows(tmp_path, "local", start=100.0, end=100.5).num_rows == 1
    assert inference_rows.rows(tmp_path, "local", end=100.0).num_rows == 0
    assert inference_rows.rows(tmp_path, "local", model="late@2").num_rows == 0
    assert inference_rows.models(tmp_path, "local") == ["late@1"]
    assert [row["label"] for row in inference_rows.labels(tmp_path).to_pylist() if row["_key"] == "7"] == [1.0]


def test_many_files_of_labels_become_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(inference_rows, "LABEL_FILES_MAX", 4)
    for i in range(23):
        table = pd.DataFrame({"_key": ["same", f"own-{i}"], "label": [i, 1], "_at": [float(i), 0.0]})
        assert inference_rows.add_labels(tmp_path, table) == 2
        assert len(list((tmp_path / "labels").iterdir())) <= 5
    found = {row["_key"]: row for row in inference_rows.labels(tmp_path).to_pylist()}
    assert len(found) == 24
    assert found["same"] == {"_key": "same", "label": 22.0, "_label_at": 22.0}


def test_nothing_served_yet(tmp_path: Path) -> None:
    table = inference_rows.rows(tmp_path, "local")
    assert table.num_rows == 0
    assert {"_model", "_score", "label"} <= set(table.column_names)
    assert inference_rows.models(tmp_path, "local") == []
    assert inference_rows.dropped(tmp_path, "local") == 0
    assert inference_rows.labels(tmp_path).num_rows == 0


def test_shadows_answer_nobody(tmp_path: Path, open_log) -> None:
    log = open_log()
    log.offer(entry(route="shadow"))
    log.close()
    assert inference_rows.rows(tmp_path, "local").num_rows == 0
    assert inference_rows.rows(tmp_path, "local", shadow=True).num_rows == 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"_key": ["a"]}, "no column 'label'"), ({"_key": [None], "label": [1]}, "'_key'"),
        ({"_key": ["a", "b"], "label": [1.0, np.nan]}, "row 1"), ({"_key": ["a"], "label": ["yes"]}, "'label'"),
        ({"_key": ["a"], "label": [1], "_at": ["soon"]}, "'_at'"),
    ],
)  # fmt: skip
def test_labels_are_kept_all_or_none(tmp_path: Path, table: dict, said: str) -> None:
    with pytest.raises(Fault, match=said):
        inference_rows.add_labels(tmp_path, pd.DataFrame(table))
    assert inference_rows.labels(tmp_path).num_rows == 0


def test_sensitive_columns_never_touch_the_disk(tmp_path: Path, open_log) -> None:
    log = open_log(
        serving=Serving(flush="10ms", key="id", entity="carrier"), sensitive=("carrier", "wind", "id"), salt=SALT
    )
    log.offer(
        entry(columns=[["SECRET", None], [1, 2], [123456.75, 2.0]], keys=["SECRETKEY", 5], entities=["SECRET", None])
    )
    log.close()
    row = inference_rows.rows(tmp_path, "local").to_pylist()[0]
    secret = bytes.fromhex(SALT)
    assert row["carrier"] == row["_entity"] == mask("SECRET", secret=secret)
    assert row["wind"] == mask(123456.75, secret=secret)
    assert row["_key"] == mask("SECRETKEY", secret=secret)
    for path in tmp_path.joinpath("inference").rglob("*"):
        if path.is_file():
            assert b"SECRET" not in path.read_bytes()
    labels = pd.DataFrame({"_key": [mask(5, secret=secret)], "label": [1]})
    inference_rows.add_labels(tmp_path, labels)
    assert inference_rows.rows(tmp_path, "local").to_pylist()[1]["label"] == 1.0


def test_masks_need_a_secret_and_names_are_reserved(tmp_path: Path, maker: Maker) -> None:
    with pytest.raises(Fault, match="no secret"):
        InferenceLog(tmp_path, maker.model(), Settings(sensitive=("wind",)), SimulatedClock(NOW))
    odd = maker.model(signature=Signature(inputs=(Field(name="_score", type="number"),)))
    with pytest.raises(Fault, match="_score"):
        InferenceLog(tmp_path, odd, Settings(), SimulatedClock(NOW))
    for name in ("", ".", "..", "a/b", "\0"):
        with pytest.raises(Fault):
            folder_of(tmp_path, name)


def test_every_type_is_kept(tmp_path: Path, maker: Maker) -> None:
    from datetime import UTC, datetime

    kinds = ("integer", "number", "string", "boolean", "datetime")
    signature = Signature(inputs=tuple(Field(name=kind, type=kind, nullable=True) for kind in kinds))
    log = InferenceLog(folder_of(tmp_path, "t"), maker.model(signature=signature), Settings(), SimulatedClock(NOW))
    noon = datetime(2013, 1, 1, 12, tzinfo=UTC)
    values = [[2**64, None], [1, None], ["x", None], [True, None], [noon.replace(tzinfo=None), None]]
    log.offer(entry(columns=values))
    log.close()
    first, second = inference_rows.rows(tmp_path, "t").to_pylist()
    assert [first[kind] for kind in kinds] == [2**63 - 1, 1.0, "x", True, noon]
    assert [second[kind] for kind in kinds] == [None] * 5


def test_a_disk_that_fails_loses_nothing_that_fits_and_counts_the_rest(tmp_path: Path, open_log, monkeypatch) -> None:
    monkeypatch.setattr(inference_log, "BUFFER_ROWS_MAX", 10)
    (tmp_path / "inference").write_text("in the way")
    log = open_log()
    assert all(log.offer(entry(f"q{i}")) for i in range(5))
    assert not log.offer(entry("over"))
    time.sleep(0.1)
    assert (log.rows_dropped, log.rows_waiting, log.rows_written) == (2, 10, 0)
    (tmp_path / "inference").unlink()
    until(lambda: log.rows_written == 10)
    assert log.offer(entry("after"))
    log.close()
    assert inference_rows.rows(tmp_path, "local").num_rows == 12
    assert inference_rows.dropped(tmp_path, "local") == 2
    assert json.loads(next((tmp_path / "inference/local/dropped").iterdir()).read_bytes())["model"] == "late@1"


def test_what_cannot_be_kept_holds_nothing_up(tmp_path: Path, open_log) -> None:
    log = open_log(serving=Serving(flush="1h"))
    log.offer(entry("good"))
    log.offer(entry("bad", columns=[[object(), "AA"], [1, 1], [1.5, 1.5]]))
    log.offer(entry("also good"))
    log._wake.set()
    until(lambda: log.rows_waiting == 4)
    log.close()
    assert log.rows_dropped == 2
    found = inference_rows.rows(tmp_path, "local").to_pylist()
    assert {row["_request"] for row in found} == {"good", "also good"}


def test_small_files_become_few_and_each_row_is_there_once(tmp_path: Path, open_log, monkeypatch) -> None:
    monkeypatch.setattr(inference_log, "FILES_MAX", 5)
    log = open_log()
    for i in range(12):
        log.offer(entry(f"q{i}"))
        until(lambda: log.rows_waiting == 0)
    log.close()
    day = day_folders(folder_of(tmp_path, "local"))[0]
    assert day.name == "date=2023-11-14"
    assert len(current(day)) < 6
    found = inference_rows.rows(tmp_path, "local").to_pylist()
    assert sorted((row["_request"], row["_row"]) for row in found) == sorted(
        (f"q{i}", r) for i in range(12) for r in (0, 1)
    )


def test_killed_while_merging_no_row_is_read_twice(tmp_path: Path) -> None:
    """After the rename, before the old files went: what another file spans is not read, and goes next time."""
    day = tmp_path / "date=2024-01-01"
    day.mkdir()
    for i in range(1, 5):
        pq.write_table(pa.table({"n": [i]}), day / f"aa.{i:08d}-{i:08d}.parquet")
    pq.write_table(pa.table({"n": [9]}), day / "bb.00000001-00000001.parquet")
    pq.write_table(pa.table({"n": [1, 2, 3]}), day / "aa.00000001-00000003.parquet")
    (day / ".aa.00000001-00000009.parquet.tmp").write_bytes(b"half")
    (day / "notes.txt").write_text("of someone else")
    before = [path.name for path in current(day)]
    assert before == ["aa.00000001-00000003.parquet", "aa.00000004-00000004.parquet", "bb.00000001-00000001.parquet"]
    assert compact(day) > 0
    files = current(day)
    assert [path.name for path in files] == ["aa.00000001-00000004.parquet", "bb.00000001-00000001.parquet"]
    numbers = duckdb.execute("SELECT n FROM read_parquet($f) ORDER BY n", {"f": [str(f) for f in files]}).fetchall()
    assert numbers == [(1,), (2,), (3,), (4,), (9,)]
    assert compact(day) == 0


def test_days_over_the_retention_go(tmp_path: Path) -> None:
    for name in ("date=2024-01-01", "date=2024-01-02", "dropped", "date=old"):
        (tmp_path / name).mkdir()
    assert expire(tmp_path, before="2024-01-02") == ["date=2024-01-01"]
    assert sorted(os.listdir(tmp_path)) == ["date=2024-01-02", "date=old", "dropped"]
    assert expire(tmp_path / "nothing", before="2024-01-02") == []
