"""`rw rollback`: back to the release before, at once."""

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_here
from roadworthy.releases import apply as applying
from roadworthy.releases import grounds


@click.command("rollback")
@click.option("--to", "target", default="", help="The target; that of [operate], or the only one, by default.")
@output.json_option
def command(*, target: str, as_json: bool) -> None:
    """Go back: take a canary off the road, or put the release before the live one in its place.

    \b
    The former version's certificate is checked again, its server is up before traffic moves, and no request is
    dropped. It asks nothing: `rw release` goes forward again.

    \b
    Examples:
      rw rollback
      rw rollback --to local --json
    """  # noqa: D301 - click's mark for lines that stay as they are
    place, store = open_here()
    with store:
        name = grounds.default(place, target)
        release = applying.rollback(store, place, name, progress=output.say)
        if as_json:
            output.print_json(release)
        elif release.status == "live":
            click.echo(f"{release.model} has all the traffic of {name}.")
        else:
            click.echo(f"{release.model} is off the road; nothing is live on {name}.")
