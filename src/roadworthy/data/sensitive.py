"""Sensitive columns: which they are, and what is shown in their place.

A value is replaced by a keyed hash of it: the same value has the same mask within a project, so that masked columns
still join and count, and nobody without the project's secret can try values until one fits. Called by gates/ (example
rows) and by serving/ (the inference log), which has no store and is given the secret.
"""

import math
import os
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Any

from blake3 import blake3

from roadworthy.nouns.errors import invalid
from roadworthy.nouns.project import Project

PREFIX = "masked:"
SECRET_FILE = "mask.key"  # noqa: S105 - where it is, not what it is
_SECRET_BYTES = 32
# 64 bits: two of a million values get the same mask once in 37 million projects.
_MASK_HEX = 16


def secret(keys_folder: Path) -> bytes:
    """The project's secret for masks (32 bytes), made on first use.

    Args:
        keys_folder: `<home>/keys`.

    Raises:
        Fault: invalid when it cannot be read or made.
    """
    path = keys_folder / SECRET_FILE
    try:
        if not path.exists():
            _make(path)
        made = path.read_bytes()
    except OSError as problem:
        raise invalid(f"the secret for masks cannot be read or made: {problem.strerror}", where=str(path)) from None
    if len(made) != _SECRET_BYTES:
        raise invalid("the secret for masks is damaged", where=str(path), fix="restore it from a backup")
    return made


def mask(value: Any, *, secret: bytes) -> Any:
    """What is shown instead of a value: `masked:` and 16 hex digits; a missing value stays missing.

    Numbers that are equal have equal masks whatever their type, so 5, 5.0 and NumPy's 5 still join.
    """
    if _is_missing(value):
        return None
    digest = blake3(_text(value).encode("utf-8", "surrogatepass"), key=secret).hexdigest()
    return f"{PREFIX}{digest[:_MASK_HEX]}"


def mask_columns(table: Any, columns: Collection[str], *, secret: bytes) -> Any:
    """A copy of a table with some columns masked; columns that it does not have are passed over.

    Args:
        table: a pandas DataFrame or a pyarrow Table; comes back as the same.
        columns: names.
        secret: from `secret()`.
    """
    named = [name for name in columns if name in _names(table)]
    if not named:
        return table
    if type(table).__module__.startswith("pyarrow"):
        return _mask_arrow(table, named, secret)
    masked = table.copy(deep=False)
    for name in named:
        masked[name] = [mask(value, secret=secret) for value in table[name].tolist()]
    return masked


def sensitive_columns(project: Project) -> set[str]:
    """The columns that some contract or `[serving]` of the project marks as sensitive."""
    marked = set(project.serving.sensitive)
    for data in project.data.values():
        if data.contract is not None:
            marked |= {name for name, column in data.contract.columns.items() if column.sensitive}
    return marked


def _mask_arrow(table: Any, columns: list[str], key: bytes) -> Any:
    import pyarrow as pa

    for name in columns:
        place = table.schema.get_field_index(name)
        values = [mask(value, secret=key) for value in table.column(place).to_pylist()]
        table = table.set_column(place, name, pa.array(values, pa.string()))
    return table


def _names(table: Any) -> list[str]:
    return list(table.column_names if type(table).__module__.startswith("pyarrow") else table.columns)


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in {"NAType", "NaTType"}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if hasattr(value, "item"):
        value = value.item()  # NumPy's scalars
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _make(path: Path) -> None:
    """Written whole beside its place and linked to it: of two first users, one wins and both read the same."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(_SECRET_BYTES))
        os.fsync(descriptor)
        os.close(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
