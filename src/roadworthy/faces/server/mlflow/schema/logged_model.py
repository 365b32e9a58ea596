"""Messages of MLflow's logged models."""

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.wire import Message

Text = str | UnsetType


class Pair(Message):
    key: str = ""
    value: str = ""


class Metric(Message):
    key: str
    value: float | str
    timestamp: int
    step: int
    model_id: str
    dataset_name: Text = UNSET
    dataset_digest: Text = UNSET
    run_id: Text = UNSET


class Info(Message):
    model_id: str
    experiment_id: str
    name: str
    creation_timestamp_ms: int
    last_updated_timestamp_ms: int
    artifact_uri: str
    status: str
    model_type: Text = UNSET
    source_run_id: Text = UNSET
    status_message: Text = UNSET
    tags: list[Pair] | UnsetType = UNSET


class Data(Message):
    params: list[Pair] | UnsetType = UNSET
    metrics: list[Metric] | UnsetType = UNSET


class Model(Message):
    info: Info
    data: Data


class ModelAnswer(Message):
    model: Model


class ModelsAnswer(Message):
    models: list[Model] | UnsetType = UNSET
    next_page_token: Text = UNSET


class Create(Message):
    experiment_id: str = ""
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class Get(Message):
    allow_deleted: bool = False


class Finalize(Message):
    status: str | int = ""


class Params(Message):
    params: tuple[Pair, ...] = ()


class Tags(Message):
    tags: tuple[Pair, ...] = ()


class Directory(Message):
    artifact_directory_path: Text = UNSET


class Dataset(Message):
    dataset_name: str = ""
    dataset_digest: str = ""


class OrderBy(Message):
    field_name: str = ""
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class Search(Message):
    experiment_ids: tuple[str, ...] = ()
    filter: str = ""
    datasets: tuple[Dataset, ...] = ()
    max_results: int = 50
    order_by: tuple[OrderBy, ...] = ()
    page_token: str = ""
