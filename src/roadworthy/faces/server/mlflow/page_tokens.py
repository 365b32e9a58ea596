"""Page tokens of searches that count rows: MLflow's own form, base 64 over `{"offset": 100}`.

In: a token as a client sends it back. Out: how many rows to skip, and the token of the next page.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import wire

T = TypeVar("T")
OFFSET_MAX = 2**53


def offset(token: str | UnsetType | None) -> int:
    """How many rows come before the page.

    Raises:
        WireError: INVALID_PARAMETER_VALUE for what is no token.
    """
    if not token:
        return 0
    try:
        decoded = base64.b64decode(token)
    except (binascii.Error, ValueError):
        raise wire.invalid("Invalid page token, could not base64-decode") from None
    try:
        said = msgspec.json.decode(decoded)
        skip = int(said["offset"])
    except (msgspec.DecodeError, TypeError, KeyError, ValueError, OverflowError):
        raise wire.invalid(f"Invalid page token, decoded value={decoded[: wire.SHOWN]!r}") from None
    if not 0 <= skip <= OFFSET_MAX:
        raise wire.invalid(f"Invalid page token, decoded value={decoded[: wire.SHOWN]!r}")
    return skip


def no_token(sent: str) -> WireError:
    """What is said of text that is no token of this search."""
    try:
        decoded = base64.b64decode(sent)
    except (binascii.Error, ValueError):
        return wire.invalid("Invalid page token, could not base64-decode")
    return wire.invalid(f"Invalid page token, decoded value={decoded[: wire.SHOWN]!r}")


def cut(rows: Sequence[T], skipped: int, limit: int) -> tuple[Sequence[T], str | UnsetType]:
    """A page of at most `limit` of rows that were read one further, and the token of the next, if there is one."""
    if len(rows) <= limit:
        return rows, UNSET
    return rows[:limit], token(skipped + limit)


def token(offset_: int) -> str:
    """The token of the page that begins behind so many rows."""
    return base64.b64encode(b'{"offset": %d}' % offset_).decode()
