"""Plan: what would change on a target, shown before anything does."""

from typing import Literal

import msgspec

from roadworthy.nouns.rule import Rule


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between what is and what would be."""

    action: Literal["create", "update", "delete", "keep"]
    what: str
    before: str = ""
    after: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a release would do; it cannot be made without a certificate.

    Args:
        model: `name@version`.
        target: name in the project file, such as `local`.
        certificate: id of the certificate that allows it.
        shares: successive shares of traffic for the new version, 0 to 1, the last being 1.
        changes: what would change.
        rules, min_rows, patience_s: what each share is judged by before the next.
        previous: the release that is live now.
    """

    model: str
    target: str
    certificate: str
    shares: tuple[float, ...]
    changes: tuple[Change, ...]
    rules: tuple[Rule, ...] = ()
    min_rows: int = 1
    patience_s: float = 3600.0
    previous: str | None = None
    project: str = ""

    @property
    def empty(self) -> bool:
        return all(change.action == "keep" for change in self.changes)
