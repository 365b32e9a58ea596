"""`rw status`: what is live where, how it does, and how to ask it."""

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_here
from roadworthy.releases import grounds, status
from roadworthy.releases.status import TargetStatus


@click.command("status")
@click.option("--to", "target", default="", help="Only this target; all by default.")
@output.json_option
def command(*, target: str, as_json: bool) -> None:
    """Each target: its versions with their shares, health, rows, errors and latencies, and where to send rows.

    \b
    Counts and latencies are since the target's router started. The exit code is 0 whatever is found;
    `healthy` in --json says whether all that should run does.

    \b
    Examples:
      rw status
      rw status --to local --json
    """  # noqa: D301 - click's mark for lines that stay as they are
    place, store = open_here()
    with store:
        if target:
            grounds.settings_of(place, target)
        found = [status.look(store, place, name) for name in ([target] if target else grounds.names(place))]
    if as_json:
        output.print_json(found)
        return
    for i, one in enumerate(found):
        if i:
            click.echo()
        _show(one)


def _show(one: TargetStatus) -> None:
    mark = "" if one.healthy else click.style("  not healthy", fg="red")
    click.echo(f"{one.target}  {one.url or 'nothing listens'}{mark}")
    if one.versions:
        output.table(
            ["model", "status", "share", "health", "requests", "rows", "errors", "p50 ms", "p99 ms", "since"],
            [
                [
                    v.model, v.status, f"{v.share:.0%}", v.health, v.counts.requests, v.counts.rows, v.counts.errors,
                    f"{v.counts.latency_p50_ms:.1f}", f"{v.counts.latency_p99_ms:.1f}", output.when(v.since),
                ]
                for v in one.versions
            ],
        )  # fmt: skip
        click.echo(f"rows lost by the inference log: {one.rows_dropped}; requests nothing could answer: {one.unrouted}")
    if one.advice:
        click.echo(one.advice)
    if one.example:
        click.echo(f"try it:\n  {one.example}")
