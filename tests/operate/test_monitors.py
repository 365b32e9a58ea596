import math

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from roadworthy.nouns.errors import Fault
from roadworthy.operate import alerts, journal, monitors, windows
from roadworthy.operate.journal import Replay, State
from roadworthy.store import log
from tests.operate.conftest import DAY, MIDNIGHT, features, scores


def watch(store, place, day, **more):
    return monitors.watch(store, place, until=MIDNIGHT + day * DAY, **more)


def test_quiet_traffic_raises_nothing(store, served, place):
    model = served.register()
    for day in range(3):
        served.serve(model, MIDNIGHT + day * DAY, MIDNIGHT + (day + 1) * DAY, seed=day + 1)
    spot = place("drift.large.count == 0", "drift.score.psi < 0.1", "missing.max <= 0.01", "volume.change > -0.5")
    found = watch(store, spot, 3)
    assert [(w.start - MIDNIGHT) / DAY for w in found] == [0, 1, 2]
    assert all(w.rows == 1000 and w.end - w.start == DAY and w.model == model.id for w in found)
    assert all(o.passed for w in found for o in w.outcomes)
    assert [list(w.waiting) for w in found] == [["volume.change > -0.5"], [], []]
    assert alerts.open_alerts(store, "p") == []
    assert windows.listing(store, "p") == found
    assert watch(store, spot, 3) == [], "a second look judges nothing again"
    assert watch(store, spot, 3.99) == []


def test_facts(store, served, place):
    model = served.register()
    table = features(np.random.default_rng(3), 600)
    table.loc[:59, "distance"] = np.nan
    table.loc[:29, "carrier"] = "ZZ"
    served.serve(model, MIDNIGHT, MIDNIGHT + DAY, table=table.fillna({"distance": np.nan}), latency=3.0)
    served.serve(model, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, n=300)
    first, second = watch(store, place("drift.large.count <= 3"), 2)
    facts = first.facts
    assert facts["volume"] == {"rows": 600, "total": 600}
    assert second.facts["volume"]["change"] == -0.5
    assert facts["latency"]["p50_ms"] == facts["latency"]["p99_ms"] == 3.0
    assert facts["missing"]["max"] == facts["missing"]["columns"]["distance"] == pytest.approx(0.1)
    assert facts["new_values"] == {"max": pytest.approx(0.05), "columns": {"carrier": pytest.approx(0.05)}}
    assert facts["drift"]["columns"].keys() == {"distance", "carrier", "hour"}
    assert facts["drift"]["score"]["psi"] >= 0
    assert facts["performance"] == {"labelled": 0, "labelled_share": 0.0}
    assert [d.column for d in first.drift] == ["distance", "carrier", "hour", "score"]
    assert msgspec.json.decode(msgspec.json.encode(first), type=type(first)) == first


def test_drift_opens_one_alert_which_a_later_window_closes(store, served, place):
    model = served.register()
    for day, shift in enumerate([0.0, 1.5, 1.5, 0.0]):
        served.serve(model, MIDNIGHT + day * DAY, MIDNIGHT + (day + 1) * DAY, seed=day + 1, shift=shift)
    spot = place("drift.large.count == 0", action="retrain")
    said = []
    found = watch(store, spot, 2, progress=said.append)
    assert [monitors.verdict(w) for w in found] == ["held", "breach"]
    assert found[1].facts["drift"]["large"]["columns"] == ["distance"]
    opened = alerts.open_alerts(store, "p")
    assert len(opened) == 1
    assert (opened[0].monitor, opened[0].model, opened[0].action) == ("drift", model.id, "retrain")
    assert opened[0].window_start == MIDNIGHT + DAY
    assert "drift.large.count = 1" in opened[0].summary
    assert len(said) == 1
    assert said[0].startswith("alert: drift on late@1: drift.large.count == 0")
    watch(store, spot, 3)
    assert len(alerts.listing(store, "p")) == 1, "while it is open, it is one alert"
    watch(store, spot, 4, progress=said.append)
    assert alerts.open_alerts(store, "p") == []
    assert alerts.listing(store, "p")[0].closed_at == MIDNIGHT + 4 * DAY
    assert said[-1] == "alert closed: drift on late@1"


def test_performance_is_measured_when_labels_arrive(store, served, place):
    model = served.register()
    truth = served.serve(model, MIDNIGHT, MIDNIGHT + DAY, n=1200)
    spot = place("performance.auc >= 0.99", "performance.labelled >= 0", "drift.large.count == 0")
    (window,) = watch(store, spot, 1)
    assert window.waiting == {"performance.auc >= 0.99": "0 of 200 labels"}
    assert [o.passed for o in window.outcomes] == [True, True]
    assert alerts.open_alerts(store, "p") == [], "what waits is no breach"

    served.label(truth[:100], MIDNIGHT + 2 * DAY)
    (window,) = watch(store, spot, 1.5)
    assert window.waiting == {"performance.auc >= 0.99": "100 of 200 labels"}
    served.label(truth, MIDNIGHT + 3 * DAY)
    (window,) = watch(store, spot, 1.5)
    assert window.labelled == 1200
    assert window.waiting == {}
    score = scores(features(np.random.default_rng(1), 1200))
    assert window.facts["performance"]["auc"] == pytest.approx(roc_auc_score(truth["label"], score), abs=1e-9)
    assert window.facts["performance"]["label_rate"] == pytest.approx(truth["label"].mean())
    assert monitors.verdict(window) == "breach"
    assert [o.rule for o in alerts.open_alerts(store, "p")[0].outcomes] == ["performance.auc >= 0.99"]
    assert len(windows.listing(store, "p")) == 1, "the window is one, judged again"
    assert watch(store, spot, 1.5) == []


def test_a_waiting_rule_closes_no_alert(store, served, place):
    model = served.register()
    truth = served.serve(model, MIDNIGHT, MIDNIGHT + DAY, n=1200)
    served.label(truth, MIDNIGHT + DAY)
    spot = place("performance.auc >= 0.99")
    watch(store, spot, 1)
    served.serve(model, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, seed=2)
    assert [monitors.verdict(w) for w in watch(store, spot, 2)] == ["waiting"]
    assert len(alerts.open_alerts(store, "p")) == 1


def test_the_newest_label_of_a_key_counts(store, served, place):
    model = served.register()
    truth = served.serve(model, MIDNIGHT, MIDNIGHT + DAY, n=500)
    served.label(truth.assign(label=0), MIDNIGHT + DAY)
    served.label(truth, MIDNIGHT + 2 * DAY)
    served.label(truth.assign(label=1), MIDNIGHT + DAY / 2)
    (window,) = watch(store, place("volume.rows > 0"), 1)
    assert window.labelled == 500
    assert window.facts["performance"]["label_rate"] == pytest.approx(truth["label"].mean())


def test_versions_are_judged_apart(store, served, place):
    first, second = served.register(seed=0), served.register(seed=5)
    served.serve(first, MIDNIGHT, MIDNIGHT + DAY, n=900)
    served.serve(second, MIDNIGHT, MIDNIGHT + DAY, n=300, seed=2, shift=2.0)
    found = watch(store, place("drift.large.count == 0"), 1)
    assert [(w.model, w.rows, monitors.verdict(w)) for w in found] == [
        ("late@1", 900, "held"),
        ("late@2", 300, "breach"),
    ]
    assert all(w.facts["volume"]["total"] == 1200 for w in found)


def test_too_few_rows_are_not_judged_but_for_their_volume(store, served, place):
    model = served.register()
    served.serve(model, MIDNIGHT, MIDNIGHT + DAY, n=50, shift=5.0)
    (window,) = watch(store, place("drift.large.count == 0", "volume.rows >= 100"), 1)
    assert window.waiting == {"drift.large.count == 0": "50 of 200 rows"}
    assert [o.rule for o in window.outcomes if not o.passed] == ["volume.rows >= 100"]


def test_silence_is_a_window_too(store, served, place):
    model = served.register()
    served.serve(model, MIDNIGHT, MIDNIGHT + DAY, n=500)
    found = watch(store, place("volume.rows > 0"), 3)
    assert [w.rows for w in found] == [500, 0, 0]
    assert [monitors.verdict(w) for w in found] == ["held", "breach", "breach"]
    assert len(alerts.open_alerts(store, "p")) == 1
    served.serve(model, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, n=500, seed=3)
    (again,) = watch(store, place("volume.rows > 0"), 3)
    assert (again.start, again.rows) == (MIDNIGHT + DAY, 500)


@pytest.mark.parametrize("ended", [1.5, 2.0], ids=["within a window", "between two"])
def test_after_replayed_history_volume_says_nothing_until_the_replays_last_turn(store, served, place, ended):
    model = served.register()
    for day in range(2):
        served.serve(model, MIDNIGHT + day * DAY, MIDNIGHT + (day + 0.5) * DAY, n=500, seed=day + 1)
    replay = Replay(source="s:f", prefix="x", began=MIDNIGHT, moment=MIDNIGHT + 4 * DAY, ended=MIDNIGHT + ended * DAY)
    journal.move(store, State(project="p", replay=replay))
    found = watch(store, place("volume.total >= 600", "drift.large.count == 0"), 5)
    waiting = [bool(window.waiting.get("volume.total >= 600")) for window in found]
    assert waiting == [False, ended < 2, True, True, False]
    assert "replayed" in found[2].waiting["volume.total >= 600"]
    broken = [[outcome.rule for outcome in window.outcomes if not outcome.passed] for window in found]
    assert broken == [[] if waits else ["volume.total >= 600"] for waits in waiting]
    assert [outcome.rule for outcome in found[1].outcomes if outcome.passed] == ["drift.large.count == 0"]


def test_long_silence_ends(store, served, place):
    model = served.register()
    served.serve(model, MIDNIGHT, MIDNIGHT + DAY, n=500)
    spot = place("volume.rows > 0")
    assert len(watch(store, spot, 3)) == 3
    assert len(watch(store, spot, 400)) == monitors.SILENT_MAX - 2
    assert watch(store, spot, 3000) == []
    served.serve(model, MIDNIGHT + 3000 * DAY, MIDNIGHT + 3001 * DAY, n=500, seed=4)
    assert [w.rows for w in watch(store, spot, 3001)] == [500]
    assert alerts.open_alerts(store, "p") == []


def test_rows_that_come_late_are_judged_with_their_window(store, served, place):
    model = served.register()
    served.serve(model, MIDNIGHT, MIDNIGHT + DAY, n=500)
    spot = place("volume.rows > 0")
    assert [w.rows for w in watch(store, spot, 1)] == [500]
    served.serve(model, MIDNIGHT + DAY / 2, MIDNIGHT + DAY, n=100, seed=9)
    assert [w.rows for w in watch(store, spot, 1)] == [600]


def test_nothing_served_and_no_monitors(store, place):
    assert watch(store, place("volume.rows > 0"), 5) == []
    spot = place("volume.rows > 0")
    none = msgspec.structs.replace(spot, project=msgspec.structs.replace(spot.project, monitor={}))
    assert watch(store, none, 5) == []


def test_a_rule_that_names_nothing_measured_is_refused(store, served, place):
    served.serve(served.register(), MIDNIGHT, MIDNIGHT + DAY)
    with pytest.raises(Fault, match="no fact called `drfit`"):
        watch(store, place("drfit.large.count == 0"), 1)
    (window,) = watch(store, place("drift.columns.distanze.psi < 0.1"), 1)
    assert "drift.columns.distanze.psi was not measured" in window.outcomes[0].problem
    assert monitors.verdict(window) == "breach", "a rule that cannot be judged does not pass in silence"


def test_warnings_open_no_alert(store, served, place):
    from roadworthy.nouns.rule import Rule

    served.serve(served.register(), MIDNIGHT, MIDNIGHT + DAY, shift=3.0)
    (window,) = watch(store, place(Rule(rule="drift.large.count == 0", level="warn")), 1)
    assert monitors.verdict(window) == "warning"
    assert alerts.listing(store, "p") == []


def test_sensitive_columns_are_not_compared(store, served, place):
    from roadworthy.nouns.project import ColumnContract, Contract, Data

    model = served.register()
    table = features(np.random.default_rng(1), 500).assign(carrier="masked")
    served.serve(model, MIDNIGHT, MIDNIGHT + DAY, table=table)
    spot = place("drift.large.count == 0")
    contract = Contract(columns={"carrier": ColumnContract(sensitive=True)})
    project = msgspec.structs.replace(spot.project, data={"d": Data(path="x.csv", contract=contract)})
    (window,) = watch(store, msgspec.structs.replace(spot, project=project), 1)
    assert "carrier" not in window.facts["drift"]["columns"]
    assert monitors.verdict(window) == "held"


def test_each_judged_window_is_an_event_with_a_digest(store, served, place):
    served.serve(served.register(), MIDNIGHT, MIDNIGHT + DAY, shift=3.0)
    (window,) = watch(store, place("drift.large.count == 0"), 1)
    with store.read() as reader:
        event = next(e for e in log.newest(reader) if e.kind == "window.judged")
    assert event.detail["digest"] == window.digest
    assert event.detail["broken"] == ["drift.large.count == 0"]
    assert list(event.detail["alerts"].values()) == ["open"]


def test_a_window_of_thirty_days_begins_on_the_first_day(store, served, place):
    model = served.register()
    served.serve(model, MIDNIGHT + 5 * 3600, MIDNIGHT + 31 * DAY, n=2000)
    (window,) = watch(store, place("volume.rows > 0", window="30d"), 31)
    assert (window.start, window.end) == (MIDNIGHT, MIDNIGHT + 30 * DAY)


@pytest.mark.parametrize(("width", "anchor"), [(60.0, 120.0), (3600.0, 0.0), (86_400.0, 0.0), (30 * 86_400.0, 0.0)])
def test_grids(width, anchor):
    grid = windows.grid(130.0, width)
    assert grid.anchor == anchor
    assert grid.index(130.0) == 0
    assert grid.complete(anchor + width) == 1
    assert grid.complete(anchor + width - 0.001) == 0
    assert grid.start(3) == grid.end(2)


def test_files_that_differ_and_shadows(store, served, place):
    """A log whose files differ in columns, and rows that a shadow answered."""
    model = served.register()
    truth = served.serve(model, MIDNIGHT, MIDNIGHT + DAY / 2, n=500)
    table = features(np.random.default_rng(8), 300).assign(extra="x")
    served.serve(model, MIDNIGHT + DAY / 2, MIDNIGHT + DAY, table=table)
    served.serve(model, MIDNIGHT + DAY / 2, MIDNIGHT + DAY, n=100, route="shadow")
    served.label(truth, MIDNIGHT + DAY)
    (window,) = watch(store, place("performance.auc >= 0.5"), 1)
    assert (window.rows, window.labelled) == (800, 500)
    assert 0.5 < window.facts["performance"]["auc"] < 1


def test_a_model_without_a_profile(store, served, place):
    from roadworthy.registry import models

    bare = models.register(store, msgspec.structs.replace(served.register(), profile=None, run="other", version=0))
    served.serve(bare, MIDNIGHT, MIDNIGHT + DAY)
    (window,) = watch(store, place("drift.large.count == 0", "volume.rows > 0"), 1)
    assert [o.passed for o in window.outcomes] == [False, True]
    assert "was not measured" in window.outcomes[0].problem


def test_latency_counts_a_request_once():
    from roadworthy.operate import window_facts

    rows = pd.DataFrame({"_request": ["a"] * 99 + ["b"], "_latency_ms": [1.0] * 99 + [100.0]})
    assert window_facts.latency(rows)["p50_ms"] == 50.5
    assert window_facts.latency(rows.assign(_latency_ms=math.nan)) == {}
