"""What runs log: metrics, parameters, tags, models, inputs and outputs. The hot path of the server.

In: requests of clients, a great many. Out: rows of registry/; acknowledged when they are durable. None of it is an
event by itself: the event that ends the run carries the digest of its points.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity
from roadworthy.faces.server.mlflow import run_rules
from roadworthy.faces.server.mlflow.logged_models import store as logged_models
from roadworthy.faces.server.mlflow.runs import NAME_TAG, active, ahead, named
from roadworthy.faces.server.mlflow.schema import run as schema
from roadworthy.faces.server.mlflow.wire import answer, endpoint, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import inputs, labels, metrics, runs
from roadworthy.registry.chunks import Point
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Transaction
from roadworthy.store.store import Store

MODELS_TAG = "mlflow.log-model.history"
CONTEXT_TAG = "mlflow.data.context"
DATASETS_MAX = 1_000
MODELS_MAX = 1_000
_batches = msgspec.json.Decoder(schema.LogBatch, strict=False)
_MODEL_FIELDS = {"artifact_path", "flavors", "utc_time_created", "run_id"}
_MODEL_KEPT = ("run_id", "artifact_path", "utc_time_created", "flavors", "model_uuid", "mlflow_version")


async def log_metric(server: Server, request: Request) -> Reply:
    message = read(request, schema.LogMetric)
    run_id = named(message)
    required(message.key, "key")
    required(message.value, "value")
    required(message.timestamp, "timestamp")
    value, at_ms = message.value, message.timestamp
    assert value is not UNSET
    assert at_ms is not UNSET
    run_rules.metric(message.key, value, at_ms)
    points = {message.key: [(at_ms, message.step, value)]}

    def work(tx: Transaction, row: Row) -> None:
        metrics.append(tx, row, points)
        if message.model_id:
            logged_models.attach_metrics(tx, row.project, [_of_model(row, message)])

    return await _append(server, run_id, request.identity, work, keys=points)


async def log_batch(server: Server, request: Request) -> Reply:
    message = _batch(request)
    required(message.run_id, "run_id")
    run_rules.run_id(message.run_id)
    points = _points(message.metrics)
    params, tags = _params(message.params), _tags(message.tags)
    run_rules.batch(len(message.metrics), len(message.params), len(message.tags))
    run_rules.keys_once([key for key, _ in params])
    of_models = [metric for metric in message.metrics if metric.model_id]

    def work(tx: Transaction, row: Row) -> None:
        if params:
            _put_params(tx, row, params)
        if points:
            metrics.append(tx, row, points)
        if of_models:
            logged_models.attach_metrics(tx, row.project, [_of_model(row, metric) for metric in of_models])
        if tags:
            labels.put(tx, "tags", row, tags.items())

    return await _append(
        server, message.run_id, request.identity, work, name=tags.get(NAME_TAG, ""), keys=points, params=bool(params)
    )


async def log_param(server: Server, request: Request) -> Reply:
    message = read(request, schema.LogPair)
    run_id = named(message)
    required(message.key, "key")
    value = run_rules.param(message.key, message.value)

    def work(tx: Transaction, row: Row) -> None:
        before = labels.param(tx, row.seq, message.key)
        if before is None:
            labels.put(tx, "params", row, [(message.key, value)], new=True)
        elif before != value:
            raise invalid(
                f"Changing param values is not allowed. Param with key='{message.key}' was already logged with "
                f"value='{before}' for run ID='{row.id}'. Attempted logging new value '{value}'."
            )

    return await _append(server, run_id, request.identity, work)


async def set_tag(server: Server, request: Request) -> Reply:
    message = read(request, schema.LogPair)
    run_id = named(message)
    required(message.key, "key")
    value = run_rules.tag(message.key, message.value)

    def work(tx: Transaction, row: Row) -> None:
        labels.put(tx, "tags", row, [(message.key, value)])

    return await _append(server, run_id, request.identity, work, name=value if message.key == NAME_TAG else "")


async def delete_tag(server: Server, request: Request) -> Reply:
    message = read(request, schema.DeleteTag)
    run_id = named(message)
    required(message.key, "key")

    def work(tx: Transaction, row: Row) -> None:
        if not labels.delete_tag(tx, row, message.key):
            raise missing(f"No tag with name: {message.key} in run with id {row.id}")

    return await _append(server, run_id, request.identity, work)


async def log_model(server: Server, request: Request) -> Reply:
    message = read(request, schema.LogModel)
    required(message.run_id, "run_id")
    required(message.model_json, "model_json")
    try:
        model = msgspec.json.decode(message.model_json)
    except msgspec.DecodeError:
        model = None
    if not isinstance(model, dict):
        raise invalid(f"Malformed model info. \n {message.model_json[:1000]} \n is not a valid JSON.")
    lacking = _MODEL_FIELDS - model.keys()
    if lacking:
        raise invalid(f"Model json is missing mandatory fields: {lacking}")
    kept = {name: model[name] for name in _MODEL_KEPT if name in model}
    flavors = kept["flavors"]
    if isinstance(flavors, dict):
        kept["flavors"] = {name: _without_config(flavor) for name, flavor in flavors.items()}

    def work(tx: Transaction, row: Row) -> None:
        before = labels.tag(tx, row.seq, MODELS_TAG)
        value = msgspec.json.encode([*_history(before), kept]).decode()
        # A history cut to a length would be none.
        if len(value) <= run_rules.TAG_VALUE_MAX:
            labels.put(tx, "tags", row, [(MODELS_TAG, value)])

    return await _append(server, message.run_id, request.identity, work)


async def log_inputs(server: Server, request: Request) -> Reply:
    message = read(request, schema.LogInputs)
    required(message.run_id, "run_id")
    run_rules.run_id(message.run_id)
    if len(message.datasets) > DATASETS_MAX or len(message.models) > MODELS_MAX:
        raise invalid(f"a request has at most {DATASETS_MAX} data sets and {MODELS_MAX} models")
    reads = {(each.dataset.name, each.dataset.digest): each for each in reversed([_read(d) for d in message.datasets])}
    models = [inputs.Model("input", model.model_id, 0) for model in message.models]

    def work(tx: Transaction, row: Row) -> None:
        inputs.add_datasets(tx, row, list(reversed(reads.values())))
        inputs.add_models(tx, row, models)

    return await _append(server, message.run_id, request.identity, work)


async def log_outputs(server: Server, request: Request) -> Reply:
    message = read(request, schema.LogOutputs)
    required(message.run_id, "run_id")
    if not message.models:
        required(None, "models")
    if len(message.models) > MODELS_MAX:
        raise invalid(f"a request has at most {MODELS_MAX} models")
    models = [inputs.Model("output", model.model_id, model.step) for model in message.models]

    def work(tx: Transaction, row: Row) -> None:
        inputs.add_models(tx, row, models)

    return await _append(server, message.run_id, request.identity, work)


def _of_model(row: Row, sent: schema.Point | schema.LogMetric) -> logged_models.Point:
    """A point that was checked, as one of the logged model that it names."""
    assert sent.value is not UNSET
    assert sent.timestamp is not UNSET
    return logged_models.Point(
        sent.model_id, row.id, sent.key, sent.value, sent.step, sent.timestamp, sent.dataset_name or None,
        sent.dataset_digest or None,
    )  # fmt: skip


async def _append(
    server: Server,
    run_id: str,
    identity: Identity,
    work: Callable[[Transaction, Row], None],
    *,
    name: str = "",
    keys: Collection[str] = (),
    params: bool = False,
) -> Reply:
    """Append to a run.

    Args:
        name: a new one of the run, which is a change and not an appendix: an event.
        keys: of the metrics that it appends to.
        params: whether it reads the run's parameters.
    """

    def piece(store: Store) -> None:
        with store.append() as tx:
            row = active(tx, run_id, identity)
            work(tx, row)
            if name and name != row.name:
                runs.conclude(store, row._replace(name=name))

    some = keys if len(keys) <= metrics.KEYS_ASKED_FOR_MAX else None
    await server.write(piece, identity, ahead=ahead(run_id, keys=some, params=params))
    return answer()


def _batch(request: Request) -> schema.LogBatch:
    """A batch; what is wrong with one is found out by reading it again, as if nothing had to be there."""
    try:
        return _batches.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        loose = read(request, schema.LooseBatch)
    points = []
    for n, metric in enumerate(loose.metrics):
        required(metric.key, f"metrics[{n}].key")
        required(metric.value, f"metrics[{n}].value")
        required(metric.timestamp, f"metrics[{n}].timestamp")
        value, at_ms = metric.value, metric.timestamp
        assert value is not UNSET
        assert at_ms is not UNSET
        run_rules.metric(metric.key, value, at_ms, f"metrics[{n}]")
        about = metric.model_id, metric.dataset_name, metric.dataset_digest
        points.append(schema.Point(metric.key, value, at_ms, metric.step, *about))
    return schema.LogBatch(run_id=loose.run_id, metrics=points, params=loose.params, tags=loose.tags)


def _points(sent: Sequence[schema.Point]) -> dict[str, list[Point]]:
    """A batch's points by key."""
    found: dict[str, list[Point]] = defaultdict(list)
    for point in sent:
        found[point.key].append((point.timestamp, point.step, point.value))
    for key in found:
        if not run_rules.is_name(key):
            at = next(n for n, point in enumerate(sent) if point.key == key)
            run_rules.metric(key, sent[at].value, sent[at].timestamp, f"metrics[{at}]")
    return found


def _params(sent: Sequence[schema.Pair]) -> labels.Pairs:
    for n, pair in enumerate(sent):
        required(pair.key, f"params[{n}].key")
    return [(pair.key, run_rules.param(pair.key, pair.value, f"params[{n}]")) for n, pair in enumerate(sent)]


def _tags(sent: Sequence[schema.Pair]) -> dict[str, str]:
    for n, pair in enumerate(sent):
        required(pair.key, f"tags[{n}].key")
    return {pair.key: run_rules.tag(pair.key, pair.value, f"tags[{n}]") for n, pair in enumerate(sent)}


def _put_params(tx: Transaction, row: Row, pairs: labels.Pairs) -> None:
    before = labels.of_run(tx, "params", row.seq)
    changed = [
        {"key": key, "old_value": before[key], "new_value": value}
        for key, value in pairs
        if key in before and before[key] != value
    ]
    if changed:
        raise invalid(
            f"Changing param values is not allowed. Params were already logged='{changed}' for run ID='{row.id}'."
        )
    labels.put(tx, "params", row, [pair for pair in pairs if pair[0] not in before], new=True)


def _history(tag: str | None) -> list[Any]:
    try:
        found = msgspec.json.decode(tag) if tag else []
    except msgspec.DecodeError:
        return []
    return found if isinstance(found, list) else []


def _without_config(flavor: Any) -> Any:
    return {name: value for name, value in flavor.items() if name != "config"} if isinstance(flavor, dict) else flavor


def _read(sent: schema.DatasetInput) -> inputs.Read:
    dataset = sent.dataset
    if dataset is UNSET:
        raise invalid("Dataset input must have a dataset associated with it.")
    tags: Sequence[schema.Pair] = () if sent.tags is UNSET else sent.tags
    run_rules.dataset(dataset, tags)
    return inputs.Read(
        dataset=inputs.Dataset(
            name=dataset.name,
            digest=dataset.digest,
            source_type=dataset.source_type,
            source=dataset.source,
            schema=None if dataset.schema is UNSET else dataset.schema,
            profile=None if dataset.profile is UNSET else dataset.profile,
        ),
        context=next((tag.value for tag in tags if tag.key == CONTEXT_TAG), None),
        tags=[(tag.key, tag.value) for tag in tags],
    )


ROUTES: tuple[Route, ...] = (
    *endpoint("POST", "/runs/log-metric", log_metric, "editor"),
    *endpoint("POST", "/runs/log-batch", log_batch, "editor"),
    *endpoint("POST", "/runs/log-parameter", log_param, "editor"),
    *endpoint("POST", "/runs/set-tag", set_tag, "editor"),
    *endpoint("POST", "/runs/delete-tag", delete_tag, "editor"),
    *endpoint("POST", "/runs/log-model", log_model, "editor"),
    *endpoint("POST", "/runs/log-inputs", log_inputs, "editor"),
    *endpoint("POST", "/runs/outputs", log_outputs, "editor"),
)
