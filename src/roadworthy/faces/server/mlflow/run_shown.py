"""Runs in MLflow's words: rows of registry/ and what belongs to them, as messages.

In: rows of a page. Out: `Run` messages, with a statement each for parameters, tags, metrics, inputs and outputs however
many runs there are. Called by runs.py, run_search.py and graphql.py.
"""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.schema import experiment
from roadworthy.faces.server.mlflow.schema import run as schema
from roadworthy.faces.server.mlflow.wire import number
from roadworthy.registry import groups, inputs, labels, metrics, process
from roadworthy.registry.run_rows import Row
from roadworthy.registry.runs import PROCESS_TAG
from roadworthy.store.sql import Reader

NAME_TAG = "mlflow.runName"


def runs(reader: Reader, rows: Sequence[Row], *, model_inputs: bool = False) -> list[schema.Run]:
    """Runs with all that belongs to them."""
    numbers = [row.seq for row in rows]
    params = labels.of_runs(reader, "params", numbers)
    tags = labels.of_runs(reader, "tags", numbers)
    measured = metrics.of_runs(reader, numbers)
    reads = inputs.datasets_of(reader, numbers)
    models = inputs.models_of(reader, numbers)
    places = _Places(reader)
    return [
        schema.Run(
            info=_info(row, places.of(row), dict(tags[row.seq]) if row.status == "running" else {}),
            data=schema.RunData(
                metrics=[
                    schema.MetricShown(key, value if value - value == 0 else number(value), at_ms, step)
                    for key, value, step, at_ms in measured[row.seq]
                ]
                or UNSET,
                params=[schema.Pair(key, value) for key, value in params[row.seq]] or UNSET,
                tags=_tags(row, tags[row.seq]),
            ),
            inputs=_inputs(reads.get(row.seq, ()), models.get(row.seq, ()) if model_inputs else ()),
            outputs=_outputs(models.get(row.seq, ())),
        )
        for row in rows
    ]


def info(reader: Reader, row: Row) -> schema.RunInfo:
    """What there is to say of a run without what it logged."""
    return _info(row, _Places(reader).of(row), {})


class _Places:
    """Where the artifacts of runs go."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[int, str] = {}

    def of(self, row: Row) -> str:
        if row.location:
            return row.location
        place = self._known.get(row.group_id)
        if place is None:
            group = groups.find(self._reader, row.group_id, tags=False)
            place = experiment.location(row.group_id, group.location if group else "")
            self._known[row.group_id] = place
        return artifacts_of(place, row.id)


def artifacts_of(place: str, run_id: str) -> str:
    """The folder of a run's artifacts in its group's; a query stays at the end."""
    path, mark, query = place.partition("?")
    return f"{path.rstrip('/')}/{run_id}/artifacts{mark}{query}"


def _info(row: Row, artifacts: str, tags: dict[str, str]) -> schema.RunInfo:
    status = row.status
    if status == "running" and PROCESS_TAG in tags and process.is_gone(tags[PROCESS_TAG]):
        status = "killed"
    return schema.RunInfo(
        run_id=row.id,
        run_uuid=row.id,
        run_name=row.name,
        experiment_id=str(row.group_id),
        user_id=row.actor,
        status=status.upper(),
        start_time=row.start_ms,
        end_time=row.end_ms or UNSET,
        artifact_uri=artifacts,
        lifecycle_stage=row.stage,
    )


def _tags(row: Row, tags: labels.Pairs) -> list[schema.Pair] | UnsetType:
    shown = [schema.Pair(key, value) for key, value in tags]
    # A run of ours has its name in one place alone; MLflow's pages look for it here.
    if row.name and any(key == PROCESS_TAG for key, _ in tags) and all(key != NAME_TAG for key, _ in tags):
        shown.append(schema.Pair(NAME_TAG, row.name))
    return shown or UNSET


def _inputs(reads: Sequence[inputs.Read], models: Sequence[inputs.Model]) -> schema.RunInputs:
    return schema.RunInputs(
        dataset_inputs=[_dataset(each) for each in reads] or UNSET,
        model_inputs=[schema.ModelInput(model.model_id) for model in models if model.direction == "input"] or UNSET,
    )


def _outputs(models: Sequence[inputs.Model]) -> schema.RunOutputs:
    made = [schema.ModelOutput(model.model_id, model.step) for model in models if model.direction == "output"]
    return schema.RunOutputs(made or UNSET)


def _dataset(each: inputs.Read) -> schema.DatasetInput:
    dataset = each.dataset
    return schema.DatasetInput(
        tags=[schema.Pair(key, value) for key, value in each.tags] or UNSET,
        dataset=schema.Dataset(
            name=dataset.name, digest=dataset.digest, source_type=dataset.source_type, source=dataset.source,
            schema=UNSET if dataset.schema is None else dataset.schema,
            profile=UNSET if dataset.profile is None else dataset.profile,
        ),
    )  # fmt: skip
