"""From the flights that departed to a model that says which will be late: what `train.ipynb` found, as steps.

An argument's name says where its value comes from: the data set `flights`, another step, or a parameter.
"""

import matplotlib as mpl
import pandas as pd
from features import CATEGORIES, FEATURES, known_before_departure
from sklearn.calibration import calibration_curve
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

import roadworthy as rw

mpl.use("Agg")
from matplotlib import pyplot as plt

LABEL = "late"


@rw.step
def prepared(flights: pd.DataFrame) -> pd.DataFrame:
    """Rows with the model's columns, the label, and what identifies them."""
    rows = known_before_departure(flights)[["id", "scheduled", *FEATURES, LABEL]]
    rw.log_metric("flights", len(rows))
    rw.log_metric("late_rate", rows[LABEL].mean())
    return rows


@rw.step
def train(prepared: pd.DataFrame, holdout_days: int) -> pd.DataFrame:
    """All but the newest days."""
    return prepared[prepared["scheduled"] < _holdout_from(prepared, holdout_days)].reset_index(drop=True)


@rw.step
def holdout(prepared: pd.DataFrame, holdout_days: int) -> pd.DataFrame:
    """The newest days: a model is judged on what came after everything it has seen."""
    return prepared[prepared["scheduled"] >= _holdout_from(prepared, holdout_days)].reset_index(drop=True)


@rw.step
def model(
    train: pd.DataFrame,
    *,
    learning_rate: float,
    max_iter: int,
    max_leaf_nodes: int,
    l2_regularization: float,
    seed: int,
) -> Pipeline:
    """Boosted trees over the columns as they are; a category never seen before counts as missing."""
    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = ColumnTransformer(
        [("categories", categories, CATEGORIES)], remainder="passthrough", verbose_feature_names_out=False
    )
    trees = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=max_iter,
        max_leaf_nodes=max_leaf_nodes,
        l2_regularization=l2_regularization,
        min_samples_leaf=100,
        categorical_features=list(range(len(CATEGORIES))),
        random_state=seed,
    )
    return Pipeline([("columns", columns), ("trees", trees)]).fit(train[FEATURES], train[LABEL])


@rw.step
def calendar(prepared: pd.DataFrame) -> dict[str, float]:
    """How the share of late flights moved, month by month: why this model will not stay good by itself."""
    monthly = prepared.groupby(prepared["scheduled"].dt.strftime("%Y-%m"))[LABEL].mean()
    daily = prepared.groupby(prepared["scheduled"].dt.floor("D"))[LABEL].mean()
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.plot(daily.index, 100 * daily, linewidth=0.7, color="#9aa5b1", label="each day")
    axes.plot(daily.index, 100 * daily.rolling(14, center=True).mean(), color="#0b6e99", label="14-day mean")
    axes.set(ylabel="late arrivals (%)", title="Flights that arrived over 15 minutes late")
    axes.legend(frameon=False)
    rw.log_figure(figure, "late-by-day.png")
    plt.close(figure)
    return {str(month): float(share) for month, share in monthly.items()}


@rw.step
def evaluation(model: Pipeline, holdout: pd.DataFrame) -> dict[str, float]:
    """How good the model is on the newest days."""
    label, score = holdout[LABEL], model.predict_proba(holdout[FEATURES])[:, 1]
    metrics = {
        "auc": float(roc_auc_score(label, score)),
        "average_precision": float(average_precision_score(label, score)),
        "brier": float(brier_score_loss(label, score)),
    }
    rw.log_metrics(metrics)
    figure, (roc, calibration) = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
    roc.plot(*roc_curve(label, score)[:2], color="#0b6e99", label=f"AUC {metrics['auc']:.3f}")
    roc.plot([0, 1], [0, 1], color="#9aa5b1", linestyle="--")
    roc.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    roc.legend(frameon=False, loc="lower right")
    seen, said = calibration_curve(label, score, n_bins=10, strategy="quantile")
    calibration.plot(said, seen, marker="o", color="#0b6e99")
    calibration.plot([0, 0.6], [0, 0.6], color="#9aa5b1", linestyle="--")
    calibration.set(xlabel="predicted probability", ylabel="share that was late", title="Calibration")
    rw.log_figure(figure, "evaluation.png")
    plt.close(figure)
    return metrics


def _holdout_from(prepared: pd.DataFrame, holdout_days: int) -> pd.Timestamp:
    """The first moment of the newest `holdout_days` days."""
    return (prepared["scheduled"].max() - pd.Timedelta(days=holdout_days)).ceil("D")
