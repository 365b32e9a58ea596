"""Messages about runs, their parameters, tags, metrics, inputs and outputs. Called by runs.py and run_*.py."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.wire import Message

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# MLflow's names of our statuses, and the numbers protobuf knows them by.
STATUSES = {"RUNNING": 1, "SCHEDULED": 2, "FINISHED": 3, "FAILED": 4, "KILLED": 5}
BY_NUMBER = {number: name for name, number in STATUSES.items()}


class Pair(msgspec.Struct, gc=False):
    """A parameter or a tag."""

    key: str = ""
    value: str = ""


class Point(msgspec.Struct, gc=False):
    """One point as a client logs it, with all that it must have."""

    key: Annotated[str, msgspec.Meta(min_length=1)]
    value: float
    timestamp: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    step: Int64 = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class Metric(msgspec.Struct, gc=False):
    """One point of which anything may be missing, to say what."""

    key: str = ""
    value: float | UnsetType = UNSET
    timestamp: Int64 | UnsetType = UNSET
    step: Int64 = 0
    dataset_name: str = ""
    dataset_digest: str = ""
    model_id: str = ""


class MetricShown(msgspec.Struct, gc=False):
    """A point as it is answered."""

    key: str
    value: float | str
    timestamp: int
    step: int
    run_id: str | UnsetType = UNSET


class RunInfo(msgspec.Struct, gc=False):
    run_id: str
    run_uuid: str
    run_name: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int
    end_time: int | UnsetType
    artifact_uri: str
    lifecycle_stage: str


class RunData(msgspec.Struct, gc=False):
    """What a run logged; parameters and tags are lists of `Pair`, as JSON where the database made it."""

    metrics: list[MetricShown] | UnsetType = UNSET
    params: msgspec.Raw | UnsetType = UNSET
    tags: list[Pair] | msgspec.Raw | UnsetType = UNSET


class Dataset(msgspec.Struct):
    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    schema: str | UnsetType = UNSET
    profile: str | UnsetType = UNSET


class DatasetInput(msgspec.Struct):
    tags: list[Pair] | UnsetType = UNSET
    dataset: Dataset | UnsetType = UNSET


class ModelInput(msgspec.Struct):
    model_id: str = ""


class ModelOutput(msgspec.Struct):
    model_id: str = ""
    step: Int64 = 0


class RunInputs(msgspec.Struct):
    dataset_inputs: list[DatasetInput] | UnsetType = UNSET
    model_inputs: list[ModelInput] | UnsetType = UNSET


class RunOutputs(msgspec.Struct):
    model_outputs: list[ModelOutput] | UnsetType = UNSET


class Run(msgspec.Struct, gc=False):
    info: RunInfo
    data: RunData | msgspec.Raw
    inputs: RunInputs | UnsetType = UNSET
    outputs: RunOutputs | UnsetType = UNSET


class Answer(Message):
    run: Run


class InfoAnswer(Message):
    run_info: RunInfo


class Page(Message):
    runs: list[Run] | UnsetType = UNSET
    next_page_token: str | UnsetType = UNSET


class Create(Message):
    experiment_id: str = ""
    user_id: str = ""
    run_name: str = ""
    start_time: Int64 = 0
    tags: tuple[Pair, ...] = ()


class OfRun(Message):
    """What names a run alone. Old clients call its id `run_uuid`."""

    run_id: str = ""
    run_uuid: str = ""


class Update(OfRun):
    status: str | int | UnsetType = UNSET
    end_time: Int64 | UnsetType = UNSET
    run_name: str | UnsetType = UNSET


class LogMetric(OfRun):
    key: str = ""
    value: float | UnsetType = UNSET
    timestamp: Int64 | UnsetType = UNSET
    step: Int64 = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class LogPair(OfRun):
    """A parameter or a tag of a run."""

    key: str = ""
    value: str = ""


class DeleteTag(OfRun):
    key: str = ""


class LogBatch(Message):
    run_id: str = ""
    metrics: list[Point] = msgspec.field(default_factory=list)
    params: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class LooseBatch(Message):
    """A batch of which the points may be anything."""

    run_id: str = ""
    metrics: list[Metric] = msgspec.field(default_factory=list)
    params: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class LogModel(Message):
    run_id: str = ""
    model_json: str = ""


class LogInputs(Message):
    run_id: str = ""
    datasets: tuple[DatasetInput, ...] = ()
    models: tuple[ModelInput, ...] = ()


class LogOutputs(Message):
    run_id: str = ""
    models: tuple[ModelOutput, ...] = ()


class Search(Message):
    experiment_ids: tuple[str, ...] = ()
    filter: str = ""
    run_view_type: str | int = "ACTIVE_ONLY"
    max_results: int = 1_000
    order_by: tuple[str, ...] = ()
    page_token: str = ""


class History(OfRun):
    metric_key: str = ""
    page_token: str = ""
    max_results: int | UnsetType = UNSET


class HistoryPage(Message):
    metrics: list[MetricShown] | UnsetType = UNSET
    next_page_token: str | UnsetType = UNSET


class HistorySampled(Message):
    run_ids: tuple[str, ...] = ()
    metric_key: str = ""
    start_step: int | UnsetType = UNSET
    end_step: int | UnsetType = UNSET
    max_results: int = 2_500


class SearchDatasets(Message):
    experiment_ids: tuple[str, ...] = ()


class DatasetSummary(Message):
    experiment_id: str
    name: str
    digest: str
    context: str | UnsetType = UNSET


class DatasetSummaries(Message):
    dataset_summaries: list[DatasetSummary] | UnsetType = UNSET
