"""A small road of records, so that the page can be looked at without travelling it."""

import msgspec

from roadworthy.faces.report.curves import Bin, Curves
from roadworthy.faces.report.gather import Contracted, Figure, Road, Version, Watched
from roadworthy.gates import rules
from roadworthy.nouns.certificate import Certificate
from roadworthy.nouns.event import Event
from roadworthy.nouns.evidence import Comparison, Evidence, Finding
from roadworthy.nouns.model import Field, Model, Signature
from roadworthy.nouns.monitor import Alert, Drift, Window
from roadworthy.nouns.release import Release
from roadworthy.nouns.rule import Outcome, Rule
from roadworthy.nouns.run import Run
from roadworthy.nouns.snapshot import Column, Snapshot
from roadworthy.nouns.step import StepRun, Value
from roadworthy.operate.journal import Action
from roadworthy.store.log import Verification

DAY = 86_400.0
START = 1_364_774_400.0  # 1 April 2013


def empty() -> Road:
    """A project in which nothing has happened."""
    return Road(
        project="town", description="", now=START, versions=(), champion=None, live=None, watched=(), alerts=(),
        actions=(), replay=None, releases=(), runs=(), data=(), curves=None, figures=(), events=(),
        log=Verification(size=0, root="00", checkpoints=0, damage=()), checkpoints=(), notes=(),
    )  # fmt: skip


def road(*, named: str = "town", said: str = "fine") -> Road:
    """Two versions, the second refused once, ten weeks watched; `named` and `said` turn up wherever users write."""
    first, second = _version(1, said, passed=True), _version(2, said, passed=False)
    release = Release(
        id="a" * 32, model="m@1", target="local", certificate="c" * 64, status="live", share=1.0,
        shares=(0.1, 1.0), stage_since=START, created_at=START, updated_at=START, reason=said,
        outcomes=outcomes(said, passed=True),
    )  # fmt: skip
    live = msgspec.structs.replace(first, aliases=("champion",), live_at=START, releases=(release,))
    windows = tuple(_window(k, said) for k in range(10))
    alert = Alert(
        id="b" * 32, monitor="drift", model="m@1", window_start=START, window_end=START + 7 * DAY,
        outcomes=(), opened_at=START + 7 * DAY, summary=said, action="retrain",
    )  # fmt: skip
    step = StepRun(step="model", status="ran", started_at=START, wall_s=1.5, memory_peak_mb=100, why=said)
    reused = StepRun(step="train", status="reused")
    finding = Finding(rule=said, passed=False, level="warn", failed=2, total=9, measured=said, examples=({"x": said},))
    snapshot = Snapshot(
        id="d" * 64, name="data", kind="parquet", manifest="e" * 64, size=5_000, files=1, created_at=START, rows=9,
        columns=(Column(name="x", type="DOUBLE"),), source=said,
    )  # fmt: skip
    return msgspec.structs.replace(
        empty(),
        project=named,
        description=said,
        now=START + 70 * DAY,
        versions=(live, second),
        champion=live,
        live=release,
        watched=(Watched(name=said, width_s=7 * DAY, windows=windows, action="retrain"),),
        alerts=(alert,),
        actions=(Action(kind="breached", at=START, what=said),),
        releases=(release,),
        runs=(Run(id="f" * 32, project=named, started_at=START, steps=(reused, step)),),
        data=(Contracted(name="data", snapshot=snapshot, findings=(finding,)),),
        curves=curves(),
        figures=(Figure(name=said, uri="data:image/png;base64,AAAA"),),
        events=(Event(kind="run.finished", subject=said, actor=said, at=START),),
        notes=(said,),
    )


def curves() -> Curves:
    """Some curves."""
    return Curves(
        model="m@1", rows=100, rate=0.3, threshold=0.5, auc=0.8, average_precision=0.6,
        roc=((0.0, 0.0), (0.2, 0.7), (1.0, 1.0)), precision_recall=((0.1, 0.9), (1.0, 0.3)),
        at_threshold=(0.2, 0.7, 0.6), calibration=(Bin(0.1, 0.12, 0.1, 0.2, 50), Bin(0.6, 0.5, 0.4, 0.6, 50)),
        negatives=(40, 30), positives=(10, 20),
    )  # fmt: skip


def outcomes(said: str, *, passed: bool) -> tuple[Outcome, ...]:
    """One rule about AUC as it comes out of the evaluator."""
    auc = 0.7 if passed else 0.5
    return rules.judge(
        [Rule(rule="metrics.auc >= 0.66", name=said, why=said)], {"metrics": {"auc": auc}, "champion": {"x": 1}}
    )


def _version(number: int, said: str, *, passed: bool) -> Version:
    name = f"m@{number}"
    model = Model(
        name="m", version=number, run="f" * 32, value=Value(format="skops", digest="1" * 64, size=10),
        signature=Signature(inputs=(Field(name="x", type="number"),)), label="y", created_at=START + number * DAY,
    )  # fmt: skip
    judged = outcomes(said, passed=passed)
    certificate = Certificate(
        id="c" * 64, model=name, model_digest="1" * 64, passed=passed, outcomes=judged, key_id="k", issued_at=START
    )
    measured = {"auc": 0.71, "log_loss": 0.5}
    evidence = Evidence(
        model=name, model_digest="1" * 64, champion="m@1" if number > 1 else "",
        facts={
            "metrics": measured, "cost": {"p99_ms": 9.0, "rows_per_s": 70_000.0},
            "slices": {said: {"values": {said: {"auc": 0.7, "rows": 500}, "b": {"auc": 0.6, "rows": 700}}}},
        },
        comparisons=() if number == 1 else (
            Comparison(metric="auc", challenger=0.71, champion=0.7, difference=0.01, low=-0.002, high=0.02,
                       probability_better=0.93, resamples=1000, rows=500),
        ),
    )  # fmt: skip
    return Version(model=model, certificate=certificate, evidence=evidence)


def _window(week: int, said: str) -> Window:
    start = START + 7 * DAY * week
    facts = {
        "performance": {"auc": 0.7 - 0.01 * week, "label_rate": 0.2 + 0.01 * week},
        "latency": {"p50_ms": 4.0, "p99_ms": 9.0 + week},
    }
    drift = (
        Drift(column=said, kind="number", psi=0.05 * week, verdict="large" if week > 4 else "none"),
        Drift(column="score", kind="number", psi=0.01),
    )
    judged = rules.judge([Rule(rule="performance.auc >= 0.66", name=said)], facts)
    return Window(
        model="m@1", monitor=said, start=start, end=start + 7 * DAY, rows=1_000, labelled=900, facts=facts,
        drift=drift, outcomes=judged, waiting={said: said},
    )  # fmt: skip
