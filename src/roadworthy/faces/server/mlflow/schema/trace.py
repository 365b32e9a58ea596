"""Messages of MLflow's traces, and the two ways in which protobuf's JSON writes time."""

import datetime as dt
import re
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.wire import SHOWN, Message, invalid

Text = str | UnsetType
_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


class ExperimentLocation(Message):
    experiment_id: str = ""


class Location(Message):
    type: str | int = "MLFLOW_EXPERIMENT"
    mlflow_experiment: ExperimentLocation | UnsetType = UNSET


class Info(Message):
    trace_id: str = ""
    client_request_id: Text = UNSET
    trace_location: Location = msgspec.field(default_factory=Location)
    request_preview: Text = UNSET
    response_preview: Text = UNSET
    request_time: str = ""
    execution_duration: Text = UNSET
    state: str | int = "STATE_UNSPECIFIED"
    trace_metadata: dict[str, str] = msgspec.field(default_factory=dict)
    assessments: tuple[dict[str, Any], ...] = ()
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class Sent(Message):
    trace_info: Info = msgspec.field(default_factory=Info)


class Start(Message):
    trace: Sent | UnsetType = UNSET


class Shown(Message):
    """As it is answered: what is empty is left out."""

    trace_id: str
    trace_location: Location
    request_time: str
    state: str
    client_request_id: Text = UNSET
    request_preview: Text = UNSET
    response_preview: Text = UNSET
    execution_duration: Text = UNSET
    trace_metadata: dict[str, str] | UnsetType = UNSET
    assessments: list[Any] | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class Whole(Message):
    trace_info: Shown
    spans: list[msgspec.Raw] | UnsetType = UNSET


class TraceAnswer(Message):
    trace: Whole


class TracesAnswer(Message):
    traces: list[Whole] | UnsetType = UNSET


class InfosAnswer(Message):
    trace_infos: list[Shown] | UnsetType = UNSET


class SearchAnswer(Message):
    traces: list[Shown] | UnsetType = UNSET
    next_page_token: Text = UNSET


class Search(Message):
    locations: tuple[Location, ...] | UnsetType = UNSET
    filter: str = ""
    max_results: int = 100
    order_by: tuple[str, ...] = ()
    page_token: str = ""


class Get(Message):
    trace_id: str = ""
    allow_partial: bool = False


class Batch(Message):
    trace_ids: tuple[str, ...] | UnsetType = UNSET
    experiment_ids: list[str] | UnsetType = UNSET


class Delete(Message):
    experiment_id: str = ""
    max_timestamp_millis: int | UnsetType = UNSET
    max_traces: int | UnsetType = UNSET
    request_ids: tuple[str, ...] = ()


class Deleted(Message):
    traces_deleted: int


class Tag(Message):
    key: str = ""
    value: str = ""


class LinkRun(Message):
    trace_ids: tuple[str, ...] | UnsetType = UNSET
    run_id: str = ""


class PromptVersion(Message):
    name: str = ""
    version: str = ""


class LinkPrompts(Message):
    trace_id: str = ""
    prompt_versions: tuple[PromptVersion, ...] = ()


class Correlation(Message):
    experiment_ids: tuple[str, ...] | UnsetType = UNSET
    filter_string1: str = ""
    filter_string2: str = ""
    base_filter: str = ""


def moment(ms: int) -> str:
    """Milliseconds since the epoch as protobuf's JSON writes a Timestamp."""
    seconds, rest = divmod(ms, 1000)
    at = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{at}.{rest:03d}Z" if rest else f"{at}Z"


def duration(ms: int) -> str:
    """Milliseconds as protobuf's JSON writes a Duration."""
    sign, (seconds, rest) = "-" if ms < 0 else "", divmod(abs(ms), 1000)
    return f"{sign}{seconds}.{rest:03d}s" if rest else f"{sign}{seconds}s"


def moment_ms(text: str, field: str) -> int:
    """The other way around.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    match = _MOMENT.fullmatch(text)
    if match is not None:
        try:
            at = dt.datetime.fromisoformat(f"{match[1]}{match[3].replace('Z', '+00:00')}")
        except ValueError:
            pass
        else:
            return int(at.timestamp()) * 1000 + int((match[2] or "0").ljust(9, "0")[:3])
    raise invalid(f"Invalid value {text[:SHOWN]!r} for parameter '{field}' supplied: it is no moment (RFC 3339)")


def duration_ms(text: str, field: str) -> int:
    """The other way around.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise invalid(f"Invalid value {text[:SHOWN]!r} for parameter '{field}' supplied: it is no duration")
    ms = int(match[2]) * 1000 + int((match[3] or "0").ljust(9, "0")[:3])
    return -ms if match[1] else ms
