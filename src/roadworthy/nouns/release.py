"""Release: a certified model on a target with a share of traffic: planned, applied, promoted or rolled back."""

from typing import Literal

import msgspec

from roadworthy.nouns.rule import Outcome, Rule

ReleaseStatus = Literal["planned", "starting", "canary", "live", "superseded", "rolled_back", "failed"]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One model version on one target.

    Args:
        id: 32 hex digits.
        model: `name@version`.
        target: name in the project file.
        certificate: id of the certificate that allows it.
        status: `planned`, `starting`, `canary` (a share), `live` (all), `superseded`, `rolled_back`, `failed`.
        share: share of traffic it gets now, 0 to 1.
        shares: the shares it goes through, the last being 1.
        stage: index into `shares`.
        stage_since: when this stage began, seconds since the epoch.
        stage_served_since: when this stage began by the machine's clock (the project's may be simulated): rows
            served since are its evidence.
        counted: what the target had counted when this stage began: release to its requests and its errors.
        rules, min_rows, patience_s: what the stages are judged by, as planned: rows the new version must have
            answered before it is judged, and seconds after which an undecided stage is given up.
        previous: the release it replaces.
        undoes: the release that is taken back in its favour, while a rollback is under way.
        crowned: whether the alias `champion` was moved to it when it went live.
        stopped: its servers were stopped by hand, and stay so until they are started by hand.
        outcomes: what the last judgement of the canary said.
        reason: why it is in this status.
    """

    id: str
    model: str
    target: str
    certificate: str
    status: ReleaseStatus = "planned"
    share: float = 0.0
    shares: tuple[float, ...] = (1.0,)
    stage: int = 0
    stage_since: float = 0.0
    stage_served_since: float = 0.0
    counted: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    min_rows: int = 1
    patience_s: float = 3600.0
    created_at: float = 0.0
    updated_at: float = 0.0
    previous: str | None = None
    undoes: str | None = None
    crowned: bool = False
    stopped: bool = False
    outcomes: tuple[Outcome, ...] = ()
    reason: str = ""
    project: str = ""
