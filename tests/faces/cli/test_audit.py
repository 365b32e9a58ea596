"""`rw audit`: read, verify, checkpoint, prove."""

import json
import sqlite3
from pathlib import Path

import pytest

from roadworthy.nouns.run import Run
from roadworthy.registry import runs
from roadworthy.store import chain
from roadworthy.store.store import open_store


@pytest.fixture(autouse=True)
def log(tmp_path: Path) -> None:
    """Six events: three runs, each started by one and finished."""
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "p"\n')
    for actor in "xyz":
        with open_store(tmp_path / ".roadworthy", actor=actor) as store:
            run = runs.start(store, Run(id=actor.translate({120: "a", 121: "b", 122: "c"}) * 32, project="p"))
            runs.finish(store, run.id, "finished")


def tamper(root: Path, sql: str) -> None:
    with sqlite3.connect(root / ".roadworthy" / "store.db") as connection:
        connection.execute(sql)
    connection.close()


def test_events_are_listed_and_filtered(rw) -> None:
    lines = rw("audit").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["5", "4", "3", "2", "1", "0"]
    assert [e["seq"] for e in json.loads(rw("audit", "--json", "--kind", "run.started").stdout)] == [4, 2, 0]
    assert len(json.loads(rw("audit", "--json", "--kind", "run").stdout)) == 6
    assert rw("audit", "--kind", "ru").stdout == ""
    assert [e["seq"] for e in json.loads(rw("audit", "--json", "--subject", "a" * 32).stdout)] == [1, 0]
    assert [e["seq"] for e in json.loads(rw("audit", "--json", "--actor", "y", "--limit", "1").stdout)] == [3]


def test_a_good_log_is_good(rw, tmp_path: Path) -> None:
    assert rw("audit", "checkpoint", "--out", "note").returncode == 0
    done = rw("audit", "verify", "--checkpoint", "note")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("good: 6 events, 2 checkpoints")
    assert json.loads(rw("audit", "verify", "--json").stdout)["damage"] == []
    assert (tmp_path / "note").read_text().splitlines()[:2] == ["roadworthy/p", "6"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (
            "UPDATE events SET record = replace(record, 'run.started', 'run.stopped') WHERE seq = 2",
            "event 2 was edited",
        ),
        ("UPDATE events SET actor = 'me' WHERE seq = 2", "event 2: its columns"),
        ("DELETE FROM events WHERE seq = 2", "missing or moved"),
        ("DELETE FROM events WHERE seq = 5", "head"),
        ("UPDATE events SET seq = CASE seq WHEN 1 THEN -9 ELSE seq END WHERE seq = 1", "missing or moved"),
        ("UPDATE log_head SET size = 5", "head"),
    ],
)
def test_every_change_is_found(rw, tmp_path: Path, sql: str, said: str) -> None:
    tamper(tmp_path, sql)
    done = rw("audit", "verify")
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(rw("audit", "verify", "--json").stdout)["error"]["damage"]


def test_a_log_cut_short_with_its_head_is_found_by_a_checkpoint_kept_elsewhere(rw, tmp_path: Path) -> None:
    rw("audit", "checkpoint", "--out", "elsewhere")
    with open_store(tmp_path / ".roadworthy") as store, store.read() as reader:
        leaves = [bytes.fromhex(row[0]) for row in reader.rows("SELECT leaf FROM events ORDER BY seq")]
    frontier = chain.Frontier()
    for leaf in leaves[:4]:
        frontier.append(leaf)
    roots = ",".join(root.hex() for root in frontier.roots)
    for sql in [
        "DELETE FROM events WHERE seq > 3",
        f"UPDATE log_head SET size = 4, roots = '{roots}'",
        "DELETE FROM checkpoints",
    ]:
        tamper(tmp_path, sql)
    assert rw("audit", "verify").returncode == 0
    done = rw("audit", "verify", "--checkpoint", "elsewhere")
    assert done.returncode == 2
    assert "first 6 events are not those that were signed" in done.stderr


def test_a_checkpoint_that_is_none_is_refused(rw, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"\xff\xfe junk")
    assert rw("audit", "verify", "--checkpoint", "junk").returncode == 2
    assert rw("audit", "verify", "--checkpoint", "none").returncode == 2
    (tmp_path / "text").write_text("hello\n")
    done = rw("audit", "verify", "--checkpoint", "text")
    assert done.returncode == 2
    assert "no signature" in done.stderr
    assert rw("audit", "checkpoint", "--out", "no/such/folder").returncode == 6


def test_an_event_is_proved(rw, tmp_path: Path) -> None:
    proof = json.loads(rw("audit", "proof", "3", "--json").stdout)
    leaf = chain.leaf_hash(proof["record"].encode())
    path = [bytes.fromhex(step) for step in proof["path"]]
    assert chain.verify_inclusion(leaf, 3, proof["size"], path, bytes.fromhex(proof["root"]))
    assert not chain.verify_inclusion(leaf, 2, proof["size"], path, bytes.fromhex(proof["root"]))
    assert "run.finished" in rw("audit", "proof", "3").stdout
    assert rw("audit", "proof", "6").returncode == 3
    tamper(tmp_path, "UPDATE events SET leaf = '00' WHERE seq = 1")
    assert rw("audit", "proof", "3").returncode == 2
