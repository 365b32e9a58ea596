import pytest
from sklearn.metrics import roc_auc_score

from roadworthy.nouns.project import ModelSpec
from roadworthy.operate import journal, labels, monitors, periods
from roadworthy.operate.journal import Action, State
from roadworthy.operate.windows import Grid
from tests.operate.conftest import DAY, MIDNIGHT


def test_what_happened_in_each_period(store, served, place):
    first, second = served.register(seed=0), served.register(seed=5)
    truth = served.serve(first, MIDNIGHT, MIDNIGHT + DAY)
    served.label(truth, MIDNIGHT + DAY)
    served.serve(first, MIDNIGHT + DAY, MIDNIGHT + 1.5 * DAY, n=300, seed=2, shift=2.0)
    served.serve(second, MIDNIGHT + 1.5 * DAY, MIDNIGHT + 2 * DAY, n=500, seed=3)
    spot = place("drift.large.count == 0")
    monitors.watch(store, spot, until=MIDNIGHT + 2 * DAY)
    state = State(project="p")
    for kind, at in (("retraining", MIDNIGHT), ("watched", MIDNIGHT + DAY), ("refused", MIDNIGHT + 2 * DAY)):
        state = journal.did(store, state, Action(kind=kind, at=at, what="…", subject="late@2"))

    one, two, three = periods.listing(store, spot, Grid(MIDNIGHT, DAY), 0, 3)
    assert (one.models, one.rows, one.labelled) == ({"late@1": 1000}, 1000, 1000)
    assert one.metric == "auc"
    assert one.value == pytest.approx(roc_auc_score(truth["label"], scores_of(store, MIDNIGHT, DAY)))
    assert one.label_rate == pytest.approx(truth["label"].mean())
    assert (one.drifted, one.alerts, one.actions) == ((), (), ("retraining late@2",))
    assert two.models == {"late@1": 300, "late@2": 500}
    assert (two.metric, two.value, two.label_rate) == ("", None, None)
    assert two.drifted == ("distance", "score")
    assert (two.alerts, two.actions) == (("drift",), ("refused late@2",))
    assert (three.rows, three.models, three.actions) == (0, {}, ())


def scores_of(store, start, length):
    from roadworthy.operate import served

    return served.scores(store.home, "local", start, start + length)["_score"]


def test_labels_are_masked_as_the_log_masks_them(store, served, place):
    import msgspec
    import pandas as pd

    from roadworthy.data import sensitive
    from roadworthy.nouns.project import Serving

    spot = place("volume.rows > 0")
    model = ModelSpec(name="late", step="model", holdout="holdout", label="late")
    project = msgspec.structs.replace(spot.project, serving=Serving(key="id", sensitive=("id",)), model=model)
    spot = msgspec.structs.replace(spot, project=project)
    table = pd.DataFrame({"id": ["a", "b", None, "d"], "late": [1, None, 0, 0]})
    assert labels.add(store, spot, table, at=5.0) == 2
    secret = sensitive.secret(store.home / "keys")
    kept = {row.key: (row.label, row.at) for row in labels.newest(store, 10)}
    assert kept == {sensitive.mask("a", secret=secret): (1.0, 5.0), sensitive.mask("d", secret=secret): (0.0, 5.0)}
