"""Runs in MLflow's words: rows of registry/ and what belongs to them, as messages.

In: rows of a page. Out: `Run` messages, with a statement each for parameters, tags, metrics, inputs and outputs however
many runs there are. Called by runs.py, run_search.py and graphql.py.
"""

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.schema import experiment
from roadworthy.faces.server.mlflow.schema import run as schema
from roadworthy.faces.server.mlflow.wire import number
from roadworthy.registry import groups, inputs, labels, metrics, process, shown
from roadworthy.registry.run_rows import Row
from roadworthy.registry.runs import PROCESS_TAG
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

NAME_TAG = "mlflow.runName"
# A run that nobody ended is taken to be at rest when it began this long ago.
AT_REST_S = 3600.0
_pairs = msgspec.json.Decoder(list[schema.Pair])
_NO_INPUTS = schema.RunInputs()
_NO_OUTPUTS = schema.RunOutputs()


def runs(reader: Reader, rows: Sequence[Row], *, model_inputs: bool = False) -> list[schema.Run]:
    """Runs with all that belongs to them."""
    return _runs(reader, rows, {}, model_inputs=model_inputs)


def page(reader: Reader, rows: Sequence[Row]) -> tuple[list[schema.Run], list[int]]:
    """As `runs`, with what was kept of them; and the numbers of those of which something should be (`keep`)."""
    kept = shown.of_runs(reader, [row.seq for row in rows])
    made = _runs(reader, rows, kept, model_inputs=False)
    return made, [row.seq for row in rows if row.seq not in kept and _at_rest(row)]


def keep(store: Store, numbers: Sequence[int]) -> None:
    """Keep what pages show of runs, for pages to come."""
    with store.append() as tx:
        rows = shown.missing(tx, numbers)
        made, tags = _data(tx, {row.seq: row for row in rows})
        shown.keep(
            tx,
            {
                row.seq: msgspec.json.encode(made[row.seq]).decode()
                for row in rows
                if row.status != "running" or PROCESS_TAG not in tags.get(row.seq, "")
            },
        )


def _at_rest(row: Row) -> bool:
    """Whether a run will hardly change any more."""
    return row.status != "running" or row.start_ms < (time.time() - AT_REST_S) * 1000


def _runs(reader: Reader, rows: Sequence[Row], kept: Mapping[int, str], *, model_inputs: bool) -> list[schema.Run]:
    numbers = [row.seq for row in rows]
    data, tags = _data(reader, {row.seq: row for row in rows if row.seq not in kept})
    reads = inputs.datasets_of(reader, numbers)
    models = inputs.models_of(reader, numbers)
    places = _Places(reader)
    return [
        schema.Run(
            info=_info(row, places.of(row), tags.get(row.seq, "")),
            data=data[row.seq] if row.seq in data else msgspec.Raw(kept[row.seq].encode()),
            inputs=_inputs(reads.get(row.seq, ()), models.get(row.seq, ()) if model_inputs else ()),
            outputs=_outputs(models.get(row.seq, ())),
        )
        for row in rows
    ]


def _data(reader: Reader, rows: Mapping[int, Row]) -> tuple[dict[int, schema.RunData], dict[int, str]]:
    """What runs logged, by number; and their tags as JSON."""
    if not rows:
        return {}, {}
    numbers = list(rows)
    params = labels.as_json(reader, "params", numbers)
    tags = labels.as_json(reader, "tags", numbers)
    measured = _metrics(reader, numbers)
    made = {
        number: schema.RunData(
            metrics=measured.get(number, UNSET),
            params=_raw(params.get(number)),
            tags=_tags(row, tags.get(number)),
        )
        for number, row in rows.items()
    }
    return made, tags


def info(reader: Reader, row: Row, group: groups.Group | None = None) -> schema.RunInfo:
    """What there is to say of a run without what it logged; its group is read unless it is given."""
    return _info(row, _Places(reader, group).of(row))


class _Places:
    """Where the artifacts of runs go."""

    def __init__(self, reader: Reader, known: groups.Group | None = None) -> None:
        self._reader = reader
        self._known = {} if known is None else {known.id: _place(known.id, known)}

    def of(self, row: Row) -> str:
        if row.location:
            return row.location
        place = self._known.get(row.group_id)
        if place is None:
            place = _place(row.group_id, groups.find(self._reader, row.group_id, tags=False))
            self._known[row.group_id] = place
        return artifacts_of(place, row.id)


def _place(number: int, group: groups.Group | None) -> str:
    return experiment.location(number, group.location if group else "")


def artifacts_of(place: str, run_id: str) -> str:
    """The folder of a run's artifacts in its group's; a query stays at the end."""
    path, mark, query = place.partition("?")
    return f"{path.rstrip('/')}/{run_id}/artifacts{mark}{query}"


def _info(row: Row, artifacts: str, tags: str = "") -> schema.RunInfo:
    status = row.status
    if status == "running" and PROCESS_TAG in tags and process.is_gone(_tag(tags, PROCESS_TAG)):
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


def _metrics(reader: Reader, numbers: Sequence[int]) -> dict[int, list[schema.MetricShown]]:
    found: dict[int, list[schema.MetricShown]] = defaultdict(list)
    for run, key, value, step, at_ms in metrics.rows_of_runs(reader, numbers):
        found[run].append(
            schema.MetricShown(key, value if value is not None and value - value == 0 else _odd(value), at_ms, step)
        )
    return found


def _odd(value: float | None) -> float | str:
    return number(math.nan if value is None else value)


def _raw(text: str | None) -> msgspec.Raw | UnsetType:
    return UNSET if text is None else msgspec.Raw(text.encode())


def _tags(row: Row, text: str | None) -> msgspec.Raw | UnsetType:
    # A run of ours has its name in one place alone; MLflow's pages look for it here.
    if text is not None and PROCESS_TAG in text and row.name and not _tag(text, NAME_TAG):
        shown = [*_pairs.decode(text), schema.Pair(NAME_TAG, row.name)]
        return msgspec.Raw(msgspec.json.encode(shown))
    return _raw(text)


def _tag(text: str, key: str) -> str:
    return next((pair.value for pair in _pairs.decode(text) if pair.key == key), "")


def _inputs(reads: Sequence[inputs.Read], models: Sequence[inputs.Model]) -> schema.RunInputs:
    if not reads and not models:
        return _NO_INPUTS
    return schema.RunInputs(
        dataset_inputs=[_dataset(each) for each in reads] or UNSET,
        model_inputs=[schema.ModelInput(model.model_id) for model in models if model.direction == "input"] or UNSET,
    )


def _outputs(models: Sequence[inputs.Model]) -> schema.RunOutputs:
    if not models:
        return _NO_OUTPUTS
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
