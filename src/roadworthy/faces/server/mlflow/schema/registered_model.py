"""Messages of MLflow's model registry: registered models, their versions, tags and aliases.

Called by registered_models.py and model_versions.py; `shown` and `version_shown` translate our records.
"""

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.wire import Message
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_versions import Version

Text = str | UnsetType
# A request's field that must be there: absent and empty are the same, as in protobuf.
Needed = str
PROJECT_TAG = "roadworthy.project"


class Tag(Message):
    key: str = ""
    value: str = ""


class Alias(Message):
    alias: str
    version: str


class ModelVersion(Message):
    name: str
    version: str
    creation_timestamp: int
    last_updated_timestamp: int
    current_stage: str
    source: str
    description: Text = UNSET
    run_id: Text = UNSET
    status: str = "READY"
    tags: list[Tag] | UnsetType = UNSET
    run_link: Text = UNSET
    aliases: list[str] | UnsetType = UNSET


class RegisteredModel(Message):
    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: Text = UNSET
    latest_versions: list[ModelVersion] | UnsetType = UNSET
    tags: list[Tag] | UnsetType = UNSET
    aliases: list[Alias] | UnsetType = UNSET


class ModelAnswer(Message):
    registered_model: RegisteredModel


class ModelsAnswer(Message):
    registered_models: list[RegisteredModel] | UnsetType = UNSET
    next_page_token: Text = UNSET


class VersionAnswer(Message):
    model_version: ModelVersion


class VersionsAnswer(Message):
    model_versions: list[ModelVersion] | UnsetType = UNSET
    next_page_token: Text = UNSET


class UriAnswer(Message):
    artifact_uri: str


class OfModel(Message):
    name: Needed = ""


class CreateModel(OfModel):
    tags: tuple[Tag, ...] = ()
    description: Text = UNSET


class RenameModel(OfModel):
    new_name: Needed = ""


class UpdateModel(OfModel):
    description: Text = UNSET


class ModelTag(OfModel):
    key: Needed = ""
    value: str = ""


class LatestVersions(OfModel):
    stages: tuple[str, ...] = ()


class OfAlias(OfModel):
    alias: Needed = ""


class SetAlias(OfAlias):
    version: Needed = ""


class OfVersion(OfModel):
    version: Needed = ""


class CreateVersion(OfModel):
    source: Needed = ""
    run_id: Text = UNSET
    tags: tuple[Tag, ...] = ()
    run_link: str = ""
    description: str = ""
    model_id: Text = UNSET


class UpdateVersion(OfVersion):
    description: Text = UNSET


class MoveVersion(OfVersion):
    stage: Needed = ""
    archive_existing_versions: bool = False


class VersionTag(OfVersion):
    key: Needed = ""
    value: str = ""


class Search(Message):
    filter: str = ""
    max_results: int | UnsetType = UNSET
    order_by: tuple[str, ...] = ()
    page_token: str = ""


def shown(named: Named, latest: Iterable[Version]) -> RegisteredModel:
    """A name and its newest versions as MLflow's registered model."""
    return RegisteredModel(
        name=named.name,
        creation_timestamp=named.created_ms,
        last_updated_timestamp=named.updated_ms,
        description=named.description or UNSET,
        latest_versions=[version_shown(version) for version in latest] or UNSET,
        tags=tags_shown(named.tags),
        aliases=[Alias(alias=alias, version=str(number)) for alias, number in named.aliases.items()] or UNSET,
    )


def version_shown(version: Version) -> ModelVersion:
    """A version as MLflow's."""
    return ModelVersion(
        name=version.name,
        version=str(version.version),
        creation_timestamp=version.created_ms,
        last_updated_timestamp=version.updated_ms,
        current_stage=version.stage,
        description=UNSET if version.description is None else version.description,
        source=version.source or f"runs:/{version.run}/{version.name}",
        run_id=version.run,
        tags=tags_shown(version.tags),
        run_link=UNSET if version.run_link is None else version.run_link,
        aliases=list(version.aliases) or UNSET,
    )


def tags_shown(tags: dict[str, str]) -> list[Tag] | UnsetType:
    """Tags as a message; absent when there are none."""
    return [Tag(key=key, value=value) for key, value in tags.items()] or UNSET
