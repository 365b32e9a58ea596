"""Approvals: who said yes to a model, in which role. This file owns the table `approvals`.

Rules ask `approvals.count("ml-engineer") >= 1`; a role counts different people, so approving twice changes nothing.
"""

import re

import msgspec

from roadworthy.nouns.errors import invalid
from roadworthy.nouns.event import Event
from roadworthy.store.store import Store

COMMENT_MAX = 4_000
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,62}")

_INSERT = """
INSERT INTO approvals (id, model, role, actor, at, comment) VALUES (:id, :model, :role, :actor, :at, :comment)
"""
_OF_MODEL = "SELECT id, model, role, actor, at, comment FROM approvals WHERE model = :model ORDER BY at, id"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One person's yes to one model version (`name@version`), in a role, at a moment in seconds since the epoch."""

    id: str
    model: str
    role: str
    actor: str
    at: float
    comment: str = ""


def approve(store: Store, model_id: str, role: str, comment: str = "", *, project: str = "") -> Approval:
    """Record that the store's actor approves a model.

    Args:
        model_id: `name@version`; approvals of one version say nothing about the next.
        role: in which role, such as `ml-engineer`.
        comment: why, for those who look later; kept out of the log of changes.

    Raises:
        Fault: invalid for something that is no role, or no version.
    """
    if not _ROLE.fullmatch(role):
        raise invalid("a role has lower-case letters, digits and `-`", where=role[:80], fix="such as ml-engineer")
    if not re.fullmatch(r"[^@]+@\d+", model_id):
        raise invalid("an approval is of one version", where=model_id[:200], fix="name it as NAME@3")
    if len(comment) > COMMENT_MAX:
        raise invalid(f"a comment has at most {COMMENT_MAX} characters", where=model_id)
    made = Approval(
        id=store.ids.new(), model=model_id, role=role, actor=store.actor, at=store.clock.now(), comment=comment
    )
    event = Event(kind="model.approved", subject=model_id, project=project, detail={"role": role, "approval": made.id})
    with store.change(event) as tx:
        tx.execute(_INSERT, **msgspec.structs.asdict(made))
    return made


def listing(store: Store, model_id: str) -> list[Approval]:
    """The approvals of a version, oldest first."""
    with store.read() as reader:
        return [
            Approval(id=row[0], model=row[1], role=row[2], actor=row[3], at=row[4], comment=row[5])
            for row in reader.rows(_OF_MODEL, model=model_id)
        ]
