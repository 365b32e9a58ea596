"""`rw gate`: judge a model by the project's rules, and issue its certificate."""

from typing import Any

import click
import msgspec

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import check_rules, open_here
from roadworthy.gates import gate
from roadworthy.gates.compare import in_words
from roadworthy.nouns.errors import EXIT_CODES, Code, invalid
from roadworthy.nouns.evidence import Evidence
from roadworthy.nouns.project import Place
from roadworthy.nouns.rule import Outcome
from roadworthy.registry import models


@click.command("gate")
@click.argument("model", required=False)
@click.option("--force", is_flag=True, help="Measure again, even if nothing has changed.")
@output.json_option
def command(model: str | None, *, force: bool, as_json: bool) -> int:
    """Judge a model by the rules under [gate], and issue its certificate.

    MODEL is a name (its newest version), name@3 or name@champion; the project's newest by default. Every rule is shown
    with what was measured and what would pass. A model that a rule refuses gets a certificate that says so, and the
    command ends with exit code 5.

    \b
    Examples:
      rw gate
      rw gate late-flights@3
      rw gate late-flights --json | jq .certificate.passed
    """  # noqa: D301 - click's mark is the control character
    place, store = open_here()
    check_rules(place)
    with store:
        judged = models.get(store, model or _own(place))
        output.say(f"gate: {judged.id}")
        said = gate.pass_through(store, place, judged, force=force, progress=lambda line: output.say(f"  {line}"))
    if as_json:
        output.print_json(_as_json(said))
        return 0 if said.certificate.passed else EXIT_CODES[Code.REFUSED]
    _show(said)
    gate.refuse_unless_passed(said.certificate)
    return 0


def _own(place: Place) -> str:
    if place.project.model is None:
        raise invalid("the project has no [model]", where="roadworthy.toml", fix="name the model: rw gate NAME")
    return place.project.model.name


def _show(said: gate.Judgement) -> None:
    made, evidence = said.certificate, said.evidence
    rows = [(_mark(o), o.name, _measured(o), _would_pass(o)) for o in made.outcomes]
    output.table(("", "rule", "measured", "would pass"), rows)
    for outcome in made.outcomes:
        if outcome.problem:
            click.echo(f"  {outcome.name}: {outcome.problem}")
    _show_comparisons(evidence)
    click.echo("")
    verdict = (
        output.styled("passed", fg="green", bold=True) if made.passed else output.styled("refused", fg="red", bold=True)
    )
    again = "" if said.issued else " (issued before; nothing has changed since)"
    click.echo(f"{made.model} {verdict}, certificate {made.id[:16]}{again}")


def _show_comparisons(evidence: Evidence) -> None:
    if not evidence.champion:
        return
    output.heading(f"{evidence.model} beside the champion {evidence.champion}, on the same rows")
    rows = [(c.metric, c.challenger, c.champion, in_words(c)) for c in evidence.comparisons]
    if rows:
        output.table(("metric", evidence.model, evidence.champion, "difference"), rows)
    else:
        click.echo(
            f"  not compared: {evidence.facts.get('champion', {}).get('problem', 'no metric is common to both')}"
        )


def _mark(outcome: Outcome) -> str:
    if outcome.passed:
        return "pass"
    return "FAIL" if outcome.level == "error" else "warn"


def _measured(outcome: Outcome) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in outcome.measured.items()) or "-"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if not isinstance(value, dict | list) else f"{len(value)} entries"


def _would_pass(outcome: Outcome) -> str:
    return outcome.would_pass or ("-" if outcome.problem else outcome.rule)


def _as_json(said: gate.Judgement) -> dict[str, Any]:
    return {
        "certificate": msgspec.to_builtins(said.certificate),
        "comparisons": [{**msgspec.to_builtins(c), "in_words": in_words(c)} for c in said.evidence.comparisons],
        "evidence": msgspec.to_builtins(said.evidence),
        "measured": said.measured,
        "issued": said.issued,
    }
