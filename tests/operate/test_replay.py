"""The whole loop as a user runs it: real processes, real HTTP, and kill -9 wherever it hurts."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from roadworthy.operate import journal, windows
from roadworthy.registry import models
from roadworthy.releases import releases
from roadworthy.serving import inference_rows
from roadworthy.store import log
from roadworthy.store.store import open_store
from tests.operate import town

pytestmark = pytest.mark.slow
TIMEOUT_S = 400


class Town:
    """A project in a folder, and `rw` run in it."""

    def __init__(self, root):
        self.root = root
        self.env = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}

    def start(self, *args):
        return subprocess.Popen(
            [sys.executable, "-m", "roadworthy", *args],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def rw(self, *args):
        return subprocess.run(
            [sys.executable, "-m", "roadworthy", *args],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def kill_at(self, mark, *args):
        """Start it, and kill -9 it as soon as it says `mark`; what it had said."""
        process = self.start(*args)
        said = []
        for line in process.stdout:
            said.append(line)
            if mark in line:
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.close()
        process.wait(timeout=TIMEOUT_S)
        assert mark in said[-1], "".join(said)
        return said

    def kill_when(self, reached, *args):
        """Start it, and kill -9 it as soon as `reached(journal)`."""
        process = self.start(*args)
        with self.store() as store:
            while process.poll() is None and not reached(journal.load(store, "buses")):
                time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=TIMEOUT_S)

    def store(self):
        return open_store(self.root / ".roadworthy")


@pytest.fixture
def make(project_dir):
    made = []

    def build(**settings):
        found = Town(project_dir(town.files(**settings)))
        made.append(found)
        return found

    yield build
    for found in made:
        found.rw("release", "--down")


def verified(store):
    with store.read() as reader:
        return log.verify(reader, store.keys)


@pytest.mark.timeout(TIMEOUT_S)
def test_a_replay_that_is_killed_again_and_again_serves_each_row_once(make):
    place = make(days=55, rows=40)
    replay = ("operate", "--replay", "source:history")
    place.kill_at("recent: running", *replay)
    place.kill_at("measuring what it costs", *replay)
    place.kill_at("late-buses@1: starting", *replay)
    for batch in (1, 4, 9):
        place.kill_when(lambda state, n=batch: state.replay.batch >= n and state.replay.underway, *replay)
    place.kill_when(lambda state: state.replay.turn >= 1, *replay)
    place.kill_at("retraining: new journey: drift", *replay)
    place.kill_at("late-buses@2: canary", *replay)
    place.kill_when(lambda state: any(a.kind == "promoted" and "@2" in a.subject for a in state.actions), *replay)
    ended = place.rw(*replay)
    assert ended.returncode == 0, ended.stderr
    assert "2020-01-21  late-buses@1" in ended.stdout

    with place.store() as store:
        served = inference_rows.rows(store.home, "local").to_pandas()
        assert len(served) == 35 * 40
        assert served["_key"].is_unique
        assert served["_key"].nunique() == 35 * 40
        versions = [m.version for m in models.versions(store, "late-buses")]
        assert versions in ([2, 1], [3, 2, 1]), "whoever was killed at the gate registered its model once"
        road = releases.road(store, "buses", "local")
        assert road.live.model == "late-buses@2"
        state = journal.load(store, "buses")
        assert state.replay.finished
        assert state.replay.ended == pd.Timestamp("2020-02-24 23:24", tz="UTC").timestamp(), "its last row"
        assert state.journey is None
        retrained = [a for a in state.actions if a.kind == "retraining"]
        assert len(retrained) == len({a.at for a in retrained}), (
            "a journey that was killed is carried on, not begun again"
        )
        assert verified(store).damage == ()
    again = place.rw(*replay)
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing to replay" in again.stderr


@pytest.mark.timeout(TIMEOUT_S)
def test_a_gate_that_refuses_keeps_the_champion(make):
    place = make(days=61, rows=40, gate='"metrics.auc >= champion.metrics.auc + 0.5"')
    ended = place.rw("operate", "--replay", "source:history", "--json")
    assert ended.returncode == 0, ended.stderr
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    refused = [line for line in said if line.get("kind") == "refused"]
    assert refused, ended.stdout
    assert "the gate refuses" in refused[0]["what"]
    assert refused[0]["subject"] == "late-buses@2"
    periods = [line["period"] for line in said if "period" in line]
    assert sum(p["rows"] for p in periods) == 41 * 40
    assert all(set(p["models"]) <= {"late-buses@1"} for p in periods)
    assert any(p["drifted"] for p in periods)
    with place.store() as store:
        assert models.champion(store, "late-buses").version == 1
        asked = windows.listing(store, "buses", monitor="quality")
        assert all(w.facts["errors"]["share"] == 0 and w.facts["errors"]["requests"] > 0 for w in asked)
        assert all({o.rule: o.passed for o in w.outcomes}["errors.share <= 0.01"] for w in asked)
        journeys = [a for a in journal.load(store, "buses").actions if a.kind == "retraining"]
        breaches = [a for a in journal.load(store, "buses").actions if a.kind == "breached"]
        assert len(journeys) <= len(breaches) + 1, "each breach is answered once"
        assert pd.Series([a.at for a in journeys]).is_unique
    status = place.rw("operate", "status")
    assert "refused" in status.stdout
    assert "replay of source:history: finished, 1,640 rows" in status.stdout


@pytest.mark.timeout(TIMEOUT_S)
def test_one_loop_per_project_and_one_turn(make):
    place = make(days=30, rows=40)
    first = place.start("operate", "--once", "--json")
    for line in first.stdout:
        if '"retraining"' in line:
            break
    second = place.rw("operate", "--once")
    assert second.returncode == 4
    assert "is held by process" in second.stderr
    assert "run by" in place.rw("operate", "status").stdout
    rest = first.stdout.read()
    first.stdout.close()
    assert first.wait(timeout=TIMEOUT_S) == 0, rest
    kinds = [json.loads(line)["kind"] for line in rest.splitlines() if line.startswith("{")]
    assert kinds == ["released"]
    again = place.rw("operate", "--once", "--json")
    assert (again.returncode, again.stdout) == (0, ""), "nothing is to be done, and nothing is"
    # Each turn ended with a signature over the log as it was.
    verified = place.rw("audit", "verify", "--json")
    assert verified.returncode == 0
    assert (
        json.loads(verified.stdout)["checkpoints"]
        == json.loads(place.rw("operate", "status", "--json").stdout)["state"]["turns"]
    )


def test_a_source_that_is_none(make):
    place = make(days=30)
    for source, said in (("source:gone", "no function gone"), ("nowhere:x", "no such module"), ("source:DAYS", "")):
        found = place.rw("operate", "--replay", source)
        assert found.returncode in (2, 3), found.stderr
        assert said in found.stderr
        assert "Traceback" not in found.stderr
    (place.root / "roadworthy.toml").write_text(
        (place.root / "roadworthy.toml").read_text().replace('time = "at"\n', "")
    )
    found = place.rw("operate", "--replay", "source:history")
    assert found.returncode == 2
    assert "must say when they happened" in found.stderr
