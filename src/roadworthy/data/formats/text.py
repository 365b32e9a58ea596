"""Text: a plain string as UTF-8, readable with any tool."""

from pathlib import Path
from typing import Any

from roadworthy.data.formats.format import Context, Stored, Written

NAME = "text"
AUTOMATIC = True
# A lone surrogate is no text, yet Python's strings may hold one (undecodable file names): it must come back.
_ERRORS = "surrogatepass"


def takes(value: Any) -> bool:
    return type(value) is str


def write(value: Any, path: Path, context: Context) -> Written:
    del context
    path.write_bytes(value.encode("utf-8", _ERRORS))
    return Written(type="str")


def read(stored: Stored, context: Context) -> Any:
    del context
    return stored.content().decode("utf-8", _ERRORS)
