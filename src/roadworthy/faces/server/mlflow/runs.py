"""Runs over MLflow's wire: created, read, ended, renamed, deleted, restored.

In: requests of clients. Out: rows of registry/runs.py in MLflow's words. What a run logs is in run_logging.py.
"""

from collections.abc import Collection

from msgspec import UNSET

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity, Need
from roadworthy.faces.server.mlflow import experiments, random_names, run_rules, run_shown
from roadworthy.faces.server.mlflow.schema import run as schema
from roadworthy.faces.server.mlflow.wire import answer, endpoint, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import labels, run_rows, runs
from roadworthy.registry.read_ahead import ReadAhead, Wanted
from roadworthy.registry.run_rows import Row
from roadworthy.store.group import Ahead
from roadworthy.store.sql import Transaction
from roadworthy.store.store import Store

NAME_TAG = run_shown.NAME_TAG


async def create(server: Server, request: Request) -> Reply:
    message = read(request, schema.Create)
    tags = {pair.key: run_rules.tag(pair.key, pair.value) for pair in message.tags}
    tagged = tags.get(NAME_TAG, "")
    if message.run_name and tagged and message.run_name != tagged:
        raise invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{message.run_name}', mlflow.runName='{tagged}')."
        )
    name = message.run_name or tagged or random_names.random_name()
    run_rules.tag(NAME_TAG, name)
    tags.setdefault(NAME_TAG, name)

    if not message.experiment_id:
        # MLflow answers so too, with the words of its database.
        raise WireError("BAD_REQUEST", "a run is created in an experiment: experiment_id is missing", 400)
    number = run_rules.experiment_id(message.experiment_id)

    def work(store: Store) -> schema.Run:
        with store.read() as reader:
            group = experiments.require(reader, number, request.identity, "editor", tags=False)
            if group.stage != "active":
                raise invalid(
                    f"The experiment {group.id} must be in the 'active' state. Current state is {group.stage}."
                )
            row = Row(
                0, "", group.id, group.project, name, message.user_id, "running", "active", message.start_time, None, ""
            )
            row = runs.begin(store, row, tags)
            return schema.Run(
                info=run_shown.info(reader, row, group),
                data=schema.RunData(tags=[schema.Pair(key, value) for key, value in tags.items()]),
                inputs=schema.RunInputs(),
            )

    wanted = ReadAhead, Wanted(begins_in=number)
    return answer(schema.Answer(run=await server.write(work, request.identity, ahead=wanted)))


async def get(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfRun)
    run_id = named(message)
    with server.store.read() as reader:
        row = run_rows.find(reader, run_id)
        if row is None or not request.identity.may("viewer", row.project):
            raise not_found(run_id)
        return answer(schema.Answer(run=run_shown.runs(reader, [row], model_inputs=True)[0]))


async def update(server: Server, request: Request) -> Reply:
    message = read(request, schema.Update)
    run_id = named(message)
    status = "" if message.status is UNSET else _status(message.status)
    name = message.run_name or ""
    if name:
        run_rules.tag(NAME_TAG, name)

    def work(store: Store) -> schema.RunInfo:
        with store.append() as tx:
            row = active(tx, run_id, request.identity)
            changed = row._replace(
                status=status or row.status,
                end_ms=row.end_ms if message.end_time is UNSET else message.end_time,
                name=name or row.name,
            )
            if name:
                labels.put(tx, "tags", row, [(NAME_TAG, name)])
            if changed != row:
                runs.conclude(store, changed)
            return run_shown.info(tx, changed)

    wanted = ahead(run_id, keys=None if status in runs.ENDED else (), place=True)
    return answer(schema.InfoAnswer(run_info=await server.write(work, request.identity, ahead=wanted)))


async def delete(server: Server, request: Request) -> Reply:
    return await _set_stage(server, request, "deleted")


async def restore(server: Server, request: Request) -> Reply:
    return await _set_stage(server, request, "active")


def named(message: schema.OfRun) -> str:
    """The run that a message is about.

    Raises:
        WireError: INVALID_PARAMETER_VALUE when it names none.
    """
    run_id = message.run_id or message.run_uuid
    required(run_id, "run_id")
    return run_id


def ahead(run_id: str, *, keys: Collection[str] | None = (), params: bool = False, place: bool = False) -> Ahead | None:
    """What a write to a run may have read ahead; nothing for what cannot be a run's id."""
    if not run_rules.is_run_id(run_id):
        return None
    return ReadAhead, Wanted(run=run_id, params=params, keys=keys, place=place)


def held(tx: Transaction, run_id: str, identity: Identity, need: Need = "editor") -> Row:
    """A run that is to be written to.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST, also for what the identity may not see.
        Fault: refused when it may see and not write.
    """
    row = run_rows.hold(tx, run_id)
    if row is None or not identity.may("viewer", row.project):
        raise not_found(run_id)
    identity.require(need, row.project)
    return row


def active(tx: Transaction, run_id: str, identity: Identity) -> Row:
    """As `held`, of a run that is not deleted."""
    row = held(tx, run_id, identity)
    if row.stage != "active":
        raise invalid(f"The run {row.id} must be in the 'active' state. Current state is {row.stage}.")
    return row


def not_found(run_id: str) -> Exception:
    """There is no such run."""
    return missing(f"Run with id={run_id[:300]} not found")


async def _set_stage(server: Server, request: Request, stage: str) -> Reply:
    run_id = named(read(request, schema.OfRun))

    def work(store: Store) -> None:
        with store.append() as tx:
            row = held(tx, run_id, request.identity)
        if row.stage != stage:
            runs.set_stage(store, row, stage)

    await server.write(work, request.identity, ahead=ahead(run_id))
    return answer()


def _status(sent: str | int) -> str:
    name = schema.BY_NUMBER.get(int(sent)) if isinstance(sent, int) or sent.isdigit() else sent
    if name not in schema.STATUSES:
        raise invalid(f"Invalid value \"{str(sent)[:50]}\" for parameter 'status' supplied.")
    return name.lower()


ROUTES: tuple[Route, ...] = (
    *endpoint("POST", "/runs/create", create, "editor"),
    *endpoint("GET", "/runs/get", get, "viewer"),
    *endpoint("POST", "/runs/update", update, "editor"),
    *endpoint("POST", "/runs/delete", delete, "editor"),
    *endpoint("POST", "/runs/restore", restore, "editor"),
)
