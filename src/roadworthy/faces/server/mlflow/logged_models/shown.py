"""Logged models as MLflow's messages. Called by handlers.py and whoever else answers with one."""

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.logged_models.store import STATUS, LoggedModel, Point
from roadworthy.faces.server.mlflow.schema import logged_model as schema
from roadworthy.faces.server.mlflow.wire import number


def shown(model: LoggedModel) -> schema.Model:
    """A record as MLflow's message."""
    return schema.Model(
        info=schema.Info(
            model_id=model.id,
            experiment_id=str(model.group),
            name=model.name,
            creation_timestamp_ms=model.created_ms,
            last_updated_timestamp_ms=model.updated_ms,
            artifact_uri=model.location,
            status=STATUS[model.status],
            model_type=UNSET if model.type is None else model.type,
            source_run_id=UNSET if model.source_run is None else model.source_run,
            status_message=UNSET if model.message is None else model.message,
            tags=_pairs(model.tags),
        ),
        data=schema.Data(params=_pairs(model.params), metrics=[_metric(point) for point in model.metrics] or UNSET),
    )


def _pairs(values: dict[str, str]) -> list[schema.Pair] | UnsetType:
    return [schema.Pair(key=key, value=value) for key, value in values.items()] or UNSET


def _metric(point: Point) -> schema.Metric:
    return schema.Metric(
        key=point.key,
        value=number(point.value),
        timestamp=point.at_ms,
        step=point.step,
        model_id=point.model_id,
        dataset_name=point.dataset or UNSET,
        dataset_digest=point.digest or UNSET,
        run_id=point.run or UNSET,
    )
