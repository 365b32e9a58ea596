"""A logged model that was made elsewhere, under the id that it had there. Called by faces/moving."""

from roadworthy.faces.server.mlflow.logged_models.store import LoggedModel
from roadworthy.nouns.event import Event
from roadworthy.registry import groups
from roadworthy.store.store import Store

_KNOWN = "SELECT 1 FROM logged_models WHERE id = :id"
_INSERT = """
INSERT INTO logged_models (id, seq, group_id, project, name, type, status, message, source_run, location, created_ms,
    updated_ms, deleted)
VALUES (:id, :seq, :group_id, :project, :name, :type, :status, NULL, :source_run, :location, :created_ms,
    :updated_ms, :deleted)
"""
_PARAM = "INSERT INTO logged_model_params (model, key, value) VALUES (:model, :key, :value)"
_TAG = "INSERT INTO logged_model_tags (model, key, value) VALUES (:model, :key, :value)"


def bring(store: Store, wanted: LoggedModel) -> bool:
    """Write a model with its parameters and tags under a number of ours; False when it is here already."""
    with store.read() as reader:
        if reader.row(_KNOWN, id=wanted.id) is not None:
            return False
    detail = {"run": wanted.source_run or ""}
    event = Event(kind="logged_model.imported", subject=wanted.id, project=wanted.project, detail=detail)
    with store.change(event) as tx:
        seq = groups.next_number(tx, "logged_models")
        tx.execute(
            _INSERT, id=wanted.id, seq=seq, group_id=wanted.group, project=wanted.project, name=wanted.name,
            type=wanted.type, status=wanted.status, source_run=wanted.source_run, location=wanted.location,
            created_ms=wanted.created_ms, updated_ms=wanted.updated_ms, deleted=int(wanted.deleted),
        )  # fmt: skip
        tx.execute_many(_PARAM, [{"model": seq, "key": k, "value": v} for k, v in wanted.params.items()])
        tx.execute_many(_TAG, [{"model": seq, "key": k, "value": v} for k, v in wanted.tags.items()])
    return True
