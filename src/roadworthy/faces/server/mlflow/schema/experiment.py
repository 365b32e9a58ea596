"""Messages about experiments, MLflow's word for groups of runs. Called by experiments.py."""

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.wire import Message
from roadworthy.registry.groups import Group

PROJECT_TAG = "roadworthy.project"


class Tag(Message, gc=False):
    key: str = ""
    value: str = ""


class Experiment(Message):
    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    last_update_time: int
    creation_time: int
    tags: list[Tag] | UnsetType = UNSET
    workspace: str = "default"


class Create(Message):
    name: str = ""
    artifact_location: str = ""
    tags: tuple[Tag, ...] = ()


class Created(Message):
    experiment_id: str


class OfExperiment(Message):
    experiment_id: str = ""


class ByName(Message):
    experiment_name: str = ""


class Update(Message):
    experiment_id: str = ""
    new_name: str = ""


class SetTag(Message):
    experiment_id: str = ""
    key: str = ""
    value: str = ""


class DeleteTag(Message):
    experiment_id: str = ""
    key: str = ""


class Search(Message):
    max_results: int = 0
    page_token: str = ""
    filter: str = ""
    order_by: tuple[str, ...] = ()
    view_type: str | int = "ACTIVE_ONLY"


class Answer(Message):
    experiment: Experiment


class Page(Message):
    experiments: list[Experiment] | UnsetType = UNSET
    next_page_token: str | UnsetType = UNSET


def shown(group: Group) -> Experiment:
    """A group in MLflow's words."""
    return Experiment(
        experiment_id=str(group.id),
        name=group.name,
        artifact_location=location(group.id, group.location),
        lifecycle_stage=group.stage,
        last_update_time=group.updated_ms,
        creation_time=group.created_ms,
        tags=[Tag(key=key, value=value) for key, value in group.tags.items()] or UNSET,
    )


def location(number: int, named: str) -> str:
    """Where the artifacts of a group's runs go: through this server unless the group names a place."""
    return named or f"mlflow-artifacts:/{number}"
