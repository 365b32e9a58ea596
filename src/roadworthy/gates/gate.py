"""The gate: measure, judge, certify. One call for `rw gate` and for the loop that operates a project.

In: a registered model and its project. Out: its certificate, passed or not. What was measured before from the very same
things is used again, and where the outcome is the same too, so is the certificate.
"""

import msgspec

from roadworthy.gates import certificate, rules
from roadworthy.gates.evaluate import Progress, approval_facts, evaluate, measured_from, rival
from roadworthy.nouns.certificate import Certificate
from roadworthy.nouns.errors import Fault, invalid, refused
from roadworthy.nouns.evidence import Evidence
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Place
from roadworthy.nouns.project import rules as as_rules
from roadworthy.nouns.rule import Outcome, refusals
from roadworthy.registry import models
from roadworthy.store.store import Store

# how many of a version's certificates are looked through for evidence to use again
LOOK_BACK = 10


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said.

    Args:
        certificate: signed and kept.
        evidence: what it rests on.
        measured: False when earlier evidence was used again.
        issued: False when an earlier certificate said the same.
    """

    certificate: Certificate
    evidence: Evidence
    measured: bool
    issued: bool


def pass_through(
    store: Store, place: Place, model: Model, *, force: bool = False, progress: Progress | None = None
) -> Judgement:
    """Judge a model by the project's rules against the champion, and issue its certificate, passed or not.

    Args:
        force: measure again and issue anew, whatever there is.
        progress: told what is being done, a line at a time.

    Raises:
        Fault: invalid when a rule is, before anything is measured, or when the model cannot be measured; refused for
            a version that an MLflow client registered and that was not adopted.
    """
    models.require_adopted(model)
    written = as_rules(place.project.gate.rules)
    if not written:
        raise invalid(
            "the project has no gate rules",
            where="[gate] rules",
            fix='write one, such as rules = ["metrics.auc >= 0.7"]',
        )
    for rule in written:
        rules.check(rule, known=rules.GATE_FACTS)
    against = rival(model, models.champion(store, model.name))
    earlier = None if force else _earlier(store, place, model, against)
    if earlier is None:
        evidence = evaluate(store, model, place, against=against, progress=progress)
    else:
        if progress:
            progress("nothing it rests on has changed: evidence from before is used")
        evidence = earlier[1].predicate.evidence
        facts = {**evidence.facts, "approvals": approval_facts(store, model)}
        evidence = msgspec.structs.replace(evidence, facts=facts)
    outcomes = rules.judge(written, evidence.facts)
    if earlier is not None:
        known, statement = earlier
        if _same(statement.predicate.outcomes, outcomes) and known == certificate.find(store, model.id):
            made = certificate.verify(certificate.export(store, known), public=store.keys.public(), store=store)
            return Judgement(certificate=made, evidence=evidence, measured=False, issued=False)
    made = certificate.issue(store, evidence, outcomes, project=place.project.name)
    return Judgement(certificate=made, evidence=evidence, measured=earlier is None, issued=True)


def refuse_unless_passed(made: Certificate) -> None:
    """Raise what a failed gate says: which rule, what was measured, what would pass.

    Raises:
        Fault: refused, when a rule refused.
    """
    failed = refusals(made.outcomes)
    if not failed:
        return
    first, more = failed[0], len(failed) - 1
    others = f" (and {more} more)" if more else ""
    measured = ", ".join(f"{name} = {_short(value)}" for name, value in first.measured.items())
    raise refused(
        f"the gate refuses: {first.name}{others}; {first.problem or f'measured {measured}'}",
        where=made.model,
        fix=f"would pass: {first.would_pass or first.rule}" + (f"; {first.why}" if first.why else ""),
        detail={"certificate": made.id, "outcomes": msgspec.to_builtins(made.outcomes)},
    )


def _earlier(
    store: Store, place: Place, model: Model, against: Model | None
) -> tuple[str, certificate.Statement] | None:
    """The newest certificate whose evidence was measured from the very same things, with its statement."""
    key = measured_from(store, model, place, against=against)
    for known in certificate.listing(store, model.id, limit=LOOK_BACK):
        try:
            statement = certificate.read(store, known.id)
        except Fault:
            continue  # a damaged certificate is no evidence
        if statement.predicate.evidence.digests.get("measured_from") == key:
            return known.id, statement
    return None


def _same(before: tuple[Outcome, ...], now: tuple[Outcome, ...]) -> bool:
    return msgspec.json.encode(before, order="deterministic") == msgspec.json.encode(now, order="deterministic")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
