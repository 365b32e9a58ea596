"""Bytes, as they are."""

from pathlib import Path
from typing import Any

from roadworthy.data.formats.format import Context, Stored, Written

NAME = "bytes"
AUTOMATIC = True


def takes(value: Any) -> bool:
    return type(value) in {bytes, bytearray}


def write(value: Any, path: Path, context: Context) -> Written:
    del context
    path.write_bytes(value)
    return Written(type=type(value).__name__)


def read(stored: Stored, context: Context) -> Any:
    del context
    return bytearray(stored.content()) if stored.value.type == "bytearray" else stored.content()
