"""Rules about what a test must not tell a model: fits before splits, fits on test rows, the target, the future."""

from collections.abc import Iterator

from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject
from roadworthy.notebooks.rules.training import RESAMPLERS, training, trains


class FitBeforeSplit:
    """Something is fitted on all rows, and they are split only afterwards.

    A scaler learns mean and spread, an imputer fills gaps, a selector picks features, a resampler copies rows: all from
    the rows that later play the unknown. The score on them is too good, and production is worse.

    Fix: split first and fit on the training rows only, best with a `Pipeline`, which cross-validation then refits on
    each fold.
    """

    code, name = "RWN502", "fit-before-split"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if not trains(subject):
            return
        for leak in training(subject).leaks:
            fit = leak.fit
            if fit.kind in RESAMPLERS:
                message = (
                    f"`{fit.kind}` makes new rows from all of them, and {leak.by} in cell {leak.cell + 1} comes after: "
                    "copies of test rows are in the training set"
                )
            else:
                message = (
                    f"`{fit.kind}` is fitted on all rows, and {leak.by} in cell {leak.cell + 1} comes after: "
                    "the test rows have told it what they are like"
                )
            yield subject.finding(
                self, fit.cell, fit.node, message, fix="split first, and fit on the training rows (or use a Pipeline)"
            )


class FitOnTest:
    """Something is fitted on the test rows.

    `scaler.fit_transform(X_test)` scales them by their own mean, not by the training rows': the model sees other
    numbers than it was trained on, and production has no such mean. A model fitted on test rows has seen the answers.

    Fix: fit on the training rows, and only `transform` the test rows.
    """

    code, name = "RWN505", "fit-on-test"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if not trains(subject):
            return
        for fit in training(subject).on_test:
            what = f"`{fit.kind}`" if fit.kind else "this"
            yield subject.finding(
                self,
                fit.cell,
                fit.node,
                f"{what} is fitted on the test rows `{fit.data}`",
                fix="fit on the training rows, and only transform these",
            )


class TargetAmongFeatures:
    """The column to predict is among the features.

    The model reads the answer. Its score is perfect, and worth nothing.

    Fix: drop the column: `X = df.drop(columns="target")`.
    """

    code, name = "RWN503", "target-among-features"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if not trains(subject):
            return
        for target in training(subject).targets:
            yield subject.finding(
                self,
                target.cell,
                target.node,
                f"the target `{target.column}` is among the features `{target.features}`",
                fix=f"drop it: .drop(columns={target.column!r})",
            )


class ShuffledTime:
    """Rows in the order of time are split at random.

    The model trains on days that lie after those it is tested on, and lags or rolling means of one part hold values of
    the other. In production there is no tomorrow to learn from.

    Fix: split at a date (`shuffle=False`), or use `TimeSeriesSplit`.
    """

    code, name = "RWN504", "shuffled-time"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if not any(call.method == "train_test_split" for call in subject.calls):
            return
        for split in training(subject).shuffled:
            yield subject.finding(
                self,
                split.cell,
                split.node,
                f"`{split.data}` is in the order of time ({split.known_by}), and is split at random",
                fix="split at a date: shuffle=False, or TimeSeriesSplit",
            )


RULES = (FitBeforeSplit(), FitOnTest(), TargetAmongFeatures(), ShuffledTime())
