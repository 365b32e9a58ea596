"""What MLflow lets pass as names, parameters, tags and metrics of runs and experiments, refused in its own words.

In: what a client sent. Out: nothing, or INVALID_PARAMETER_VALUE with MLflow's message. Called by experiments.py,
runs.py and run_logging.py. Beyond MLflow's rules, text with null characters is refused: PostgreSQL cannot keep it.
"""

import json
import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache

from msgspec import UNSET

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import wire
from roadworthy.faces.server.mlflow.schema import run as schema

KEY_MAX = 250
PARAM_VALUE_MAX = 6_000
TAG_VALUE_MAX = 8_000
EXPERIMENT_NAME_MAX = 500
EXPERIMENT_TAG_VALUE_MAX = 20_000
LOCATION_MAX = 2_048
METRICS_MAX = 1_000
PARAMS_TAGS_MAX = 100
ENTITIES_MAX = 1_000
DATASET_NAME_MAX = 500
DATASET_DIGEST_MAX = 36
DATASET_SOURCE_MAX = 65_535
DATASET_SCHEMA_MAX = 1_048_575
DATASET_PROFILE_MAX = 16_777_215
INPUT_TAG_KEY_MAX = 255
INPUT_TAG_VALUE_MAX = 500
NAMES_KNOWN = 4_096
_NAME = re.compile(r"[/\w.\- :]*")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_BAD_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
    "slashes (/)."
)


def experiment_name(value: str, path: str = "name") -> str:
    """A group's name."""
    if len(value) > EXPERIMENT_NAME_MAX:
        raise too_long(path, EXPERIMENT_NAME_MAX)
    if "\0" in value:
        raise _bad(path, value, "Names cannot contain NUL.")
    return value


def experiment_id(value: str) -> int:
    """A group's number; 0, the default's, for none."""
    try:
        number = int(value or 0)
    except ValueError:
        raise wire.invalid(
            f"Invalid experiment ID '{value[: wire.SHOWN]}'. Experiment ID must be a valid integer."
        ) from None
    # No number is as high; databases count no further.
    return min(max(number, -1), 2**63 - 1)


def experiment_tag(key: str, value: str) -> None:
    """A tag of a group."""
    tag_name(key)
    if len(key) > KEY_MAX:
        raise too_long("key", KEY_MAX)
    if len(value) > EXPERIMENT_TAG_VALUE_MAX:
        raise too_long("value", EXPERIMENT_TAG_VALUE_MAX)
    _no_null("value", value)


def is_run_id(value: str) -> bool:
    return _RUN_ID.fullmatch(value) is not None


def run_id(value: str) -> None:
    """A run's id, as far as batches are particular about it."""
    if not is_run_id(value):
        raise wire.invalid(f"Invalid value {json.dumps(value[: wire.SHOWN])} for parameter 'run_id' supplied.")


def param(key: str, value: str, path: str = "") -> str:
    """A parameter of a run; its value, which as in MLflow is cut to a length."""
    _name(key, f"{path}.key" if path else "key")
    if len(key) > KEY_MAX:
        raise too_long("Param key", KEY_MAX)
    _no_null(key, value)
    return value[:PARAM_VALUE_MAX]


def tag(key: str, value: str, path: str = "") -> str:
    """A tag of a run; its value, which as in MLflow is cut to a length."""
    _name(key, f"{path}.key" if path else "key")
    if len(key) > KEY_MAX:
        raise too_long(f"{path}.key" if path else "key", KEY_MAX)
    _no_null(key, value)
    return value[:TAG_VALUE_MAX]


def tag_name(key: str) -> None:
    """The key of a tag alone."""
    _name(key, "key")


def metric(key: str, value: float, timestamp: int, path: str = "") -> None:
    """A point of a metric; its numbers have been read as numbers already."""
    if not is_name(key):
        _name(key, f"{path}.name" if path else "name")
        raise too_long("Metric name", KEY_MAX)
    if timestamp < 0:
        where = f"{path}.timestamp" if path else "timestamp"
        why = f"metric '{key}' (value={value}). Timestamp must be a nonnegative long (64-bit integer) "
        raise wire.invalid(f"Invalid value {timestamp} for parameter '{where}' supplied: {why}")


def batch(metrics: int, params: int, tags: int) -> None:
    """How much one batch may hold."""
    _at_most("metrics", METRICS_MAX, metrics)
    _at_most("params", PARAMS_TAGS_MAX, params)
    _at_most("tags", PARAMS_TAGS_MAX, tags)
    _at_most("metrics, params, and tags", ENTITIES_MAX, metrics + params + tags)


def keys_once(keys: Sequence[str]) -> None:
    """A batch has one value for each parameter."""
    if len(set(keys)) == len(keys):
        return
    seen: set[str] = set()
    again = [key for key in keys if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    raise wire.invalid(
        f"Duplicate parameter keys have been submitted: {again}. Please ensure the request contains only one param "
        "value per param key."
    )


def max_results(value: int, most: int) -> int:
    """The size of a page."""
    if value < 1:
        raise wire.invalid(f"Invalid value {value} for parameter 'max_results' supplied. It must be a positive integer")
    if value > most:
        raise wire.invalid(f"Invalid value {value} for parameter 'max_results' supplied. It must be at most {most}")
    return value


def too_long(what: str, most: int) -> WireError:
    """What is over its length."""
    return wire.invalid(f"'{what}' exceeds the maximum length of {most} characters")


def is_name(key: str) -> bool:
    """Whether a metric may be called so."""
    return len(key) <= KEY_MAX and _good(key)


@lru_cache(maxsize=NAMES_KNOWN)
def _good(key: str) -> bool:
    return bool(_NAME.fullmatch(key)) and not _is_another(key)


def _name(key: str, path: str) -> None:
    if _good(key):
        return
    if not _NAME.fullmatch(key):
        raise _bad(path, key, _BAD_CHARACTERS)
    raise _bad(
        path,
        key,
        "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
        f"This name would resolve to {posixpath.normpath(key)[: wire.SHOWN]!r}",
    )


def _is_another(key: str) -> bool:
    normal = posixpath.normpath(key)
    return normal != key or normal == "." or normal.startswith(("..", "/"))


def _no_null(what: str, value: str) -> None:
    if "\0" in value:
        raise _bad(what, value, "Values cannot contain NUL.")


def _bad(path: str, value: str, why: str) -> WireError:
    return wire.invalid(f"Invalid value {json.dumps(value[: wire.SHOWN])} for parameter '{path}' supplied: {why}")


def _at_most(what: str, most: int, count: int) -> None:
    if count > most:
        raise wire.invalid(
            f"A batch logging request can contain at most {most} {what}. Got {count} {what}. Please split up {what} "
            "across multiple requests and try again."
        )


def dataset(sent: schema.Dataset, tags: Sequence[schema.Pair]) -> None:
    """A data set as an input of a run."""
    for what, value, most in (
        ("name", sent.name, DATASET_NAME_MAX),
        ("digest", sent.digest, DATASET_DIGEST_MAX),
        ("source", sent.source, DATASET_SOURCE_MAX),
        ("schema", sent.schema, DATASET_SCHEMA_MAX),
        ("profile", sent.profile, DATASET_PROFILE_MAX),
        ("source_type", sent.source_type, DATASET_SOURCE_MAX),
    ):
        if value is UNSET:
            continue
        if len(value) > most:
            raise too_long(what, most)
        _no_null(what, value)
    for each in tags:
        if len(each.key) > INPUT_TAG_KEY_MAX:
            raise too_long("key", INPUT_TAG_KEY_MAX)
        if len(each.value) > INPUT_TAG_VALUE_MAX:
            raise too_long("value", INPUT_TAG_VALUE_MAX)
        _no_null("key", each.key)
        _no_null("value", each.value)
