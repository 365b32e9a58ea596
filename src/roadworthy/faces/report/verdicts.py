"""The plots of the report about single models and runs: curves, intervals, slices, and where a run's time went.

In: records of gather.py. Out: SVG text. Called by page.py.
"""

from typing import Any

from roadworthy.faces.report.curves import Curves
from roadworthy.faces.report.gather import Version
from roadworthy.faces.report.plots import hue
from roadworthy.faces.report.svg import Drawing, Scale, percent, plain
from roadworthy.nouns.evidence import Comparison
from roadworthy.nouns.run import Run

SQUARE_WIDTH, SQUARE_HEIGHT = 460.0, 340.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 444.0, 16.0, 290.0
ROW = 30.0
# More classes than this make no table that anyone reads.
CLASSES_MAX = 20
SLICES_MAX = 24
# Metrics for which less is better.
LESS_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})


def roc(curves: Curves) -> str:
    """Hits against false alarms."""
    drawing, x, y = _square("ROC curve", "false positive rate", "true positive rate")
    drawing.line((x(0), y(0)), (x(1), y(1)), "guide")
    drawing.area([(x(a), y(b)) for a, b in curves.roc], y(0), "area first")
    drawing.path([(x(a), y(b)) for a, b in curves.roc], "line first")
    alarms, recall, _ = curves.at_threshold
    tip = f"at {curves.threshold:g}: {percent(recall)} of positives found, {percent(alarms)} false alarms"
    drawing.dot((x(alarms), y(recall)), "dot key", radius=5, tip=tip)
    drawing.text((x(alarms) + 10, y(recall) + 14), f"at {curves.threshold:g}")
    drawing.text((x(1) - 8, y(0) - 12), f"AUC {curves.auc:.3f}", "figure", anchor="end")
    return drawing.done()


def precision_recall(curves: Curves) -> str:
    """How many alarms are right, against how many positives are found."""
    drawing, x, y = _square("Precision and recall", "recall", "precision")
    drawing.line((x(0), y(curves.rate)), (x(1), y(curves.rate)), "guide")
    drawing.text((x(1) - 8, y(curves.rate) + 16), f"by chance {percent(curves.rate)}", anchor="end")
    drawing.path([(x(a), y(b)) for a, b in curves.precision_recall], "line first")
    _, recall, precision = curves.at_threshold
    tip = f"at {curves.threshold:g}: recall {percent(recall)}, precision {percent(precision)}"
    drawing.dot((x(recall), y(precision)), "dot key", radius=5, tip=tip)
    drawing.text((x(recall) + 8, y(precision) - 8), f"at {curves.threshold:g}")
    drawing.text((x(1) - 8, y(1) + 24), f"average precision {curves.average_precision:.3f}", "figure", anchor="end")
    return drawing.done()


def calibration(curves: Curves) -> str:
    """What was said against what came true, with 95 % intervals."""
    top = min(1.0, 1.08 * max([*(b.high for b in curves.calibration), *(b.said for b in curves.calibration), 0.05]))
    drawing, x, y = _square("Calibration", "predicted probability", "share that came true", top=top)
    drawing.line((x(0), y(0)), (x(top), y(top)), "guide")
    for found in curves.calibration:
        drawing.line((x(found.said), y(max(found.low, 0))), (x(found.said), y(min(found.high, top))), "whisker")
    drawing.path([(x(b.said), y(b.seen)) for b in curves.calibration], "line first")
    for found in curves.calibration:
        tip = f"said {percent(found.said)}, came true {percent(found.seen)}, {found.rows:,} rows"
        drawing.dot((x(found.said), y(found.seen)), "dot first", radius=4, tip=tip)
    return drawing.done()


def scores(curves: Curves) -> str:
    """How the scores lie, by label."""
    drawing = Drawing("Distribution of scores", SQUARE_HEIGHT, width=SQUARE_WIDTH)
    count = len(curves.negatives)
    x = Scale(0, 1, _LEFT, _RIGHT)
    y = Scale(
        0, max([a + b for a, b in zip(curves.negatives, curves.positives, strict=True)] + [1]) * 1.05, _BOTTOM, _TOP
    )
    drawing.axis_y(y, (_LEFT, _RIGHT), plain, name="rows")
    drawing.axis_x(x, _BOTTOM, [(t, f"{t:g}") for t in x.ticks(5)], top=_TOP, name="score")
    for k, (negative, positive) in enumerate(zip(curves.negatives, curves.positives, strict=True)):
        left, wide = x(k / count) + 0.5, (x(1) - x(0)) / count - 1
        tip = f"score {k / count:.3g} to {(k + 1) / count:.3g}: {positive:,} positive, {negative:,} negative"
        drawing.box((left, y(positive)), (wide, y(0) - y(positive)), "bar first", tip=tip)
        drawing.box((left, y(positive + negative)), (wide, y(positive) - y(positive + negative)), "bar pale", tip=tip)
    drawing.line((x(curves.threshold), _TOP), (x(curves.threshold), _BOTTOM), "bound")
    drawing.text((x(curves.threshold) + 6, _TOP + 12), f"threshold {curves.threshold:g}")
    drawing.box((_RIGHT - 92, _TOP + 26), (10, 10), "bar first")
    drawing.text((_RIGHT - 78, _TOP + 35), "positive")
    drawing.box((_RIGHT - 92, _TOP + 44), (10, 10), "bar pale")
    drawing.text((_RIGHT - 78, _TOP + 53), "negative")
    return drawing.done()


def scatter(curves: Curves) -> str:
    """Predicted against true value, for a regression."""
    said, seen = [p[0] for p in curves.scatter], [p[1] for p in curves.scatter]
    low, high = min([*said, *seen]), max([*said, *seen])
    drawing = Drawing("Predicted and true values", SQUARE_HEIGHT, width=SQUARE_WIDTH)
    x, y = Scale(low, high, _LEFT, _RIGHT), Scale(low, high, _BOTTOM, _TOP)
    drawing.axis_y(y, (_LEFT, _RIGHT), plain, name="true value")
    drawing.axis_x(x, _BOTTOM, [(t, plain(t)) for t in x.ticks(5)], top=_TOP, name="predicted value")
    drawing.line((x(low), y(low)), (x(high), y(high)), "guide")
    for a, b in curves.scatter:
        drawing.dot((x(a), y(b)), "dot faint", radius=2)
    return drawing.done()


def confusion(curves: Curves) -> str:
    """How many rows of each true class were said to be of which, for a multi-class model; the first classes of many."""
    names = [str(name) for name in curves.classes[:CLASSES_MAX]]
    left, top, high = 150.0, 52.0, 32.0
    wide = max(44.0, min(110.0, 760.0 / len(names)))
    width = max(940.0, left + wide * len(names) + 16)
    drawing = Drawing("True and said classes", int(top + high * len(names) + 12), width=width)
    drawing.text((left, 16), "said to be", "label strong")
    drawing.text((left - 12, top - 14), "in truth", "label strong", anchor="end")
    for j, name in enumerate(names):
        drawing.text((left + wide * (j + 0.5), top - 14), name[: int(wide / 8)], anchor="middle")
    for i, name in enumerate(names):
        y = top + high * i
        drawing.text((left - 12, y + high / 2 + 4), name[:18], anchor="end")
        for j, rows in enumerate(curves.confusion[i][:CLASSES_MAX]):
            if i == j:
                drawing.box((left + wide * j + 1, y + 1), (wide - 2, high - 2), "bar pale")
            style = "label strong" if rows else "label"
            drawing.text((left + wide * (j + 0.5), y + high / 2 + 4), f"{rows:,}", style, anchor="middle")
    return drawing.done()


def intervals(versions: list[tuple[Version, Comparison]], metric: str) -> str:
    """Challenger minus champion on the same rows, with the interval of the paired bootstrap, one line a version."""
    if not versions:
        return ""
    ends = [v for _, c in versions for v in (c.low, c.high, 0.0)]
    pad = 0.08 * (max(ends) - min(ends)) or 0.01
    left, right = 190.0, 640.0
    drawing = Drawing(
        f"Difference in {metric} between challenger and champion",
        30 + ROW * len(versions) + 44,
        about="Intervals of a paired bootstrap on the challenger's hold-out rows.",
    )
    x = Scale(min(ends) - pad, max(ends) + pad, left, right)
    bottom = 30 + ROW * len(versions)
    better = "less is better" if metric in LESS_IS_BETTER else "more is better"
    name = f"difference in {metric} ({better})"
    drawing.axis_x(x, bottom, [(t, f"{t:+.3g}" if t else "0") for t in x.ticks(6)], top=24, name=name)
    drawing.line((x(0), 20), (x(0), bottom), "zero")
    drawing.text((right + 20, 16), "probability better", "label strong")
    drawing.text((right + 150, 16), "challenger, champion", "label strong")
    for k, (version, found) in enumerate(versions):
        y = 30 + ROW * (k + 0.5)
        words = f"{version.model.id} against {found_champion(version)}"
        drawing.text((left - 12, y + 4), words, anchor="end")
        drawing.line((x(found.low), y), (x(found.high), y), f"span v{hue(version.model.version)}")
        tip = f"{found.difference:+.4f}, {found.confidence:.0%} interval {found.low:+.4f} to {found.high:+.4f}"
        drawing.dot((x(found.difference), y), f"dot v{hue(version.model.version)}", radius=5, tip=tip)
        drawing.text((right + 20, y + 4), f"{found.probability_better:.1%}")
        drawing.text((right + 150, y + 4), f"{found.challenger:.4f}, {found.champion:.4f}")
    return drawing.done()


def found_champion(version: Version) -> str:
    """What a version was compared with, shortened to its number."""
    champion = version.evidence.champion if version.evidence else ""
    return f"v{champion.rpartition('@')[2]}" if champion else "nothing"


def slices(column: str, found: dict[str, Any], metric: str, overall: float) -> str:
    """One metric for each value of a column, beside the value over all rows."""
    values = {k: v for k, v in found.get("values", {}).items() if metric in v}
    shown = sorted(values, key=lambda key: -values[key][metric])[:SLICES_MAX]
    if not shown:
        return ""
    height = 24 + 24 * len(shown) + 44
    drawing = Drawing(f"{metric} by {column}", height, width=SQUARE_WIDTH)
    known = [values[key][metric] for key in shown] + [overall]
    pad = 0.15 * (max(known) - min(known)) or 0.02
    x = Scale(min(known) - pad, max(known) + pad, 90, 370)
    bottom = 24 + 24 * len(shown)
    drawing.axis_x(x, bottom, [(t, plain(t)) for t in x.ticks(4)], top=16, name=f"{metric} by {column}")
    drawing.line((x(overall), 12), (x(overall), bottom), "bound")
    for k, key in enumerate(shown):
        y = 24 + 24 * (k + 0.5)
        value, rows = values[key][metric], int(values[key]["rows"])
        drawing.text((80, y + 4), key[:12], anchor="end")
        drawing.line((x(overall), y), (x(value), y), "whisker")
        drawing.dot((x(value), y), "dot first", radius=4.5, tip=f"{column} {key}: {metric} {value:.4f}, {rows:,} rows")
        drawing.text((384, y + 4), f"{rows:,} rows")
    return drawing.done()


def timing(run: Run) -> str:
    """When each step of a run ran, and which were taken from an earlier run."""
    ran = [s for s in run.steps if s.status != "reused" and s.started_at]
    if not ran:
        return ""
    begin = min(s.started_at for s in ran)
    # On a simulated clock all steps begin at one moment, and nothing can be said of their order.
    since = "seconds since the first step began" if any(s.started_at > begin for s in ran) else "seconds each step took"
    end = max(s.started_at + s.wall_s for s in ran)
    left, right = 150.0, 800.0
    x = Scale(0, max(end - begin, 0.01), left, right)
    bottom = 14 + ROW * len(run.steps)
    drawing = Drawing(f"Steps of run {run.id[:12]}", bottom + 44)
    drawing.axis_x(x, bottom, [(t, plain(t)) for t in x.ticks(6)], top=10, name=since)
    for k, step in enumerate(run.steps):
        y = 14 + ROW * k
        drawing.text((left - 12, y + 19), step.step, anchor="end")
        if step.status == "reused" or not step.started_at:
            drawing.text((left + 8, y + 19), "reused" if step.status == "reused" else step.status, "label quiet")
            continue
        start = x(step.started_at - begin)
        wide = max(x(step.started_at - begin + step.wall_s) - start, 2)
        tip = f"{step.step}: {step.wall_s:.2f} s, {step.cpu_s:.2f} s of CPU, {step.memory_peak_mb:.0f} MiB; {step.why}"
        drawing.box((start, y + 6), (wide, ROW - 12), "bar bad" if step.status == "failed" else "bar first", tip=tip)
        drawing.text((start + wide + 8, y + 19), f"{step.wall_s:.2f} s, {step.memory_peak_mb:.0f} MiB")
    return drawing.done()


def _square(title: str, name_x: str, name_y: str, *, top: float = 1.0) -> tuple[Drawing, Scale, Scale]:
    """An empty plot with both axes from 0 to `top`."""
    drawing = Drawing(title, SQUARE_HEIGHT, width=SQUARE_WIDTH)
    x, y = Scale(0, top, _LEFT, _RIGHT), Scale(0, top, _BOTTOM, _TOP)
    drawing.axis_y(y, (_LEFT, _RIGHT), lambda v: f"{v:g}", name=name_y, count=5)
    drawing.axis_x(x, _BOTTOM, [(t, f"{t:g}") for t in x.ticks(5)], top=_TOP, name=name_x)
    return drawing, x, y
