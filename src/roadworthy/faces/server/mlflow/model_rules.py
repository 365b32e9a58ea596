"""What MLflow lets pass as a model's name, alias, version, tag and stage, refused in its own words.

In: what a client sent. Out: the value, or INVALID_PARAMETER_VALUE. Called by every module of the registry's wire.
"""

import json
import posixpath
import re

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import wire
from roadworthy.registry.model_versions import STAGES

TAG_KEY_MAX = 250
TAG_VALUE_MAX = 100_000
ALIAS_MAX = 255
NAME_MAX = 256  # MLflow's column has room for so many
DESCRIPTION_MAX = 5_000
SOURCE_MAX = 500
PROMPT_TEXT_TAG = "mlflow.prompt.text"
VERSION_MAX = 2**31 - 1
_KEY = re.compile(r"[/\w.\- :]*")
_ALIAS = re.compile(r"[\w\-]*")
_ALIAS_TAKEN = re.compile(r"[vV]\d+")
_STAGES = {stage.lower(): stage for stage in STAGES}
_BAD_KEY = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
    "slashes (/)."
)


def name(value: str, path: str = "name") -> str:
    """A model's name."""
    if not value.strip():
        raise wire.invalid(f"Missing value for required parameter '{path}'.")
    if "/" in value or ":" in value:
        raise wire.invalid(f"Invalid model name '{value[: wire.SHOWN]}'. Names cannot contain '/' or ':'.")
    if not _stands_for_itself(value):
        raise wire.invalid(_not_itself("name", value))
    if len(value) > NAME_MAX:
        raise _too_long("name", NAME_MAX)
    if "\0" in value:
        raise wire.invalid(_invalid_value("name", value, "Names cannot contain NUL."))
    return value


def version(value: str) -> int:
    """A version's number."""
    try:
        number = int(value)
    except ValueError:
        raise wire.invalid(f"Parameter 'version' must be an integer, got '{value[: wire.SHOWN]}'.") from None
    # No version is as high as this; databases count no further.
    return min(max(number, -1), VERSION_MAX)


def alias(value: str) -> str:
    """An alias that may be asked for."""
    if not _ALIAS.fullmatch(value):
        raise wire.invalid(
            f"Invalid alias name: '{value[: wire.SHOWN]}'. Names may only contain alphanumerics, underscores (_), "
            "and dashes (-)."
        )
    if len(value) > ALIAS_MAX:
        raise _too_long("Registered model alias name", ALIAS_MAX)
    return value


def new_alias(value: str) -> str:
    """An alias that may be set."""
    alias(value)
    if value.lower() == "latest":
        raise wire.invalid("'latest' alias name (case insensitive) is reserved.")
    if _ALIAS_TAKEN.match(value):
        raise wire.invalid(f"Version alias name '{value}' is reserved.")
    return value


def stage(value: str) -> str:
    """A stage, as MLflow writes it."""
    found = _STAGES.get(value.lower())
    if found is None:
        raise wire.invalid(
            f"Invalid Model Version stage: {value[: wire.SHOWN]}. Value must be one of {', '.join(STAGES)}."
        )
    return found


def tag(key: str, value: str) -> None:
    """A tag of a model or a version."""
    tag_key(key)
    if len(key) > TAG_KEY_MAX:
        raise _too_long("key", TAG_KEY_MAX)
    if key == PROMPT_TEXT_TAG and len(value) > TAG_VALUE_MAX:
        raise wire.invalid(f"Prompt text exceeds max length of {TAG_VALUE_MAX} characters.")
    if len(value) > TAG_VALUE_MAX:
        raise _too_long("value", TAG_VALUE_MAX)
    if "\0" in value:
        raise wire.invalid(_invalid_value("value", value, "Values cannot contain NUL."))


def tag_key(key: str, path: str = "key") -> None:
    """The key of a tag."""
    if not _KEY.fullmatch(key):
        raise wire.invalid(_invalid_value(path, key, _BAD_KEY))
    if not _stands_for_itself(key):
        raise wire.invalid(_not_itself(path, key))


def description(value: str | UnsetType) -> str | UnsetType:
    """A description, absent or not."""
    if value is not UNSET and len(str(value)) > DESCRIPTION_MAX:
        raise _too_long("description", DESCRIPTION_MAX)
    if value is not UNSET and "\0" in str(value):
        raise wire.invalid(_invalid_value("description", "", "Values cannot contain NUL."))
    return value


def _stands_for_itself(value: str) -> bool:
    normal = posixpath.normpath(value)
    return not (normal != value or normal == "." or normal.startswith(("..", "/")))


def _not_itself(path: str, value: str) -> str:
    return _invalid_value(
        path,
        value,
        "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
        f"This name would resolve to {posixpath.normpath(value)[: wire.SHOWN]!r}",
    )


def _invalid_value(path: str, value: str, why: str) -> str:
    return f"Invalid value {json.dumps(value[: wire.SHOWN])} for parameter '{path}' supplied: {why}"


def _too_long(what: str, most: int) -> WireError:
    return wire.invalid(f"'{what}' exceeds the maximum length of {most} characters")
