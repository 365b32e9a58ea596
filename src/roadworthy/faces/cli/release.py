"""`rw release`: show what would change on a target, ask, and do it; carry on with what is under way."""

import sys

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_here
from roadworthy.gates import certificate as certificates
from roadworthy.nouns.errors import Code, Fault, invalid, refused
from roadworthy.nouns.plan import Plan
from roadworthy.nouns.project import Place, share
from roadworthy.nouns.release import Release
from roadworthy.registry import models
from roadworthy.releases import apply as applying
from roadworthy.releases import grounds, plan, releases
from roadworthy.releases.rollout import UNDER_WAY
from roadworthy.store.store import Store

LOOK_EVERY_S = 1.0
SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"), "keep": ("=", None)}


@click.command("release")
@click.argument("model", required=False)
@click.option("--to", "target", default="", help="The target; that of [operate], or the only one, by default.")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask. Needed when nobody can be asked (no terminal).")
@click.option("--canary", default="", metavar="SHARES", help="Shares it goes through first, such as 10% or 5%,25%,50%.")
@click.option("--no-canary", is_flag=True, help="All traffic at once.")
@click.option("--wait", is_flag=True, help="Watch until it is live or rolled back.")
@click.option("--continue", "go_on", is_flag=True, help="One step of the release under way: look, judge, act.")
@click.option("--up", is_flag=True, help="Bring back what should run, after --down or a restart of the machine.")
@click.option("--down", is_flag=True, help="Stop everything on the target.")
@output.json_option
def command(
    *,
    model: str | None, target: str, only_plan: bool, yes: bool, canary: str, no_canary: bool, wait: bool,
    go_on: bool, up: bool, down: bool, as_json: bool,
) -> None:  # fmt: skip
    """Release a certified MODEL (name, name@3; the project's newest by default) to a target.

    \b
    The first release of a target goes live at once. A later one begins with a share of the traffic if the project
    (or --canary) says so, and goes on, or back, by the rules of [release.NAME.canary] over what was served.

    \b
    Examples:
      rw release                                 plan, ask, apply
      rw release late-flights@3 --plan           only show
      rw release --yes --canary 10% --wait       give it 10 %, and watch until it is live or rolled back
      rw release --continue                      judge the canary now; go on or back
      rw release --down                          stop everything;  --up  brings it back
    """  # noqa: D301 - click's mark for lines that stay as they are
    place, store = open_here()
    with store:
        name = grounds.default(place, target)
        _check_options(model, [only_plan, go_on, up, down], canary=canary, no_canary=no_canary)
        if down:
            _show_down(applying.down(store, place, name, progress=output.say), name, as_json=as_json)
            return
        if up:
            release = applying.up(store, place, name, progress=output.say)
        elif go_on:
            release = applying.observe(store, place, name, progress=output.say)
        else:
            planned = _plan(store, place, model, name, _shares(canary, no_canary=no_canary))
            if only_plan or (planned.empty and not as_json):
                _show_plan(planned, as_json=as_json)
                return
            if not as_json:
                _show_plan(planned, as_json=False)
            _confirm(planned, yes=yes or planned.empty)
            release = applying.apply(store, planned, place, progress=output.say)
        if wait:
            release = _watch(store, place, release)
        _show(store, place, release, as_json=as_json)


def _check_options(model: str | None, verbs: list[bool], *, canary: str, no_canary: bool) -> None:
    if sum(verbs) > 1:
        raise invalid("--plan, --continue, --up and --down exclude each other")
    if any(verbs[1:]) and (model or canary or no_canary):
        raise invalid("--continue, --up and --down are about what is there already; they take no model and no shares")
    if canary and no_canary:
        raise invalid("--canary and --no-canary exclude each other")


def _shares(canary: str, *, no_canary: bool) -> tuple[float, ...] | None:
    if no_canary:
        return (1.0,)
    if not canary:
        return None
    try:
        return tuple(share(part.strip()) for part in canary.split(","))
    except ValueError:
        raise invalid("not shares", where=f"--canary {canary}", fix="write them such as 10% or 5%,25%,50%") from None


def _plan(store: Store, place: Place, ref: str | None, target: str, shares: tuple[float, ...] | None) -> Plan:
    """No plan without a certificate: this is where a model without one stops."""
    if ref is None:
        spec = place.project.model
        if spec is None:
            raise invalid("which model is not said, and the project names none", fix="rw release NAME@VERSION")
        ref = spec.name
    model = models.get(store, ref)
    certificate = certificates.require(store, model)
    return plan.make(store, model, certificate, place, target, shares=shares)


def _confirm(planned: Plan, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise invalid("nobody can be asked: there is no terminal", fix="add --yes to apply, or --plan to only look")
    if not click.confirm(f"Apply this to {planned.target}?", err=True):
        raise click.Abort


def _watch(store: Store, place: Place, release: Release) -> Release:
    """Look again and again until the release is live or rolled back."""
    while release.status in UNDER_WAY:
        store.clock.sleep(LOOK_EVERY_S)
        try:
            applying.observe(store, place, release.target, progress=output.say)
        except Fault as problem:
            if problem.code != Code.CONFLICT:  # the operate loop may be looking at this very moment
                raise
        release = releases.get(store, release.id)
    return release


def _show_plan(planned: Plan, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"plan": planned, "empty": planned.empty})
        return
    if planned.empty:
        click.echo(f"Nothing to do: {planned.model} is live on {planned.target}.")
        return
    click.echo(f"Plan for {planned.target}:")
    width = max(len(change.what) for change in planned.changes)
    for change in planned.changes:
        sign, colour = SIGNS[change.action]
        arrow = change.after if change.action in {"create", "keep"} else f"{change.before} -> {change.after}"
        click.echo(f"  {click.style(sign, fg=colour)} {change.what.ljust(width)}  {arrow}")
    if planned.rules:
        click.echo(
            f"  each share is judged after {planned.min_rows:,} rows, and given up after"
            f" {output.duration(planned.patience_s)}, by"
        )
        for rule in planned.rules:
            click.echo(f"      {rule.name or rule.rule}")


def _show_down(was: Release | None, target: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"target": target, "stopped": was})
    elif was is None:
        click.echo(f"Nothing was live on {target}.")
    else:
        click.echo(f"{target} is stopped; `rw release --up` brings {was.model} back.")


def _show(store: Store, place: Place, release: Release, *, as_json: bool) -> None:
    """Where the release is now; one that was rolled back is a refusal."""
    if release.status == "rolled_back":
        live = releases.live(store, place.project.name, release.target)
        raise refused(
            f"{release.model} was rolled back: {release.reason}",
            where=release.target,
            fix=f"{live.model} has all the traffic" if live else "nothing is live",
            detail={"release": release.id, "outcomes": [o.name for o in release.outcomes if not o.passed]},
        )
    if as_json:
        output.print_json(release)
        return
    if release.status == "canary":
        click.echo(f"{release.model} gets {release.share:.0%} of the traffic of {release.target}.")
        click.echo("  rw release --continue --wait   watches it go live or back;  rw status  shows both")
        return
    url = grounds.open_target(store, place, release.target).observe().url
    click.echo(f"{release.model} is live on {release.target}{': ' if url else ''}{url}")
