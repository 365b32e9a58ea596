"""What a format is: how values of some types become bytes and come back.

A format is a module (or any object) with the names of `Format`; one file each here, and a stranger's plugin is an
entry point of the group `roadworthy.formats` that names such a module. Every format passes
tests/data/formats/test_conformance.py. Called by data/formats/registry.py alone.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from roadworthy.nouns.step import Value
from roadworthy.store.keys import Keys


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a format says of what it wrote.

    Args:
        type: what the Python object is, such as `pandas.DataFrame`.
        content: digest of what the value says; the digest of the bytes when empty.
        meta: what `read` needs; JSON values only.
    """

    type: str
    content: str = ""
    meta: dict[str, Any] = msgspec.field(default_factory=dict)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a format may use beside the value itself.

    Args:
        trusted: type names that may be loaded beyond those trusted by default.
        keys: signs and verifies, where a format asks for that.
        keep: stores a part of the value by the format of its own type.
        fetch: brings such a part back.
        unpacked: a folder in which a stored file or folder may be laid out for reading.
    """

    trusted: tuple[str, ...]
    keys: Keys | None
    keep: Callable[[Any], Value]
    fetch: Callable[[Value], Any]
    unpacked: Path


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A stored value's bytes, checked against their digest whichever way they are taken.

    Args:
        value: as `save` returned it.
        path: gives the file that holds them.
        content: gives the bytes.
    """

    value: Value
    path: Callable[[], Path]
    content: Callable[[], bytes]


class Format(Protocol):
    """Values of some types, to a file and back, without loss."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of the module that is the format
        """What `Value.format` says."""

    @property
    def AUTOMATIC(self) -> bool:  # noqa: N802 - likewise
        """Whether it is chosen by the value's type; otherwise only when it is named."""

    def takes(self, value: Any) -> bool:
        """Whether it stores this value; told from the type's name, without importing its library."""

    def write(self, value: Any, path: Path, context: Context) -> Written:
        """Write the value to `path`, which does not exist yet."""

    def read(self, stored: Stored, context: Context) -> Any:
        """The value again, of the same type."""


def type_names(value: Any) -> list[str]:
    """The names of a value's type and its bases, nearest first, each as its top package and name.

    >>> type_names(True)
    ['builtins.bool', 'builtins.int', 'builtins.object']
    """
    return [f"{base.__module__.partition('.')[0].lstrip('_')}.{base.__qualname__}" for base in type(value).__mro__]
