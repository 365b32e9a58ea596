"""Paging: how many, and from where; the same for every list of the API."""

import re
from typing import Annotated, Generic, TypeVar

import msgspec

from roadworthy.nouns.errors import invalid

T = TypeVar("T")
LIMIT_MAX = 500
SKIP_MAX = 50_000
Limit = Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="How many at most.")]
Token = Annotated[str, msgspec.Meta(max_length=20, description="`next` of the page before.")]
_TOKEN = re.compile(r"s(\d{1,6})")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list, and the token that gives the next, if there is one."""

    items: list[T]
    next: str | None = None


def skipped(token: str) -> int:
    """How many the pages before had.

    Raises:
        Fault: invalid for a token that we did not give.
    """
    if not token:
        return 0
    match = _TOKEN.fullmatch(token)
    if match is None or int(match[1]) > SKIP_MAX:
        raise invalid("not a page's token", where=token[:20], fix="give `next` of the page before")
    return int(match[1])


def page(found: list[T], limit: int, token: str) -> Page[T]:
    """The page that a token asks for, of a list read to one beyond its end."""
    skip = skipped(token)
    more = len(found) > skip + limit
    return Page(items=found[skip : skip + limit], next=f"s{skip + limit}" if more else None)


def wanted(limit: int, token: str) -> int:
    """How many to read for that: all before, the page, and one that tells whether there is more."""
    return skipped(token) + limit + 1
