"""The report: one HTML file that needs nothing but a browser, no network and no script.

In: a project and its store. Out: the page as text. Called by `rw report`. Every value goes through Jinja's escaping;
the only markup that does not is what svg.py drew, which escapes its own words. The page's policy forbids scripts and
anything from elsewhere, and allows the one style sheet by its hash.
"""

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from typing import Any

import msgspec

from roadworthy.faces.report import plots, svg, verdicts
from roadworthy.faces.report.gather import Contracted, Road, Version, Watched, gather
from roadworthy.nouns.evidence import Comparison
from roadworthy.nouns.monitor import Window
from roadworthy.nouns.project import Place
from roadworthy.nouns.run import Run
from roadworthy.nouns.version import __version__
from roadworthy.operate import monitors
from roadworthy.store.store import Store

COSTS = (
    ("p50_ms", "one row, median", "ms"),
    ("p99_ms", "one row, 99th percentile", "ms"),
    ("batch_p50_ms", "1,000 rows, median", "ms"),
    ("batch_p99_ms", "1,000 rows, 99th percentile", "ms"),
    ("rows_per_s", "throughput", "rows/s"),
    ("memory_peak_mb", "peak memory over the libraries'", "MiB"),
    ("model_mb", "stored model", "MiB"),
    ("load_s", "time to load", "s"),
    ("train_cpu_s", "training", "CPU s"),
)
METRICS_SHOWN = ("auc", "log_loss", "recall", "precision", "rmse", "mae", "r2")
ACTIONS_SHOWN = 60
NOTHING = "\N{EN DASH}"


class Tile(msgspec.Struct, frozen=True):
    """One number at the head of the page."""

    name: str
    value: str
    note: str = ""
    mood: str = ""


def write(store: Store, place: Place) -> str:
    """The whole page.

    Raises:
        Fault: what reading the store raises.
    """
    return render(gather(store, place))


def render(road: Road) -> str:
    """The page of what was gathered."""
    import jinja2
    from markupsafe import Markup

    style = _text("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        day=lambda at: svg.day(at) if at else NOTHING,
        moment=lambda at: f"{svg.utc(at):%Y-%m-%d %H:%M}" if at else NOTHING,
        number=lambda value: svg.plain(value) if isinstance(value, int | float) else str(value),
        share=svg.percent,
        size=_size,
        drawn=Markup,
        short=lambda text: str(text)[:12],
        hue=plots.hue,
    )
    template = environment.from_string(_text("report.html"))
    return template.render(
        road=road,
        version=__version__,
        # the style sheet is ours and trusted; escaped, it would not match its hash
        style=Markup(style),  # noqa: S704
        style_digest=digest,
        tiles=_tiles(road),
        journey=plots.journey(road),
        heats=_heats(road),
        versions=list(reversed(road.versions)),
        metrics_shown=_metrics_shown(road),
        intervals=_intervals(road),
        curves=_curves(road),
        slices=_slices(road),
        costs=_costs(road),
        timings=_timings(road),
        matrix=_matrix(road.runs),
        latest_windows=_latest_windows(road),
        actions=list(reversed(road.actions[-ACTIONS_SHOWN:])),
        broken=_broken(road.data),
    )


def _tiles(road: Road) -> list[Tile]:
    """What a person wants to know first."""
    live = road.live.model if road.live else "nothing"
    tiles = [
        Tile("live on " + (road.live.target if road.live else "no target"), live, mood="good" if road.live else "warn")
    ]
    shown = road.champion or (road.versions[-1] if road.versions else None)
    if shown and shown.evidence:
        measured = shown.evidence.facts.get("metrics", {})
        found = monitors.primary(measured) if isinstance(measured, dict) else None
        if found:
            tiles.append(Tile(f"{found[0]} at the gate", f"{found[1]:.3f}", f"{shown.model.id} on its hold-out"))
    judged = _last_judged(road)
    if judged:
        window, (metric, value) = judged
        until = svg.day(window.end)
        tiles.append(Tile(f"{metric} in production", f"{value:.3f}", f"newest window with labels, to {until}"))
    rows = max((sum(w.rows for w in watched.windows) for watched in road.watched), default=0)
    if rows:
        tiles.append(Tile("rows answered", f"{rows:,}", "in the windows that were judged"))
    still = [a for a in road.alerts if a.closed_at is None]
    if any(watched.windows for watched in road.watched):
        mood = "warn" if still else "good"
        tiles.append(Tile("alerts", f"{len(still)} open", f"{len(road.alerts)} in all", mood))
    certified = sum(1 for v in road.versions if v.certificate and v.certificate.passed)
    refused = sum(1 for v in road.versions if v.certificate and not v.certificate.passed)
    tiles.append(Tile("versions", str(len(road.versions)), f"{certified} certified, {refused} refused"))
    whole = not road.log.damage
    tiles.append(
        Tile("audit log", f"{road.log.size:,} events", "whole" if whole else "DAMAGED", "good" if whole else "bad")
    )
    return tiles


def _last_judged(road: Road) -> tuple[Window, tuple[str, float]] | None:
    """The newest window of a monitor about performance, with its measure."""
    best: tuple[Window, tuple[str, float]] | None = None
    for watched in road.watched:
        for window in watched.windows:
            measured = window.facts.get("performance", {})
            about = any("performance." in outcome.rule for outcome in window.outcomes)
            found = monitors.primary(measured) if isinstance(measured, dict) and about else None
            if found and (best is None or window.end >= best[0].end):
                best = (window, found)
    return best


def _heats(road: Road) -> list[tuple[Watched, str]]:
    """A heat map for each monitor that asks about drift; for the first with any drift when none does."""
    asking = [w for w in road.watched if any("drift" in o.rule for window in w.windows for o in window.outcomes)]
    chosen = asking or [w for w in road.watched if any(window.drift for window in w.windows)][:1]
    return [(watched, drawn) for watched in chosen if (drawn := plots.heat(watched))]


def _metrics_shown(road: Road) -> list[str]:
    known = {name for v in road.versions if v.evidence for name in v.evidence.facts.get("metrics", {})}
    return [name for name in METRICS_SHOWN if name in known]


def _intervals(road: Road) -> list[str]:
    """Comparisons in the metrics that stand for the rest, and in the log loss beside the AUC."""
    compared = [v for v in road.versions if v.evidence and v.evidence.comparisons]
    drawn = []
    for metric in ("auc", "log_loss", "rmse"):
        rows: list[tuple[Version, Comparison]] = [
            (v, c) for v in compared if v.evidence for c in v.evidence.comparisons if c.metric == metric
        ]
        if rows:
            drawn.append(verdicts.intervals(rows, metric))
    return drawn


def _curves(road: Road) -> list[str]:
    found = road.curves
    if found is None:
        return []
    if found.confusion:
        return [verdicts.confusion(found)]
    if found.scatter:
        return [verdicts.scatter(found)]
    makers = (verdicts.roc, verdicts.precision_recall, verdicts.calibration, verdicts.scores)
    return [make(found) for make in makers]


def _slices(road: Road) -> list[str]:
    shown = road.champion
    if shown is None or shown.evidence is None:
        return []
    facts = shown.evidence.facts
    overall = monitors.primary(facts.get("metrics", {}))
    if overall is None:
        return []
    return [
        drawn
        for column, found in facts.get("slices", {}).items()
        if (drawn := verdicts.slices(column, found, *overall))
    ]


def _costs(road: Road) -> list[tuple[str, str, list[str]]]:
    """Rows of the cost table: what, unit, one value per version (newest first)."""
    rows = []
    for key, name, unit in COSTS:
        values = [v.evidence.facts.get("cost", {}).get(key) if v.evidence else None for v in reversed(road.versions)]
        if any(value is not None for value in values):
            rows.append((name, unit, [NOTHING if value is None else svg.plain(float(value)) for value in values]))
    return rows


def _timings(road: Road) -> list[tuple[Run, str]]:
    """Where the time went in the newest run that did something, and how the newest of all found all done."""
    worked = [run for run in road.runs if any(step.status == "ran" for step in run.steps)]
    return [(run, drawn) for run in worked[-1:] if (drawn := verdicts.timing(run))]


def _matrix(made: tuple[Run, ...]) -> dict[str, Any]:
    """Runs by steps: what each run did about each step."""
    shown = [run for run in made if run.steps][-12:]
    names: list[str] = []
    for run in shown:
        names += [step.step for step in run.steps if step.step not in names]
    return {"runs": shown, "steps": [(name, [run.step(name) for run in shown]) for name in names]}


def _latest_windows(road: Road) -> list[tuple[Watched, Window]]:
    return [(watched, plots.main_windows(watched)[-1]) for watched in road.watched if watched.windows]


def _broken(data: Iterable[Contracted]) -> dict[str, int]:
    """Findings that did not pass, by data set."""
    return {d.name: sum(not f.passed for f in d.findings) for d in data}


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def _text(name: str) -> str:
    return resources.files("roadworthy.faces.report").joinpath(name).read_text("utf-8")
